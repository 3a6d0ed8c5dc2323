"""The results of every query of a run, as ``evaluate`` writes them to ``metrics/per_query/<dataset>/<run>.npz``."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.frame.files import replacing_file
from pipeline.frame.runs import stage_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import Evaluation


def read_results(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Return some of the arrays of a run by their names (see :class:`pipeline.retrieval.evaluation.Evaluation`).

    Raises:
        RetrievalError: the file is missing, damaged, or lacks an array.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except Exception as error:  # NumPy and zipfile raise nearly every exception type on damaged files.
        stage = stage_of(path.stem, path.parent.name)
        raise RetrievalError(f"no usable results in {path} ({error}): run dvc repro {stage}") from None


def write_per_query(target: Path, evaluation: Evaluation, *, manifest_sha256: str) -> None:
    """Write the results of every query as an ``.npz``: the arrays of :class:`Evaluation`, and each of its values.

    Its items are those of the manifest with this SHA-256.
    """
    arrays: dict[str, Any] = {
        "manifest_sha256": np.array(manifest_sha256),
        "queries": evaluation.queries,
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
    if evaluation.clusters is not None:
        arrays["clusters"] = evaluation.clusters
    # Older releases of NumPy cannot be told not to pickle here.
    assert not any(array.dtype.hasobject for array in arrays.values())
    with replacing_file(target) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)
