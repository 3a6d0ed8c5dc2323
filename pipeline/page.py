"""All results -> a page to explore them, which needs no network.

``python -m pipeline.page`` writes ``plots/report/index.html`` for the runs and datasets of params.yaml: the comparative
table, precision-recall curves, the provenance of each run, and every query with what was found. Beside it lie
``vega.js``, which draws, ``results/``, from which the page loads what is looked at (``pipeline.explore``), and
``thumbnails/`` (``pipeline.thumbnails``).
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert
import yaml
from omegaconf import DictConfig

from pipeline.app import app
from pipeline.errors import RetrievalError
from pipeline.experiment import Experiment, read_experiment
from pipeline.files import write_text
from pipeline.options import call, plain
from pipeline.pairs import indistinguishable_from_best
from pipeline.runs import JOINED, read_run
from pipeline.templates import render

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
        looks: of runs, by their position: ``light``, ``dark`` and ``mark``; from the start again if there are more.
    """

    title: str
    grid: int
    looks: Sequence[Mapping[str, str]]

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.grid < 1 or not self.looks:
            raise RetrievalError("conf/page.yaml: 'grid' must be positive, and 'looks' have an entry")
        for look in self.looks:
            if set(look) != {"light", "dark", "mark"} or look["mark"] not in MARKS:
                raise RetrievalError(
                    f"conf/page.yaml: a look is {dict(look)}: expected light, dark and mark, one of {', '.join(MARKS)}"
                )

    def looks_of(self, runs: Sequence[str]) -> list[dict[str, str]]:
        """Return for each run its name, colours, mark and the letter that looks like it."""
        looks = [self.looks[index % len(self.looks)] for index in range(len(runs))]
        return [{"run": run, **look, "sign": MARKS[look["mark"]]} for run, look in zip(runs, looks, strict=True)]


def table_rows(
    experiment: Experiment, table: pd.DataFrame, pairs: pd.DataFrame, summary: Mapping[str, Any], runs: Path
) -> list[dict[str, Any]]:
    """Return a row a run: its name, a cell a dataset, the mean, the share of the best, and what it cost.

    A cell has the mAP, the ends of its interval, whether it is the best of the dataset, and whether it cannot be told
    from the best.
    """
    cells = {(row["encoder"], row["dataset"]): row for row in table.to_dict("records")}
    leaders = {}
    for dataset in experiment.datasets:
        leaders[dataset] = max(experiment.runs, key=lambda run: cells[run, dataset]["mAP"])  # noqa: B023, called here
    alike = indistinguishable_from_best(pairs, leaders)
    rows = []
    for run in experiment.runs:
        found = [
            {
                "dataset": dataset,
                **{name: cells[run, dataset][name] for name in ("mAP", "mAP_low", "mAP_high")},
                "best": cells[run, dataset]["mAP"] == cells[leaders[dataset], dataset]["mAP"],
                "alike": (run, dataset) in alike,
            }
            for dataset in experiment.datasets
        ]
        rows.append({"run": run, "cells": found, **summary["encoders"][run], **cost_of(run, experiment.datasets, runs)})
    return rows


def cost_of(run: str, datasets: Sequence[str], runs: Path) -> dict[str, float | int | None]:
    """Return bytes a feature and images/s over all datasets; None where features were not made here."""
    costs = [read_run(runs, run, dataset).get("cost", {}) for dataset in datasets]
    speed = None
    if all("seconds" in cost for cost in costs):
        speed = sum(cost["images"] for cost in costs) / max(sum(cost["seconds"] for cost in costs), 1e-3)
    return {"bytes": costs[0].get("feature_bytes"), "speed": speed}


def provenances(experiment: Experiment, features: Path, runs: Path) -> list[dict[str, str]]:
    """Return for each run and dataset, as YAML, where its features come from and its metrics.

    Raises:
        RetrievalError: a file is missing or damaged.
    """
    found = []
    for run in experiment.runs:
        encoder = run.partition(JOINED)[0]
        for dataset in experiment.datasets:
            path = features / encoder / dataset / "provenance.json"
            try:
                origin = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                again = f"run dvc repro extract@{encoder}-{dataset}"
                raise RetrievalError(f"no usable provenance in {path} ({error}): {again}") from None
            texts = {"features": as_yaml(origin), "metrics": as_yaml(read_run(runs, run, dataset))}
            found.append({"run": run, "dataset": dataset, **texts})
    return found


def as_yaml(value: Mapping[str, Any]) -> str:
    """Return a nest of mappings and lists as text to read."""
    return str(yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=100))


@app("page")
def main(config: DictConfig) -> None:
    """Run the stage."""
    style = call(PageStyle, plain(config.page), where="conf/page.yaml")
    experiment, runs = read_experiment(), Path(config.runs)
    table = pd.read_csv(config.table, dtype={"encoder": str, "dataset": str})
    pairs = pd.read_csv(config.pairs, dtype={"dataset": str, "a": str, "b": str})
    summary = json.loads(Path(config.summary).read_text(encoding="utf-8"))
    looks = style.looks_of(experiment.runs)
    page = render(
        "report.html",
        title=style.title,
        datasets=experiment.datasets,
        rows=table_rows(experiment, table, pairs, summary, runs),
        pairs=pairs.to_dict("records"),
        looks=looks,
        provenances=provenances(experiment, Path(config.features), runs),
        data={"datasets": experiment.datasets, "looks": looks, "grid": style.grid},
    )
    write_text(Path(config.vega), vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    write_text(Path(config.html), page)


if __name__ == "__main__":
    main()
