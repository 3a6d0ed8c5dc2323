"""Which queries a gallery shows."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.results.retrievals import Retrieval
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import Count


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
        encoders: of which encoders; None: of all.
    """

    queries: Count
    encoders: Sequence[str] | None

    def __post_init__(self) -> None:
        """Check the setting."""
        if self.encoders is not None and not self.encoders:
            raise RetrievalError("conf/gallery.yaml: 'encoders' names none: use null for all of them")

    def among(self, encoders: Sequence[str]) -> Sequence[str]:
        """Return the chosen ones of the encoders in params.yaml.

        Raises:
            RetrievalError: one is not there.
        """
        for name in self.encoders or ():
            if name not in encoders:
                raise RetrievalError(f"encoders: '{name}' is not in params.yaml: add it there, or name one of them")
        return encoders if self.encoders is None else self.encoders
