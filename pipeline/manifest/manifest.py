"""The manifest: which images a dataset has, what is in them, and the exact bytes that were meant.

``data/prepared/<dataset>/manifest.csv`` has one row per image, in the order of the rows of the features; a large one is
``manifest.parquet``, with the same columns. ``summary.json`` beside it says where the images lie and how many there
are of what. A dataset that comes with queries of its own has them in ``queries.json``. Where texts ask for images, they
are items too, with a column of their own.
"""

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args

from pipeline.frame.files import sha256_of, write_json, write_text
from pipeline.frame.places import Place, as_written
from pipeline.frame.rows import csv_of
from pipeline.frame.upstream import output_of
from pipeline.manifest.items import COLUMNS, WITH_TEXT, Item, item_of, row_of
from pipeline.retrieval.errors import shown
from pipeline.retrieval.queries import Query, check_queries
from pipeline.retrieval.reading.regular import regular_file

CSV, PARQUET = "manifest.csv", "manifest.parquet"
ATTRIBUTES = "attributes.csv"  # what is known of images beside their labels, where anything is
LARGE = 200_000  # items; a manifest from here on is Parquet

Given = Literal["revisited", "classic", "listed", "choice"]


@dataclass(frozen=True)
class Manifest:
    """The images of a dataset in a fixed order.

    Attributes:
        dataset: its name.
        root: the folder that the items' paths start from.
        items: one an image.
        sha256: of its file, which features are tied to; empty before it is written.
        queries: those that the dataset comes with; None: every item is a query, all others are its gallery,
            unless its role says otherwise, and what is relevant follows from the labels.
        given: what kind of queries these are: ``revisited``, with easy and hard items; ``classic``, where all items
            that show the object are ``easy``; ``listed``, the same, judged by the common rule of AP, and a query may
            have none; or ``choice``, of which only the items that it lists are ranked, and the ``easy`` are right.
    """

    dataset: str
    root: Place
    items: Sequence[Item]
    sha256: str = ""
    queries: tuple[Query, ...] | None = None
    given: Given = "revisited"

    def folder(self, item: Item) -> Place:
        """Return the folder that an item's path starts from, as the YAML writes it (see ``pipeline.frame.places``)."""
        return item.root or self.root

    @cached_property
    def paths(self) -> list[str]:
        """The items' paths, in order: the names used in errors."""
        return [item.path for item in self.items]

    @cached_property
    def texts(self) -> dict[int, str]:
        """The texts among the items, by number."""
        if not getattr(self.items, "has_texts", True):  # Parquet knows it without looking at millions of items
            return {}
        return {number: item.text for number, item in enumerate(self.items) if item.text is not None}

    @cached_property
    def pictures(self) -> Sequence[int]:
        """The numbers of the items that are no texts, in order."""
        numbers = range(len(self.items))
        return [number for number in numbers if number not in self.texts] if self.texts else numbers

    @property
    def has_images(self) -> bool:
        """Whether there is an image of every item but texts, and not of none: then they are names and what is known."""
        return not self.items or self.items[0].sha256 is not None

    @cached_property
    def contents(self) -> list[str]:
        """What the items show, in order: equal for exact copies, but not for an image and a crop of it.

        Where there are no images, each item shows something of its own: nobody knows better.
        """
        return [f"{item.sha256 or self.folder(item) / item.path} {item.box}" for item in self.items]

    @cached_property
    def labels(self) -> list[tuple[str, ...]]:
        """The items' labels, in order."""
        return [item.labels for item in self.items]


def write_manifest(manifest: Manifest, directory: Path) -> None:
    """Write the manifest, summary.json and, of a dataset that comes with queries, queries.json into ``directory``."""
    columns = WITH_TEXT if manifest.texts else COLUMNS
    rows = (row_of(item)[: len(columns)] for item in manifest.items)
    if len(manifest.items) < LARGE:
        write_text(directory / CSV, csv_of(chain([columns], rows)))
    else:
        from pipeline.manifest.parquet import write_rows  # pyarrow is for large manifests only

        write_rows(rows, directory / PARQUET, columns)
    if manifest.queries is not None:
        queries = [asdict(query) for query in manifest.queries]
        write_json(directory / "queries.json", {"given": manifest.given, "queries": queries})
    write_json(directory / "summary.json", summary(manifest))


