"""What is wanted of an evaluation: how rankings are made, and what they are scored by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from .errors import RetrievalError
from .measures import Measure, measure_of, measures_of, with_cutoffs
from .metrics import Rule
from .protocols import Difficulty, Protocol
from .settings import Cutoff, Seed
from .similarity import Kind


@dataclass(frozen=True)
class Settings:
    """How rankings are made and scored; conf/evaluate.yaml says it for the pipeline.

    Attributes:
        similarity: ``cosine``, ``dot`` or ``euclidean``.
        ap: ``rectangle`` or ``trapezoid``; ``protocol`` takes the one of the protocol's authors.
        difficulty: of the landmark protocols, the one whose results stand first.
        queries_without_positives: ``error``, or ``skip`` to leave them out of every mean; the landmark protocols
            leave them out by definition.
        metric: the one that results are told apart by, a name of :mod:`.measures`.
        more_metrics: others, beside those that are always there, such as ``mMP@5``.
        cutoffs: the k of P@k, recall@k, nDCG@k, mAP@k and the like, beside that of the metric.
        top: how many of the first items of each ranking to keep.
        left_out: whether classes and images are left out in groups, for intervals of what others would give; it takes
            about as long as the rankings do. Without, intervals are of other queries only.
        seed: of the deal into groups.
        memory: GiB for scores; changes no result.
        device: what ranks: ``cpu``, or a GPU by torch, such as ``cuda``; scores are rounded otherwise there.
    """

    similarity: Kind = "cosine"
    ap: Literal["protocol", "rectangle", "trapezoid"] = "protocol"
    difficulty: Difficulty = "medium"
    queries_without_positives: Literal["error", "skip"] = "error"
    metric: str = "mAP"
    more_metrics: Sequence[str] = ()
    cutoffs: Sequence[Cutoff] = (1, 5, 10)
    top: Annotated[int, Field(ge=0, le=1_000_000)] = 10
    left_out: bool = True
    seed: Seed = 0
    memory: float = 1.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Raise :class:`RetrievalError` naming a setting that is out of range."""
        refuse_cutoffs(self.cutoffs)
        for name, least in (("top", 0), ("seed", 0), ("memory", 0)):
            if not least <= getattr(self, name) < np.inf:
                raise RetrievalError(f"'{name}' is {getattr(self, name)}: expected at least {least}")
        measures_of([self.metric, *self.more_metrics])

    @property
    def measure(self) -> Measure:
        """The metric that results are told apart by."""
        return measure_of(self.metric)

    @property
    def asked(self) -> list[Measure]:
        """The metrics that are asked for by name, each once."""
        return measures_of([self.metric, *self.more_metrics])

    @property
    def ks(self) -> list[int]:
        """All cutoffs, ascending."""
        return with_cutoffs(self.asked, self.cutoffs)

    @property
    def kept(self) -> int:
        """How many of the first items of each ranking are kept: those of ``top``, and of metrics of all queries."""
        return max([self.top, *(one.k or 0 for one in self.asked if one.column is None)])

    def rule(self, protocol: Protocol) -> Rule:
        """Return the rule by which AP is taken."""
        return protocol.rule if self.ap == "protocol" else self.ap


def refuse_cutoffs(cutoffs: Sequence[int]) -> None:
    """Raise :class:`RetrievalError` unless there are cutoffs, each at least 1 and only once."""
    ks = list(cutoffs)
    if not ks or min(ks) < 1 or len(set(ks)) < len(ks):
        raise RetrievalError(f"'cutoffs' is {ks}: expected one k or more, each at least 1 and only once")
