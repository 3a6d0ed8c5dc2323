"""Read the metrics of finished runs, ``metrics/runs/<encoder>/<dataset>.json``."""

import json
from pathlib import Path
from typing import Any

from pipeline.errors import RetrievalError


def read_run(directory: Path, encoder: str, dataset: str) -> dict[str, Any]:
    """Return the metrics of one run.

    Raises:
        RetrievalError: it is missing or not JSON.
    """
    path = directory / encoder / f"{dataset}.json"
    try:
        run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RetrievalError(
            f"no usable metrics in {path} ({error}): run dvc repro evaluate@{encoder}-{dataset}"
        ) from None
    return run


def scalars(run: dict[str, Any]) -> dict[str, float | int]:
    """Return the metrics of a run that are single numbers."""
    return {name: value for name, value in run.items() if isinstance(value, int | float)}
