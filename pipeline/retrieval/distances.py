"""Euclidean distances, and cosines of features that are nearly alike, with errors that shrink with the distance.

The square of a distance, |q|^2 + |g|^2 - 2 q.g, is a difference of large numbers where two features are near each
other. Where less than ``NEAR`` of these numbers is left, it is computed anew from the features as they came, coordinate
by coordinate, in float64. So every squared distance of D dimensions is within (D + 4) x 6e-8 / NEAR of the real one,
relative to it, in practice far nearer; that of near pairs, and of all with up to ``FEW`` dimensions, within 6e-8.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int

from .compiled import compiled
from .errors import RetrievalError
from .matrix import blocks, empty_rows
from .similarity import (
    Kind,
    Products,
    centre_of,
    directions,
    dot_products,
    exponent_of,
    in_unit,
    sample_of,
    shifted,
    unit_rows,
)
from .twins import twins_of

NEAR = 1 / 64
FEW = 16
# Columns that are looked at together.
GROUP = 64
# Cosines are taken from distances where half of the pairs in a sample of the gallery differ from 1 by less than the
# first of these, or two of its rows, not equal, by less than the second, which is 4,096 roundings of float32.
ALIKE, VERY_ALIKE = 1 / 16, 2**-12
SAMPLE = 256


@dataclass(frozen=True)
class Distances:
    """Scores that are minus half the squared Euclidean distance, of features or of their unit rows.

    Attributes:
        products: of the rows, in float32, moved to where they lie around the origin.
        query_halves: half the squared norm of each row of the queries there.
        item_halves: half the squared norm of each row of the items there.
        query_features: of the queries, as they came.
        item_features: of the items, as they came.
        query_scales: what to multiply each feature of the queries by.
        item_scales: what to multiply each feature of the items by.
        cosines: whether the scores stand for cosines.
    """

    products: Products
    query_halves: Float32[np.ndarray, " query"]
    item_halves: Float32[np.ndarray, " item"]
    query_features: Float[np.ndarray, "query dim"]
    item_features: Float[np.ndarray, "item dim"]
    query_scales: Float64[np.ndarray, " query"]
    item_scales: Float64[np.ndarray, " item"]
    cosines: bool

    @property
    def queries(self) -> int:
        """How many queries there are."""
        return self.products.queries

    @property
    def items(self) -> int:
        """How many items the gallery has."""
        return self.products.items

    @property
    def symmetric(self) -> bool:
        """Whether queries and items are the same, and two score the same, to the bit, whichever is the query."""
        return self.products.symmetric

    @property
    def near(self) -> float:
        """What is computed anew: scores that are at least this times the sum of both halves."""
        return -1e30 if self.item_features.shape[1] <= FEW else -NEAR

    def fill(self, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]) -> None:
        """Write the scores of some queries against some items to ``out``."""
        self.products.fill(rows, columns, out)
        to_distances(
            out,
            np.float32(self.near),
            self.query_halves[rows],
            self.item_halves[columns],
            self.query_features[rows],
            self.item_features[columns],
            self.query_scales[rows],
            self.item_scales[columns],
        )

    def exact(self, queries: Int[np.ndarray, " pair"], items: Int[np.ndarray, " pair"]) -> Float32[np.ndarray, " pair"]:
        """Return the scores of pairs, from their features as they came."""
        found = np.empty(len(queries), np.float32)
        of_pairs(found, queries, items, self.query_features, self.item_features, self.query_scales, self.item_scales)
        return found

    def told(self, rows: slice, scores: Float32[np.ndarray, "query top"]) -> Float32[np.ndarray, "query top"]:
        """Return the cosines or the Euclidean distances; those beyond float32 are infinite."""
        if self.cosines:
            return scores + np.float32(1)
        with np.errstate(over="ignore"):
            return np.ldexp(np.sqrt(np.abs(2 * scores.astype(np.float64))), self.products.exponent).astype(np.float32)


def falling(kind: Kind) -> int:
    """Return what makes that which scores stand for fall along a ranking: -1 of distances, 1 of all else."""
    return -1 if kind == "euclidean" else 1


def similarity_of(
    kind: Kind, queries: Float[np.ndarray, "query dim"], gallery: Float[np.ndarray, "item dim"]
) -> Products | Distances:
    """Return the scores by which a gallery is ranked.

    Cosine: the dot products of unit rows or, where the gallery is :func:`crowded`, what orders alike, minus half the
    squared distances of unit rows. Dot: the products of the features as they are. Euclidean: minus half the squared
    distances. How near products are to the real ones says :mod:`.similarity`, of distances this
    module; what is nearer to each other than that may change places.

    Raises:
        RetrievalError: a feature is not finite; with cosine, it is zero; with the others, it is more than 1e24 times
            shorter than another.
    """
    if queries.shape[1] != gallery.shape[1]:
        sizes = f"{queries.shape[1]} and {gallery.shape[1]}"
        raise RetrievalError(f"queries and gallery have features of {sizes} dimensions: extract them by one encoder")
    same = queries is gallery
    gallery = of_one_kind(gallery)
    queries = gallery if same else of_one_kind(queries)
    if kind == "dot":
        return dot_products(queries, gallery)
    if kind == "euclidean":
        return euclidean(queries, gallery)
    items = unit_rows(gallery)
    if crowded(gallery):
        return distances_of_directions(queries, gallery)
    return Products(items if same else unit_rows(queries), items, twins_of(items))


def cosines_of(
    queries: Float32[np.ndarray, "query dim"], gallery: Float32[np.ndarray, "item dim"]
) -> Products | Distances:
    """Return the cosines of unit rows, as :func:`similarity_of` does."""
    if crowded(gallery):
        return distances_of_directions(queries, gallery)
    return Products(queries, gallery, twins_of(gallery))


def of_one_kind(features: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row dim"]:
    """Return features as float32 or float64 in this machine's order of bytes, for compiled code; most as they are."""
    return np.asarray(features, np.float32 if features.dtype.itemsize <= 4 else np.float64)


