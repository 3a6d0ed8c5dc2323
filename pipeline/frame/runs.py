"""The runs of an experiment: what they are called, and their metrics in ``metrics/runs/<run>/<dataset>.json``."""

import json
from pathlib import Path
from typing import Any

from pipeline.retrieval.errors import RetrievalError

PLAIN = "similarity"  # the ranking that takes features as they are: conf/ranking/similarity.yaml
JOINED = "+"  # no name of an encoder has it


def run_name(encoder: str, ranking: str) -> str:
    """Return what the run of an encoder is called: by its name alone if its features are ranked as they are."""
    return encoder if ranking == PLAIN else f"{encoder}{JOINED}{ranking}"


def stage_of(run: str, dataset: str) -> str:
    """Return the stage that evaluates a run on a dataset."""
    encoder, _, ranking = run.partition(JOINED)
    return f"rerank@{encoder}-{dataset}-{ranking}" if ranking else f"evaluate@{encoder}-{dataset}"


def read_run(directory: Path, run: str, dataset: str) -> dict[str, Any]:
    """Return the metrics of one run.

    Raises:
        RetrievalError: it is missing or not JSON.
    """
    path = directory / run / f"{dataset}.json"
    try:
        metrics: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RetrievalError(f"no usable metrics in {path} ({error}): run dvc repro {stage_of(run, dataset)}") from None
    return metrics


def scalars(metrics: dict[str, Any]) -> dict[str, float | int]:
    """Return the metrics of a run that are single numbers."""
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}
