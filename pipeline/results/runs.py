"""The metrics of a run, as ``evaluate`` writes them to ``metrics/runs/<run>/<dataset>.json``."""

import json
from pathlib import Path
from typing import Any

from pipeline.frame.runs import stage_of
from pipeline.frame.upstream import output_of


def read_run(directory: Path, run: str, dataset: str) -> dict[str, Any]:
    """Return the metrics of one run.

    Raises:
        RetrievalError: it is missing or not JSON.
    """
    path = directory / run / f"{dataset}.json"
    with output_of(stage_of(run, dataset), f"metrics in {path}"):
        metrics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return metrics


def scalars(metrics: dict[str, Any]) -> dict[str, float | int]:
    """Return the metrics of a run that are single numbers."""
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}
