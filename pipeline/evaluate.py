"""Features + manifest -> the AP of every query, and the metrics of the run.

``python -m pipeline.evaluate encoder=hog dataset=digits`` writes ``metrics/runs/hog/digits.json`` and
``metrics/per_query/digits/hog.npz``. Every image is a query; all others are its gallery.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
from omegaconf import DictConfig

from pipeline.app import app
from pipeline.errors import RetrievalError
from pipeline.features import check_features, read_features
from pipeline.files import replacing_file, write_json
from pipeline.manifest import Manifest, read_manifest
from pipeline.metrics import average_precision, interpolated_precision, precision_at
from pipeline.options import call
from pipeline.ranking import rank_by_cosine
from pipeline.relevance import SharedLabel

CONFIG = "conf/evaluate.yaml"


@dataclass(frozen=True)
class Settings:
    """What conf/evaluate.yaml says of the evaluation.

    Attributes:
        queries_without_positives: ``error``, or ``skip`` to leave them out of every mean.
        precision_ranks: the k of P@k.
        top: how many of the first items of each ranking to keep.
    """

    queries_without_positives: Literal["error", "skip"]
    precision_ranks: Sequence[int]
    top: int

    def __post_init__(self) -> None:
        """Raise :class:`RetrievalError` naming a setting that is out of range."""
        ranks = list(self.precision_ranks)
        if not ranks or min(ranks) < 1 or len(set(ranks)) < len(ranks):
            raise RetrievalError(
                f"{CONFIG}: 'precision_ranks' is {ranks}: expected one k or more, each at least 1 and only once"
            )
        if self.top < 0:
            raise RetrievalError(f"{CONFIG}: 'top' is {self.top}: expected at least 0")


@dataclass(frozen=True)
class Evaluation:
    """The results of every query that has positives, in the order of the manifest.

    Attributes:
        queries: indices into the manifest.
        skipped: the queries without positives, left out of everything else.
        positives: how many each query has.
        ap: average precision, in (0, 1].
        precision: P@k, one column a k, in [0, 1].
        interpolated: precision at recall 0, 0.1, ..., 1.
        top_items: the first items of each ranking, indices into the manifest; -1 past its end.
        top_scores: their cosine similarities.
    """

    queries: Int[np.ndarray, " query"]
    skipped: Int[np.ndarray, " skipped"]
    positives: Int[np.ndarray, " query"]
    ap: Float[np.ndarray, " query"]
    precision: Float[np.ndarray, "query k"]
    interpolated: Float[np.ndarray, "query 11"]
    top_items: Int[np.ndarray, "query top"]
    top_scores: Float[np.ndarray, "query top"]


def evaluate(
    features: Float[np.ndarray, "item dim"],
    labels: Sequence[tuple[str, ...]],
    *,
    names: Sequence[str],
    settings: Settings,
) -> Evaluation:
    """Rank all other items for each item by cosine similarity and score the rankings.

    Args:
        features: a row an item.
        labels: of each item; items that share one are relevant to each other.
        names: of the items, for errors.
        settings: what of the rankings to keep, and what a query without positives means.

    Raises:
        RetrievalError: a query has no positives and that is an error; no query has any; a feature is
            unusable.
    """
    ranking = rank_by_cosine(features, SharedLabel(labels), top=settings.top)
    counts = np.array([len(ranks) for ranks in ranking.ranks], dtype=np.int64)
    skipped = np.flatnonzero(counts == 0)
    queries = np.flatnonzero(counts > 0)
    if len(skipped) and settings.queries_without_positives == "error":
        first = int(skipped[0])
        raise RetrievalError(
            f"query {first} ({names[first]}) has no positives, as have {len(skipped)} of {len(counts)}: no other "
            f"image is labelled {' or '.join(labels[first])}; drop it from the dataset or set "
            "queries_without_positives: skip in conf/evaluate.yaml"
        )
    if not len(queries):
        raise RetrievalError("no query has a positive: no two images share a label, so there is nothing to retrieve")
    ranks = [ranking.ranks[query] for query in queries]
    return Evaluation(
        queries=queries,
        skipped=skipped,
        positives=counts[queries],
        ap=average_precision(ranks),
        precision=np.stack([precision_at(ranks, k=k) for k in settings.precision_ranks], axis=1),
        interpolated=interpolated_precision(ranks),
        top_items=ranking.top_items[queries],
        top_scores=ranking.top_scores[queries],
    )


def summarise(evaluation: Evaluation, precision_ranks: Sequence[int]) -> dict[str, Any]:
    """Return the means over queries: what goes into ``metrics/runs``, fractions in [0, 1]."""
    # Means along contiguous rows: NumPy then sums pairwise, with less rounding.
    precision = np.ascontiguousarray(evaluation.precision.T).mean(axis=1)
    interpolated = np.ascontiguousarray(evaluation.interpolated.T).mean(axis=1)
    return {
        "mAP": float(evaluation.ap.mean()),
        **{f"P@{k}": float(value) for k, value in zip(precision_ranks, precision, strict=True)},
        "queries": len(evaluation.queries),
        "queries_without_positives": len(evaluation.skipped),
        "interpolated_precision": interpolated.tolist(),
    }


def write_per_query(target: Path, evaluation: Evaluation, precision_ranks: Sequence[int]) -> None:
    """Write the results of every query as an ``.npz`` whose arrays are named as in :class:`Evaluation`."""
    arrays = {**vars(evaluation), "precision_ranks": np.asarray(precision_ranks)}
    # Older releases of NumPy cannot be told not to pickle here.
    assert not any(array.dtype.hasobject for array in arrays.values())
    with replacing_file(target) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def refuse_stale(provenance: dict[str, Any], manifest: Manifest) -> None:
    """Check that features were made from this very manifest."""
    if provenance.get("manifest_sha256") != manifest.sha256:
        raise RetrievalError(
            f"the features of {provenance.get('encoder')} were made from another manifest of {manifest.dataset}: "
            f"run dvc repro extract@{provenance.get('encoder')}-{manifest.dataset}"
        )


def refuse_queries(manifest: Manifest) -> None:
    """Check that every image of a dataset is a query, which is the protocol that this stage knows."""
    if manifest.queries is not None:
        raise RetrievalError(
            f"{manifest.dataset} comes with queries, positives and junk of its own, which evaluation by shared labels "
            "would ignore: take it out of params.yaml, or evaluate its features elsewhere"
        )


@app("evaluate")
def main(config: DictConfig) -> None:
    """Run the stage."""
    settings = call(Settings, {field.name: config[field.name] for field in fields(Settings)}, where=CONFIG)
    manifest = read_manifest(Path(config.prepared))
    refuse_queries(manifest)
    features, provenance = read_features(Path(config.features))
    refuse_stale(provenance, manifest)
    check_features(features, manifest.paths, where=config.features)
    evaluation = evaluate(features, manifest.labels, names=manifest.paths, settings=settings)
    write_per_query(Path(config.per_query), evaluation, settings.precision_ranks)
    write_json(Path(config.metrics), summarise(evaluation, settings.precision_ranks))


if __name__ == "__main__":
    main()
