"""How alike a query and an item are: cosine, dot product or Euclidean distance of their features."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32

from pipeline.errors import RetrievalError

Kind = Literal["cosine", "dot", "euclidean"]
# Squares and products of features up to this norm stay finite in float32.
LARGEST_NORM = 1e18


@runtime_checkable
class Scorer(Protocol):
    """Scores of queries against items, computed where asked for; the higher the more alike, always finite."""

    @property
    def queries(self) -> int:
        """How many queries there are."""

    @property
    def items(self) -> int:
        """How many items the gallery has."""

    def fill(self, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]) -> None:
        """Write the scores of some queries against some items to ``out``."""


@dataclass(frozen=True)
class Products:
    """Scores that are dot products, minus half the square of each item's norm where that is given.

    Attributes:
        query_rows: a row a query.
        item_rows: a row an item.
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

    def fill(self, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]) -> None:
        """Write the scores of some queries against some items to ``out``."""
        np.matmul(self.query_rows[rows], self.item_rows[columns].T, out=out)
        if self.half_squares is not None:
            out -= self.half_squares[columns]


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
    unit = np.empty(features.shape, np.float32)
    for start in range(0, len(features), 4096):  # a copy of everything in float64 would be twice the features
        exact = features[start : start + 4096].astype(np.float64)
        norms = np.linalg.norm(exact, axis=1, keepdims=True)
        refuse_rows(~(np.isfinite(norms) & (norms > 0))[:, 0], start, "has no direction (zero, NaN or infinite)")
        unit[start : start + 4096] = exact / norms
    return unit


def finite_rows(features: Float[np.ndarray, "item dim"]) -> Float32[np.ndarray, "item dim"]:
    """Return the rows as float32.

    Raises:
        RetrievalError: a row has a NaN or an infinity, or a norm of which float32 has no square.
    """
    rows = features.astype(np.float32)
    for start in range(0, len(rows), 4096):
        norms = np.linalg.norm(rows[start : start + 4096].astype(np.float64), axis=1)
        refuse_rows(~(norms <= LARGEST_NORM), start, f"is not finite or longer than {LARGEST_NORM:g}")
    return rows


def refuse_rows(unusable: np.ndarray, start: int, problem: str) -> None:
    """Raise :class:`RetrievalError` that names the first unusable row, if there is one."""
    if unusable.any():
        first = start + int(np.flatnonzero(unusable)[0])
        raise RetrievalError(f"row {first} of the features {problem}: remove that item or mend the encoder")
