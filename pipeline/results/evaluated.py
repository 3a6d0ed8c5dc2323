"""What the evaluation of a run leaves for the stages after it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.frame.files import replacing_file
from pipeline.results.per_query import LEFT_OUT, POOLED
from pipeline.results.tables import write_table
from pipeline.retrieval.evaluation import Evaluation


def write_per_query(target: Path, evaluation: Evaluation, *, manifest_sha256: str) -> None:
    """Write the results of every query as an ``.npz``: the arrays of :class:`Evaluation`, and each of its values.

    Its items are those of the manifest with this SHA-256.
    """
    arrays: dict[str, Any] = {
        "manifest_sha256": np.array(manifest_sha256),
        "queries": evaluation.queries,
        "metric": np.array(evaluation.measure.name),
        "value": np.array(evaluation.value / evaluation.measure.most),
        "told_apart": evaluation.columns[:, -1],
        "skipped": evaluation.skipped,
        "positives": evaluation.positives,
        "candidates": evaluation.candidates,
        "interpolated": evaluation.interpolated,
        "fine": evaluation.fine,
        "top_items": evaluation.top_items,
        "top_scores": evaluation.top_scores,
        "top_hits": evaluation.top_hits,
        **evaluation.values,
    }
    for population, left_out in evaluation.left_out.items():
        arrays |= {f"{population}_{name}": np.array(getattr(left_out, name)) for name in LEFT_OUT}
    if evaluation.pooled_left_out is not None:
        arrays |= {f"{POOLED}_{name}": np.array(getattr(evaluation.pooled_left_out, name)) for name in LEFT_OUT}
    write_arrays(target, arrays)


def write_arrays(target: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays by their names as an ``.npz``."""
    # Older releases of NumPy cannot be told not to pickle here.
    assert not any(array.dtype.hasobject for array in arrays.values())
    with replacing_file(target) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def write_classes(target: Path, classes: Mapping[str, tuple[int, float]]) -> None:
    """Write one row per label: its queries and their mean AP."""
    counts, aps = [count for count, _ in classes.values()], [ap for _, ap in classes.values()]
    write_table(target, {"label": list(classes), "queries": counts, "mAP": aps})
