"""The page on which all results are explored, as one file."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert
import yaml

from pipeline.extraction.features import read_provenance
from pipeline.frame.experiment import Experiment
from pipeline.frame.runs import JOINED
from pipeline.frame.upstream import output_of
from pipeline.results.cost import MEAN, Cost
from pipeline.results.pairs import indistinguishable_from_best, leaders_of
from pipeline.results.per_query import METRIC
from pipeline.results.runs import read_run, scalars
from pipeline.results.shrinking import Smaller
from pipeline.results.titles import Titles
from pipeline.retrieval.measures import most_of, of_query
from pipeline.retrieval.settings import Count
from pipeline.views.shrinking import factor, verdicts
from pipeline.views.tables import MANY, kind_of, like_chance, place_of
from pipeline.views.templates import render

# Columns of the tables that are numbers.
INTERVAL = ("value", "value_low", "value_high", "value_chance")
PAIR = ("difference", "low", "high", "p", "p_holm", "p_least")
# What a run's JSON has beside what it is judged by: numbers that are no metric, or that are shown with one.
BESIDE = ("mAP_low", "mAP_high", "mAP_random", "tie_gap")
COUNTED = ("queries", "queries_without_positives", "gallery", "positives", "exact_duplicates")


@dataclass(frozen=True)
class PageStyle:
    """How the page looks; ``page`` in conf/page.yaml.

    Attributes:
        title: its heading.
        grid: queries shown at a time.
    """

    title: str
    grid: Count


@dataclass(frozen=True)
class Found:
    """What a run gave on a dataset.

    Attributes:
        metrics: its metrics by name, as its JSON has them, fractions in [0, 1]; N-S up to 4.
        random: what a random ranking is expected to give of the metric by which runs are told apart; None if unknown.
        intervals: of that metric, by population; under ``tested`` that of the table, which the tests agree with.
        counts: of queries and the like, as the JSON has them.
        best: whether no run has a higher value on the dataset.
        alike: whether it cannot be told from the best.
        chance: whether it cannot be told from what a random ranking gives.
    """

    metrics: Mapping[str, float]
    random: float | None
    intervals: Mapping[str, tuple[float, float]]
    counts: Mapping[str, int]
    best: bool
    alike: bool
    chance: bool


def read_comparison(table: Path, pairs: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the comparative table, one row a run and dataset, and the comparisons of pairs.

    Of a metric for which it is not known what a random ranking gives, ``value_chance`` is NaN.

    Raises:
        RetrievalError: one is missing or of another form.
    """
    empty = {"value_chance": [""]}
    with output_of("compare", f"tables in {table} and {pairs}"):
        return (
            pd.read_csv(table, keep_default_na=False, na_values=empty, dtype=dict.fromkeys(INTERVAL, float)),
            pd.read_csv(pairs, keep_default_na=False, dtype=dict.fromkeys(PAIR, float)),
        )


def table_rows(
    experiment: Experiment,
    runs: Path,
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    summary: Mapping[str, Any],
    costs: Mapping[str, Cost],
) -> list[dict[str, Any]]:
    """Return one row per run: its name, what it gave on each dataset, the mean, the share of the best, and the cost.

    Raises:
        RetrievalError: the metrics of a run are missing or of another form.
    """
    cells = {(row["encoder"], row["dataset"]): row for row in table.to_dict("records")}
    leaders = leaders_of(table)
    alike = indistinguishable_from_best(pairs, {**leaders, MEAN: summary["best"]})
    by_chance = like_chance(table)
    rows = []
    for run in experiment.runs:
        found = {}
        for dataset in experiment.datasets:
            cell, metrics = cells[run, dataset], read_run(runs, run, dataset, "headline")
            headline = metrics["headline"]
            by_population = {name: (ends["low"], ends["high"]) for name, ends in headline["intervals"].items()}
            found[dataset] = Found(
                {name: value for name, value in scalars(metrics).items() if is_metric(name, value)},
                headline["chance"],
                {"tested": (cell["value_low"], cell["value_high"]), **by_population},
                {name: metrics[name] for name in COUNTED if name in metrics},
                cell["value"] == cells[leaders[dataset], dataset]["value"],
                (run, dataset) in alike,
                (run, dataset) in by_chance,
            )
        share = summary["encoders"][run]
        mean = {**share, "alike": (run, MEAN) in alike, "place": place_of(share)}
        rows.append({"run": run, "found": found, **mean, "cost": costs[run]})
    return rows


def is_metric(name: str, value: float | int) -> bool:
    """Return whether a number of a run's JSON is one that runs are judged by: what is counted is a whole number."""
    return isinstance(value, float) and name not in BESIDE


