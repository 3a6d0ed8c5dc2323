"""The metrics of a run, as ``evaluate`` writes them to ``metrics/runs/<run>/<dataset>.json``."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import Required, TypedDict

from pipeline.frame.runs import stage_of
from pipeline.frame.upstream import output_of, read_json

Fraction = Annotated[float, Field(ge=0, le=1)]


class Ends(TypedDict):
    """The ends of an interval of mAP."""

    low: Fraction
    high: Fraction


class Intervals(TypedDict, total=False):
    """The intervals of mAP over each population that there is enough of."""

    classes: Ends
    images: Ends
    queries: Required[Ends]


class EndsOf(TypedDict):
    """The ends of an interval of a metric, which may be above 1."""

    low: Annotated[float, Field(ge=0)]
    high: Annotated[float, Field(ge=0)]


class Headline(TypedDict):
    """The metric by which runs on a dataset are told apart, what chance gives, and its intervals by population."""

    metric: str
    value: Annotated[float, Field(ge=0)]
    chance: Annotated[float, Field(ge=0)] | None
    intervals: dict[str, EndsOf]


class Run(TypedDict, total=False):
    """What others read of the metrics of a run."""

    mAP: Required[Fraction]
    mAP_low: Fraction
    mAP_high: Fraction
    mAP_random: Fraction
    tie_gap: Annotated[float, Field(ge=-1, le=1)]
    intervals: Intervals
    headline: Headline
    feature_bytes: Annotated[int, Field(ge=1, lt=2**63)]
    interpolated_precision: Annotated[list[Fraction], Field(min_length=11, max_length=11)]


def read_run(directory: Path, run: str, dataset: str, *names: str) -> dict[str, Any]:
    """Return the metrics of one run; ``names`` are among them.

    Raises:
        RetrievalError: it is missing or of another form.
    """
    path, stage = directory / run / f"{dataset}.json", stage_of(run, dataset)
    metrics: dict[str, Any] = read_json(path, Run, stage=stage, what="metrics")
    with output_of(stage, f"metrics in {path}"):
        return metrics | {name: metrics[name] for name in names}


def scalars(metrics: dict[str, Any]) -> dict[str, float | int]:
    """Return the metrics of a run that are single numbers."""
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}
