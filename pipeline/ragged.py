"""Lists of different lengths as two arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Ragged:
    """One list of integers a query, one after the other in ``values``.

    Attributes:
        values: of all queries.
        starts: where each query's begin, and at the end the number of all of them.
    """

    values: Int[np.ndarray, " value"]
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

    @property
    def counts(self) -> Int[np.ndarray, " query"]:
        """How many values each query has."""
        counts: Int[np.ndarray, " query"] = np.diff(self.starts)
        return counts

    @property
    def owners(self) -> Int[np.ndarray, " value"]:
        """The query of each value."""
        return np.repeat(np.arange(len(self)), self.counts)

    @property
    def places(self) -> Int[np.ndarray, " value"]:
        """The position of each value in its query's list, from 1."""
        places: Int[np.ndarray, " value"] = np.arange(1, len(self.values) + 1) - np.repeat(
            self.starts[:-1], self.counts
        )
        return places

    def where(self, kept: Bool[np.ndarray, " value"]) -> "Ragged":
        """Return the lists with only those values that are kept."""
        before = np.zeros(len(self.values) + 1, np.int64)
        np.cumsum(kept, out=before[1:])
        return Ragged(self.values[kept], before[self.starts])

    def rows(self) -> list[Int[np.ndarray, " _"]]:
        """Return the lists one by one."""
        return np.split(self.values, self.starts[1:-1]) if len(self) else []

    def reduce(
        self, function: Callable[..., Float[np.ndarray, " _"]], numbers: Float[np.ndarray, " value"]
    ) -> Float[np.ndarray, " query"]:
        """Reduce one number a value to one a query, by a NumPy function such as ``np.add``; empty lists give NaN."""
        reduced: Float[np.ndarray, " query"] = np.full(len(self), np.nan)
        filled = self.counts > 0
        if filled.any():
            reduced[filled] = function.reduceat(numbers, self.starts[:-1][filled])  # type: ignore[attr-defined]
        return reduced
