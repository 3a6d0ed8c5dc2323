"""Score embeddings, or rankings, that were made elsewhere.

``python -m pipeline.score features=F.npy labels=L.txt`` prints the metrics that the stage ``evaluate`` writes;
``run=run.txt qrels=qrels.txt`` those of a run that any engine made. ``--help`` says the rest. :func:`score_features`
and :func:`pipeline.retrieval.runs.score_run` do the same in Python.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import fields
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from pipeline.datasets.revisited import read_ground_truth
from pipeline.frame.app import app, path_of, plain
from pipeline.frame.files import write_json
from pipeline.manifest.labels import read_labels
from pipeline.results.evaluated import write_arrays
from pipeline.results.titles import without_title
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.postprocessing import read_recipe
from pipeline.retrieval.queries import Query
from pipeline.retrieval.reading.lists import Labelled, refuse_count
from pipeline.retrieval.reading.matrices import read_matrix
from pipeline.retrieval.reading.runs import read_judgements, read_run
from pipeline.retrieval.runs import RunSettings, score_run
from pipeline.retrieval.scoring import flat, score_features
from pipeline.retrieval.wanted import Settings

BOTH = ("per_query", "out")  # settings of features and of runs
OF_RUNS = {"queries_without_judgements", "queries_without_ranking"}


def read_known(config: DictConfig) -> tuple[Labelled, Sequence[Query] | None]:
    """Return what is known about the items, and the queries of a ground truth."""
    if (config.labels is None) == (config.ground_truth is None):
        raise RetrievalError("give either labels=L.txt or ground_truth=gnd_roxford5k.pkl (or .json)")
    if config.labels is not None:
        return read_labels(path_of(config, "labels"), alone=True), None
    truth = read_ground_truth(path_of(config, "ground_truth"))
    names = [*truth.gallery, *truth.asked]
    return Labelled(names, [()] * len(names)), truth.queries


def refuse_unfit(config: DictConfig, *, of: str, but: Collection[str]) -> None:
    """Raise :class:`RetrievalError` for a setting on the command line that would change nothing."""
    given = (one.partition("=")[0].lstrip("+") for one in HydraConfig.get().overrides.task)
    unfit = next((name for name in given if name.partition(".")[0] not in but and name in config), None)
    if unfit is not None:
        raise RetrievalError(f"{unfit} is given with {of}, which has no place for it: leave it out")


def of_run(config: DictConfig) -> dict[str, Any]:
    """Return the metrics of a run, once what every query has is written."""
    names = [field.name for field in fields(RunSettings)]
    refuse_unfit(config, of="run", but={*BOTH, *names, "run", "qrels"})
    if config.run is None or config.qrels is None:
        raise RetrievalError("give run=run.txt and qrels=qrels.txt together")
    run, judgements = read_run(path_of(config, "run")), read_judgements(path_of(config, "qrels"))
    values = plain(config)
    settings = {name: values[name] for name in names}
    summary = score_run(run, judgements, per_query=config.per_query is not None, **settings)
    if config.per_query is not None:
        write_arrays(path_of(config, "per_query"), summary.pop("per_query"))
    return summary


def of_features(config: DictConfig) -> dict[str, Any]:
    """Return the metrics of features, once what every query has is written."""
    if config.features is None:
        raise RetrievalError("give features=F.npy, or run=run.txt and qrels=qrels.txt")
    refuse_unfit(config, of="features", but=set(config) - OF_RUNS)
    matrix, kind = read_matrix(path_of(config, "features"))
    known, queries = read_known(config)
    listed = config.labels or config.ground_truth
    refuse_count(len(matrix), len(known.names), features=config.features, listed=listed)
    values = plain(config)
    learn_on = None if config.learn_on is None else read_matrix(path_of(config, "learn_on"))[0]
    recipe = read_recipe(without_title(values["ranking"]), where=f"ranking '{config.ranking_name}'")
    summary = score_features(
        matrix,
        known.labels if queries is None else None,
        ground_truth=queries,
        names=known.names,
        roles=known.roles,
        groups=known.groups,
        steps=recipe.described(None)["steps"],
        learn_on=learn_on,
        per_query=config.per_query is not None,
        **{field.name: values[field.name] for field in fields(Settings)},
    )
    if config.per_query is not None:
        write_arrays(path_of(config, "per_query"), flat(summary.pop("per_query")))
    return summary | {"features_dtype": kind, "learn_on": config.learn_on}


@app("score", texts=("features", "labels", "ground_truth", "learn_on", "run", "qrels", "per_query", "out"))
def main(config: DictConfig) -> None:
    """Run the command."""
    summary = of_features(config) if config.run is None and config.qrels is None else of_run(config)
    if config.out is not None:
        write_json(path_of(config, "out"), summary)
    print(json.dumps(summary, indent=2, allow_nan=False))


if __name__ == "__main__":
    main()
