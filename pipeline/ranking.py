"""Exact ranks of the positives of every query, and the top of every ranking, in bounded memory. Arrays in, arrays out.

The ranking of a query is by score, descending; equal scores by the index in the gallery, ascending. Scores are
computed in float32 and compared as they are: what is exact is the ranking of these scores.
"""

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

from pipeline.counting import POSITION_BITS, count, in_order, leave_out, pick, sort_keys, start_top, to_ranks
from pipeline.errors import RetrievalError
from pipeline.ragged import Ragged
from pipeline.relevance import Judge
from pipeline.similarity import Scorer

# One matrix product scores so many queries against so many items. Both are fixed: every score comes from a product of
# the same shape, by one thread, whatever the memory and the number of threads.
ROWS = 128
COLUMNS = 4096

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
        top_scores: their scores; NaN past its end.
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
    memory: float = 1.0,
    threads: int | None = None,
) -> Iterator[Made]:
    """Yield what ``make`` makes of the rankings of all queries in their order, some queries at a time.

    Neither ``memory`` nor ``threads`` changes anything in the results.

    Args:
        make: called in the threads that rank, so that what is made of rankings is made at once too.
        scorer: gives the scores of any queries and items.
        judge: gives the positives of a query and what is left out of its ranking.
        top: how many of the first items to return.
        memory: GiB for scores, beside the features. A product of ``ROWS`` x ``COLUMNS`` is the least that is taken.
            Where the rows of a thread do not fit, scores are computed twice instead of kept.
        threads: how many queries are ranked at once; None for one a core.
    """
    workers = min(threads or cpu_count() or 1, max(1, -(-scorer.queries // ROWS)))
    columns = int(memory * 2**30 / (4 * ROWS * workers)) // COLUMNS * COLUMNS
    while columns < min(scorer.items, COLUMNS) and workers > 1:
        workers -= 1
        columns = int(memory * 2**30 / (4 * ROWS * workers)) // COLUMNS * COLUMNS
    columns = min(max(columns, COLUMNS), scorer.items)

    # Taken once: fresh memory has to be given by the system page by page.
    buffers: SimpleQueue[Float32[np.ndarray, "query part"]] = SimpleQueue()
    for _ in range(workers):
        buffers.put(np.empty((min(ROWS, scorer.queries), columns), np.float32))

    def made(first: int) -> Made:
        buffer = buffers.get()
        try:
            return make(rank_rows(scorer, judge, first, top=top, buffer=buffer))
        finally:
            buffers.put(buffer)

    with blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[Made]] = []
        for first in range(0, scorer.queries, ROWS):
            waiting.append(pool.submit(made, first))
            if len(waiting) > workers:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


@lru_cache(maxsize=1)
def blas() -> ThreadpoolController:
    """Return what limits the threads of NumPy's BLAS; to find the library takes milliseconds, so it is kept."""
    return ThreadpoolController()


def rank_rows(
    scorer: Scorer, judge: Judge, first: int, *, top: int, buffer: Float32[np.ndarray, "query part"]
) -> Ranking:
    """Rank ``ROWS`` queries from ``first`` on, with as many scores in memory at a time as the buffer holds."""
    columns = buffer.shape[1]
    last = min(first + ROWS, scorer.queries)
    positives, ignored = judge(first, last)
    if positives.counts.max() >= 1 << POSITION_BITS:
        raise RetrievalError(f"a query has {positives.counts.max()} positives: at most {(1 << POSITION_BITS) - 1}")
    scores = buffer[: last - first]

    def part(start: int) -> Float32[np.ndarray, "query part"]:
        stop = min(start + columns, scorer.items)
        filled = scores[:, : stop - start]
        for column in range(start, stop, COLUMNS):
            end = min(column + COLUMNS, stop)
            scorer.fill(slice(first, last), slice(column, end), filled[:, column - start : end - start])
        leave_out(filled, start, ignored.starts, ignored.values)
        return filled

    starts = range(0, scorer.items, max(columns, 1))
    picked = np.empty(len(positives.values), np.float32)
    for start in starts:
        kept = part(start)
        pick(kept, start, positives.starts, positives.values, picked)
    order = np.sort(sort_keys(picked, positives.starts))
    values, items = np.empty_like(picked), np.empty_like(positives.values)
    in_order(order, positives.starts, picked, positives.values, values, items)

    before, above, level = np.zeros((3, len(picked) + last - first), np.int64)
    best = np.full((last - first, min(top, scorer.items)), -1, np.int64)
    best_scores = np.full(best.shape, -np.inf, np.float32)
    start_top(positives.starts, items, values, best, best_scores)
    for start in starts:
        filled = kept if len(starts) == 1 else part(start)
        count(filled, start, positives.starts, items, values, before, above, level, best, best_scores)
    ranks, optimistic, pessimistic, tied = to_ranks(positives.starts, before, above, level)
    top_items, top_scores = sorted_top(best, best_scores, top)
    plain = Ragged(ranks, positives.starts)
    return Ranking(
        first,
        plain,
        Ragged(optimistic, positives.starts) if tied else plain,
        Ragged(pessimistic, positives.starts) if tied else plain,
        scorer.items - ignored.counts,
        top_items,
        top_scores,
    )


def sorted_top(
    items: Int[np.ndarray, "query kept"], scores: Float32[np.ndarray, "query kept"], top: int
) -> tuple[Int[np.ndarray, "query top"], Float32[np.ndarray, "query top"]]:
    """Return the kept items best first, ties by index, and their scores, filled up to ``top`` with -1 and NaN."""
    order = np.lexsort((items, -scores), axis=1)
    top_items = np.full((len(items), top), -1, np.int64)
    top_scores = np.full((len(items), top), np.nan, np.float32)
    top_items[:, : items.shape[1]] = np.take_along_axis(items, order, axis=1)
    top_scores[:, : items.shape[1]] = np.take_along_axis(scores, order, axis=1)
    top_scores[top_items < 0] = np.nan
    return top_items, top_scores
