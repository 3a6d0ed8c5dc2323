"""The rankings of :mod:`pipeline.retrieval.ranking` by tasks on a Ray cluster, imported only where that is asked for.

Features and what is relevant are put into the cluster's object store once; each task ranks a band of queries. A task
whose worker or machine dies is done again on another.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import ray

from pipeline.cluster.connection import WHERE, Node, in_one_line, refusal
from pipeline.frame.versions import versions_of
from pipeline.retrieval import ranking as in_process
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import Rank, rank_here
from pipeline.retrieval.ranking import ROWS, Ranking
from pipeline.retrieval.relevance import Judge
from pipeline.retrieval.similarity import Scorer
from pipeline.retrieval.wanted import Settings

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
            :mod:`pipeline.retrieval.ranking` or :mod:`pipeline.retrieval.ranking_by_torch`, with ``queries``.
        make: called with each, in the tasks.
        scorer: gives the scores of any queries and items.
        judge: gives the positives of a query and what is left out of its ranking.
        top: how many of the first items to return.
        nodes: what the machines of the connected cluster have.
        gpus: that a task needs, 0 or 1.

    Raises:
        RetrievalError: see ``rank``; no machine has a GPU, or a CPU; workers die again and again.
    """
    slots = sum(min(node.cpus, node.gpus) if gpus else node.cpus for node in nodes)
    if not slots:
        raise RetrievalError(f"{WHERE}: no machine of the cluster has a {'GPU and a CPU' if gpus else 'CPU'}")
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(ranked)
    waiting: list[Any] = []
    try:
        with in_one_line("if they lack memory, lower 'memory'"):
            # A reference in a list is not resolved before the task: what it holds is for the right versions only.
            shared = [ray.put((rank, make, scorer, judge, top))]
            waiting += [task.remote(shared, versions(), band) for band in bands(scorer.queries, slots * TASKS)]
            waiting.reverse()
            while waiting:
                # Popped, so that a band's results leave the object store when they were used.
                yield from ray.get(waiting.pop())
    finally:
        for reference in waiting:
            ray.cancel(reference)


def rank_on(nodes: Sequence[Node], settings: Settings) -> Rank:
    """Return what ranks on the machines of the connected cluster, as :func:`rank_here` does in one process.

    Args:
        nodes: what they have.
        settings: the device and the memory; the tasks of a machine share the latter.
    """
    if settings.device == "cpu":
        tasks = max(node.cpus for node in nodes)  # at once, on the machine that has most
        rank: Rank = partial(in_process.each_ranking, memory=settings.memory / max(tasks, 1), threads=1)
    else:
        # A task sees the GPU that it was given, and no other.
        rank = rank_here(replace(settings, device=settings.device.partition(":")[0]))
    return partial(each_ranking, rank, nodes=nodes, gpus=int(settings.device != "cpu"))


def bands(queries: int, wanted: int) -> list[range]:
    """Return about as many bands of queries as wanted, each from a multiple of ``ROWS`` on."""
    blocks = -(-queries // ROWS)
    step = max(-(-blocks // wanted), 1) * ROWS
    return [range(first, min(first + step, queries)) for first in range(0, queries, step)]


def versions() -> dict[str, str]:
    """Return the versions of the libraries that scores, and thereby ranks, can depend on."""
    return versions_of(("numpy", "numba", "torch"))


def ranked(shared: list[Any], expected: dict[str, str], queries: range) -> list[Any]:
    """Rank a band of queries.

    Args:
        shared: the reference of what :func:`each_ranking` puts into the object store.
        expected: the driver's :func:`versions`.
        queries: the numbers of the queries.

    Raises:
        RetrievalError: this machine has other versions.
    """
    refused = refusal(expected, versions())
    if refused:
        raise RetrievalError(refused)
    rank, make, scorer, judge, top = ray.get(shared[0])
    return list(rank(make, scorer, judge, top=top, queries=queries))
