"""How alike a query and an item are: cosine, dot product or Euclidean distance of their features.

Products of float32 rows, summed in float32, are within about D x 6e-8 x |q| |g| of the real ones for D dimensions
(Higham, "Accuracy and Stability of Numerical Algorithms", section 3.1), in practice far nearer. That is little where
features point everywhere, and too much where all of them lie far from the origin, or where two are very near: so the
gallery's centre is taken from all rows where it is long, and :mod:`.distances` has near pairs exact.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from .errors import RetrievalError
from .matrix import blocks, empty_rows
from .twins import Twins, twins_of

Kind = Literal["cosine", "dot", "euclidean"]
# The side of the products from which the scores of a set against itself are put together.
SQUARE = 512
# A centre is taken from rows where its square is so many times the mean square of what they differ from it by.
OFFSET = 4
# Features whose largest value is between 2 to the power of minus this and of this are taken as they are.
USUAL = 40


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

    def told(self, rows: slice, scores: Float32[np.ndarray, "query top"]) -> Float32[np.ndarray, "query top"]:
        """Return what scores of some queries stand for: cosines, dot products, Euclidean distances."""


@dataclass(frozen=True)
class Products:
    """Scores that are dot products.

    Where queries and items are one array, every score comes from one fixed product of two blocks of it, the one that
    stands first being the left one: so two items score the same whichever is the query, and half of the work is enough
    where there is memory for all scores. Items with the same row score the same, to the bit, see :mod:`.twins`.

    Attributes:
        query_rows: one row per query.
        item_rows: one row per item.
        twins: the items with the same row.
        missing: what the scores of each query lack, the product with the centre that was taken from the items: it
            changes no ranking. None: nothing.
        exponent: of the power of two that products were divided by.
    """

    query_rows: Float32[np.ndarray, "query dim"]
    item_rows: Float32[np.ndarray, "item dim"]
    twins: Twins
    missing: Float64[np.ndarray, " query"] | None = None
    exponent: int = 0

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
        return self.query_rows is self.item_rows

    def fill(self, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]) -> None:
        """Write the scores of some queries against some items to ``out``."""
        if self.symmetric:
            for first in range(rows.start // SQUARE * SQUARE, rows.stop, SQUARE):
                for second in range(columns.start // SQUARE * SQUARE, columns.stop, SQUARE):
                    self._fill_square(first, second, rows, columns, out)
            self._fill_twins(columns, rows, out.T)
        else:
            np.matmul(self.query_rows[rows], self.item_rows[columns].T, out=out)
        self._fill_twins(rows, columns, out)

    def told(self, rows: slice, scores: Float32[np.ndarray, "query top"]) -> Float32[np.ndarray, "query top"]:
        """Return the products themselves; those beyond float32 are infinite."""
        if self.missing is None and self.exponent == 0:
            return scores
        missing = 0 if self.missing is None else self.missing[rows, None]
        with np.errstate(over="ignore"):
            return np.ldexp(scores.astype(np.float64) + missing, self.exponent).astype(np.float32)

    def _fill_twins(self, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]) -> None:
        """Write what ``out`` has of twins."""
        if not len(self.twins.places):  # as nearly always
            return
        twins, scores = self.twins.scores(self.query_rows[rows], self.item_rows.__getitem__, columns)
        out[:, twins] = scores

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


def dot_products(queries: Float[np.ndarray, "query dim"], gallery: Float[np.ndarray, "item dim"]) -> Products:
    """Return the scores by which a gallery is ranked by the dot products of features as they are.

    Raises:
        RetrievalError: see :func:`exponent_of`.
    """
    exponents = exponent_of(queries), exponent_of(gallery)
    centre = centre_of(in_unit(sample_of(gallery), exponents[1]))
    items = shifted(gallery, exponents[1], centre)
    if centre is None:
        asked = items if queries is gallery else shifted(queries, exponents[0])
        return Products(asked, items, twins_of(items), exponent=sum(exponents))
    missing = [in_unit(queries[block], exponents[0]) @ centre for block in blocks(len(queries))]
    asked = shifted(queries, exponents[0])
    return Products(asked, items, twins_of(items), np.concatenate(missing), sum(exponents))


def sample_of(features: Float[np.ndarray, "item dim"], most: int = 4096) -> Float[np.ndarray, "sampled dim"]:
    """Return at most so many rows, evenly spaced."""
    return features[:: -(-len(features) // most)]


def centre_of(rows: Float64[np.ndarray, "item dim"]) -> Float64[np.ndarray, " dim"] | None:
    """Return what to take from all rows so that float32 has their differences; None where they lie around the origin.

    It is their mean on a grid no finer than what they differ by: so the differences are exact, what was equal is equal
    afterwards, and whole numbers stay whole.
    """
    mean = rows.mean(axis=0)
    length, spread = float(mean @ mean), float(np.square(rows - mean).sum(axis=1).mean())
    if length <= OFFSET * spread:
        return None
    step = 2.0 ** np.floor(np.log2(max(np.sqrt(spread / len(mean)), np.sqrt(length) * 2**-40)))
    centre: Float64[np.ndarray, " dim"] = np.round(mean / step) * step
    return centre


def exponent_of(features: Float[np.ndarray, "item dim"]) -> int:
    """Return which power of two to divide features by for float32 to have their products; 0 nearly always.

    Raises:
        RetrievalError: a row is not finite, less than float64 has in full, or so much shorter than another that float32
            has no products of both.
    """
    largest = largest_of(features)
    exponents = np.frexp(largest)[1]
    highest = int(exponents[largest.argmax()])
    refuse_rows((largest > 0) & (largest < np.finfo(np.float64).tiny), "is less than float64 has in full")
    short = (largest > 0) & (exponents < highest - 2 * USUAL)
    refuse_rows(short, f"is more than 2 to the power of {2 * USUAL} times shorter than row {largest.argmax()}")
    return 0 if abs(highest) <= USUAL else max(highest - USUAL, -1000)


def shifted(
    features: Float[np.ndarray, "item dim"], exponent: int, centre: Float64[np.ndarray, " dim"] | None = None
) -> Float32[np.ndarray, "item dim"]:
    """Return the rows divided by a power of two, minus a centre, in float32; as they are where that is nothing."""
    if exponent == 0 and centre is None:
        return np.asarray(features, np.float32)
    rows = empty_rows(*features.shape)
    for block in blocks(len(features)):
        rows[block] = in_unit(features[block], exponent) - (0 if centre is None else centre)
    return rows


def unit_rows(features: Float[np.ndarray, "item dim"]) -> Float32[np.ndarray, "item dim"]:
    """Return the rows divided by their Euclidean norms, so that their dot products are cosines.

    Norms and quotients are computed in float64 and rounded once, to float32.

    Raises:
        RetrievalError: a row is zero, or less than the least number that float64 has in full, or not finite.
    """
    unit = empty_rows(*features.shape)
    for block in blocks(len(features)):  # a copy of everything in float64 would be twice the features
        unit[block] = directions(features[block], block.start)[0]
    return unit


def directions(
    features: Float[np.ndarray, "row dim"], start: int = 0
) -> tuple[Float64[np.ndarray, "row dim"], Float64[np.ndarray, " row"]]:
    """Return the unit rows of features, and what features are multiplied by for them.

    Args:
        features: some rows.
        start: the number of the first, for errors.

    Raises:
        RetrievalError: see :func:`unit_rows`.
    """
    exact, exponents = features.astype(np.float64), np.zeros(len(features), np.int64)
    with np.errstate(over="ignore"):
        norms = np.linalg.norm(exact, axis=1)
    if not ((norms > 1e-100) & (norms < 1e100)).all():  # squares may be beyond float64: in powers of two they are not
        largest = largest_of(exact, start)
        refuse_rows(largest < np.finfo(np.float64).tiny, "has no direction: it is zero", start)
        exponents = np.frexp(largest)[1].astype(np.int64)
        exact = np.ldexp(exact, -exponents[:, None])
        norms = np.linalg.norm(exact, axis=1)
    return exact / norms[:, None], np.ldexp(1 / norms, -exponents)


def largest_of(features: Float[np.ndarray, "item dim"], start: int = 0) -> Float[np.ndarray, " item"]:
    """Return the largest magnitude in each row; ``start`` is the number of the first, for errors.

    Raises:
        RetrievalError: it is not finite.
    """
    found = np.concatenate([np.abs(features[block]).max(axis=1, initial=0) for block in blocks(len(features))])
    refuse_rows(~np.isfinite(found), "has a NaN or an infinity", start)
    return found


def in_unit(features: Float[np.ndarray, "item dim"], exponent: int) -> Float64[np.ndarray, "item dim"]:
    """Return the rows in float64, divided by a power of two."""
    exact: Float64[np.ndarray, "item dim"] = features.astype(np.float64)
    return np.ldexp(exact, -exponent) if exponent else exact


def refuse_rows(unusable: Bool[np.ndarray, " row"], problem: str, start: int = 0) -> None:
    """Raise :class:`RetrievalError` that names the first unusable row, if there is one."""
    if unusable.any():
        first = start + int(np.flatnonzero(unusable)[0])
        raise RetrievalError(f"row {first} of the features {problem}: remove that item or mend the encoder")