def crowded(gallery: Float[np.ndarray, "item dim"]) -> bool:
    """Return whether products of float32 are too coarse for the cosines of a gallery, judged by a sample.

    So it is if half of them are within ``ALIKE`` of 1, or any of two rows that are not equal within ``VERY_ALIKE``.
    """
    unit = directions(np.unique(sample_of(gallery, SAMPLE), axis=0))[0]
    apart = 1 - (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return len(apart) > 0 and bool(np.median(apart) < ALIKE or apart.min() < VERY_ALIKE)


def euclidean(queries: Float[np.ndarray, "query dim"], gallery: Float[np.ndarray, "item dim"]) -> Distances:
    """Return minus half the squared distances of features."""
    exponent = max(exponent_of(gallery), exponent_of(queries))
    centre = centre_of(in_unit(sample_of(gallery), exponent))
    items = shifted(gallery, exponent, centre)
    asked = items if queries is gallery else shifted(queries, exponent, centre)
    scale = np.ldexp(1.0, -exponent)
    return Distances(
        Products(asked, items, twins_of(items), exponent=exponent),
        halves_of(asked),
        halves_of(items),
        queries,
        gallery,
        np.full(len(queries), scale),
        np.full(len(gallery), scale),
        cosines=False,
    )


def distances_of_directions(
    queries: Float[np.ndarray, "query dim"], gallery: Float[np.ndarray, "item dim"]
) -> Distances:
    """Return minus half the squared distances of unit rows, which order as their cosines do."""
    centre = centre_of(directions(sample_of(gallery))[0])

    def moved(features: Float[np.ndarray, "row dim"]) -> tuple[np.ndarray, np.ndarray]:
        rows, scales = empty_rows(*features.shape), np.empty(len(features))
        for block in blocks(len(rows)):
            unit, scales[block] = directions(features[block], block.start)
            rows[block] = unit - (0 if centre is None else centre)
        return rows, scales

    items, item_scales = moved(gallery)
    asked, query_scales = (items, item_scales) if queries is gallery else moved(queries)
    return Distances(
        Products(asked, items, twins_of(items)),
        halves_of(asked),
        halves_of(items),
        queries,
        gallery,
        query_scales,
        item_scales,
        cosines=True,
    )


def closeness(
    queries: Float32[np.ndarray, "query dim"],
    gallery: Float32[np.ndarray, "item dim"],
    items: Int[np.ndarray, "query k"],
) -> Float32[np.ndarray, "query k"]:
    """Return minus half the squared distance of every query to items of its own: of unit rows their cosine less 1.

    It is 0 where an item is -1.
    """
    found = np.zeros(items.shape, np.float32)
    query_scales, item_scales = np.ones(len(queries)), np.ones(len(gallery))
    for query, own in enumerate(items):
        there = own >= 0
        scores = np.empty(int(there.sum()), np.float32)
        of_pairs(scores, np.full(len(scores), query), own[there], queries, gallery, query_scales, item_scales)
        found[query, there] = scores
    return found


def halves_of(rows: Float32[np.ndarray, "row dim"]) -> Float32[np.ndarray, " row"]:
    """Return half the squared norms of rows."""
    halves: Float32[np.ndarray, " row"] = (np.einsum("id,id->i", rows, rows, dtype=np.float64) / 2).astype(np.float32)
    return halves


@compiled
def half_square(query: np.ndarray, item: np.ndarray, query_scale: float, item_scale: float) -> np.float32:
    """Return half the squared distance of two features times their scales."""
    # Four sums, so that one need not wait for another.
    first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
    whole = len(query) // 4 * 4
    for place in range(0, whole, 4):
        one = query[place] * query_scale - item[place] * item_scale
        two = query[place + 1] * query_scale - item[place + 1] * item_scale
        three = query[place + 2] * query_scale - item[place + 2] * item_scale
        four = query[place + 3] * query_scale - item[place + 3] * item_scale
        first, second = first + one * one, second + two * two
        third, fourth = third + three * three, fourth + four * four
    for place in range(whole, len(query)):
        one = query[place] * query_scale - item[place] * item_scale
        first += one * one
    return np.float32((first + second + third + fourth) / 2)


@compiled
def to_distances(
    scores: np.ndarray,
    near: np.float32,
    query_halves: np.ndarray,
    item_halves: np.ndarray,
    query_features: np.ndarray,
    item_features: np.ndarray,
    query_scales: np.ndarray,
    item_scales: np.ndarray,
) -> None:
    """Make of products minus half the squared distances, in place; see :class:`Distances`."""
    for query in range(len(scores)):
        half = query_halves[query]
        for begin in range(0, scores.shape[1], GROUP):
            row, halves = scores[query, begin : begin + GROUP], item_halves[begin : begin + GROUP]
            some = np.int32(0)
            for column in range(len(row)):
                both = half + halves[column]
                row[column] -= both
                some |= np.int32(row[column] >= near * both)
            for column in range(len(row) if some else 0):
                if row[column] >= near * (half + halves[column]):
                    item = begin + column
                    row[column] = -half_square(
                        query_features[query], item_features[item], query_scales[query], item_scales[item]
                    )


@compiled
def of_pairs(
    scores: np.ndarray,
    queries: np.ndarray,
    items: np.ndarray,
    query_features: np.ndarray,
    item_features: np.ndarray,
    query_scales: np.ndarray,
    item_scales: np.ndarray,
) -> None:
    """Write the scores of pairs of queries and items to ``scores``."""
    for pair in range(len(scores)):
        query, item = queries[pair], items[pair]
        scores[pair] = -half_square(query_features[query], item_features[item], query_scales[query], item_scales[item])
