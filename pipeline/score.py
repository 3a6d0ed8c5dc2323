"""Score embeddings that were made elsewhere.

``python -m pipeline.score features=F.npy labels=L.txt`` prints the metrics that the stage ``evaluate`` writes;
``--help`` says the rest. :func:`score_features` does the same in Python.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from omegaconf import DictConfig

from pipeline.datasets.revisited import read_ground_truth
from pipeline.extraction.features import check_features, read_matrix
from pipeline.frame.app import app
from pipeline.frame.files import write_json
from pipeline.manifest.labels import Labelled, read_labels
from pipeline.manifest.manifest import Query
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import Settings, report, scores_of
from pipeline.retrieval.postprocessing import PcaWhitening, Recipe, read_recipe, read_steps
from pipeline.retrieval.protocols import DIFFICULTIES, by_labels, by_landmarks
from pipeline.retrieval.settings import call, plain


def score_features(
    features: Float[np.ndarray, "item dim"],
    labels: Sequence[str | tuple[str, ...]] | None = None,
    *,
    queries: Sequence[Query] | None = None,
    names: Sequence[str] | None = None,
    roles: Sequence[str] | None = None,
    groups: Sequence[str | None] | None = None,
    steps: Sequence[Mapping[str, Any]] = (),
    learn_on: Float[np.ndarray, "other _"] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Return the metrics of features: exact, over the full ranking of every query.

    >>> score_features(features, ["cat", "dog", ...])["mAP"]

    Args:
        features: a row an item, of any floating-point type; float16 is promoted, and the result says so.
        labels: of each item, one or several; items that share one are relevant to each other. An item with none,
            ``()``, is a distractor.
        queries: instead of labels, the queries of a landmark benchmark (see :class:`pipeline.manifest.manifest.Query`).
        names: of the items, for errors; their numbers by default.
        roles: ``both``, ``query`` or ``gallery`` of each item.
        groups: of each item or None; items of a query's group are left out of its ranking.
        steps: what is done to features before they are ranked, as conf/ranking/*.yaml say it: the ``name`` of a
            step and its settings, see :mod:`pipeline.retrieval.postprocessing`.
        learn_on: features of other items, which PCA-whitening learns on.
        settings: see :class:`pipeline.retrieval.evaluation.Settings`.

    Returns:
        What ``python -m pipeline.score`` prints: ``mAP`` and the other means, fractions in [0, 1], 95 % intervals
        and counts. Rows of features that are equal to the bit count as exact duplicates.

    Raises:
        RetrievalError: lengths differ; a row cannot be compared; a setting is unknown; labels of one kind only, so
            that every ranking is perfect; see also :func:`pipeline.retrieval.evaluation.evaluate`.
    """
    chosen = call(Settings, settings, where="settings")
    made = read_steps(steps, where="steps")
    if learn_on is not None and not any(isinstance(step, PcaWhitening) for step in made):
        raise RetrievalError("learn_on is given, but no step learns: leave it out, or add pca_whitening")
    items = [str(number) for number in range(len(features))] if names is None else list(names)
    where = "features"
    if len(features) < 2:
        raise RetrievalError(f"{where}: {len(features)} rows: a query and an item to rank are the least")
    if len(items) != len(features) or features.shape[1] == 0:
        raise RetrievalError(f"{where}: a matrix of {features.shape[0]} x {features.shape[1]} for {len(items)} items")
    check_features(features, items, where=where)
    if queries is not None:
        order = [chosen.difficulty, *(other for other in DIFFICULTIES if other != chosen.difficulty)]
        protocols = [by_landmarks(queries, len(items), difficulty=difficulty) for difficulty in order]
        known: list[tuple[str, ...]] = [()] * len(items)
    else:
        known = [(names,) if isinstance(names, str) else tuple(names) for names in labels or ()]
        refuse_lengths(len(items), labels=known, roles=roles, groups=groups)
        if len({frozenset(names) for names in known}) == 1:
            raise RetrievalError("all items have the same labels: every ranking is perfect, whatever the features")
        protocols = [by_labels(known, roles=roles, groups=groups)]
    contents = [hashlib.sha256(row.tobytes()).hexdigest() for row in features]
    scorer = scores_of(features, protocols[0], chosen, steps=made, learnt=learn_on)
    _, summary = report(scorer, protocols, labels=known, contents=contents, names=items, settings=chosen)
    return {"features_dtype": str(features.dtype), **Recipe(made, {}, "steps").described(None), **summary}


def refuse_lengths(items: int, **given: Sequence[Any] | None) -> None:
    """Raise :class:`RetrievalError` for a list that has not an entry an item."""
    for name, values in given.items():
        if values is not None and len(values) != items:
            raise RetrievalError(f"{len(values)} {name} for {items} rows of features: give one each, in the same order")


def read_known(config: DictConfig) -> tuple[Labelled, Sequence[Query] | None]:
    """Return what is known about the items, and the queries of a ground truth."""
    if (config.labels is None) == (config.ground_truth is None):
        raise RetrievalError("give either labels=L.txt or ground_truth=gnd_roxford5k.pkl")
    if config.labels is not None:
        return read_labels(Path(config.labels)), None
    truth = read_ground_truth(Path(config.ground_truth))
    names = [*truth.gallery, *truth.asked]
    return Labelled(names, [()] * len(names)), truth.queries


@app("score")
def main(config: DictConfig) -> None:
    """Run the command."""
    matrix, kind = read_matrix(Path(config.features))
    known, queries = read_known(config)
    if len(known.names) != len(matrix):
        listed = config.labels or config.ground_truth
        raise RetrievalError(f"{config.features} has {len(matrix)} rows, but {listed} lists {len(known.names)} items")
    values = plain(config)
    learn_on = None if config.learn_on is None else read_matrix(Path(config.learn_on))[0]
    summary = score_features(
        matrix,
        known.labels,
        queries=queries,
        names=known.names,
        roles=known.roles,
        groups=known.groups,
        steps=read_recipe(values["ranking"], where=f"ranking '{config.ranking_name}'").described(None)["steps"],
        learn_on=learn_on,
        **{field.name: values[field.name] for field in fields(Settings)},
    )
    summary |= {"features_dtype": kind, "learn_on": config.learn_on}
    if config.out is not None:
        write_json(Path(config.out), summary)
    sys.stdout.write(json.dumps(summary, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