def metrics_in(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return all metrics that runs have, in their order, and what each is called where it is that of a query."""
    names = dict.fromkeys(name for row in rows for found in row["found"].values() for name in found.metrics)
    return {name: of_query(name) for name in names}


def shown_p(value: float, least: float, *, digits: int = 4) -> str:
    """Return a p-value as text: where no test could give a smaller one, or so few digits show none, as a bound."""
    if least and value <= least:
        return f"≤ {math.ceil(value * 10**digits) / 10**digits:.{digits}f}"
    return f"< {10**-digits:.{digits}f}" if value < 10**-digits else f"{value:.{digits}f}"


def provenances(experiment: Experiment, features: Path, runs: Path) -> list[dict[str, str]]:
    """Return for each run and dataset, as YAML, where its features come from and its metrics; and the device, if known.

    Raises:
        RetrievalError: a file is missing or damaged.
    """
    found = []
    for run in experiment.runs:
        encoder = run.partition(JOINED)[0]
        for dataset in experiment.datasets:
            origin = read_provenance(features / encoder / dataset)
            texts = {"features": as_yaml(origin), "metrics": as_yaml(read_run(runs, run, dataset))}
            found.append({"run": run, "dataset": dataset, **texts, "device": str(origin.get("device") or "")})
    return found


def as_yaml(value: Mapping[str, Any]) -> str:
    """Return a nest of mappings and lists as text to read."""
    return str(yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=True, width=100))


def page_of(
    headlines: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    pairs: Sequence[Mapping[str, Any]],
    origins: Sequence[Mapping[str, str]],
    style: PageStyle,
    looks: Sequence[Mapping[str, str]],
    titles: Titles,
    *,
    smaller: Sequence[Smaller] = (),
    caption: str,
    written: str,
) -> str:
    """Return the page.

    Args:
        headlines: of each dataset the metric by which runs on it are told apart.
        rows: see :func:`table_rows`.
        pairs: a row of ``metrics/pairwise.csv`` each.
        origins: see :func:`provenances`.
        style: how it looks.
        looks: of runs, see :func:`pipeline.views.looks.looks_of`.
        titles: what runs and datasets are shown as.
        smaller: runs with smaller features, see :func:`pipeline.results.shrinking.smaller_runs`.
        caption: of the table.
        written: by what the page is, see :func:`pipeline.results.written.written_by`.
    """
    metrics = metrics_in(rows)
    kind = kind_of(headlines)

    def name_of(dataset: str) -> str:
        return f"mean {kind}" if dataset == MEAN else titles.dataset(dataset)

    return render(
        "report/page.html",
        title=style.title,
        written=written,
        devices=sorted({origin["device"] for origin in origins} - {""}),
        datasets=list(headlines),
        rows=rows,
        metrics=metrics,
        headlines=headlines,
        kind=kind,
        many=MANY,
        counted=COUNTED,
        caption=caption,
        marked_alike=any(row["alike"] or any(found.alike for found in row["found"].values()) for row in rows),
        pairs=[{**pair, **p_values_of(pair), "shown_dataset": name_of(pair["dataset"])} for pair in pairs],
        smaller=smaller,
        extent=extent_of(smaller),
        factor=factor,
        verdicts=verdicts(smaller, titles),
        mean=MEAN,
        looks=looks,
        titles=titles,
        provenances=origins,
        data={
            "datasets": list(headlines),
            "looks": looks,
            "titles": {
                "runs": {row["run"]: titles.run(row["run"]) for row in rows},
                "datasets": {dataset: titles.dataset(dataset) for dataset in headlines},
            },
            "grid": style.grid,
            "metrics": metrics,
            "headlines": headlines,
            "most": {query: most_of(query) for query in metrics.values()},
            "stored": [name for name, query in metrics.items() if METRIC.fullmatch(query)],
            "caption": caption,
            "runs": {row["run"]: data_of(row) for row in rows},
        },
    )


def data_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the scripts of the page know of a run."""
    cost = {name: getattr(row["cost"], name) for name in ("speed", "latency", "flops", "bytes")}
    mean = {name: row[name] for name in ("mean_mAP", "low", "high", "relative", "alike")}
    return {"found": {dataset: asdict(found) for dataset, found in row["found"].items()}, "mean": mean, "cost": cost}


def p_values_of(pair: Mapping[str, Any]) -> dict[str, str]:
    """Return the p-values of a pair as text. What was corrected by Holm is a bound where the p-value is."""
    least = pair["p_least"]
    at_floor = pair["p"] <= least
    return {
        "shown_p": shown_p(pair["p"], least),
        "shown_p_holm": shown_p(pair["p_holm"], max(least, pair["p_holm"]) if at_floor and least else 0.0),
    }


def extent_of(smaller: Sequence[Smaller]) -> float:
    """Return the largest difference that an interval of the last column reaches, in either direction."""
    last = (list(one["changes"].values())[-1] for one in smaller)
    ends = (abs(change[end]) for change in last for end in ("low", "high"))
    return max(ends, default=0) or 1.0


def charting() -> str:
    """Return the library that draws curves, as an installed package has it."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
