"""From the ranks of the positives to AP, P@k and the interpolated precision. Arrays in, arrays out.

Every function takes, for each query, the ranks of all of its positives: from 1, ascending, distinct, in
the full ranking without the query itself. A query without positives has no AP: it is an error here, and
whether such queries are left out is decided before.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from pipeline.errors import RetrievalError

RECALL_LEVELS = tuple(level / 10 for level in range(11))


def average_precision(ranks: Sequence[Int[np.ndarray, " _"]]) -> Float[np.ndarray, " query"]:
    r"""Return the AP of each query, in (0, 1].

    .. math:: AP = \frac{1}{R} \sum_{j=1}^{R} \frac{j}{r_j}

    with R positives at ranks :math:`r_1 < ... < r_R`: the rectangle rule over the full ranking, as
    trec_eval, scikit-learn and mteb have it. The trapezoid rule of the Oxford and Paris benchmarks gives
    0.25 where this gives 0.50 for a single positive at rank 2; torchmetrics' RetrievalMAP leaves
    positives with a score of zero or less out of sum and divisor both.

    Raises:
        RetrievalError: a query has no positives.
    """
    return by_count(ranks, lambda table: precision_at_hits(table).mean(axis=1))


def precision_at(ranks: Sequence[Int[np.ndarray, " _"]], *, k: int) -> Float[np.ndarray, " query"]:
    """Return the share of positives among the first ``k`` of each ranking, in [0, 1].

    The divisor is ``k`` even if a query has fewer positives or the gallery fewer items, as in
    trec_eval.

    Raises:
        RetrievalError: a query has no positives; ``k`` is not positive.
    """
    if k < 1:
        raise RetrievalError(f"precision at {k} is not defined: k must be at least 1")
    return by_count(ranks, lambda table: (table <= k).sum(axis=1) / k)


def interpolated_precision(
    ranks: Sequence[Int[np.ndarray, " _"]],
) -> Float[np.ndarray, "query 11"]:
    """Return the interpolated precision of each query at the recalls 0, 0.1, ..., 1.

    At recall c it is the highest precision at any rank whose recall is c or more. "c or more" is taken
    exactly, in whole numbers: with R positives at least ceil(c R) of them. trec_eval computes
    ``int(c * R + 0.9)`` in floating point, which first differs at R = 3, c = 0.7.

    Raises:
        RetrievalError: a query has no positives.
    """
    tenths = np.arange(11)

    def interpolate(table: Int[np.ndarray, "query positive"]) -> Float[np.ndarray, "query 11"]:
        count = table.shape[1]
        best_from = np.maximum.accumulate(precision_at_hits(table)[:, ::-1], axis=1)[:, ::-1]
        hits = np.maximum(-(-tenths * count // 10), 1)
        return best_from[:, hits - 1]

    return by_count(ranks, interpolate)


def precision_at_hits(table: Int[np.ndarray, "query positive"]) -> Float[np.ndarray, "query positive"]:
    """Return the precision at each positive's rank."""
    precision: Float[np.ndarray, "query positive"] = np.arange(1, table.shape[1] + 1) / table
    return precision


def by_count(
    ranks: Sequence[Int[np.ndarray, " _"]],
    function: Callable[[Int[np.ndarray, "query positive"]], Float[np.ndarray, "query ..."]],
) -> Float[np.ndarray, "query ..."]:
    """Apply ``function`` to the queries that have equally many positives as one table; restore their order."""
    parts = [(queries, function(table)) for queries, table in tables(ranks)]
    result = np.empty((len(ranks), *parts[0][1].shape[1:])) if parts else np.empty(0)
    for queries, values in parts:
        result[queries] = values
    return result


def tables(
    ranks: Sequence[Int[np.ndarray, " _"]],
) -> Iterator[tuple[Int[np.ndarray, " query"], Int[np.ndarray, "query positive"]]]:
    """Yield the indices of the queries with equally many positives, and their ranks, a row a query."""
    counts = np.array([len(row) for row in ranks], dtype=np.int64)
    without = np.flatnonzero(counts == 0)
    if len(without):
        raise RetrievalError(
            f"query {without[0]} has no positives, as have {len(without)} in all: leave them out before"
        )
    for count in np.unique(counts):
        queries = np.flatnonzero(counts == count)
        yield queries, np.stack([ranks[query] for query in queries.tolist()])