def label_counts(manifest: Manifest) -> dict[str, int]:
    """Return how many images have each label."""
    return Counter(chain.from_iterable(item.labels for item in manifest.items if item.text is None))


def duplicates_in(manifest: Manifest) -> int:
    """Return how many files are exact copies of another one."""
    images = [item for item in manifest.items if item.text is None]
    files = {(manifest.folder(item), item.path) for item in images}
    return len(files) - len({item.sha256 for item in images})


def summary(manifest: Manifest) -> dict[str, object]:
    """Return the counts of a dataset.

    Images and, where there are files, exact duplicates among them; where there are labels, how many, and images a label
    (smallest and largest); where it comes with queries, these and the images of the gallery; where there are any,
    images that are only query or only in the gallery, distractors and groups.
    """
    described: dict[str, object] = {
        "dataset": manifest.dataset,
        "root": manifest.root.as_posix(),
        "images": len(manifest.pictures),
        **({"texts": len(manifest.texts)} if manifest.texts else {}),
    }
    counts = label_counts(manifest)
    if counts:
        described["labels"] = len(counts)
        described["images_of_smallest_label"] = min(counts.values())
        described["images_of_largest_label"] = max(counts.values())
        described["images_with_several_labels"] = sum(len(labels) > 1 for labels in manifest.labels)
    if manifest.queries is not None:
        described["queries"] = len(manifest.queries)
        described["gallery"] = len(manifest.items) - len({query.item for query in manifest.queries})
    only = [item.role for item in manifest.items if item.role != "both" and item.text is None]
    found = {
        "only_query": only.count("query"),
        "only_in_gallery": only.count("gallery"),
        "distractors": sum(item.role == "gallery" and not item.labels for item in manifest.items),
        "groups": len({item.group for item in manifest.items} - {None}),
    }
    described.update({name: count for name, count in found.items() if count})
    return {**described, "exact_duplicates": duplicates_in(manifest)} if manifest.has_images else described


def read_manifest(directory: Path) -> Manifest:
    """Read what :func:`write_manifest` wrote.

    Raises:
        RetrievalError: a file is missing or not in this format.
    """
    path = directory / PARQUET
    with output_of(f"prepare@{directory.name}", f"manifest in {directory}"):
        for name in ("summary.json", "queries.json", PARQUET, CSV):
            if (directory / name).exists():
                regular_file(directory / name)
        described = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
        dataset = described["dataset"]
        if not isinstance(dataset, str) or not dataset.isprintable():
            raise ValueError(f"{dataset!r} is no name of a dataset")
        described["root"].encode("utf-8")  # what is no text, or no Unicode, is damage
        items: Sequence[Item]
        if path.is_file():
            from pipeline.manifest.parquet import Items

            items = Items(path)
        else:
            path = directory / CSV
            with path.open(encoding="utf-8", newline="") as file:
                items = tuple(read_item(row) for row in csv.DictReader(file))
        queries, given = None, get_args(Given)[0]
        if "queries" in described:
            queries, given = read_queries(directory / "queries.json", len(items))
        pictured = bool(items) and items[0].sha256 is not None
        for item in items:
            if (item.sha256 is not None) != pictured:
                raise ValueError(f"{shown(item.path)} {'has no' if pictured else 'alone has an'} image")
            if queries is None and not item.labels and item.role != "gallery":
                raise ValueError(f"{shown(item.path)} has no label")
        return Manifest(dataset, as_written(described["root"]), items, sha256_of(path), queries, given)


def read_item(row: Mapping[str | Any, str | Any]) -> Item:
    """Return the item of a row of manifest.csv; KeyError or ValueError if it is none."""
    if None in row.values() or None in row:
        raise ValueError(f"the row of {row['path']!r} has not {len(row)} columns")
    return item_of(*(row[name] for name in (WITH_TEXT if WITH_TEXT[-1] in row else COLUMNS)))


def read_queries(path: Path, items: int) -> tuple[tuple[Query, ...], Given]:
    """Return the queries in queries.json and their kind; KeyError, TypeError or ValueError if it holds no such."""
    content = json.loads(path.read_text(encoding="utf-8"))
    queries = tuple(Query(e["item"], tuple(e["easy"]), tuple(e["hard"]), tuple(e["junk"])) for e in content["queries"])
    check_queries(queries, items)
    given = content["given"]
    if given not in get_args(Given):
        raise ValueError(f"'{given}' is no kind of queries")
    return queries, given
