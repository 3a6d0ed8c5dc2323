"""The queries of a run with their AP and the first of their rankings, as ``evaluate`` found them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from pipeline.frame.runs import stage_of
from pipeline.manifest.manifest import Manifest
from pipeline.results.per_query import read_results
from pipeline.retrieval.errors import RetrievalError


@dataclass(frozen=True)
class Retrieval:
    """A query and the first of its ranking.

    Attributes:
        query: the item that is asked for.
        ap: its average precision.
        items: what was retrieved, best first.
        scores: of each.
        hits: whether each is a positive.
    """

    query: int
    ap: float
    items: Int[np.ndarray, " top"]
    scores: Float[np.ndarray, " top"]
    hits: Bool[np.ndarray, " top"]


def read_retrievals(path: Path, manifest: Manifest) -> list[Retrieval]:
    """Return every query of a run that has positives, with the first of its ranking.

    Args:
        path: of its results.
        manifest: of the dataset.

    Raises:
        RetrievalError: see :func:`pipeline.results.per_query.read_results`; the results are those of another manifest.
    """
    names = ("queries", "AP", "top_items", "top_scores", "top_hits")
    found = read_results(path, "manifest_sha256", *names)
    if str(found["manifest_sha256"]) != manifest.sha256:
        again = f"run dvc repro {stage_of(path.stem, manifest.dataset)}"
        raise RetrievalError(f"{path} is of another manifest of {manifest.dataset}: {again}")
    numbers = np.concatenate([found["queries"], found["top_items"].ravel()])
    if len(numbers) and not -1 <= numbers.min() <= numbers.max() < len(manifest.items):
        again = f"run dvc repro {stage_of(path.stem, manifest.dataset)}"
        raise RetrievalError(f"{path} has items that {manifest.dataset} has not: {again}")
    retrievals = []
    for query, ap, *ranking in zip(*(found[name] for name in names), strict=True):
        items, scores, hits = (values[ranking[0] >= 0] for values in ranking)
        retrievals.append(Retrieval(int(query), float(ap), items, scores, hits))
    return retrievals
