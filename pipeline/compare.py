"""The metrics of all runs -> the comparative table.

``python -m pipeline.compare`` writes ``metrics/table.csv`` (a row a run), ``metrics/table.md`` (encoder x
dataset) and ``metrics/summary.json``, for the encoders and datasets named in params.yaml.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig

from pipeline.app import app
from pipeline.experiment import Experiment, read_experiment
from pipeline.files import write_json, write_text
from pipeline.options import call, plain
from pipeline.published import Published, against, with_published
from pipeline.runs import read_run, scalars

MEAN = "mean mAP"
RELATIVE = "relative to best"


def long_table(runs: Path, experiment: Experiment) -> pd.DataFrame:
    """Return a row a run: encoder, dataset, mAP and the other metrics, fractions in [0, 1]."""
    return pd.DataFrame(
        [
            {"encoder": encoder, "dataset": dataset, **scalars(read_run(runs, encoder, dataset))}
            for encoder in experiment.encoders
            for dataset in experiment.datasets
        ]
    )


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row an encoder, a column a dataset: mAP; then ``mean mAP`` and ``relative to best``.

    The last is the sum of an encoder's mAPs over the sum of the best encoder's, in [0, 1]. Rows and
    columns keep the order of ``table``. No dataset can have the last columns' names: they have spaces.
    """
    wide = table.pivot(index="encoder", columns="dataset", values="mAP")
    wide = wide.loc[table["encoder"].unique(), table["dataset"].unique()]
    total = wide.sum(axis=1)
    return wide.assign(**{MEAN: wide.mean(axis=1), RELATIVE: total / total.max()})


def markdown(comparison: pd.DataFrame) -> str:
    """Return the comparison as a Markdown table; the best of each column is bold, ties all of them."""
    shown = comparison.map(lambda value: f"{value:.4f}")
    shown[RELATIVE] = comparison[RELATIVE].map(lambda value: f"{value:.2%}")
    best = comparison.eq(comparison.max())
    shown = shown.mask(best, "**" + shown + "**")
    return shown.reset_index(names="encoder").to_markdown(index=False, disable_numparse=True) + "\n"


def summarise(comparison: pd.DataFrame) -> dict[str, Any]:
    """Return ``{encoder: {mean_mAP, relative}}`` and the name of the best encoder."""
    return {
        "best": str(comparison[RELATIVE].idxmax()),
        "encoders": {
            str(encoder): {"mean_mAP": float(row[MEAN]), "relative": float(row[RELATIVE])}
            for encoder, row in comparison.iterrows()
        },
    }


@app("compare")
def main(config: DictConfig) -> None:
    """Run the stage."""
    published = call(Published, plain(config.published), where="published in conf/compare.yaml")
    table = with_published(long_table(Path(config.runs), read_experiment()), published)
    comparison = compare(table)
    write_text(Path(config.csv), table.to_csv(index=False, lineterminator="\n"))
    beside = against(table, published)
    write_text(Path(config.markdown), markdown(comparison) + (f"\n{beside}" if beside else ""))
    write_json(Path(config.summary), summarise(comparison))


if __name__ == "__main__":
    main()
