"""A gallery that is kept as codes, and its scores: dot products of queries in float32 with what the codes stand for.

Codes are decoded a block at a time, so that memory is that of the codes and of a block. What they stand for is not made
a unit row again: no index keeps the norms for it.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int, Shaped

from ..twins import Twins, twins_of


@runtime_checkable
class Codes(Protocol):
    """The codes of a gallery.

    Attributes:
        values: one row per item; items of the same row are decoded alike.
    """

    @property
    def values(self) -> Shaped[np.ndarray, "item _"]:
        """The codes as numbers."""

    def __len__(self) -> int:
        """Return how many items there are."""

    def decoded(self, part: slice | Int[np.ndarray, " item"]) -> Float32[np.ndarray, "item dim"]:
        """Return the rows to multiply queries with that some items' codes stand for."""


@dataclass(frozen=True)
class Coded:
    """Scores of queries against a gallery of codes. Items of equal codes score the same, to the bit.

    Attributes:
        query_rows: one row per query.
        codes: of the gallery.
        twins: the items of equal codes.
        missing: what the scores of each query lack, a constant: it changes no ranking. None: nothing.
    """

    query_rows: Float32[np.ndarray, "query dim"]
    codes: Codes
    twins: Twins
    missing: Float64[np.ndarray, " query"] | None = None

    @classmethod
    def of(
        cls,
        query_rows: Float32[np.ndarray, "query dim"],
        codes: Codes,
        missing: Float64[np.ndarray, " query"] | None = None,
    ) -> "Coded":
        """Return the scores of queries, one a row, against codes."""
        return cls(query_rows, codes, twins_of(codes.values), missing)

    @property
    def queries(self) -> int:
        """How many queries there are."""
        return len(self.query_rows)

    @property
    def items(self) -> int:
        """How many items the gallery has."""
        return len(self.codes)

    @property
    def symmetric(self) -> bool:
        """No: queries are no codes."""
        return False

    def fill(self, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]) -> None:
        """Write the scores of some queries against some items to ``out``."""
        np.matmul(self.query_rows[rows], self.codes.decoded(columns).T, out=out)
        twins, scores = self.twins.scores(self.query_rows[rows], self.codes.decoded, columns)
        out[:, twins] = scores

    def of_items(self, items: Int[np.ndarray, "query k"]) -> Float32[np.ndarray, "query k"]:
        """Return the scores of every query against items of its own, summed in float64; 0 where an item is -1."""
        found = np.zeros(items.shape, np.float32)
        for query, own in enumerate(items):
            there = own >= 0
            decoded = self.codes.decoded(own[there]).astype(np.float64)
            found[query, there] = np.einsum("kd,d->k", decoded, self.query_rows[query].astype(np.float64))
        return self.told(slice(0, self.queries), found)

    def told(self, rows: slice, scores: Float32[np.ndarray, "query top"]) -> Float32[np.ndarray, "query top"]:
        """Return the dot products."""
        if self.missing is None:
            return scores
        told: Float32[np.ndarray, "query top"] = (scores + self.missing[rows, None]).astype(np.float32)
        return told


@dataclass(frozen=True)
class Numbers:
    """Codes that are numbers of another type, one a dimension.

    Attributes:
        values: one row per item.
    """

    values: np.ndarray

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self.values)

    def decoded(self, part: slice | Int[np.ndarray, " item"]) -> Float32[np.ndarray, "item dim"]:
        """Return the numbers in float32, exactly."""
        found: Float32[np.ndarray, "item dim"] = self.values[part].astype(np.float32)
        return found
