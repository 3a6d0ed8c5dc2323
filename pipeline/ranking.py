"""Exact ranks of the positives of every query, and the top of every ranking. Arrays in, arrays out.

The ranking of a query is by score, descending; equal scores by the item's index, ascending. The query
itself is left out of its own ranking by its index, not because it ranks first: an exact duplicate may.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np
from jaxtyping import Float, Float32, Int

from pipeline.errors import RetrievalError

# Queries scored by one matrix product. Fixed, so that results do not depend on how much memory there is:
# the scores of a tile take 4 bytes x TILE x items, and their sorted copy the same again.
TILE = 256


@dataclass(frozen=True)
class Ranking:
    """Where the positives of each query rank.

    Attributes:
        ranks: for each query the ranks of its positives, from 1, ascending.
        top_items: the indices of the first ``top`` items of each ranking; -1 past its end.
        top_scores: their scores; NaN past its end.
    """

    ranks: list[Int[np.ndarray, " _"]]
    top_items: Int[np.ndarray, "query top"]
    top_scores: Float32[np.ndarray, "query top"]


def unit_rows(features: Float[np.ndarray, "item dim"]) -> Float32[np.ndarray, "item dim"]:
    """Return the rows divided by their Euclidean norms, so that their dot products are cosines.

    Norms and quotients are computed in float64 and rounded once, to float32.

    Raises:
        RetrievalError: a row is zero or has a NaN or an infinity.
    """
    exact = features.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    unusable = ~(np.isfinite(norms) & (norms > 0))[:, 0]
    if unusable.any():
        raise RetrievalError(
            f"row {int(np.flatnonzero(unusable)[0])} of the features has no direction (zero, NaN or infinite), as "
            f"have {int(unusable.sum())} in all: remove those items or mend the encoder"
        )
    unit: Float32[np.ndarray, "item dim"] = (exact / norms).astype(np.float32)
    return unit


def rank_by_cosine(
    features: Float[np.ndarray, "item dim"],
    positives: Callable[[int], Int[np.ndarray, " positive"]],
    *,
    top: int,
) -> Ranking:
    """Rank, for every item as the query, all other items by cosine similarity.

    Args:
        features: a row an item; every item is a query, and in the gallery of all others.
        positives: from the index of a query to those of its positives, distinct; the query itself may
            be among them and is left out.
        top: how many of the first items to return.

    Raises:
        RetrievalError: see :func:`unit_rows`.
    """
    unit = unit_rows(features)
    items = len(unit)
    ranks: list[Int[np.ndarray, " _"]] = []
    top_items = np.full((items, top), -1, np.int32)
    top_scores = np.full((items, top), np.nan, np.float32)

    def rank_rows(first: int, scores: Float32[np.ndarray, "query item"]) -> list[Int[np.ndarray, " _"]]:
        queries = np.arange(first, first + len(scores))
        # Last in its own ranking, a query is out of everybody's way.
        scores[np.arange(len(scores)), queries] = -np.inf
        ascending = np.sort(scores, axis=1)
        found = []
        for query, row, sorted_row in zip(queries.tolist(), scores, ascending, strict=True):
            head = top_of_row(row, sorted_row, min(top, items - 1))
            top_items[query, : len(head)] = head
            top_scores[query, : len(head)] = row[head]
            wanted = positives(query)
            found.append(ranks_in_row(row, sorted_row, wanted[wanted != query]))
        return found

    threads = cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:  # NumPy sorts and searches without the interpreter lock
        for start in range(0, items, TILE):
            scores = unit[start : start + TILE] @ unit.T
            parts = np.array_split(scores, threads)
            firsts = start + np.cumsum([0, *(len(part) for part in parts[:-1])])
            for found in pool.map(rank_rows, firsts.tolist(), parts):
                ranks.extend(found)
    return Ranking(ranks, top_items, top_scores)


def ranks_in_row(
    row: Float32[np.ndarray, " item"],
    ascending: Float32[np.ndarray, " item"],
    wanted: Int[np.ndarray, " positive"],
) -> Int[np.ndarray, " positive"]:
    """Return the ranks, from 1 and ascending, of the items ``wanted`` in one row of scores.

    ``ascending`` is the row sorted. Where no wanted score is tied, as is usual, a rank is one more than
    the number of larger scores.
    """
    scores = np.sort(row[wanted])  # in order, the searches stay in the cache
    not_larger = np.searchsorted(ascending, scores, side="right")
    if (ascending[np.maximum(not_larger - 2, 0)] < scores).all():
        return (len(row) + 1 - not_larger)[::-1]
    order = np.argsort(-row, kind="stable")
    ranks = np.empty(len(row), np.int64)
    ranks[order] = np.arange(1, len(row) + 1)
    return np.sort(ranks[wanted])


def top_of_row(
    row: Float32[np.ndarray, " item"], ascending: Float32[np.ndarray, " item"], top: int
) -> Int[np.ndarray, " top"]:
    """Return the indices of the ``top`` best items of one row of scores, best first, ties by index."""
    if top == 0:
        return np.empty(0, np.int64)
    candidates = np.flatnonzero(row >= ascending[len(row) - top])  # more than top if the last is tied
    return candidates[np.argsort(-row[candidates], kind="stable")][:top]
