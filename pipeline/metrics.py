r"""From the ranks of the positives to every metric. Arrays in, arrays out.

Every function takes the ranks of all positives of each query: from 1, ascending, distinct, in the full ranking without
what is left out. A query without positives has no value, NaN; whether such queries are an error is decided elsewhere.
R is the number of positives of a query, :math:`r_1 < ... < r_R` their ranks.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from pipeline.counting import highest_from_here
from pipeline.errors import RetrievalError
from pipeline.ragged import Ragged

Rule = Literal["rectangle", "trapezoid"]
RECALL_LEVELS = tuple(level / 10 for level in range(11))


def average_precision(ranks: Ragged, *, rule: Rule = "rectangle") -> Float[np.ndarray, " query"]:
    r"""Return the AP of each query over the full ranking, in (0, 1].

    Rectangle, as in trec_eval, scikit-learn, mteb and the published report:

    .. math:: AP = \frac{1}{R} \sum_{j=1}^{R} \frac{j}{r_j}

    Trapezoid, as in the code of the Oxford and Paris benchmarks (J. Philbin et al., CVPR 2007; F. Radenovic et al.,
    CVPR 2018), with 1 for the first quotient if the rank is 1:

    .. math:: AP = \frac{1}{R} \sum_{j=1}^{R} \frac{1}{2} \left( \frac{j-1}{r_j-1} + \frac{j}{r_j} \right)

    A single positive at rank 2 has 0.50 by the first and 0.25 by the second. torchmetrics' RetrievalMAP leaves
    positives with a score of zero or less out of sum and divisor both.
    """
    after = ranks.places / ranks.values
    if rule == "trapezoid":
        before = np.divide(ranks.places - 1, ranks.values - 1, out=np.ones(len(ranks.values)), where=ranks.values > 1)
        after = (before + after) / 2
    return over_positives(ranks, after)


def average_precision_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    """Return AP of each query by the rectangle rule with only the first k ranks counted, divided by R.

    As trec_eval's map_cut (ir_measures' AP@k) and mteb's map_at_k. Others divide by the lesser of R and k (Google
    Landmarks) or by the positives found (open-metric-learning), which is more where R > k.

    Raises:
        RetrievalError: k is not positive.
    """
    refuse_k(k)
    return over_positives(ranks, np.where(ranks.values <= k, ranks.places / ranks.values, 0.0))


def map_at_r(ranks: Ragged) -> Float[np.ndarray, " query"]:
    """Return MAP@R of each query: AP with only the first R ranks counted, divided by R.

    K. Musgrave et al., "A Metric Learning Reality Check", ECCV 2020.
    """
    within = ranks.values <= np.repeat(ranks.counts, ranks.counts)
    return over_positives(ranks, np.where(within, ranks.places / ranks.values, 0.0))


def interpolated_average_precision(ranks: Ragged) -> Float[np.ndarray, " query"]:
    """Return the area under the full interpolated precision-recall curve of each query.

    At every recall j / R the highest precision there or later, as in PASCAL VOC since 2010.
    """
    return over_positives(ranks, best_from(ranks))


def r_precision(ranks: Ragged) -> Float[np.ndarray, " query"]:
    """Return the share of positives among the first R of each ranking."""
    within = ranks.values <= np.repeat(ranks.counts, ranks.counts)
    return over_positives(ranks, within.astype(float))


def precision_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    """Return the share of positives among the first k of each ranking.

    The divisor is k even if a query has fewer positives or the gallery fewer items, as in trec_eval.

    Raises:
        RetrievalError: k is not positive.
    """
    refuse_k(k)
    share: Float[np.ndarray, " query"] = ranks.reduce(np.add, (ranks.values <= k).astype(float)) / k
    return share


def landmark_precision_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    """Return P@k as the code of the revisited Oxford and Paris benchmark has it.

    The divisor is the lesser of k and the rank of the last positive, so that a query whose positives all come
    before rank k can have 1.

    Raises:
        RetrievalError: k is not positive.
    """
    refuse_k(k)
    least = np.minimum(ranks.reduce(np.maximum, ranks.values.astype(float)), k)
    share: Float[np.ndarray, " query"] = ranks.reduce(np.add, (ranks.values <= k).astype(float)) / least
    return share


def recall_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    """Return 1 for each query with a positive among the first k of its ranking, else 0.

    The hit rate, which metric learning calls Recall@k; trec_eval's recall is the share of positives found.

    Raises:
        RetrievalError: k is not positive.
    """
    refuse_k(k)
    return np.where(ranks.counts > 0, (first_ranks(ranks) <= k).astype(float), np.nan)


def ndcg_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    r"""Return nDCG@k of each query with gains of 0 and 1, discounted by :math:`\log_2(1 + r)`.

    K. Järvelin and J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, in the form of
    trec_eval's ndcg_cut.

    Raises:
        RetrievalError: k is not positive.
    """
    refuse_k(k)
    gains = np.where(ranks.values <= k, 1 / np.log2(1.0 + ranks.values), 0.0)
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    best = ideal[np.clip(ranks.counts, 1, k) - 1]
    gained: Float[np.ndarray, " query"] = ranks.reduce(np.add, gains) / best
    return gained


def reciprocal_rank(ranks: Ragged) -> Float[np.ndarray, " query"]:
    """Return one over the rank of the first positive of each query; its mean is MRR."""
    reciprocal: Float[np.ndarray, " query"] = 1 / first_ranks(ranks)
    return reciprocal


def interpolated_precision(ranks: Ragged, *, steps: int = 10) -> Float[np.ndarray, "query level"]:
    """Return the interpolated precision of each query at the recalls 0, 1 / steps, ..., 1.

    At recall c it is the highest precision at any rank whose recall is c or more. "c or more" is taken
    exactly, in whole numbers: with R positives at least ceil(c R) of them. trec_eval computes
    ``int(c * R + 0.9)`` in floating point, which first differs at R = 3, c = 0.7.

    Raises:
        RetrievalError: steps is not positive.
    """
    refuse_k(steps)
    levels = np.arange(steps + 1)
    curves = np.full((len(ranks), steps + 1), np.nan)
    filled = np.flatnonzero(ranks.counts)
    if len(filled):
        hits = np.maximum(-(-levels * ranks.counts[filled, None] // steps), 1)
        curves[filled] = best_from(ranks)[ranks.starts[filled, None] + hits - 1]
    return curves


def expected_average_precision(
    positives: Int[np.ndarray, " query"], candidates: Int[np.ndarray, " query"], *, rule: Rule = "rectangle"
) -> Float[np.ndarray, " query"]:
    r"""Return the mean AP of each query over all orders of its ranking: what a blind encoder gets.

    With R positives among M candidates, and :math:`H_M` the harmonic number,

    .. math:: E = \frac{1}{M} \left( H_M + \frac{R - 1}{M - 1} (M - H_M) \right),

    since at rank i there is a positive with probability R / M, and before it (i - 1)(R - 1)/(M - 1) on average
    (Y. Bestgen, "Exact expected average precision of the random baseline for system evaluation", 2015). By the
    trapezoid rule it is the mean of this and R / M.
    """
    largest = int(candidates.max(initial=0))
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, largest + 1))])[candidates]
    others = np.divide(positives - 1, candidates - 1, out=np.zeros(len(positives)), where=candidates > 1)
    expected = np.full(len(positives), np.nan)
    asked = positives > 0
    mean = harmonic + others * (candidates - harmonic)
    np.divide(mean, candidates, out=expected, where=asked)
    if rule == "trapezoid":
        expected = (expected + np.divide(positives, candidates, out=np.zeros(len(positives)), where=asked)) / 2
    return expected


def best_from(ranks: Ragged) -> Float[np.ndarray, " value"]:
    """Return the highest precision at each positive's rank or at that of any later one of its query."""
    highest: Float[np.ndarray, " value"] = highest_from_here(ranks.places / ranks.values, ranks.starts)
    return highest


def first_ranks(ranks: Ragged) -> Float[np.ndarray, " query"]:
    """Return the rank of the first positive of each query."""
    return ranks.reduce(np.minimum, ranks.values.astype(float))


def over_positives(ranks: Ragged, numbers: Float[np.ndarray, " value"]) -> Float[np.ndarray, " query"]:
    """Return the sum of one number a positive over R, of each query; NaN without positives."""
    mean: Float[np.ndarray, " query"] = ranks.reduce(np.add, numbers) / np.maximum(ranks.counts, 1)
    return mean


def refuse_k(k: int) -> None:
    """Raise :class:`RetrievalError` for a k that is not positive."""
    if k < 1:
        raise RetrievalError(f"a metric at {k} is not defined: it must be at least 1")
