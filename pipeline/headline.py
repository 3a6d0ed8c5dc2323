"""The runs of one encoder -> files whose path and keys do not name it, so that two encoders line up.

``dvc metrics diff`` and ``dvc plots diff`` pair equal paths and keys across revisions. This stage writes
``metrics/headline.json`` and ``plots/headline_pr.csv`` for the encoder that params.yaml names. Few metrics, because
each is a column of ``dvc exp show``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.experiment import read_experiment
from pipeline.frame.files import write_json
from pipeline.results.runs import read_run, scalars
from pipeline.results.tables import write_table
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.levels import RECALL_LEVELS
from pipeline.retrieval.settings import call


@dataclass(frozen=True)
class Headline:
    """What is in it; ``headline`` in conf/headline.yaml.

    Attributes:
        metrics: names of single numbers among the metrics of a run.
    """

    metrics: Sequence[str]

    def of(self, run: Mapping[str, Any], *, where: str) -> dict[str, float | int]:
        """Return these metrics of a run, and the one of its dataset first, where that is not mAP.

        Raises:
            RetrievalError: it has no such number.
        """
        known = scalars(dict(run))
        own = run["headline"]["metric"]
        for name in self.metrics:
            if name not in known:
                raise RetrievalError(
                    f"conf/headline.yaml: {where} has no metric '{name}': one of {', '.join(sorted(known))}"
                )
        return {name: known[name] for name in dict.fromkeys([*([] if own == "mAP" else [own]), *self.metrics])}


@app("headline")
def main(config: DictConfig) -> None:
    """Run the stage."""
    headline = call(Headline, plain(config.headline), where="conf/headline.yaml")
    experiment = read_experiment()
    runs = {
        dataset: read_run(path_of(config, "runs"), experiment.encoder, dataset, "headline", "interpolated_precision")
        for dataset in experiment.datasets
    }
    points = [
        (dataset, recall, precision)
        for dataset, run in runs.items()
        for recall, precision in zip(RECALL_LEVELS, run["interpolated_precision"], strict=True)
    ]
    found = {dataset: headline.of(run, where=f"{experiment.encoder} on {dataset}") for dataset, run in runs.items()}
    write_json(path_of(config, "metrics"), found)
    columns = zip(("dataset", "recall", "precision"), zip(*points, strict=True), strict=True)
    write_table(path_of(config, "csv"), dict(columns))


if __name__ == "__main__":
    main()
