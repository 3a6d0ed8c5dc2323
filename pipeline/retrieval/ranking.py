"""Exact ranks of the positives of every query, and the top of every ranking, in bounded memory. Arrays in, arrays out.

The ranking of a query is by score, descending; equal scores by the index in the gallery, ascending. Scores are
computed in float32 and compared as they are: what is exact is the ranking of these scores.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from os import cpu_count
from queue import SimpleQueue
from typing import TypeVar

import numpy as np
from jaxtyping import Float32, Int
from threadpoolctl import ThreadpoolController

from .counting import (
    POSITION_BITS,
    count,
    in_order,
    keys_of_top,
    leave_out,
    pick,
    sort_keys,
    start_top,
    to_ranks,
    top_of_keys,
)
from .errors import RetrievalError
from .ragged import Ragged
from .relevance import Judge
from .similarity import SQUARE, Scorer

# So many queries are scored against so many items at once. Both are fixed: every score comes from a product of the same
# shape, by one thread, whatever the memory and the number of threads.
ROWS = SQUARE
COLUMNS = 4096
# So many queries are counted at a time where all scores are there, so that they are still in the cache.
HOT = 32

Made = TypeVar("Made")


@dataclass(frozen=True)
class Ranking:
    """The rankings of some consecutive queries.

    Attributes:
        first: the number of the first of them.
        ranks: for each query the ranks of its positives, from 1, ascending.
        optimistic: the same if equal scores were ordered positives first.
        pessimistic: the same if they were ordered positives last.
        candidates: the number of items in each ranking: the gallery without what is left out.
        top_items: the gallery's indices of the first ``top`` items of each ranking; -1 past its end.
        top_scores: what their scores stand for, such as cosines; NaN past its end.
    """

    first: int
    ranks: Ragged
    optimistic: Ragged
    pessimistic: Ragged
    candidates: Int[np.ndarray, " query"]
    top_items: Int[np.ndarray, "query top"]
    top_scores: Float32[np.ndarray, "query top"]


def rank(
    scorer: Scorer, judge: Judge, *, top: int, memory: float = 1.0, threads: int | None = None
) -> Iterator[Ranking]:
    """Yield the rankings of all queries in their order, some queries at a time; see :func:`each_ranking`."""
    return each_ranking(lambda ranking: ranking, scorer, judge, top=top, memory=memory, threads=threads)


def each_ranking(
    make: Callable[[Ranking], Made],
    scorer: Scorer,
    judge: Judge,
    *,
    top: int,
    queries: range | None = None,
    memory: float = 1.0,
    threads: int | None = None,
) -> Iterator[Made]:
    """Yield what ``make`` makes of the rankings of the queries in their order, ``ROWS`` at a time.

    Neither ``memory`` nor ``threads`` changes anything in the results.

    Args:
        make: called in the threads that rank, so that what is made of rankings is made at once too.
        scorer: gives the scores of any queries and items.
        judge: gives the positives of a query and what is left out of its ranking.
        top: how many of the first items to return.
        queries: the numbers of those to rank, from a multiple of ``ROWS`` on; None for all.
        memory: GiB for scores, beside the features. A product of ``ROWS`` x ``COLUMNS`` is the least that is taken.
            Where the rows of a thread do not fit, scores are computed twice instead of kept; where all scores of a
            set against itself fit, each is computed once for its two items.
        threads: how many queries are ranked at once; None for one a core.
    """
    asked = range(scorer.queries) if queries is None else queries
    workers = min(threads or cpu_count() or 1, max(1, -(-len(asked) // ROWS)))
    whole = queries is None and scorer.symmetric and 4 * scorer.items**2 <= memory * 2**30
    if not whole:
        workers, columns = room(scorer.items, memory, workers)

    # Taken once: fresh memory has to be given by the system page by page.
    buffers: SimpleQueue[Float32[np.ndarray, "query part"]] = SimpleQueue()
    for _ in range(0 if whole else workers):
        buffers.put(np.empty((min(ROWS, len(asked)), columns), np.float32))

    def made(first: int) -> Made:
        if whole:
            return make(rank_rows(scorer, judge, first, top=top, buffer=scores[first : first + ROWS], filled=True))
        buffer = buffers.get()
        try:
            return make(rank_rows(scorer, judge, first, top=top, buffer=buffer))
        finally:
            buffers.put(buffer)

    with blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        scores = scores_both_ways(scorer, pool) if whole else np.empty((0, 0), np.float32)
        waiting: list[Future[Made]] = []
        for first in asked[::ROWS]:
            waiting.append(pool.submit(made, first))
            if len(waiting) > workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def room(items: int, memory: float, workers: int) -> tuple[int, int]:
    """Return how many threads can work, and how many scores of each of its queries one can hold.

    Fewer threads that compute scores once are no slower than twice as many that compute them twice.
    """
    scores = int(memory * 2**30 / (4 * ROWS))  # of each query of a band, for all threads together
    if scores >= items * max(workers / 2, 1):
        return min(workers, scores // items), items
    workers = max(1, min(workers, scores // min(items, COLUMNS)))
    return workers, min(max(scores // workers // COLUMNS, 1) * COLUMNS, items)


@lru_cache(maxsize=1)
def blas() -> ThreadpoolController:
    """Return what limits the threads of NumPy's BLAS; to find the library takes milliseconds, so it is kept."""
    return ThreadpoolController()


