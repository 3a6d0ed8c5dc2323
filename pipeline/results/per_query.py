"""The results of every query of a run, as ``evaluate`` writes them to ``metrics/per_query/<dataset>/<run>.npz``."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.frame.runs import stage_of
from pipeline.frame.upstream import problem_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.measures import MEANS, MEANS_AT, measure_of, most_of
from pipeline.retrieval.reading.regular import regular_file

# Of each array that others read: the kind of its numbers, as NumPy calls it, and its dimensions.
FORMS = {
    "manifest_sha256": ("U", 0),
    "metric": ("U", 0),
    "queries": ("iu", 1),
    "told_apart": ("f", 1),
    "value": ("f", 0),
    "AP": ("f", 1),
    "interpolated": ("f", 2),
    "top_items": ("iu", 2),
    "top_scores": ("f", 2),
    "top_hits": ("b", 2),
}
FRACTIONS = ("AP", "interpolated", "told_apart", "value")
# The names of metrics; AP in the best and the worst order of equal scores is not one of them.
METRIC = re.compile(rf"{'|'.join(map(re.escape, ('AP_random', *MEANS.values())))}|({'|'.join(MEANS_AT.values())})@\d+")
COUNTS = ("positives", "candidates")
# What is kept of each population that is left out in groups, after its name.
LEFT_OUT = ("values", "shares", "units")
# What stands before these names where it is of a metric of all queries together.
POOLED = "pooled"


@contextmanager
def usable(path: Path) -> Iterator[Any]:
    """Open the results of a run.

    Raises:
        RetrievalError: the file is missing or damaged, or what is done with it fails.
    """
    try:
        regular_file(path)
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            yield arrays
    except Exception as error:  # NumPy and zipfile raise nearly every exception type on damaged files.
        problem, stage = problem_of(error), stage_of(path.stem, path.parent.name)
        raise RetrievalError(f"no usable results in {path} ({problem}): run dvc repro {stage}") from None


def read_results(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Return some of the arrays of a run by their names (see :class:`pipeline.retrieval.evaluation.Evaluation`).

    Raises:
        RetrievalError: the file is missing, damaged, or lacks an array.
    """
    with usable(path) as arrays:
        found = {name: arrays[name] for name in names}
        for name, array in found.items():
            kinds, dimensions = FORMS[name]
            if array.dtype.kind not in kinds or array.ndim != dimensions:
                raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
            if name in FRACTIONS and not ((array >= 0) & (array <= 1)).all():
                raise ValueError(f"{name} has what is no fraction")
        if len({len(array) for array in found.values() if array.ndim}) > 1:
            raise ValueError("its arrays are of different queries")
        if len({array.shape for name, array in found.items() if name.startswith("top_")}) > 1:
            raise ValueError("its arrays are of tops of different lengths")
    return found


def read_told_apart(paths: Mapping[str, Path]) -> tuple[str, np.ndarray, dict[str, np.ndarray]]:
    """Return the metric by which runs are told apart, the queries, and of each run its values, one a query.

    Where it is of all queries together, AP in its place.

    Raises:
        RetrievalError: a file is missing or damaged, or has other queries than the first.
    """
    found: dict[str, np.ndarray] = {}
    queries, metric = np.empty(0, np.int64), "AP"
    for run, path in paths.items():
        results = read_results(path, "metric", "queries", "told_apart")
        if found and not np.array_equal(results["queries"], queries):
            raise RetrievalError(
                f"{path} has other queries than those beside it: run dvc repro {stage_of(run, path.parent.name)}"
            )
        queries, measure = results["queries"], measure_of(str(results["metric"]))
        metric = "AP" if measure.column is None else measure.name
        found[run] = results["told_apart"] * measure.most
    return metric, queries, found


def read_metrics(path: Path) -> dict[str, np.ndarray]:
    """Return every metric of every query of a run by its name, and its ``positives`` and ``candidates``.

    Raises:
        RetrievalError: the file is missing or damaged.
    """
    with usable(path) as arrays:
        found: dict[str, np.ndarray] = {name: arrays[name] for name in arrays if METRIC.fullmatch(name)}
        counts = {name: arrays[name] for name in COUNTS}
        for name, values in found.items():
            most = most_of(name)
            if values.dtype.kind != "f" or values.ndim != 1 or not ((values >= 0) & (values <= most)).all():
                raise ValueError(f"{name} has what is not between 0 and {most:g}")
        for name, values in counts.items():
            if values.dtype.kind not in "iu" or values.ndim != 1 or not (values > 0).all():
                raise ValueError(f"{name} has what is no count")
        if (counts["candidates"] < counts["positives"]).any():
            raise ValueError("there are more positives than candidates")
        if len({len(values) for values in (*found.values(), *counts.values(), arrays["queries"])}) > 1:
            raise ValueError("its arrays are of different queries")
    return found | counts
