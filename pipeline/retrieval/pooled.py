r"""Metrics of the first items of all queries together: how far one threshold of the score tells right from wrong.

Every function takes, query by query, the first items of its ranking: their scores, of which a higher one is more
confident (a distance is to be negated), NaN past the end of a ranking; whether each is a hit; and how many positives
the query has, R. A query without positives is *out of distribution*: it asks for what is not in the gallery. All its
items are wrong, and a good score for one costs precision.

The first k of all queries are one list, by score, descending; of equal scores the wrong ones come first, whoever asked,
as in the code of the Image Similarity Challenge (isc2021: M. Douze et al., "The 2021 Image Similarity Dataset and
Challenge"), so that nothing is gained by equal scores. Within a query which items are the first k is as it is ranked.

Recall is always over the same number, the most hits that the list can have: the sum of min(R, k) over queries.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int

from .errors import RetrievalError
from .measures import Measure
from .metrics import refuse_k
from .partitions import GROUPS, dealt
from .uncertainty import LeftOut

Scores = Float[np.ndarray, "query top"]
Hits = Bool[np.ndarray, "query top"]
Counts = Int[np.ndarray, " query"]

# Thresholds of t-mAP: false positive rates of 0, 1 / STEPS, ..., 1.
STEPS = 10


def micro_average_precision(scores: Scores, hits: Hits, positives: Counts, *, k: int) -> float:
    r"""Return micro-AP of the first k of all queries, in [0, 1]; NaN where no query has a positive.

    With :math:`p_1 < p_2 < ...` the places of the hits in the list of all queries,

    .. math:: \mu AP = \sum_j \frac{j}{p_j} \Big/ \sum_q \min(R_q, k)

    At k = 1 the divisor is the number of queries with positives. This is the GAP of Google Landmarks recognition, and
    that of Met (N. Ypsilantis et al., NeurIPS 2021 Datasets and Benchmarks) where its classifier has one neighbour,
    whose confidence rises with the similarity; with more, its softmax over them can order queries otherwise. Of equal
    scores Landmarks takes the query whose name is first, Met any. Where no query has more than k positives the divisor
    is the number of all relevant pairs. That is what isc2021 divides by, whatever k: with R > k it gives less.

    Raises:
        RetrievalError: k is not positive, or fewer than the first k are given.
    """
    listed = in_one_list(scores, hits, k)
    most = int(np.minimum(positives, k).sum())
    return float(precisions(listed)[listed].sum() / most) if most else np.nan


def recall_at_precision(scores: Scores, hits: Hits, positives: Counts, *, k: int, precision: float = 0.9) -> float:
    """Return the highest recall at which the list still has some precision, in [0, 1]; NaN if no query has a positive.

    The R@P90 of isc2021. Of all places in the list at which the share of hits up to there is at least ``precision``, it
    is that with the most hits; precision may be less in between. No place inside a group of equal scores is better
    than its ends, so that there is a threshold that gives it. 0 where no place reaches it, for which isc2021 has None.
    Recall is over the divisor of :func:`micro_average_precision`.

    Raises:
        RetrievalError: k is not positive, or fewer than the first k are given.
    """
    listed = in_one_list(scores, hits, k)
    most = int(np.minimum(positives, k).sum())
    found = np.cumsum(listed)[precisions(listed) >= precision]
    return float(found.max(initial=0) / most) if most else np.nan


def thresholded_map(scores: Scores, hits: Hits, positives: Counts, *, k: int) -> float:
    r"""Return t-mAP@k, in [0, 1]: mAP@k with what scores too little left out, over several thresholds; NaN without one.

    P. Wu et al., "FORB: A Flat Object Retrieval Benchmark for Universal Image Embedding", NeurIPS 2023 Datasets and
    Benchmarks, as its code has it. Of N queries that are out of distribution, the best scores are put in ascending
    order; the threshold for a false positive rate of i / 10, i = 0, ..., 9, is the one at place
    :math:`\lceil (1 - i / 10) N \rceil`, and for 1 there is none. At each, AP of the queries with positives is by the
    rectangle rule over those of the first k whose score is at least the threshold, over R (not min(R, k)); their mean
    over queries and over the 11 thresholds is t-mAP@k. It is no metric of the list: each query has its own AP.

    Raises:
        RetrievalError: k is not positive, or fewer than the first k are given.
    """
    asked, outside = positives > 0, positives == 0
    shown, right = first_of_each(scores[asked], hits[asked], k)
    best, _ = first_of_each(scores[outside], hits[outside], 1)
    if not len(shown) or not len(best):
        return np.nan
    ascending = np.sort(np.where(np.isnan(best[:, 0]), -np.inf, best[:, 0]))
    places = -(-np.arange(STEPS, 0, -1) * len(ascending) // STEPS)
    heights = np.where(right, np.cumsum(right, axis=1) / np.arange(1, k + 1), 0) / positives[asked, None]
    # Scores fall along a ranking: what is kept of it are its first items, and their precisions stay.
    means = [heights[shown >= least].sum() / len(shown) for least in (*ascending[places - 1], -np.inf)]
    return float(np.mean(means))


def answered_micro_average_precision(scores: Scores, hits: Hits, positives: Counts, *, k: int) -> float:
    """Return micro-AP of the first k of the queries with positives alone, in [0, 1]; NaN where there are none.

    At k = 1 this is GAP without distractors of Met, as :func:`micro_average_precision` is its GAP. Its third metric,
    the accuracy, is precision at 1: its classifier takes an exhibit by the most similar of its pictures, and so, of
    however many neighbours, that of the nearest one, if its similarity is not negative.

    Raises:
        RetrievalError: k is not positive, or fewer than the first k are given.
    """
    asked = positives > 0
    return micro_average_precision(scores[asked], hits[asked], positives[asked], k=k)


def without_each(
    metric: Callable[[Scores, Hits, Counts], float], scores: Scores, hits: Hits, positives: Counts, *, seed: int = 0
) -> LeftOut:
    """Return a metric without each group of queries, one row, for its interval by :func:`.uncertainty.of_left_out`.

    Queries are dealt into up to 50 groups, those with positives and those without apart: how many there are of each is
    the benchmark's choice, and is held. What is generalised to are other queries, drawn one by one, against this very
    gallery. Where the metric is not defined without a group, as if all that have positives go, the group changes
    nothing.

    Args:
        metric: from scores, hits and positives, such as ``partial(micro_average_precision, k=1)``.
        scores: see above.
        hits: the same.
        positives: the same.
        seed: of the deal.
    """
    count = len(positives)
    groups = min(count, GROUPS)
    order = np.lexsort((np.random.default_rng(seed).permutation(count), positives > 0))
    group = dealt(order, groups)
    kept = (group != number for number in range(groups))
    values = np.array([metric(scores[those], hits[those], positives[those]) for those in kept])
    values = np.where(np.isnan(values), metric(scores, hits, positives), values)
    return LeftOut(values[None], np.bincount(group, minlength=groups) / count, count)


def in_one_list(scores: Scores, hits: Hits, k: int) -> Bool[np.ndarray, " place"]:
    """Return whether each place of the list of the first k of all queries is a hit."""
    shown, right = (part.ravel() for part in first_of_each(scores, hits, k))
    # NaN, past the end of a ranking, comes last, where wrong ones cost nothing.
    listed: Bool[np.ndarray, " place"] = right[np.lexsort((right, -shown))]
    return listed


def first_of_each(
    scores: Scores, hits: Hits, k: int
) -> tuple[Float[np.ndarray, "query k"], Bool[np.ndarray, "query k"]]:
    """Return the first k columns; RetrievalError where there are fewer, or for a k that is not positive."""
    refuse_k(k)
    if scores.shape[1] < k:
        raise RetrievalError(
            f"a metric at {k} needs the first {k} items of each ranking, and {scores.shape[1]} are kept: set top to {k}"
        )
    return scores[:, :k], hits[:, :k]


def precisions(listed: Bool[np.ndarray, " place"]) -> Float[np.ndarray, " place"]:
    """Return the share of hits up to each place."""
    shares: Float[np.ndarray, " place"] = np.cumsum(listed) / np.arange(1, len(listed) + 1)
    return shares


# By the names of :data:`.measures.POOLED`.
METRICS = {
    "micro_AP": micro_average_precision,
    "answered_micro_AP": answered_micro_average_precision,
    "recall_at_P90": recall_at_precision,
    "t_mAP": thresholded_map,
}


def metric_of(measure: Measure) -> Callable[[Scores, Hits, Counts], float]:
    """Return what computes a metric of all queries together."""
    assert measure.k is not None
    return partial(METRICS[measure.name.partition("@")[0]], k=measure.k)


def values_of(measures: Sequence[Measure], scores: Scores, hits: Hits, positives: Counts) -> dict[str, float]:
    """Return metrics of all queries together by their names.

    Raises:
        RetrievalError: one is not defined for these queries; see also each.
    """
    found = {one.name: metric_of(one)(scores, hits, positives) for one in measures}
    for name, value in found.items():
        if np.isnan(value):
            raise RetrievalError(f"{name} needs queries that are out of distribution, without positives: leave it out")
    return found
