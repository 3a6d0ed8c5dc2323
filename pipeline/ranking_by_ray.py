"""The rankings of :mod:`pipeline.ranking` by tasks on a Ray cluster. Only what is asked to run there imports this.

Features and what is relevant are put into the cluster's object store once; each task ranks a band of queries. A task
whose worker or machine dies is done again on another.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import ray

from pipeline.cluster import WHERE, Node
from pipeline.errors import RetrievalError
from pipeline.ranking import ROWS, Ranking
from pipeline.relevance import Judge
from pipeline.similarity import Scorer

Made = TypeVar("Made")

TASKS = 4  # for each worker: the smaller, the less is done again, and the less the last one is waited for
RETRIES = 10  # of a task whose worker died


def each_ranking(
    rank: Callable[..., Iterator[Made]],
    make: Callable[[Ranking], Made],
    scorer: Scorer,
    judge: Judge,
    *,
    top: int,
    nodes: Sequence[Node],
    gpus: int = 0,
) -> Iterator[Made]:
    """Yield what ``make`` makes of the rankings of all queries in their order, ``ROWS`` at a time.

    Args:
        rank: ranks some queries on one CPU or GPU; called in the tasks, as ``each_ranking`` of
            :mod:`pipeline.ranking` or :mod:`pipeline.ranking_by_torch`, with ``queries``.
        make: called with each, in the tasks.
        scorer: gives the scores of any queries and items.
        judge: gives the positives of a query and what is left out of its ranking.
        top: how many of the first items to return.
        nodes: what the machines of the connected cluster have.
        gpus: that a task needs, 0 or 1.

    Raises:
        RetrievalError: see ``rank``; no machine has a GPU, or a CPU; workers die again and again.
    """
    slots = sum(node.gpus if gpus else node.cpus for node in nodes)
    if not slots:
        raise RetrievalError(f"{WHERE}: no machine of the cluster has a {'GPU' if gpus else 'CPU'}")
    shared = ray.put((rank, make, scorer, judge, top))
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(ranked)
    waiting = [task.remote(shared, band) for band in bands(scorer.queries, slots * TASKS)]
    waiting.reverse()
    try:
        while waiting:
            # Popped, so that a band's results leave the object store when they were used.
            yield from ray.get(waiting.pop())
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RetrievalError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        problem = " ".join(str(error).split())[:300]
        raise RetrievalError(
            f"{WHERE}: workers died again and again ({problem}): if they lack memory, lower 'memory'"
        ) from None
    finally:
        for reference in waiting:
            ray.cancel(reference)


def bands(queries: int, wanted: int) -> list[range]:
    """Return about as many bands of queries as wanted, each from a multiple of ``ROWS`` on."""
    blocks = -(-queries // ROWS)
    step = max(-(-blocks // wanted), 1) * ROWS
    return [range(first, min(first + step, queries)) for first in range(0, queries, step)]


def ranked(shared: tuple[Any, ...], queries: range) -> list[Any]:
    """Rank a band of queries; ``shared`` is what :func:`each_ranking` puts into the object store."""
    rank, make, scorer, judge, top = shared
    return list(rank(make, scorer, judge, top=top, queries=queries))
