"""What approximate searches find and how fast, as the stage ``approximate`` writes it, and the table of all of them.

What is found is the same at every run and lies with the metrics of what is searched. What was measured lies with the
costs, which no stage depends on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from pipeline.frame.experiment import Experiment
from pipeline.frame.upstream import output_of, read_json
from pipeline.results.pareto import front_of
from pipeline.results.runs import Fraction
from pipeline.results.tables import read_table
from pipeline.results.titles import Titles

Positive = Annotated[float, Field(gt=0)]
# The columns of the table but those of recall, which follow what is asked for.
NAMES = ("encoder", "dataset", "search", "setting", "k")
MEASURED = ("queries_per_second", "queries_per_second_all_cores", "p50_ms", "p95_ms")
OTHERS = ("mAP@k", "exact_mAP@k", *MEASURED, "build_seconds", "index_bytes", "pareto", "device", "cores")


class Found(TypedDict):
    """What the searches of one setting find: the setting by its name, and recall by cutoff."""

    setting: dict[str, int]
    recall: dict[str, Fraction]
    mAP: Fraction


class Searched(TypedDict):
    """What was searched for, by which kind of index; beside it in the file, what that was built with."""

    kind: str
    k: Annotated[int, Field(ge=1)]


class Quality(Searched):
    """What an index finds in the features of an encoder."""

    exact_mAP: Fraction
    index_bytes: Annotated[int, Field(ge=0)]
    settings: list[Found]


class Timed(TypedDict):
    """What was measured of the searches of one setting."""

    setting: dict[str, int]
    queries_per_second: Positive
    queries_per_second_all_cores: Positive
    p50_ms: Positive
    p95_ms: Positive


class Costs(Searched):
    """What was measured of an index, its settings in the order of :class:`Quality`."""

    device: str
    cores: Annotated[int, Field(ge=1)]
    build_seconds: Annotated[float, Field(ge=0)]
    settings: list[Timed]


def stage_of(encoder: str, dataset: str, search: str) -> str:
    """Return the stage that searches the features of an encoder."""
    return f"approximate@{encoder}-{dataset}-{search}"


def search_table(experiment: Experiment, runs: Path, costs: Path) -> dict[str, list[Any]]:
    """Return one value per encoder, dataset, search and setting in each column; no rows where no search is asked for.

    Recall and mAP are fractions; ``pareto`` is 1 where no other row of the encoder and dataset equals or beats both its
    mAP@k and its queries per second by one thread.

    Raises:
        RetrievalError: what a stage wrote is missing, or of another form.
    """
    rows: list[dict[str, Any]] = []
    for encoder, dataset in product(experiment.encoders, experiment.datasets):
        parts = [rows_of(encoder, dataset, search, runs, costs) for search in experiment.searches]
        rows += marked([row for part in parts for row in part])
    recalls = sorted({name for row in rows for name in row if name.startswith("recall@")}, key=cutoff_of)
    return {name: [row.get(name) for row in rows] for name in (*NAMES, *recalls, *OTHERS)}


def cutoff_of(name: str) -> int:
    """Return the k of ``recall@k``."""
    return int(name.partition("@")[2])


def rows_of(encoder: str, dataset: str, search: str, runs: Path, costs: Path) -> list[dict[str, Any]]:
    """Return the rows of an index, one a setting (see :func:`search_table`).

    Raises:
        RetrievalError: what was found and what was measured are of other searches: git has the one, DVC the other.
    """
    place, stage = Path(encoder, dataset, f"{search}.json"), stage_of(encoder, dataset, search)
    quality = read_json(runs / place, Quality, stage=stage, what="metrics of a search")
    cost = read_json(costs / place, Costs, stage=stage, what="costs of a search")
    with output_of(stage, f"costs of a search in {costs / place}"):
        refuse_others(quality, cost)
        return [
            {
                "encoder": encoder,
                "dataset": dataset,
                "search": search,
                "setting": described(found["setting"]),
                "k": quality["k"],
                **{f"recall@{cutoff}": value for cutoff, value in found["recall"].items()},
                "mAP@k": found["mAP"],
                "exact_mAP@k": quality["exact_mAP"],
                **{name: timed[name] for name in MEASURED},
                "build_seconds": cost["build_seconds"],
                "index_bytes": quality["index_bytes"],
                "device": cost["device"],
                "cores": cost["cores"],
            }
            for found, timed in zip(quality["settings"], cost["settings"], strict=True)
        ]


def refuse_others(quality: Mapping[str, Any], cost: Mapping[str, Any]) -> None:
    """Raise ValueError if what was measured of an index is of other searches than what it finds.

    All that both have must be equal: k, the kind of index, what it was built with, and the settings in their order.
    """
    for name in (name for name in cost if name in quality):
        found, timed = (
            ", ".join(described(part["setting"]) or "none" for part in one[name]) if name == "settings" else one[name]
            for one in (quality, cost)
        )
        if found != timed:
            raise ValueError(f"{name}: {timed}, but {found} in its metrics")


def described(setting: Mapping[str, Any]) -> str:
    """Return what is set, in one text."""
    return " ".join(f"{name}={value}" for name, value in setting.items())


def marked(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with a mark of those on the Pareto front of speed and mAP@k."""
    points = [(row["queries_per_second"], row["mAP@k"]) for row in rows]
    front = set(front_of(points, 1))
    return [{**row, "pareto": int(point in front)} for row, point in zip(rows, points, strict=True)]


@dataclass(frozen=True)
class Point:
    """A row of the table as a figure takes it.

    Attributes:
        encoder: whose features are searched.
        dataset: in which.
        search: by which index.
        k: how many results are asked for.
        found: mAP@k.
        exact: mAP@k of the exact ranking.
        speed: queries per second by one core.
    """

    encoder: str
    dataset: str
    search: str
    k: int
    found: float
    exact: float
    speed: float


def read_points(path: Path) -> list[Point]:
    """Return the rows of the table that ``compare`` wrote.

    Raises:
        RetrievalError: it is missing, or of another form.
    """
    with output_of("compare", f"table in {path}"):
        table = read_table(path, *NAMES, *OTHERS)
        return [
            Point(
                encoder=table["encoder"][row],
                dataset=table["dataset"][row],
                search=table["search"][row],
                k=int(table["k"][row]),
                found=float(table["mAP@k"][row]),
                exact=float(table["exact_mAP@k"][row]),
                speed=float(table["queries_per_second"][row]),
            )
            for row in range(len(table["encoder"]))
        ]


def titled_points(points: Sequence[Point], titles: Titles) -> list[Point]:
    """Return points with encoders and datasets called by their titles."""
    return [replace(one, encoder=titles.run(one.encoder), dataset=titles.dataset(one.dataset)) for one in points]
