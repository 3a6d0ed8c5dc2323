"""The manifest: which images a dataset has, what is in them, and the exact bytes that were meant.

``data/prepared/<dataset>/manifest.csv`` has a row an image, in the order of the rows of the features;
``summary.json`` beside it says where the images lie and how many there are of what.
"""

import csv
import io
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.errors import RetrievalError
from pipeline.files import sha256_of, write_json, write_text

COLUMNS = ("path", "labels", "width", "height", "sha256")


@dataclass(frozen=True)
class Item:
    """One image.

    Attributes:
        path: relative to the dataset's root, with forward slashes.
        labels: what is in it; at least one. Two items are relevant to each other if they share one.
        width: pixels, after EXIF orientation.
        height: pixels, after EXIF orientation.
        sha256: of the file, hexadecimal.
    """

    path: str
    labels: tuple[str, ...]
    width: int
    height: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The images of a dataset in a fixed order.

    Attributes:
        dataset: its name.
        root: the folder that the items' paths start from.
        items: one an image.
        sha256: of manifest.csv, which features are tied to; empty before it is written.
    """

    dataset: str
    root: Path
    items: tuple[Item, ...]
    sha256: str = ""

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
    parts = re.findall(r"(?:^|\|)((?:[^\\|]|\\.)*)", text, flags=re.DOTALL)
    return tuple(re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in parts)


def write_manifest(manifest: Manifest, directory: Path) -> None:
    """Write manifest.csv and summary.json into ``directory``."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in manifest.items:
        writer.writerow((item.path, join_labels(item.labels), item.width, item.height, item.sha256))
    write_text(directory / "manifest.csv", buffer.getvalue())
    write_json(directory / "summary.json", summary(manifest))


def summary(manifest: Manifest) -> dict[str, object]:
    """Return the counts of a dataset: images, labels, images a label (smallest and largest), exact duplicates."""
    counts: dict[str, int] = {}
    for labels in manifest.labels:
        for label in labels:
            counts[label] = counts.get(label, 0) + 1
    return {
        "dataset": manifest.dataset,
        "root": manifest.root.as_posix(),
        "images": len(manifest.items),
        "labels": len(counts),
        "images_of_smallest_label": min(counts.values()),
        "images_of_largest_label": max(counts.values()),
        "images_with_several_labels": sum(len(labels) > 1 for labels in manifest.labels),
        "exact_duplicates": len(manifest.items) - len({item.sha256 for item in manifest.items}),
    }


def read_manifest(directory: Path) -> Manifest:
    """Read what :func:`write_manifest` wrote.

    Raises:
        RetrievalError: a file is missing or not in this format.
    """
    path = directory / "manifest.csv"
    try:
        described = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        items = tuple(
            Item(row["path"], split_labels(row["labels"]), int(row["width"]), int(row["height"]), row["sha256"])
            for row in rows
        )
        return Manifest(described["dataset"], Path(described["root"]), items, sha256_of(path))
    except (OSError, KeyError, ValueError, TypeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise RetrievalError(
            f"no usable manifest in {directory} ({problem}): run dvc repro prepare@{directory.name}"
        ) from None
