"""Which queries a gallery shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.results.retrievals import Retrieval
from pipeline.retrieval.errors import RetrievalError


def best(retrievals: Sequence[Retrieval], count: int) -> list[Retrieval]:
    """Return the queries with the highest AP, the highest first."""
    return sorted(retrievals, key=lambda one: (-one.ap, one.query))[:count]


def worst(retrievals: Sequence[Retrieval], count: int) -> list[Retrieval]:
    """Return the queries with the lowest AP, the lowest first."""
    return sorted(retrievals, key=lambda one: (one.ap, one.query))[:count]


@dataclass(frozen=True)
class Choice:
    """What is shown; conf/gallery.yaml.

    Attributes:
        queries: how many of the best, and of the worst.
    """

    queries: int

    def __post_init__(self) -> None:
        """Check the setting."""
        if self.queries < 1:
            raise RetrievalError(f"conf/gallery.yaml: 'queries' is {self.queries}: expected 1 or more")
