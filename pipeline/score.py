"""Score embeddings that were made elsewhere.

``python -m pipeline.score features=F.npy labels=L.txt`` prints the metrics that the stage ``evaluate`` writes;
``--help`` says the rest. :func:`score_features` does the same in Python.
"""

import json
from collections.abc import Sequence
from dataclasses import fields

from omegaconf import DictConfig

from pipeline.datasets.revisited import read_ground_truth
from pipeline.frame.app import app, path_of, plain
from pipeline.frame.files import write_json
from pipeline.manifest.labels import read_labels
from pipeline.results.evaluated import write_arrays
from pipeline.results.titles import without_title
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import Settings
from pipeline.retrieval.postprocessing import read_recipe
from pipeline.retrieval.queries import Query
from pipeline.retrieval.reading.lists import Labelled, refuse_count
from pipeline.retrieval.reading.matrices import read_matrix
from pipeline.retrieval.scoring import flat, score_features


def read_known(config: DictConfig) -> tuple[Labelled, Sequence[Query] | None]:
    """Return what is known about the items, and the queries of a ground truth."""
    if (config.labels is None) == (config.ground_truth is None):
        raise RetrievalError("give either labels=L.txt or ground_truth=gnd_roxford5k.pkl (or .json)")
    if config.labels is not None:
        return read_labels(path_of(config, "labels"), alone=True), None
    truth = read_ground_truth(path_of(config, "ground_truth"))
    names = [*truth.gallery, *truth.asked]
    return Labelled(names, [()] * len(names)), truth.queries


@app("score", texts=("features", "labels", "ground_truth", "learn_on", "per_query", "out"))
def main(config: DictConfig) -> None:
    """Run the command."""
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
    summary |= {"features_dtype": kind, "learn_on": config.learn_on}
    if config.out is not None:
        write_json(path_of(config, "out"), summary)
    print(json.dumps(summary, indent=2, allow_nan=False))


if __name__ == "__main__":
    main()
