"""A new dataset: read as ``prepare`` would, with a few of its images opened instead of all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.adding.entry import Entry
from pipeline.datasets.overview import doubts_about, found_in
from pipeline.datasets.preparing import opened, unopened
from pipeline.datasets.readers import read_dataset
from pipeline.manifest.manifest import Manifest, label_counts
from pipeline.manifest.rules import rules_in
from pipeline.retrieval.errors import RetrievalError, some

TRIED = 20  # images, spread over the dataset
FEW = 10  # labels; docs/uncertainty.md says what these tell apart


def with_kind(values: dict[str, Any], *, where: str) -> dict[str, Any]:
    """Return the keys of a YAML with its kind: what has a ``list`` is one, anything else a folder for each label.

    Raises:
        RetrievalError: there are no keys.
    """
    if not values:
        raise RetrievalError(f"{where} is not there: give root=<the folder of the images>")
    return {"kind": "list" if "list" in values else "folder", **values}


def check_dataset(entry: Entry, config: dict[str, Any], folder: Path) -> tuple[str, list[str]]:
    """Return in a line what a dataset has, and in a line each what makes one doubt it.

    Args:
        entry: to be added.
        config: its YAML.
        folder: an existing one, for the images of an embedded dataset.

    Raises:
        RetrievalError: see :func:`pipeline.datasets.readers.read_dataset`, :func:`pipeline.manifest.rules.rules_in` and
            :func:`pipeline.datasets.preparing.opened`; no label has two images.
    """
    rules_in(config, where=entry.where)
    listing = read_dataset(entry.name, config, folder)
    count = len(listing.entries)
    tried = min(TRIED, count) if listing.has_images else 0
    for number in range(tried):
        opened(listing, number * count // tried)
    manifest = unopened(entry.name, listing)
    if manifest.queries is None and max(label_counts(manifest).values(), default=0) < 2:
        raise RetrievalError(f"{entry.where}: no label has two images, so that nothing can be found: is 'root' right?")
    return found_in(manifest, listing.passed_over, tried=tried), [
        *doubts_about(manifest),
        *lonely(manifest),
        *few(manifest),
    ]


def lonely(manifest: Manifest) -> Iterator[str]:
    """Yield in a line that some labels have a single image, where that is a query."""
    alone = [label for label, count in label_counts(manifest).items() if count == 1]
    if alone and manifest.queries is None and all(item.role == "both" for item in manifest.items):
        yield (
            f"{len(alone)} labels have a single image ({some(alone)}), a query without positives, at which evaluate "
            "stops: exclude them, or set queries_without_positives: skip in conf/evaluate.yaml"
        )


def few(manifest: Manifest) -> Iterator[str]:
    """Yield in a line that there are few labels, from which little follows about others."""
    count = len(label_counts(manifest))
    if manifest.queries is None and 1 < count < FEW:
        yield f"{count} labels are few: intervals will be wide (docs/uncertainty.md)"
