"""ILIAS: objects on plain ground, to be found in the wild among millions of images of YFCC100M.

G. Kordopatis-Zilos et al., "ILIAS: Instance-Level Image retrieval At Scale", CVPR 2025. Queries are images, or texts
that describe an object.
"""

import math
from collections.abc import Iterator
from typing import Literal

from pipeline.datasets.annotations import ANEW, Row, listed_image, read_lines, read_rows, sized_box
from pipeline.datasets.escapes import without_escapes
from pipeline.datasets.layouts import existing
from pipeline.datasets.listing import Listing
from pipeline.frame.places import Place, as_written, asking
from pipeline.manifest.items import Box
from pipeline.manifest.labels import read_list_text
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.labels import seen
from pipeline.retrieval.queries import Query, Role


def read_ilias(
    root: str,
    crop_queries: bool = False,
    follow_links: bool = False,
    queries: Literal["image", "text"] = "image",
) -> Listing:
    """Read the positives of all objects, which are the gallery, then the queries, both in their lists' order.

    Distractors are added by the key ``distractors``. An object is a folder, ``<name>_<number>/{query,pos}/``; a
    query's positives are those of its object. The attributes of a positive are ``object``, ``scale`` (the object's
    share of the image) and ``clutter``.

    Args:
        root: the folder with ``ilias_core/``, and ``image_ids/`` with ``positive_ids.txt`` (path, scale, clutter) and
            ``image_query_ids.txt`` (path, and what is not read here), with commas between, or
            ``text_query_ids.txt`` (path); see ``pipeline.frame.places``.
        crop_queries: cut queries to the smallest box around those of ``<query>_bbox.txt``, whose lines are left, top,
            width, height. The official code takes whole queries where it is not told to.
        follow_links: accept symbolic links that lead out of the root.
        queries: ``image``; or ``text``, what stands in a file for each object, without white space at its ends.

    Raises:
        RetrievalError: a list, an image, a text or a box is missing; a line has another form; an object has no
            positives; texts are to be cut.
    """
    if queries == "text" and crop_queries:
        raise RetrievalError("ilias: 'crop_queries' does nothing to texts: leave it out, or set queries: image")
    top = existing(root)
    core = top / "ilias_core"
    paths: dict[str, str] = {}
    objects: dict[str, list[int]] = {}
    attributes: dict[int, dict[str, object]] = {}
    for where, cells in rows_of(top / "image_ids" / "positive_ids.txt"):
        path, name = file_of(core, cells[0], "pos/<image>.jpg", paths, where=where, follow_links=follow_links)
        objects.setdefault(name, []).append(len(paths))
        attributes[len(paths)] = {"object": name, **measures_in(cells[1:], where=where)}
        paths[path] = where
    asked: list[Query] = []
    boxes: dict[int, Box] = {}
    texts: dict[int, str] = {}
    form = "query/<image>.jpg" if queries == "image" else "query/<text>.txt"
    for where, cells in rows_of(top / "image_ids" / f"{queries}_query_ids.txt"):
        path, name = file_of(core, cells[0], form, paths, where=where, follow_links=follow_links)
        if name not in objects:
            raise RetrievalError(f"{where}: {name} has no positives in positive_ids.txt: {ANEW}")
        if crop_queries:
            boxes[len(paths)] = read_box(core / f"{path.removesuffix('.jpg')}_bbox.txt")
        if queries == "text":
            texts[len(paths)] = read_query(core / path)
        asked.append(Query(len(paths), tuple(objects[name]), (), ()))
        paths[path] = where
    entries = tuple((path, ()) for path in paths)
    base = as_written(root) / "ilias_core"
    roles: dict[int, Role] = dict.fromkeys(texts, "query")
    return Listing(base, entries, tuple(asked), "listed", boxes=boxes, roles=roles, attributes=attributes, texts=texts)


def rows_of(path: Place) -> Iterator[tuple[str, list[str]]]:
    """Yield the place of each line, and what stands between its commas."""
    for where, line in read_lines(path):
        yield where, [cell.strip() for cell in line.split(",")]


def read_query(path: Place) -> str:
    """Return the text that describes an object; RetrievalError if there is none."""
    text = read_list_text(path, remedy="extract ilias_core.tar anew").strip()
    if not seen(text):
        raise RetrievalError(f"{shown(str(path))} is empty: extract ilias_core.tar anew")
    return text


def file_of(
    core: Place, name: str, form: str, known: dict[str, str], *, where: str, follow_links: bool
) -> tuple[str, str]:
    """Return the path of a listed file, and its object; RetrievalError if it is none, or known, or not there."""
    parts, (folder, file) = name.split("/"), form.split("/")
    if len(parts) != 3 or parts[1] != folder or not name.endswith(file[-4:]):
        raise RetrievalError(f"{where}: expected <object>/{form}, got {name!r}: {ANEW}")
    path = listed_image(core, on_disk(core, name), where=where, follow_links=follow_links)
    if path in known:
        raise RetrievalError(f"{where}: {shown(path)} stands already at {known[path]}: {ANEW}")
    return path, path.split("/")[0]


def on_disk(core: Place, name: str) -> str:
    """Return the path of an image whose name in a list may have ``#U00e9`` for a character that its file has."""
    if without_escapes(name) == name:
        return name
    with asking(core):
        return name if (core / name).is_file() else without_escapes(name)


def measures_in(cells: list[str], *, where: str) -> dict[str, object]:
    """Return the scale and the clutter of a positive; RetrievalError if there are no such numbers."""
    try:
        scale, clutter = float(cells[0]), int(cells[1])
        if len(cells) != 2 or not math.isfinite(scale):
            raise ValueError(f"{len(cells)} numbers, scale {scale}")
    except (ValueError, IndexError) as error:
        raise RetrievalError(f"{where}: expected path,scale,clutter ({error}): {ANEW}") from None
    return {"scale": scale, "clutter": clutter}


def read_box(path: Place) -> Box:
    """Return the smallest box around all boxes of a file, a line each: left, top, width, height in pixels.

    What leaves the image at the left or the top is cut off, as in the official code.

    Raises:
        RetrievalError: the file is missing or has no box; a line is none.
    """
    boxes = [box_of(row) for row in read_rows(path, "left top width height")]
    if not boxes:
        raise RetrievalError(f"{shown(str(path))} has no box: extract ilias_core.tar anew")
    left, top, right, bottom = zip(*boxes, strict=True)
    return max(0.0, min(left)), max(0.0, min(top)), max(right), max(bottom)


def box_of(row: Row) -> Box:
    """Return the box of a line; RetrievalError if it is none, or lies wholly to the left of the image or above it."""
    box = sized_box(row.fields, where=row.where)
    if min(box[2:]) <= 0:
        raise RetrievalError(f"{row.where}: the box {' '.join(row.fields)} lies outside the image: {ANEW}")
    return box
