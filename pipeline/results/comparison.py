"""All runs side by side: one row per run, one row per encoder."""

from pathlib import Path
from typing import Any

import pandas as pd
from typing_extensions import TypedDict

from pipeline.frame.experiment import Experiment
from pipeline.results.cost import MEAN
from pipeline.results.runs import Fraction, read_run, scalars

RELATIVE = "relative to best"


class Share(TypedDict):
    """An encoder's mean mAP and its share of the best one's, in [0, 1]."""

    mean_mAP: Fraction
    relative: Fraction


class Summary(TypedDict):
    """What :func:`summarise` returns."""

    best: str
    encoders: dict[str, Share]


def long_table(runs: Path, experiment: Experiment) -> pd.DataFrame:
    """Return one row per run: encoder, dataset, mAP and the other metrics, fractions in [0, 1]."""
    return pd.DataFrame(
        [
            {"encoder": run, "dataset": dataset, **scalars(read_run(runs, run, dataset))}
            for run in experiment.runs
            for dataset in experiment.datasets
        ]
    )


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """Return one row per encoder, one column per dataset: mAP; then ``mean mAP`` and ``relative to best``.

    The last is the sum of an encoder's mAPs over the sum of the best encoder's, in [0, 1]. Rows and
    columns keep the order of ``table``. No dataset can have the last columns' names: they have spaces.
    """
    wide = table.pivot(index="encoder", columns="dataset", values="mAP")
    wide = wide.loc[table["encoder"].unique(), table["dataset"].unique()]
    total = wide.sum(axis=1)
    return wide.assign(**{MEAN: wide.mean(axis=1), RELATIVE: total / total.max()})


def summarise(comparison: pd.DataFrame) -> dict[str, Any]:
    """Return ``{encoder: {mean_mAP, relative}}`` and the name of the best encoder."""
    return {
        "best": str(comparison[RELATIVE].idxmax()),
        "encoders": {
            str(encoder): {"mean_mAP": float(row[MEAN]), "relative": float(row[RELATIVE])}
            for encoder, row in comparison.iterrows()
        },
    }
