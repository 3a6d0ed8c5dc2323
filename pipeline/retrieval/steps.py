"""What every step of conf/ranking/*.yaml takes and gives, and what it says of itself."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Float32, Int

from .errors import RetrievalError
from .neighbours import Neighbours, nearest
from .similarity import Scorer

# What a step learns on: the set that learn_on names, or the gallery that it is applied to.
LearnOn = Literal["another", "gallery"]
# What is shorter, of unit rows, is rounding: float32 has such a row to 6e-8, and what is learnt on them is as near.
LEAST = 1e-6
QUERIES, GALLERY, OTHER = "queries", "gallery", "set to learn on"  # what errors call the sets


@dataclass(frozen=True)
class Sets:
    """The features of queries and gallery.

    Attributes:
        queries: unit rows.
        gallery: unit rows.
        itself: the place of each query in the gallery; -1 where it is not in it.
        memory: GiB for scores in a search.
        other: unit rows of another set, which steps learn on.
    """

    queries: Float32[np.ndarray, "query dim"]
    gallery: Float32[np.ndarray, "item dim"]
    itself: Int[np.ndarray, " query"]
    memory: float = 1.0
    other: Float32[np.ndarray, "stranger dim"] | None = None

    def to_learn_on(self, which: LearnOn, what: str) -> Float32[np.ndarray, "row dim"]:
        """Return the rows that a step, called ``what`` in errors, learns on.

        Raises:
            RetrievalError: it is another set, and none is given.
        """
        if which == "gallery":
            return self.gallery
        if self.other is None:
            raise RetrievalError(f"{what} learns on another set than it is evaluated on: give learn_on")
        return self.other

    def search(self, k: int) -> Neighbours:
        """Return the ``k`` nearest items of each query, without itself."""
        return nearest(self.queries, self.gallery, self.itself, k=k, memory=self.memory)

    @cached_property
    def everyone(self) -> Float32[np.ndarray, "member dim"]:
        """The gallery, then the queries that are not in it."""
        return np.concatenate([self.gallery, self.queries[self.itself < 0]])

    @cached_property
    def query_members(self) -> Int[np.ndarray, " query"]:
        """The row of each query in :attr:`everyone`."""
        apart = self.itself < 0
        members = self.itself.copy()
        members[apart] = len(self.gallery) + np.arange(int(apart.sum()))
        return members


@dataclass(frozen=True)
class Stored:
    """What an index keeps of one item of the gallery.

    Attributes:
        dim: numbers.
        bits: of each.
    """

    dim: int
    bits: int = 32

    @property
    def bytes(self) -> int:
        """Their size, in whole bytes."""
        return math.ceil(self.dim * self.bits / 8)


class Step(ABC):
    """One step of conf/ranking/<name>.yaml; without more ado it learns nothing and leaves an item's size as it is.

    Attributes:
        makes_scores: whether it makes scores instead of features, and so must be the last one.
    """

    makes_scores: ClassVar[bool] = False

    @property
    def learns(self) -> bool:
        """Whether it needs the features of another set."""
        return False

    def stored(self, before: Stored) -> Stored:
        """Return what is kept of an item after the step."""
        return before

    @abstractmethod
    def apply(self, sets: Sets) -> Sets | Scorer:
        """Return the new features, or the scores."""


def refuse_lost(left: Float[np.ndarray, " row"], step: str, *, rows_of: str, remedy: str) -> None:
    """Refuse rows of which a step leaves nothing but rounding, which has no direction.

    Args:
        left: the lengths of what is left of unit rows, before they are unit rows again.
        step: its name.
        rows_of: which set they are.
        remedy: how the error ends.

    Raises:
        RetrievalError: one is less than ``LEAST``.
    """
    lost = np.flatnonzero(left < LEAST)
    if len(lost):
        raise RetrievalError(
            f"{step} leaves nothing but rounding of row {lost[0]} of the {rows_of}, as of {len(lost)} in all: {remedy}"
        )


class Learner(Step):
    """A step that learns on another set or, where its YAML says so, on the gallery.

    Attributes:
        learn_on: which of them.
    """

    learn_on: LearnOn

    @property
    def learns(self) -> bool:
        """Whether it needs the features of another set."""
        return self.learn_on == "another"
