"""The rankings of a run as others take them: an item at a time, with scores that fall."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32

from pipeline.retrieval.distances import falling
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.ragged import Ragged
from pipeline.sharing.outcome import Outcome


def each_query(
    outcome: Outcome, *, top: int | None
) -> Iterator[tuple[int, list[tuple[int, float]], list[int], list[int]]]:
    """Yield each query that has positives: its number, its ranking, its positives, what is left out of its ranking.

    All are numbers of items in the manifest, in the ranking each with its score: see :func:`strictly_falling`.
    """
    gallery, judge = outcome.protocol.gallery, outcome.protocol.judge
    sign = np.float32(falling(outcome.metrics["similarity"]))
    for ranking in outcome.rankings(top=top):
        wanted, unwanted = judge(ranking.first, ranking.first + len(ranking.ranks))
        for place, (positives, left_out) in enumerate(zip(rows_of(wanted), rows_of(unwanted), strict=True)):
            if not positives:
                continue
            kept = ranking.top_items[place] >= 0
            items = gallery[ranking.top_items[place][kept]].tolist()
            scores = strictly_falling(sign * ranking.top_scores[place][kept]).tolist()
            members = (gallery[np.array(listed, np.int64)].tolist() for listed in (positives, left_out))
            query = int(outcome.protocol.queries[ranking.first + place])
            yield query, list(zip(items, scores, strict=True)), *members


def rows_of(listed: Ragged) -> list[list[int]]:
    """Return lists of integers."""
    return [row.tolist() for row in listed.rows()]


def strictly_falling(scores: Float32[np.ndarray, " item"]) -> Float32[np.ndarray, " item"]:
    """Return scores as near as can be of which each is less than the one before it.

    trec_eval reads scores in single precision and orders equal ones by the items' names, the last first. What equals
    the score before it is therefore written as the next lower number of float32.

    Raises:
        RetrievalError: a score is beyond float32.
    """
    if not np.isfinite(scores).all():
        raise RetrievalError("a score is beyond float32, in which runs are read: scale the features, or use cosine")
    bits = scores.view(np.int32).astype(np.int64)
    order = np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)  # integers in the order of the floats
    places = np.arange(len(order))
    order = np.minimum.accumulate(order + places) - places
    falling: Float32[np.ndarray, " item"] = (
        np.where(order < 0, -order | 0x80000000, order).astype(np.uint32).view(np.float32)
    )
    return falling
