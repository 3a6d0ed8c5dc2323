"""The classes of a dataset, as the page loads them: mAP of each by each run, and what is found in its place."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.frame.runs import stage_of
from pipeline.frame.upstream import output_of
from pipeline.manifest.manifest import Manifest
from pipeline.results.breakdown import read_tables
from pipeline.results.retrievals import Retrieval

MOST_OTHERS = 5  # labels that are named in the place of a class
MOST_PAIRS = 24  # most alike ones


def read_classes(folder: Path, runs: Sequence[str]) -> dict[str, Any]:
    """Return the labels of a dataset, the number of queries of each, and its mAP by each run.

    Raises:
        RetrievalError: a table is missing or of another form, or of other classes than the first.
    """
    tables = read_tables(folder.parent, folder.name, runs, {"label": str, "queries": int, "mAP": float})
    first = tables[runs[0]]
    for run, table in tables.items():
        with output_of(stage_of(run, folder.name), str(folder / f"{run}.csv")):
            if table["label"] != first["label"]:
                raise ValueError(f"its classes are not those of {runs[0]}")
    means = {run: table["mAP"] for run, table in tables.items()}
    return {"labels": first["label"], "queries": first["queries"], "runs": means}


def instead_of(manifest: Manifest, retrievals: Sequence[Retrieval], labels: Sequence[str]) -> list[list[Any]]:
    """Return for each class how many items its queries found first, how many are hits, and the labels of most others.

    A query with several labels counts for each, and so does what it found; what has no label counts, and is not named.
    """
    seen: dict[str, Counter[str]] = {label: Counter() for label in labels}
    shown, hits = Counter[str](), Counter[str]()
    for one in retrievals:
        others = [
            label
            for item, hit in zip(one.items.tolist(), one.hits.tolist(), strict=True)
            if not hit
            for label in set(manifest.labels[item])
        ]
        for label in set(manifest.labels[one.query]) & seen.keys():
            shown[label] += len(one.items)
            hits[label] += int(one.hits.sum())
            seen[label].update(others)
    return [[shown[label], hits[label], most_of(seen[label])] for label in labels]


def most_of(counted: Counter[str]) -> list[list[Any]]:
    """Return the labels that are most often, and how often; of equally frequent ones the first by name."""
    order = sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    return [[label, count] for label, count in order[:MOST_OTHERS]]


def most_alike(retrievals: Sequence[Retrieval]) -> list[list[Any]]:
    """Return the pairs of a query and what it found that have the highest scores, the score, and 1 for a hit.

    A pair that was found from both sides is given once. Near-duplicates are among the first of them.
    """
    pairs: dict[frozenset[int], list[Any]] = {}
    for one in retrievals:
        for item, score, hit in zip(one.items.tolist(), one.scores.tolist(), one.hits.tolist(), strict=True):
            key = frozenset((one.query, item))
            if key not in pairs or score > pairs[key][2]:
                pairs[key] = [one.query, item, score, int(hit)]
    best = sorted(pairs.values(), key=lambda pair: (-pair[2], pair[0], pair[1]))[:MOST_PAIRS]
    return [[query, item, round(score, 4), hit] for query, item, score, hit in best]
