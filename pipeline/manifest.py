"""The manifest: which images a dataset has, what is in them, and the exact bytes that were meant.

``data/prepared/<dataset>/manifest.csv`` has a row an image, in the order of the rows of the features;
``summary.json`` beside it says where the images lie and how many there are of what. A dataset that comes
with queries of its own has them in ``queries.json``.
"""

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.errors import RetrievalError
from pipeline.files import sha256_of, write_json, write_text

COLUMNS = ("path", "labels", "width", "height", "sha256", "box")

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Item:
    """One image.

    Attributes:
        path: relative to the dataset's root, with forward slashes.
        labels: what is in it; at least one, unless the dataset comes with queries. Two items are relevant to
            each other if they share one.
        width: pixels, after EXIF orientation.
        height: pixels, after EXIF orientation.
        sha256: of the file, hexadecimal.
        box: the part of the image that counts: left, top, right, bottom in pixels of the upright image,
            0 <= left < right <= width and the same of the height; None for the whole.
    """

    path: str
    labels: tuple[str, ...]
    width: int
    height: int
    sha256: str
    box: Box | None = None


@dataclass(frozen=True)
class Query:
    """A query that a dataset comes with, and what is known about its gallery; all are indices of items.

    The gallery is every item that is no query's. What stands in none of the lists does not show the query's
    object.

    Attributes:
        item: the query's image.
        easy: items that show it clearly.
        hard: items that show it in a way that is hard to recognise.
        junk: items that show it too badly to be counted for or against a ranking.
    """

    item: int
    easy: tuple[int, ...]
    hard: tuple[int, ...]
    junk: tuple[int, ...]


@dataclass(frozen=True)
class Manifest:
    """The images of a dataset in a fixed order.

    Attributes:
        dataset: its name.
        root: the folder that the items' paths start from.
        items: one an image.
        sha256: of manifest.csv, which features are tied to; empty before it is written.
        queries: those that the dataset comes with; None: every item is a query, all others are its gallery,
            and what is relevant follows from the labels.
    """

    dataset: str
    root: Path
    items: tuple[Item, ...]
    sha256: str = ""
    queries: tuple[Query, ...] | None = None

    @cached_property
    def paths(self) -> list[str]:
        """The items' paths, in order: the names used in errors."""
        return [item.path for item in self.items]

    @cached_property
    def labels(self) -> list[tuple[str, ...]]:
        """The items' labels, in order."""
        return [item.labels for item in self.items]


def join_labels(labels: tuple[str, ...]) -> str:
    r"""Join labels with ``|``; a ``|`` or ``\`` inside a label gets a ``\`` before it."""
    return "|".join(re.sub(r"([\\|])", r"\\\1", label) for label in labels)


def split_labels(text: str) -> tuple[str, ...]:
    """Undo :func:`join_labels`."""
    if not text:
        return ()
    parts = re.findall(r"(?:^|\|)((?:[^\\|]|\\.)*)", text, flags=re.DOTALL)
    return tuple(re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in parts)


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


def write_manifest(manifest: Manifest, directory: Path) -> None:
    """Write manifest.csv, summary.json and, of a dataset that comes with queries, queries.json into ``directory``."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in manifest.items:
        labels, box = join_labels(item.labels), join_box(item.box)
        writer.writerow((item.path, labels, item.width, item.height, item.sha256, box))
    write_text(directory / "manifest.csv", buffer.getvalue())
    if manifest.queries is not None:
        write_json(directory / "queries.json", {"queries": [asdict(query) for query in manifest.queries]})
    write_json(directory / "summary.json", summary(manifest))


def summary(manifest: Manifest) -> dict[str, object]:
    """Return the counts of a dataset.

    Images and exact duplicates among their files; where there are labels, how many, and images a label
    (smallest and largest); where it comes with queries, these and the images of the gallery.
    """
    described: dict[str, object] = {
        "dataset": manifest.dataset,
        "root": manifest.root.as_posix(),
        "images": len(manifest.items),
    }
    counts: dict[str, int] = {}
    for labels in manifest.labels:
        for label in labels:
            counts[label] = counts.get(label, 0) + 1
    if counts:
        described["labels"] = len(counts)
        described["images_of_smallest_label"] = min(counts.values())
        described["images_of_largest_label"] = max(counts.values())
        described["images_with_several_labels"] = sum(len(labels) > 1 for labels in manifest.labels)
    if manifest.queries is not None:
        described["queries"] = len(manifest.queries)
        described["gallery"] = len(manifest.items) - len({query.item for query in manifest.queries})
    described["exact_duplicates"] = len(set(manifest.paths)) - len({item.sha256 for item in manifest.items})
    return described


def read_manifest(directory: Path) -> Manifest:
    """Read what :func:`write_manifest` wrote.

    Raises:
        RetrievalError: a file is missing or not in this format.
    """
    path = directory / "manifest.csv"
    try:
        described = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
        with path.open(encoding="utf-8", newline="") as file:
            items = tuple(read_item(row) for row in csv.DictReader(file))
        queries = read_queries(directory / "queries.json", len(items)) if "queries" in described else None
        for item in items:
            if queries is None and not item.labels:
                raise ValueError(f"{item.path} has no label")
        return Manifest(described["dataset"], Path(described["root"]), items, sha256_of(path), queries)
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        problem = " ".join(f"{type(error).__name__}: {error}".split())
        raise RetrievalError(
            f"no usable manifest in {directory} ({problem}): run dvc repro prepare@{directory.name}"
        ) from None


def read_item(row: Mapping[str | Any, str | Any]) -> Item:
    """Return the item of a row of manifest.csv; KeyError or ValueError if it is none."""
    if None in row.values() or None in row:
        raise ValueError(f"the row of {row['path']} has not {len(COLUMNS)} columns")
    labels, box = split_labels(row["labels"]), split_box(row["box"])
    return Item(row["path"], labels, int(row["width"]), int(row["height"]), row["sha256"], box)


def read_queries(path: Path, items: int) -> tuple[Query, ...]:
    """Return the queries in queries.json; KeyError, TypeError or ValueError if it holds anything else."""
    entries = json.loads(path.read_text(encoding="utf-8"))["queries"]
    queries = tuple(Query(e["item"], tuple(e["easy"]), tuple(e["hard"]), tuple(e["junk"])) for e in entries)
    check_queries(queries, items)
    return queries


def check_queries(queries: Sequence[Query], items: int) -> None:
    """Check the indices of queries: all of them items, those in the lists of the gallery and there once.

    Raises:
        ValueError: one is not.
    """
    asked = {query.item for query in queries}
    for number, query in enumerate(queries):
        listed = (*query.easy, *query.hard, *query.junk)
        for index in (query.item, *listed):
            if type(index) is not int or not 0 <= index < items:
                raise ValueError(f"query {number}: {index!r} is no index of {items} items")
        if len(set(listed)) != len(listed) or not asked.isdisjoint(listed):
            raise ValueError(f"query {number}: an item stands twice among easy, hard and junk, or is itself a query")
