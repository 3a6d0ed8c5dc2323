"""How alike a query and an item are: cosine, dot product or Euclidean distance of their features."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.matrix import blocks, empty_rows

Kind = Literal["cosine", "dot", "euclidean"]
# Squares and products of features up to this norm stay finite in float32.
LARGEST_NORM = 1e18
# The side of the products from which the scores of a set against itself are put together.
SQUARE = 512


@runtime_checkable
class Scorer(Protocol):
    """Scores of queries against items, computed where asked for; the higher the more alike, always finite."""

    @property
    def queries(self) -> int:
        """How many queries there are."""

    @property
    def items(self) -> int:
        """How many items the gallery has."""

    @property
    def symmetric(self) -> bool:
        """Whether queries and items are the same, and two score the same, to the bit, whichever is the query."""

    def fill(self, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]) -> None:
        """Write the scores of some queries against some items to ``out``."""


@dataclass(frozen=True)
class Products:
    """Scores that are dot products, minus half the square of each item's norm where that is given.

    Where queries and items are one array, every score comes from one fixed product of two blocks of it, the one that
    stands first being the left one: so two items score the same whichever is the query, and half of the work is enough
    where there is memory for all scores.

    Attributes:
        query_rows: one row per query.
        item_rows: one row per item.
        half_squares: of the items' norms, for Euclidean distances; the query's own changes no ranking.
    """

    query_rows: Float32[np.ndarray, "query dim"]
    item_rows: Float32[np.ndarray, "item dim"]
    half_squares: Float32[np.ndarray, " item"] | None = None

    @property
    def queries(self) -> int:
        """How many queries there are."""
        return len(self.query_rows)

    @property
    def items(self) -> int:
        """How many items the gallery has."""
        return len(self.item_rows)

    @property
    def symmetric(self) -> bool:
        """Whether queries and items are the same, and two score the same, to the bit, whichever is the query."""
        return self.query_rows is self.item_rows and self.half_squares is None

    def fill(self, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]) -> None:
        """Write the scores of some queries against some items to ``out``."""
        if self.symmetric:
            for first in range(rows.start // SQUARE * SQUARE, rows.stop, SQUARE):
                for second in range(columns.start // SQUARE * SQUARE, columns.stop, SQUARE):
                    self._fill_square(first, second, rows, columns, out)
            return
        np.matmul(self.query_rows[rows], self.item_rows[columns].T, out=out)
        if self.half_squares is not None:
            out -= self.half_squares[columns]

    def _fill_square(
        self, first: int, second: int, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]
    ) -> None:
        """Write what ``out`` takes of the square of scores that begins at row ``first`` and column ``second``."""
        left, right = (self.item_rows[start : start + SQUARE] for start in sorted((first, second)))
        down = slice(max(first, rows.start), min(first + SQUARE, rows.stop))
        across = slice(max(second, columns.start), min(second + SQUARE, columns.stop))
        target = out[down.start - rows.start : down.stop - rows.start]
        target = target[:, across.start - columns.start : across.stop - columns.start]
        if first <= second and target.shape == (len(left), len(right)):
            np.matmul(left, right.T, out=target)
            return
        square = left @ right.T
        square = square if first <= second else square.T
        target[:] = square[down.start - first : down.stop - first, across.start - second : across.stop - second]


def products(kind: Kind, queries: Float[np.ndarray, "query dim"], gallery: Float[np.ndarray, "item dim"]) -> Products:
    """Return the scores by which a gallery is ranked.

    Cosine: the dot products of :func:`unit_rows`. Dot: those of the features as they are. Euclidean: the ranking
    is by the distance, ascending; the score is q.g - |g|^2 / 2. All are float32 products summed in float32, so
    that scores of D dimensions are within about D x 6e-8 x |q| |g| of the real ones (Higham, "Accuracy and
    Stability of Numerical Algorithms", section 3.1), in practice far nearer; nearer ones may change places.

    Raises:
        RetrievalError: a feature is not finite or its norm beyond 1e18; with cosine, it is zero.
    """
    same = queries is gallery
    prepare = unit_rows if kind == "cosine" else finite_rows
    items = prepare(gallery)
    asked = items if same else prepare(queries)
    if kind != "euclidean":
        return Products(asked, items)
    squares = np.einsum("id,id->i", items, items, dtype=np.float64)
    return Products(asked, items, (squares / 2).astype(np.float32))


def unit_rows(features: Float[np.ndarray, "item dim"]) -> Float32[np.ndarray, "item dim"]:
    """Return the rows divided by their Euclidean norms, so that their dot products are cosines.

    Norms and quotients are computed in float64 and rounded once, to float32.

    Raises:
        RetrievalError: a row is zero or has a NaN or an infinity.
    """
    unit = empty_rows(*features.shape)
    for block in blocks(len(features)):  # a copy of everything in float64 would be twice the features
        exact = features[block].astype(np.float64)
        norms = np.linalg.norm(exact, axis=1, keepdims=True)
        refuse_rows(~(np.isfinite(norms) & (norms > 0))[:, 0], block.start, "has no direction (zero, NaN or infinite)")
        unit[block] = exact / norms
    return unit


def finite_rows(features: Float[np.ndarray, "item dim"]) -> Float32[np.ndarray, "item dim"]:
    """Return the rows as float32.

    Raises:
        RetrievalError: a row has a NaN or an infinity, or a norm of which float32 has no square.
    """
    rows = np.asarray(features, np.float32)
    for block in blocks(len(rows)):
        norms = np.linalg.norm(rows[block].astype(np.float64), axis=1)
        refuse_rows(~(norms <= LARGEST_NORM), block.start, f"is not finite or longer than {LARGEST_NORM:g}")
    return rows


def refuse_rows(unusable: np.ndarray, start: int, problem: str) -> None:
    """Raise :class:`RetrievalError` that names the first unusable row, if there is one."""
    if unusable.any():
        first = start + int(np.flatnonzero(unusable)[0])
        raise RetrievalError(f"row {first} of the features {problem}: remove that item or mend the encoder")
