"""All results -> a page to explore them, which needs no network.

``python -m pipeline.page`` writes ``plots/report/index.html`` for the runs and datasets of params.yaml: the comparative
table, precision-recall curves, the provenance of each run, and every query with what was found. Beside it lie
``vega.js``, which draws, and ``results/``, from which the page loads what is looked at. The images are those of
``pipeline.thumbnails``. Labels and paths are untrusted: they reach the page as data, and are shown as text only.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from omegaconf import DictConfig

from pipeline.app import app
from pipeline.errors import RetrievalError
from pipeline.experiment import Experiment, read_experiment
from pipeline.files import replacing_directory, write_text
from pipeline.manifest import Manifest, read_manifest
from pipeline.options import call, plain
from pipeline.pairs import indistinguishable_from_best
from pipeline.retrievals import Retrieval, read_retrievals
from pipeline.runs import JOINED, read_run, stage_of

TEMPLATES = Path(__file__).resolve().parent / "templates"
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
        chunk: queries in a file of results.
        grid: queries shown at a time.
        looks: of runs, by their position: ``light``, ``dark`` and ``mark``; from the start again if there are more.
    """

    title: str
    chunk: int
    grid: int
    looks: Sequence[Mapping[str, str]]

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.chunk < 1 or self.grid < 1 or not self.looks:
            raise RetrievalError("conf/page.yaml: 'chunk' and 'grid' must be positive, and 'looks' have an entry")
        for look in self.looks:
            if set(look) != {"light", "dark", "mark"} or look["mark"] not in MARKS:
                raise RetrievalError(
                    f"conf/page.yaml: a look is {dict(look)}: expected light, dark and mark, one of {', '.join(MARKS)}"
                )

    def looks_of(self, runs: Sequence[str]) -> list[dict[str, str]]:
        """Return for each run its name, colours, mark and the letter that looks like it."""
        looks = [self.looks[index % len(self.looks)] for index in range(len(runs))]
        return [{"run": run, **look, "sign": MARKS[look["mark"]]} for run, look in zip(runs, looks, strict=True)]


def read_curves(directory: Path, experiment: Experiment) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return ``{dataset: {run: {precision, low, high}}}``, lists over recall 0, 0.1, ..., 1.

    Raises:
        RetrievalError: the curves of a dataset are missing, or a run's among them.
    """
    curves: dict[str, dict[str, dict[str, list[float]]]] = {}
    for dataset in experiment.datasets:
        path = directory / f"{dataset}.csv"
        try:
            runs = dict(iter(pd.read_csv(path, dtype={"encoder": str}).groupby("encoder")))
            curves[dataset] = {
                run: {name: runs[run][name].round(5).tolist() for name in ("precision", "low", "high")}
                for run in experiment.runs
            }
        except (OSError, ValueError, KeyError) as error:
            problem = " ".join(str(error).split())
            raise RetrievalError(f"no usable curves in {path} ({problem}): run dvc repro pr@{dataset}") from None
    return curves


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


def items_of(manifest: Manifest, queries: Sequence[int]) -> dict[str, Any]:
    """Return what the page knows of a dataset: paths, labels, the labels of each item by number, the queries."""
    numbers: dict[str, int] = {}
    labels = [[numbers.setdefault(label, len(numbers)) for label in names] for names in manifest.labels]
    return {"paths": manifest.paths, "names": list(numbers), "labels": labels, "queries": list(queries)}


def ranking_of(retrieval: Retrieval) -> list[list[Any]]:
    """Return the first of a ranking: items, scores, and 1 for each hit."""
    scores = [round(score, 5) for score in retrieval.scores.tolist()]
    return [retrieval.items.tolist(), scores, [int(hit) for hit in retrieval.hits.tolist()]]


def results_of(
    dataset: str, manifest: Manifest, runs: Mapping[str, Sequence[Retrieval]], *, chunk: int
) -> Iterator[tuple[str, Any]]:
    """Yield the name and the content of each file of results of a dataset.

    Raises:
        RetrievalError: two runs were evaluated on different queries.
    """
    first, *_ = runs
    queries = [one.query for one in runs[first]]
    yield f"{dataset}/items", items_of(manifest, queries)
    for run, retrievals in runs.items():
        if [one.query for one in retrievals] != queries:
            again = f"run dvc repro {stage_of(run, dataset)}"
            raise RetrievalError(f"{run} was evaluated on other queries of {dataset} than {first}: {again}")
        yield f"{dataset}/{run}/ap", [round(one.ap, 6) for one in retrievals]
        for number, start in enumerate(range(0, len(queries), chunk)):
            yield f"{dataset}/{run}/{number}", [ranking_of(one) for one in retrievals[start : start + chunk]]


def write_results(folder: Path, name: str, content: Any) -> None:
    """Write a file that hands its content to the page: a page opened from a disk may load scripts, not data."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    write_text(folder / f"{name}.js", f"received({json.dumps(name)},{text})\n")


def render(template: str, **values: Any) -> str:
    """Return a page from ``pipeline/templates``; every value is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # What the page is made with is ours, and goes in as it is.
    environment.filters["inlined"] = lambda name: Markup((TEMPLATES / name).read_text(encoding="utf-8"))
    return environment.get_template(template).render(**values)


@app("page")
def main(config: DictConfig) -> None:
    """Run the stage."""
    style = call(PageStyle, plain(config.page), where="conf/page.yaml")
    experiment, runs = read_experiment(), Path(config.runs)
    table = pd.read_csv(config.table, dtype={"encoder": str, "dataset": str})
    pairs = pd.read_csv(config.pairs, dtype={"dataset": str, "a": str, "b": str})
    summary = json.loads(Path(config.summary).read_text(encoding="utf-8"))
    curves = read_curves(Path(config.curves), experiment)
    looks = style.looks_of(experiment.runs)
    page = render(
        "report.html",
        title=style.title,
        datasets=experiment.datasets,
        rows=table_rows(experiment, table, pairs, summary, runs),
        pairs=pairs.to_dict("records"),
        looks=looks,
        provenances=provenances(experiment, Path(config.features), runs),
        data={
            "datasets": experiment.datasets,
            "looks": looks,
            "curves": curves,
            "chunk": style.chunk,
            "grid": style.grid,
        },
    )
    with replacing_directory(Path(config.results)) as folder:
        for dataset in experiment.datasets:
            manifest = read_manifest(Path(config.prepared) / dataset)
            paths = {run: Path(config.per_query) / dataset / f"{run}.npz" for run in experiment.runs}
            found = {run: read_retrievals(path, manifest) for run, path in paths.items()}
            for name, content in results_of(dataset, manifest, found, chunk=style.chunk):
                write_results(folder, name, content)
    write_text(Path(config.vega), vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    write_text(Path(config.html), page)


if __name__ == "__main__":
    main()
