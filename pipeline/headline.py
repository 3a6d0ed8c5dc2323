"""The runs of one encoder -> files whose path and keys do not name it, so that two encoders line up.

``dvc metrics diff`` and ``dvc plots diff`` pair equal paths and keys across revisions. This stage writes
``metrics/headline.json`` and ``plots/headline_pr.csv`` for the encoder that params.yaml names.
"""

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from pipeline.app import app
from pipeline.experiment import read_experiment
from pipeline.files import write_json, write_text
from pipeline.metrics import RECALL_LEVELS
from pipeline.runs import read_run, scalars


@app("headline")
def main(config: DictConfig) -> None:
    """Run the stage."""
    experiment = read_experiment()
    runs = {dataset: read_run(Path(config.runs), experiment.encoder, dataset) for dataset in experiment.datasets}
    curves = pd.DataFrame(
        [
            {"dataset": dataset, "recall": recall, "precision": precision}
            for dataset, run in runs.items()
            for recall, precision in zip(RECALL_LEVELS, run["interpolated_precision"], strict=True)
        ]
    )
    write_json(Path(config.metrics), {dataset: scalars(run) for dataset, run in runs.items()})
    write_text(Path(config.csv), curves.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    main()
