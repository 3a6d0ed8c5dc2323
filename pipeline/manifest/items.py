"""One image of a manifest, or one text that asks for images, and how it is written in a row."""

import hashlib
import math
from dataclasses import dataclass

from pipeline.frame.places import Place, as_written
from pipeline.retrieval.errors import shown
from pipeline.retrieval.queries import Role, as_role
from pipeline.retrieval.reading.lists import join_labels, split_labels

COLUMNS = ("path", "labels", "width", "height", "sha256", "box", "role", "group", "root")
WITH_TEXT = (*COLUMNS, "text")  # of a dataset in which some items are texts
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Item:
    """One image, or a text that is a query.

    Attributes:
        path: relative to the dataset's root, with forward slashes.
        labels: what is in it. Two items are relevant to each other if they share one. None: the dataset comes with
            queries, or the item is only in the gallery, a distractor.
        width: pixels, after EXIF orientation; None where there is no image, but only a name and what it shows.
        height: the same.
        sha256: of the file, or of the text in UTF-8, hexadecimal; None where there is neither.
        box: the part of the image that counts: left, top, right, bottom in pixels of the upright image,
            0 <= left < right <= width and the same of the height, also once they are rounded; None for the whole.
        role: ``query`` or ``gallery`` if it is only that. Where the dataset comes with queries, those say it.
        group: items of one group, such as a burst, are left out of each other's rankings; None: of no group.
        root: the folder that the path starts from; None: the dataset's.
        text: what is asked, of an item that is no image; the path then only names it.
    """

    path: str
    labels: tuple[str, ...]
    width: int | None
    height: int | None
    sha256: str | None
    box: Box | None = None
    role: Role = "both"
    group: str | None = None
    root: Place | None = None
    text: str | None = None


def sha256_of_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def join_box(box: Box | None) -> str:
    """Return ``left top right bottom``, every digit of them; empty for None."""
    return "" if box is None else " ".join(repr(float(side)) for side in box)


def split_box(text: str) -> Box | None:
    """Undo :func:`join_box`; ValueError for anything else."""
    if not text:
        return None
    left, top, right, bottom = (float(side) for side in text.split(" "))
    if not (left < right and top < bottom and all(map(math.isfinite, (left, top, right, bottom)))):
        raise ValueError(f"'{text}' is no box")
    return left, top, right, bottom


def whole_pixels(box: Box) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of a box in whole pixels, as Pillow crops it."""
    left, top, right, bottom = map(round, box)
    return left, top, right, bottom


def row_of(item: Item) -> tuple[str, str, int | None, int | None, str, str, str, str, str, str]:
    """Return the row of an item, in the order of ``WITH_TEXT``; of one without an image these cells are empty."""
    labels, box = join_labels(item.labels), join_box(item.box)
    root = "" if item.root is None else item.root.as_posix()
    sha256, group, text = item.sha256 or "", item.group or "", item.text or ""
    return item.path, labels, item.width, item.height, sha256, box, item.role, group, root, text


def item_of(
    path: str,
    labels: str,
    width: int | str | None,
    height: int | str | None,
    sha256: str,
    box: str,
    role: str,
    group: str,
    root: str,
    text: str = "",
) -> Item:
    """Undo :func:`row_of`; ValueError if that cannot be."""
    for name, value in (("path", path), ("sha256", sha256)):
        if not isinstance(value, str) or not (value or name == "sha256"):
            raise ValueError(f"an item has no {name}")
    sides = [None if side is None or side == "" else int(side) for side in (width, height)]
    lacking = [side is None for side in sides]
    if text and not (sha256 == sha256_of_text(text) and all(lacking) and not box and role == "query"):
        raise ValueError(f"{shown(path)} is a text: its role is query, it has its hash, and no width, height or box")
    if not text and len({not sha256, *lacking}) > 1:
        raise ValueError(f"{shown(path)} has some of width, height and sha256: an image has all, no image none")
    return Item(
        path=path,
        labels=split_labels(labels),
        width=sides[0],
        height=sides[1],
        sha256=sha256 or None,
        box=split_box(box),
        role=as_role(role),
        group=group or None,
        root=as_written(root) if root else None,
        text=text or None,
    )
