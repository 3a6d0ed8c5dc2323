"""What evaluations wrote of the parts of a run, read again: its classes, and its positives and negatives."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pipeline.frame.runs import stage_of
from pipeline.frame.upstream import output_of
from pipeline.results.tables import read_table


def read_classes(directory: Path, dataset: str, runs: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the mAP of each class, by run and label; no label for a dataset without any.

    Raises:
        RetrievalError: see :func:`read_tables`.
    """
    tables = read_tables(directory, dataset, runs, {"label": str, "mAP": float})
    return {run: dict(zip(table["label"], table["mAP"], strict=True)) for run, table in tables.items()}


def read_similarities(directory: Path, dataset: str, encoders: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Return how alike pairs of a dataset are, by encoder (see :func:`pipeline.retrieval.histogram.histogram`).

    Raises:
        RetrievalError: see :func:`read_tables`.
    """
    columns = dict.fromkeys(("low", "high", "positives", "negatives"), float)
    tables = read_tables(directory, dataset, encoders, columns)
    return {encoder: {name: np.array(cells) for name, cells in table.items()} for encoder, table in tables.items()}


def read_tables(
    directory: Path, dataset: str, runs: Sequence[str], columns: Mapping[str, type]
) -> dict[str, dict[str, list[Any]]]:
    """Return columns of what the evaluation of each run wrote as a table, by run, their cells of some types.

    Raises:
        RetrievalError: a file is missing or of another form.
    """
    found = {}
    for run in runs:
        path = directory / dataset / f"{run}.csv"
        with output_of(stage_of(run, dataset), str(path)):
            table = read_table(path, *columns)
            found[run] = {name: [kind(cell) for cell in table[name]] for name, kind in columns.items()}
    return found


def auc(positives: Float[np.ndarray, " interval"], negatives: Float[np.ndarray, " interval"]) -> float:
    """Return the probability that a positive scores above a negative, in [0, 1]; NaN without one of the two.

    That is the area under the ROC curve, over all pairs together, not query by query as AP is. Two of one interval
    count one half, so that it is exact for scores rounded to their interval.

    Args:
        positives: how many are in each interval, from the lowest to the highest.
        negatives: the same.
    """
    pairs = positives.sum() * negatives.sum()
    below = np.cumsum(negatives) - negatives / 2
    return float(positives @ below / pairs) if pairs else float("nan")
