"""Lists of different lengths as two arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from .counting import counts_up_to, highest_from_here


@dataclass(frozen=True)
class Ragged:
    """One list of integers a query, one after the other in ``values``.

    Attributes:
        values: of all queries. Ranks can be floats: infinite is that of a positive which is not in its ranking.
        starts: where each query's begin, and at the end the number of all of them.
    """

    values: Int[np.ndarray, " value"] | Float[np.ndarray, " value"]
    starts: Int[np.ndarray, " start"]

    @classmethod
    def of(cls, rows: Sequence[Int[np.ndarray, " _"]]) -> "Ragged":
        """Return the rows, which may be empty, one after the other."""
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(row) for row in rows], out=starts[1:])
        values = np.concatenate(rows).astype(np.int64, copy=False) if len(rows) else np.empty(0, np.int64)
        return cls(values, starts)

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.starts) - 1

    @cached_property
    def counts(self) -> Int[np.ndarray, " query"]:
        """How many values each query has."""
        counts: Int[np.ndarray, " query"] = np.diff(self.starts)
        return counts

    @cached_property
    def owners(self) -> Int[np.ndarray, " value"]:
        """The query of each value."""
        return np.repeat(np.arange(len(self)), self.counts)

    @cached_property
    def places(self) -> Int[np.ndarray, " value"]:
        """The position of each value in its query's list, from 1."""
        places: Int[np.ndarray, " value"] = np.arange(1, len(self.values) + 1) - np.repeat(
            self.starts[:-1], self.counts
        )
        return places

    @cached_property
    def fractions(self) -> Float[np.ndarray, " value"]:
        """Of each value its position over itself: where the values are ranks, the precision at each."""
        fractions: Float[np.ndarray, " value"] = self.places / self.values
        return fractions

    @cached_property
    def best_fractions(self) -> Float[np.ndarray, " value"]:
        """The highest fraction of each value and those after it in its list."""
        highest: Float[np.ndarray, " value"] = highest_from_here(self.fractions, self.starts)
        return highest

    def part(self, rows: slice) -> "Ragged":
        """Return some consecutive lists."""
        starts = self.starts[rows.start : rows.stop + 1]
        return Ragged(self.values[starts[0] : starts[-1]], starts - starts[0])

    def up_to(self, limits: Int[np.ndarray, " query"]) -> "Ragged":
        """Return the lists, which must be ascending, with only their values up to a limit a list."""
        starts = np.zeros(len(self) + 1, np.int64)
        np.cumsum(counts_up_to(self.values, self.starts, limits), out=starts[1:])
        kept = np.arange(starts[-1]) + np.repeat(self.starts[:-1] - starts[:-1], np.diff(starts))
        return Ragged(self.values[kept], starts)

    def where(self, kept: Bool[np.ndarray, " value"]) -> "Ragged":
        """Return the lists with only those values that are kept."""
        before = np.zeros(len(self.values) + 1, np.int64)
        np.cumsum(kept, out=before[1:])
        return Ragged(self.values[kept], before[self.starts])

    def rows(self) -> list[Int[np.ndarray, " _"]]:
        """Return the lists one by one."""
        return np.split(self.values, self.starts[1:-1]) if len(self) else []

    def sums(self, numbers: Float[np.ndarray, " value"]) -> Float[np.ndarray, " query"]:
        """Return the sum of one number a value, list by list; 0 of an empty one."""
        sums: Float[np.ndarray, " query"] = np.zeros(len(self))
        filled = self.counts > 0
        if filled.any():
            sums[filled] = np.add.reduceat(numbers, self.starts[:-1][filled])
        return sums
