"""One image of a manifest, and how it is written in a row."""

import math
from dataclasses import dataclass

from pipeline.frame.places import Place, as_written
from pipeline.retrieval.errors import shown
from pipeline.retrieval.queries import Role, as_role
from pipeline.retrieval.reading.lists import join_labels, split_labels

COLUMNS = ("path", "labels", "width", "height", "sha256", "box", "role", "group", "root")
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Item:
    """One image.

    Attributes:
        path: relative to the dataset's root, with forward slashes.
        labels: what is in it. Two items are relevant to each other if they share one. None: the dataset comes with
            queries, or the item is only in the gallery, a distractor.
        width: pixels, after EXIF orientation; None where there is no image, but only a name and what it shows.
        height: the same.
        sha256: of the file, hexadecimal; None where there is none.
        box: the part of the image that counts: left, top, right, bottom in pixels of the upright image,
            0 <= left < right <= width and the same of the height; None for the whole.
        role: ``query`` or ``gallery`` if it is only that. Where the dataset comes with queries, those say it.
        group: items of one group, such as a burst, are left out of each other's rankings; None: of no group.
        root: the folder that the path starts from; None: the dataset's.
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


def row_of(item: Item) -> tuple[str, str, int | None, int | None, str, str, str, str, str]:
    """Return the row of an item, in the order of ``COLUMNS``; of one without an image these cells are empty."""
    labels, box = join_labels(item.labels), join_box(item.box)
    root = "" if item.root is None else item.root.as_posix()
    return item.path, labels, item.width, item.height, item.sha256 or "", box, item.role, item.group or "", root


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
) -> Item:
    """Undo :func:`row_of`; ValueError if that cannot be."""
    for name, text in (("path", path), ("sha256", sha256)):
        if not isinstance(text, str) or not (text or name == "sha256"):
            raise ValueError(f"an item has no {name}")
    sides = [None if side is None or side == "" else int(side) for side in (width, height)]
    if len({not sha256, *(side is None for side in sides)}) > 1:
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
    )
