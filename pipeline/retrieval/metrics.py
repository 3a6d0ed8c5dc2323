r"""From the ranks of the positives to every metric. Arrays in, arrays out.

Every function takes the ranks of all positives of each query: from 1, ascending, distinct, in the full ranking without
what is left out; a positive that a ranking has not got has an infinite rank, as for trec_eval. A query without
positives has no value, NaN; whether such queries are an error is decided elsewhere.
R is the number of positives of a query, :math:`r_1 < ... < r_R` their ranks.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from .errors import RetrievalError
from .ragged import Ragged

Rule = Literal["rectangle", "trapezoid"]

# So many others of its object a query of UKBench has.
NEIGHBOURS = 3


def average_precision(ranks: Ragged, *, rule: Rule = "rectangle") -> Float[np.ndarray, " query"]:
    r"""Return the AP of each query over the full ranking, in (0, 1].

    Rectangle, as in trec_eval, mteb, the published report and, where no two scores are equal, scikit-learn:

    .. math:: AP = \frac{1}{R} \sum_{j=1}^{R} \frac{j}{r_j}

    Trapezoid, as in the code of the Oxford and Paris benchmarks (J. Philbin et al., CVPR 2007; F. Radenovic et al.,
    CVPR 2018), with 1 for the first quotient if the rank is 1:

    .. math:: AP = \frac{1}{R} \sum_{j=1}^{R} \frac{1}{2} \left( \frac{j-1}{r_j-1} + \frac{j}{r_j} \right)

    A single positive at rank 2 has 0.50 by the first and 0.25 by the second. Equal scores are in some order here; for
    scikit-learn they are one group, all positives of which have the precision at its end: two positives that tie at
    ranks 2 and 3 have 7/12 in either order, and 2/3 there. torchmetrics' RetrievalMAP (1.9) leaves positives with a
    score of zero or less out of sum and divisor both.
    """
    heights = ranks.fractions
    if rule == "trapezoid":
        with np.errstate(invalid="ignore"):  # 0 / 0 where the rank is 1
            before = (ranks.places - 1) / (ranks.values - 1)
        before[ranks.values == 1] = 1
        heights = (before + heights) / 2
    return over(ranks.sums(heights), ranks)


def average_precision_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    """Return AP of each query by the rectangle rule with only the first k ranks counted, divided by R.

    As trec_eval's map_cut (ir_measures' AP@k), mteb's map_at_k and the mean_average_precision of
    pytorch-metric-learning (2.9). Google Landmarks divides by the lesser of R and k, which gives more where R > k
    (:func:`capped_average_precision_at`); torchmetrics and open-metric-learning (4.0) by the positives found up to k,
    which gives more wherever these are some but not all, whatever R: positives at ranks 1, 4 and 5 have 1/3 here at
    k = 3, and 1 there.

    Raises:
        RetrievalError: k is not positive.
    """
    found = first(ranks, k)
    return over(found.sums(found.fractions), ranks)


def capped_average_precision_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    """Return AP of each query by the rectangle rule with only the first k ranks counted, over the lesser of R and k.

    The mAP@100 of Google Landmarks, the mAP@1000 of ILIAS and the mAP@k of UnED's code. The lesser of R and k is the
    number of hits that k items have at best: a ranking with nothing but positives in front has 1 although R > k, where
    :func:`average_precision_at` has k / R. ILIAS takes scikit-learn's AP, for which equal scores are one group.

    Raises:
        RetrievalError: k is not positive.
    """
    found = first(ranks, k)
    return over_most(found.sums(found.fractions), ranks, k)


def map_at_r(ranks: Ragged) -> Float[np.ndarray, " query"]:
    """Return MAP@R of each query: AP with only the first R ranks counted, divided by R.

    K. Musgrave et al., "A Metric Learning Reality Check", ECCV 2020.
    """
    found = ranks.up_to(ranks.counts)
    return over(found.sums(found.fractions), ranks)


def interpolated_average_precision(ranks: Ragged) -> Float[np.ndarray, " query"]:
    """Return the area under the full interpolated precision-recall curve of each query.

    At every recall j / R the highest precision there or later, as in PASCAL VOC since 2010.
    """
    return over(ranks.sums(ranks.best_fractions), ranks)


def r_precision(ranks: Ragged) -> Float[np.ndarray, " query"]:
    """Return the share of positives among the first R of each ranking."""
    return over(ranks.up_to(ranks.counts).counts.astype(float), ranks)


def precision_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    """Return the share of positives among the first k of each ranking.

    The divisor is k even if a query has fewer positives or the gallery fewer items, as in trec_eval and torchmetrics;
    in open-metric-learning it is the lesser of R and k. At k = 1 it is the accuracy of the nearest neighbour, and the
    same as :func:`recall_at`.

    Raises:
        RetrievalError: k is not positive.
    """
    return np.where(ranks.counts > 0, first(ranks, k).counts / k, np.nan)


def modified_precision_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    """Return the share of positives among the first min(R, k) of each ranking.

    Its mean is the mMP@k of UnED (N. Ypsilantis et al., "Towards Universal Image Embeddings", ICCV 2023). Where R < k
    nothing after rank R counts: positives at ranks 1 and 3 have 1/2 at k = 5, and :func:`precision_at` 2/5. With R in
    place of min(R, k) it is :func:`r_precision`; open-metric-learning's precision at k, with the same divisor, counts
    positives up to rank k, and has 1 here.

    Raises:
        RetrievalError: k is not positive.
    """
    refuse_k(k)
    return over_most(ranks.up_to(np.minimum(ranks.counts, k)).counts.astype(float), ranks, k)


def landmark_precision_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    """Return P@k as the code of the revisited Oxford and Paris benchmark has it.

    The divisor is the lesser of k and the rank of the last positive, so that a query whose positives all come
    before rank k can have 1.

    Raises:
        RetrievalError: k is not positive.
    """
    share: Float[np.ndarray, " query"] = first(ranks, k).counts / np.minimum(ends(ranks, last=True), k)
    return share


def recall_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    """Return 1 for each query with a positive among the first k of its ranking, else 0.

    The hit rate, which metric learning calls Recall@k; the recall of trec_eval and torchmetrics is the share of
    positives found (:func:`found_share_at`).

    Raises:
        RetrievalError: k is not positive.
    """
    refuse_k(k)
    return np.where(ranks.counts > 0, (ends(ranks) <= k).astype(float), np.nan)


def found_share_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    """Return the share of the positives of each query that are among the first k of its ranking.

    The recall_k of trec_eval (ir_measures' R@k), mteb and torchmetrics. Where R > k it cannot be 1. What metric
    learning calls Recall@k is the hit rate, :func:`recall_at`; with one positive a query the two are equal.

    Raises:
        RetrievalError: k is not positive.
    """
    return over(first(ranks, k).counts.astype(float), ranks)


def ndcg_at(ranks: Ragged, *, k: int) -> Float[np.ndarray, " query"]:
    r"""Return nDCG@k of each query with gains of 0 and 1, discounted by :math:`\log_2(1 + r)`.

    K. Järvelin and J. Kekäläinen, "Cumulated gain-based evaluation of IR techniques", TOIS 2002, in the form of
    trec_eval's ndcg_cut. With equal scores torchmetrics and scikit-learn give the mean over their orders.

    Raises:
        RetrievalError: k is not positive.
    """
    found = first(ranks, k)
    k = min(k, int(ranks.counts.max(initial=1)))  # nobody has more positives
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    gained = found.sums(1 / np.log2(1.0 + found.values)) / ideal[np.clip(ranks.counts, 1, k) - 1]
    # Summed in another order than the ideal, it may be above it by rounding.
    return np.where(ranks.counts > 0, np.minimum(gained, 1), np.nan)


def reciprocal_rank(ranks: Ragged) -> Float[np.ndarray, " query"]:
    """Return one over the rank of the first positive of each query; its mean is MRR."""
    reciprocal: Float[np.ndarray, " query"] = 1 / ends(ranks)
    return reciprocal


def nister_stewenius(ranks: Ragged) -> Float[np.ndarray, " query"]:
    """Return the N-S score of each query: 1, for itself, and the number of positives among the first 3 others.

    D. Nister and H. Stewenius, "Scalable Recognition with a Vocabulary Tree", CVPR 2006: of UKBench, where an object
    has four images, how many of them are among the first four. The query is in the gallery there, and counts where it
    ranks; here it is left out of its ranking and always counts. The two are equal where nothing is nearer to a query
    than itself. In [1, 4]; with R < 3 at most 1 + R.
    """
    return np.where(ranks.counts > 0, 1.0 + first(ranks, NEIGHBOURS).counts, np.nan)


def two_alternative(optimistic: Ragged, pessimistic: Ragged) -> Float[np.ndarray, " query"]:
    """Return the score of each query in a choice between two: 1 where the right one ranks first, 0.5 for a tie, else 0.

    2AFC, the accuracy in a two-alternative forced choice, as on BAPPS (R. Zhang et al., CVPR 2018) and NIGHTS (S. Fu et
    al., "DreamSim", NeurIPS 2023). The code of DreamSim that scores NIGHTS gives 0.5 for equal distances too; what its
    training logs as accuracy takes the left one then. Right is what people chose: where they did not agree, as on
    BAPPS, the score there is the share that chose alike, which is not here.

    Args:
        optimistic: ranks of the right one if equal scores are ordered positives first.
        pessimistic: the same if they are ordered positives last.
    """
    halves: Float[np.ndarray, " query"] = (recall_at(optimistic, k=1) + recall_at(pessimistic, k=1)) / 2
    return halves


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
        curves[filled] = ranks.best_fractions[ranks.starts[filled, None] + hits - 1]
    return curves


def expected_average_precision(
    positives: Int[np.ndarray, " query"], candidates: Int[np.ndarray, " query"], *, rule: Rule = "rectangle"
) -> Float[np.ndarray, " query"]:
    """Return the mean AP of each query over all orders of its ranking: chance level. NaN without positives.

    See :func:`expected_average_precision_at`. With R positives among M candidates it is by the trapezoid rule the mean
    of that by the rectangle rule and R / M.
    """
    expected = expected_average_precision_at(positives, candidates, candidates)
    if rule == "trapezoid":
        asked = positives > 0
        expected = (expected + np.divide(positives, candidates, out=np.zeros(len(positives)), where=asked)) / 2
    return expected


def expected_average_precision_at(
    positives: Int[np.ndarray, " query"], candidates: Int[np.ndarray, " query"], seen: Int[np.ndarray, " query"]
) -> Float[np.ndarray, " query"]:
    r"""Return the mean over all orders of a ranking of :func:`average_precision_at`, each query with a k of its own.

    With R positives among M candidates, of which the first k are ``seen``, and :math:`H_k` the harmonic number,

    .. math:: E = \frac{1}{M} \left( H_k + \frac{R - 1}{M - 1} (k - H_k) \right),

    since at rank i there is a positive with probability R / M, and before it (i - 1)(R - 1)/(M - 1) on average
    (Y. Bestgen, "Exact expected average precision of the random baseline for system evaluation", 2015). NaN without
    positives.
    """
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(seen.max(initial=0)) + 1))])[seen]
    others = np.divide(positives - 1, candidates - 1, out=np.zeros(len(positives)), where=candidates > 1)
    expected = np.full(len(positives), np.nan)
    np.divide(harmonic + others * (seen - harmonic), candidates, out=expected, where=positives > 0)
    return expected


def first(ranks: Ragged, k: int) -> Ragged:
    """Return the ranks up to k; RetrievalError for a k that is not positive."""
    refuse_k(k)
    return ranks.up_to(np.full(len(ranks), k))


def ends(ranks: Ragged, *, last: bool = False) -> Float[np.ndarray, " query"]:
    """Return the rank of the first positive of each query, or of the last; NaN without positives."""
    filled = ranks.counts > 0
    found = np.full(len(ranks), np.nan)
    found[filled] = ranks.values[ranks.starts[1:][filled] - 1 if last else ranks.starts[:-1][filled]]
    return found


def over(sums: Float[np.ndarray, " query"], ranks: Ragged) -> Float[np.ndarray, " query"]:
    """Return a sum a query over R; NaN without positives."""
    return np.where(ranks.counts > 0, sums / np.maximum(ranks.counts, 1), np.nan)


def over_most(sums: Float[np.ndarray, " query"], ranks: Ragged, k: int) -> Float[np.ndarray, " query"]:
    """Return a sum a query over the lesser of R and k; NaN without positives."""
    return np.where(ranks.counts > 0, sums / np.clip(ranks.counts, 1, k), np.nan)


def refuse_k(k: int) -> None:
    """Raise :class:`RetrievalError` for a k that is not positive."""
    if k < 1:
        raise RetrievalError(f"a metric at {k} is not defined: it must be at least 1")
