"""All runs side by side: one row per run, one row per encoder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from typing_extensions import NotRequired, TypedDict

from pipeline.frame.experiment import Experiment
from pipeline.results.cost import MEAN
from pipeline.results.pairs import Compared
from pipeline.results.runs import Fraction, read_run, scalars
from pipeline.retrieval.measures import measure_of
from pipeline.retrieval.uncertainty import Estimates, Population, critical_t

RELATIVE = "relative to best"


class Share(TypedDict):
    """An encoder's mean over datasets and its share of the best one's, in [0, 1], with their 95 % intervals.

    ``rank_low`` and ``rank_high`` are the places by that mean that tests of all pairs leave it, 1 the best; None where
    only pairs with one run were tested.
    """

    mean_mAP: Fraction
    low: Fraction
    high: Fraction
    relative: Fraction
    relative_low: float
    relative_high: float
    rank_low: int | None
    rank_high: int | None


class Summary(TypedDict):
    """What :func:`summarise` returns."""

    best: str
    encoders: dict[str, Share]
    caption: NotRequired[str]


def read_runs(folder: Path, experiment: Experiment) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the metrics of all runs by their names and the datasets'.

    Raises:
        RetrievalError: one is missing or of another form.
    """
    needed = ("headline", "intervals", "mAP_random", "tie_gap", "feature_bytes")
    return {
        (run, dataset): read_run(folder, run, dataset, *needed)
        for run in experiment.runs
        for dataset in experiment.datasets
    }


def long_table(
    runs: Mapping[tuple[str, str], Mapping[str, Any]],
    experiment: Experiment,
    found: Mapping[str, Estimates],
    populations: Mapping[str, Population],
    compared: Compared,
) -> pd.DataFrame:
    """Return one row per run: encoder, dataset, mAP and the other metrics, fractions in [0, 1].

    ``mAP_low`` and ``mAP_high`` are the ends of the 95 % interval over ``population``, ``mAP_low_queries`` and
    ``mAP_high_queries`` of the narrow one, over other queries. ``metric`` is the one that the dataset's YAML names,
    ``value``, ``value_low``, ``value_high`` and ``value_chance`` are of it: runs are told apart by it, and ``rank_low``
    and ``rank_high`` are their places by it, as in :class:`Share`.

    Args:
        runs: the metrics of each by its name and the dataset's, see :func:`read_runs`.
        experiment: which there are.
        found: of each dataset the means of the runs, and how they vary.
        populations: over which.
        compared: the tests of their pairs.
    """
    rows = []
    for place, run in enumerate(experiment.runs):
        for dataset in experiment.datasets:
            metrics = runs[run, dataset]
            headline, about = metrics["headline"], populations[dataset]
            most = measure_of(headline["metric"]).most
            low, high = (most * found[dataset].intervals()[:, place]).tolist()
            wide, narrow = metrics["intervals"][about], metrics["intervals"]["queries"]
            ranks = compared.ranks.get((dataset, run), (None, None))
            rows.append(
                {"encoder": run, "dataset": dataset}
                | scalars(dict(metrics))
                | {"mAP_low": wide["low"], "mAP_high": wide["high"], "population": about}
                | {"mAP_low_queries": narrow["low"], "mAP_high_queries": narrow["high"]}
                | {"metric": headline["metric"], "value": headline["value"], "value_low": low, "value_high": high}
                | {"value_chance": headline["chance"]}
                | {"rank_low": ranks[0], "rank_high": ranks[1]}
            )
    return pd.DataFrame(rows)


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per encoder, one column per dataset: its metric; then their mean and ``relative to best``.

    The last is the sum of an encoder's row over the sum of the best encoder's, in [0, 1]. In sum and mean each metric
    is divided by the largest value that it can have. Rows and columns keep the order of ``table``. No dataset can have
    the last columns' names: they have spaces.
    """
    wide = table.pivot(index="encoder", columns="dataset", values="value")
    wide = wide.loc[table["encoder"].unique(), table["dataset"].unique()]
    shares = wide / [measure_of(metric).most for metric in metrics_of(table).values()]
    total = shares.sum(axis=1)
    return wide.assign(**{MEAN: shares.mean(axis=1), RELATIVE: total / total.max()})


def metrics_of(table: pd.DataFrame) -> dict[str, str]:
    """Return the metric of each dataset; a row of ``table`` is a run."""
    return dict(zip(table["dataset"], table["metric"], strict=True))


def summarise(comparison: pd.DataFrame, average: Estimates, compared: Compared) -> Summary:
    """Return the name of the best encoder and a :class:`Share` of each.

    Args:
        comparison: see :func:`compare`; its rows are the runs.
        average: their means over datasets.
        compared: the tests of their pairs.
    """
    low, high = average.intervals()
    _, relative_low, relative_high = relative_to_best(average)
    encoders: dict[str, Share] = {}
    mean = MEAN if any(name == MEAN for name, _ in compared.ranks) else str(comparison.columns[0])
    for place, (encoder, row) in enumerate(comparison.iterrows()):
        ranks = compared.ranks.get((mean, str(encoder)), (None, None))
        encoders[str(encoder)] = {
            "mean_mAP": float(row[MEAN]),
            "low": float(low[place]),
            "high": float(high[place]),
            "relative": float(row[RELATIVE]),
            "relative_low": float(relative_low[place]),
            "relative_high": float(relative_high[place]),
            "rank_low": ranks[0],
            "rank_high": ranks[1],
        }
    return {"best": str(comparison[RELATIVE].idxmax()), "encoders": encoders}


def relative_to_best(average: Estimates) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the ratio of each mean to the highest one, and the ends of its 95 % interval.

    By t on the logarithm of the ratio, whose variance is that of the difference of the relative errors. The best one's
    ratio to itself has none; that it is the best is not certain, so others' ends may be above 1.
    """
    means, best = average.means, int(np.argmax(average.means))
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = average.covariance / np.outer(means, means)
        variances = np.diag(relative) + relative[best, best] - 2 * relative[best]
        half = critical_t(average.df) * np.sqrt(np.maximum(variances, 0))
        ratio = means / means[best]
    if not average.df > 0:  # nothing is known of how they vary
        half[:] = np.inf
    half[(means == 0) | (np.arange(len(means)) == best)] = 0
    return ratio, ratio * np.exp(-half), np.minimum(ratio * np.exp(half), 1 / means[best])
