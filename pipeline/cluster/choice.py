"""Who ranks: this process, or a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.cluster.connection import Cluster, connected
from pipeline.retrieval.evaluation import Rank, rank_here
from pipeline.retrieval.wanted import Settings


@contextmanager
def ranking_by(cluster: Cluster | None, settings: Settings) -> Iterator[Rank]:
    """Stay ready to rank, here or on a cluster.

    Raises:
        RetrievalError: there is no such cluster, or no Ray.
    """
    if cluster is None:
        yield rank_here(settings)
        return
    with connected(cluster) as nodes:
        from pipeline.cluster.ranking import rank_on

        yield rank_on(nodes, settings)
