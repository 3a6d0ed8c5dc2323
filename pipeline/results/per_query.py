"""The results of every query of a run, as ``evaluate`` writes them to ``metrics/per_query/<dataset>/<run>.npz``."""

from pathlib import Path

import numpy as np

from pipeline.frame.runs import stage_of
from pipeline.retrieval.errors import RetrievalError


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
