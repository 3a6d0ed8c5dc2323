"""The page on which all results are explored, as one file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert
import yaml

from pipeline.extraction.features import read_provenance
from pipeline.frame.experiment import Experiment
from pipeline.frame.runs import JOINED
from pipeline.results.cost import MEAN, Cost
from pipeline.results.pairs import indistinguishable_from_best, leaders_of
from pipeline.results.runs import read_run
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import Count
from pipeline.views.tables import like_chance
from pipeline.views.templates import render

# Vega's names of marks, and a letter that looks like each.
MARKS = {
    "circle": "●",
    "square": "■",
    "triangle-up": "▲",
    "diamond": "◆",
    "triangle-down": "▼",
    "cross": "✚",
    "triangle-right": "▶",
    "triangle-left": "◀",
}


@dataclass(frozen=True)
class PageStyle:
    """How the page looks; ``page`` in conf/page.yaml.

    Attributes:
        title: its heading.
        grid: queries shown at a time.
        colors: of runs, by their position, ``light`` and ``dark``: on which ground.
        marks: the same; keys of ``MARKS``. As many as colours, but for one, both together repeat late.
    """

    title: str
    grid: Count
    colors: Sequence[Mapping[str, str]]
    marks: Sequence[str]

    def __post_init__(self) -> None:
        """Check the settings."""
        if not self.colors or not self.marks:
            raise RetrievalError("conf/page.yaml: there must be a color and a mark")
        for color in self.colors:
            if set(color) != {"light", "dark"}:
                raise RetrievalError(f"conf/page.yaml: a color is {dict(color)}: expected light and dark")
        for mark in self.marks:
            if mark not in MARKS:
                raise RetrievalError(f"conf/page.yaml: unknown mark '{mark}': one of {', '.join(MARKS)}")

    def looks_of(self, runs: Sequence[str]) -> list[dict[str, str]]:
        """Return for each run its name, colours, mark and the letter that looks like it."""
        looks = []
        for place, run in enumerate(runs):
            mark = self.marks[place % len(self.marks)]
            looks.append({"run": run, **self.colors[place % len(self.colors)], "mark": mark, "sign": MARKS[mark]})
        return looks


def table_rows(
    experiment: Experiment,
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    summary: Mapping[str, Any],
    costs: Mapping[str, Cost],
) -> list[dict[str, Any]]:
    """Return one row per run: its name, one cell per dataset, the mean, the share of the best, and the cost.

    A cell has the mAP, the ends of its interval, whether it is the best of the dataset, and whether it cannot be told
    from the best, or from what a random ranking gives.
    """
    cells = {(row["encoder"], row["dataset"]): row for row in table.to_dict("records")}
    leaders = leaders_of(table)
    alike = indistinguishable_from_best(pairs, {**leaders, MEAN: summary["best"]})
    by_chance = like_chance(table)
    rows = []
    for run in experiment.runs:
        found = [
            {
                "dataset": dataset,
                **{name: cells[run, dataset][name] for name in ("mAP", "mAP_low", "mAP_high")},
                "best": cells[run, dataset]["mAP"] == cells[leaders[dataset], dataset]["mAP"],
                "alike": (run, dataset) in alike,
                "chance": (run, dataset) in by_chance,
            }
            for dataset in experiment.datasets
        ]
        cost = costs[run.partition(JOINED)[0]]
        mean = {**summary["encoders"][run], "alike": (run, MEAN) in alike}
        rows.append({"run": run, "cells": found, **mean, "cost": cost})
    return rows


def provenances(experiment: Experiment, features: Path, runs: Path) -> list[dict[str, str]]:
    """Return for each run and dataset, as YAML, where its features come from and its metrics.

    Raises:
        RetrievalError: a file is missing or damaged.
    """
    found = []
    for run in experiment.runs:
        encoder = run.partition(JOINED)[0]
        for dataset in experiment.datasets:
            origin = read_provenance(features / encoder / dataset)
            texts = {"features": as_yaml(origin), "metrics": as_yaml(read_run(runs, run, dataset))}
            found.append({"run": run, "dataset": dataset, **texts})
    return found


def as_yaml(value: Mapping[str, Any]) -> str:
    """Return a nest of mappings and lists as text to read."""
    return str(yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=100))


def page_of(
    datasets: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    pairs: Sequence[Mapping[str, Any]],
    origins: Sequence[Mapping[str, str]],
    style: PageStyle,
    *,
    caption: str,
) -> str:
    """Return the page.

    Args:
        datasets: their names.
        rows: see :func:`table_rows`.
        pairs: a row of ``metrics/pairwise.csv`` each.
        origins: see :func:`provenances`.
        style: how it looks.
        caption: of the table.
    """
    looks = style.looks_of([row["run"] for row in rows])
    return render(
        "report.html",
        title=style.title,
        datasets=datasets,
        rows=rows,
        caption=caption,
        pairs=pairs,
        looks=looks,
        provenances=origins,
        data={"datasets": list(datasets), "looks": looks, "grid": style.grid},
    )


def charting() -> str:
    """Return the library that draws curves, as an installed package has it."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