def scores_both_ways(scorer: Scorer, pool: ThreadPoolExecutor) -> Float32[np.ndarray, "item item"]:
    """Return all scores of a set against itself, each computed once."""
    scores = np.empty((scorer.items, scorer.items), np.float32)

    def fill(first: int) -> None:
        rows = slice(first, min(first + SQUARE, scorer.items))
        for second in range(first, scorer.items, SQUARE):
            columns = slice(second, min(second + SQUARE, scorer.items))
            square = scores[rows, columns]
            scorer.fill(rows, columns, square)
            if second > first:
                scores[columns, rows] = square.T

    deque(pool.map(fill, range(0, scorer.items, SQUARE)), maxlen=0)
    return scores


def rank_rows(
    scorer: Scorer,
    judge: Judge,
    first: int,
    *,
    top: int,
    buffer: Float32[np.ndarray, "query part"],
    filled: bool = False,
) -> Ranking:
    """Rank ``ROWS`` queries from ``first`` on, with as many scores in memory at a time as the buffer holds.

    ``filled``: the buffer holds all scores of these queries already. They are lost.
    """
    last = min(first + ROWS, scorer.queries)
    positives, ignored = judge(first, last)
    if positives.counts.max() >= 1 << POSITION_BITS:
        raise RetrievalError(f"a query has {positives.counts.max()} positives: at most {(1 << POSITION_BITS) - 1}")
    scores = buffer[: last - first]
    width = max(scores.shape[1], 1)
    starts = range(0, scorer.items, width)
    together = len(starts) == 1  # all scores of these queries are in memory at once
    if together and not filled:
        fill(scorer, slice(first, last), 0, scores)

    before, above, level = np.zeros((3, len(positives.values) + last - first), np.int64)
    best = np.full((last - first, min(top, scorer.items)), -1, np.int64)
    best_scores = np.full(best.shape, -np.inf, np.float32)
    step = HOT if together else ROWS
    for begin in range(0, last - first, step):
        rows = slice(begin, min(begin + step, last - first))
        wanted, unwanted = positives.part(rows), ignored.part(rows)

        def part(start: int, rows: slice = rows, unwanted: Ragged = unwanted) -> Float32[np.ndarray, "query part"]:
            found = scores[rows, : min(width, scorer.items - start)]
            if not together:
                fill(scorer, slice(first, last), start, found)
            leave_out(found, start, unwanted.starts, unwanted.values)
            return found

        picked = np.empty(len(wanted.values), np.float32)
        for start in starts if together or len(wanted.values) else ():  # a search has no positives to look up
            kept = part(start)
            pick(kept, start, wanted.starts, wanted.values, picked)
        values, items = np.empty_like(picked), np.empty_like(wanted.values)
        in_order(np.sort(sort_keys(picked, wanted.starts)), wanted.starts, picked, wanted.values, values, items)
        start_top(wanted.starts, items, values, best[rows], best_scores[rows])
        # One more count a query than it has positives.
        gaps = slice(positives.starts[rows.start] + rows.start, positives.starts[rows.stop] + rows.stop)
        counts = (before[gaps], above[gaps], level[gaps])
        for start in starts:
            again = kept if together else part(start)
            count(again, start, wanted.starts, items, values, *counts, best[rows], best_scores[rows])

    ranks = Ragged(to_ranks(positives.starts, before), positives.starts)
    # Without ties, as nearly always, all three are one.
    optimistic, pessimistic = (
        Ragged(to_ranks(positives.starts, before + moved), positives.starts) if moved.any() else ranks
        for moved in (above, level)
    )
    top_items, top_scores = sorted_top(best, best_scores, top)
    candidates = scorer.items - ignored.counts
    top_scores = scorer.told(slice(first, last), top_scores)
    return Ranking(first, ranks, optimistic, pessimistic, candidates, top_items, top_scores)


def fill(scorer: Scorer, rows: slice, start: int, out: Float32[np.ndarray, "query part"]) -> None:
    """Write the scores of some queries against the items from ``start`` on, by products of the fixed shape."""
    stop = start + out.shape[1]
    for column in range(start, stop, COLUMNS):
        end = min(column + COLUMNS, stop)
        scorer.fill(rows, slice(column, end), out[:, column - start : end - start])


def sorted_top(
    items: Int[np.ndarray, "query kept"], scores: Float32[np.ndarray, "query kept"], top: int
) -> tuple[Int[np.ndarray, "query top"], Float32[np.ndarray, "query top"]]:
    """Return the kept items best first, ties by index, and their scores, filled up to ``top`` with -1 and NaN."""
    top_items = np.full((len(items), top), -1, np.int64)
    top_scores = np.full((len(items), top), np.nan, np.float32)
    top_of_keys(np.sort(keys_of_top(items, scores), axis=1), top_items, top_scores)
    return top_items, top_scores
