"""Searches among features: the nearest of each, and which are nearest to each other."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int

from .compiled import compiled
from .distances import Distances, cosines_of
from .ranking import rank
from .relevance import Unjudged
from .similarity import Products


@dataclass(frozen=True)
class Neighbours:
    """The first items of rankings.

    Attributes:
        items: one row per query, best first, ties by index; -1 past the end of a ranking.
        scores: their cosines; 0 past the end.
    """

    items: Int[np.ndarray, "query k"]
    scores: Float32[np.ndarray, "query k"]


def nearest(
    queries: Float32[np.ndarray, "query dim"],
    gallery: Float32[np.ndarray, "item dim"],
    itself: Int[np.ndarray, " query"],
    *,
    k: int,
    memory: float = 1.0,
) -> Neighbours:
    """Return the ``k`` items with the highest dot products with each query, but not itself.

    Args:
        queries: one row per query.
        gallery: one row per item.
        itself: the place of each query in the gallery; -1 where it is not in it.
        k: how many.
        memory: GiB for scores; changes no result.
    """
    k = min(k, len(gallery))
    found = list(rank(cosines_of(queries, gallery), Unjudged(itself), top=k, memory=memory))
    scores = np.concatenate([part.top_scores for part in found])
    return Neighbours(np.concatenate([part.top_items for part in found]), np.nan_to_num(scores, nan=0.0))


@dataclass(frozen=True)
class Encoded:
    """The k-reciprocal encoding of items (Z. Zhong et al., CVPR 2017, equations 7 and 11).

    Attributes:
        features: the unit rows that were encoded.
        weights: one sparse row per item, float32; the weights of its neighbours sum to 1.
        largest: of the squared Euclidean distances of each item to the others.
    """

    features: Float32[np.ndarray, "member dim"]
    weights: Any  # a scipy.sparse.csr_array; only this step needs that import
    largest: Float[np.ndarray, " member"]


def reciprocal_neighbours(
    features: Float32[np.ndarray, "member dim"], *, k1: int, k2: int, memory: float = 1.0
) -> Encoded:
    """Encode each item by its k-reciprocal neighbours.

    Args:
        features: unit rows of queries and gallery together.
        k1: the size of the neighbourhoods that must hold each other, beside the item itself; half of it in the
            expansion by the neighbours of neighbours.
        k2: how many encodings, the item's own and those of its first neighbours, are averaged; 1: none.
        memory: GiB for scores; changes no result.
    """
    from scipy import sparse

    own = np.arange(len(features))
    found = nearest(features, features, own, k=max(k1, k2 - 1, 1), memory=memory)
    ranked = np.column_stack([own, found.items])  # each item is its own first neighbour, whatever ties with it
    # The farthest are the nearest of the opposite.
    far = nearest(-features, features, np.full(len(features), -1), k=1, memory=memory)
    largest = np.maximum(2 + 2 * far.scores[:, 0].astype(np.float64), np.finfo(np.float32).tiny)

    counts, members = mutual(ranked, k1, int(np.around(k1 / 2)))
    owners = np.repeat(own, counts)
    cosines = np.empty(len(members))
    for start in range(0, len(members), 65536):
        part = slice(start, start + 65536)
        cosines[part] = np.einsum("pd,pd->p", features[owners[part]], features[members[part]], dtype=np.float64)
    weights = np.exp(-np.maximum(2 - 2 * cosines, 0) / largest[owners])
    weights /= np.bincount(owners, weights, minlength=len(own))[owners]
    shape = (len(features), len(features))
    encoding = sparse.csr_array((weights, (owners, members)), shape)
    if k2 > 1:
        friends = ranked[:, :k2]
        kept = friends >= 0
        share = np.repeat(1 / kept.sum(axis=1), kept.sum(axis=1))
        average = sparse.csr_array((share, (np.repeat(own, kept.sum(axis=1)), friends[kept])), shape)
        encoding = (average @ encoding).tocsr()
    return Encoded(features, encoding.astype(np.float32), largest)


@compiled
def mutual(ranked: np.ndarray, k: int, half: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of k-reciprocal neighbours of each item, expanded, and these, ascending.

    ``ranked`` has the neighbours of each item, itself first; -1 past the end. The expansion adds the half-size set of
    a neighbour if more than two thirds of it are in the item's own set.
    """
    counts = np.zeros(len(ranked), np.int64)
    found = [np.int64(0) for _ in range(0)]
    for item in range(len(ranked)):
        near = reciprocal(ranked, item, k)
        together = set(near)
        for neighbour in near:
            candidates = reciprocal(ranked, neighbour, half)
            shared = 0
            for candidate in candidates:
                for kept in near:
                    shared += kept == candidate
            if 3 * shared > 2 * len(candidates):
                together.update(candidates)
        counts[item] = len(together)
        found.extend(sorted(together))  # type: ignore[arg-type]
    return counts, np.array(found)


@compiled
def reciprocal(ranked: np.ndarray, item: int, k: int) -> list[int]:
    """Return the first k neighbours of an item, and itself, of whose first k it is one."""
    found = [np.int64(0) for _ in range(0)]
    for other in ranked[item, : k + 1]:
        if other < 0:
            break
        for back in ranked[other, : k + 1]:
            if back == item:
                found.append(other)
                break
    return found  # type: ignore[return-value]


@dataclass(frozen=True)
class Reciprocal:
    """Scores that are minus ``(1 - weight) J + weight d``: the Jaccard distance of two encodings, and the original.

    Attributes:
        base: the cosines of queries and gallery.
        query_starts: where each query's encoding starts in the next two, and the end.
        query_members: the neighbours in it.
        query_weights: their weights.
        member_starts: where the items that have a member as a neighbour start in the next two, and the end.
        member_items: items of the gallery, ascending for each member.
        member_weights: the weights that they give it.
        largest: of each query's squared distances.
        weight: of the original distance.
    """

    base: Products | Distances
    query_starts: Int[np.ndarray, " _"]
    query_members: Int[np.ndarray, " _"]
    query_weights: Float32[np.ndarray, " _"]
    member_starts: Int[np.ndarray, " _"]
    member_items: Int[np.ndarray, " _"]
    member_weights: Float32[np.ndarray, " _"]
    largest: Float[np.ndarray, " query"]
    weight: int | float

    @classmethod
    def of(
        cls, encoded: Encoded, queries: Int[np.ndarray, " query"], gallery: int, weight: int | float
    ) -> "Reciprocal":
        """Return the scores of some of the encoded items against the first ``gallery`` of them."""
        asked = encoded.weights[queries].tocsr()
        columns = encoded.weights[:gallery].tocsc()
        columns.sort_indices()
        return cls(
            cosines_of(encoded.features[queries], encoded.features[:gallery]),
            asked.indptr.astype(np.int64),
            asked.indices.astype(np.int64),
            asked.data,
            columns.indptr.astype(np.int64),
            columns.indices.astype(np.int64),
            columns.data,
            encoded.largest[queries],
            weight,
        )

    @property
    def queries(self) -> int:
        """How many queries there are."""
        return self.base.queries

    @property
    def items(self) -> int:
        """How many items the gallery has."""
        return self.base.items

    def told(self, rows: slice, scores: Float32[np.ndarray, "query top"]) -> Float32[np.ndarray, "query top"]:
        """Return the scores themselves."""
        return scores

    @property
    def symmetric(self) -> bool:
        """No: each query divides its distances by its own largest one."""
        return False

    def fill(self, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]) -> None:
        """Write the scores of some queries against some items to ``out``."""
        self.base.fill(rows, columns, out)
        squares = -2 * out if isinstance(self.base, Distances) else 2 - 2 * out
        distances = squares / self.largest[rows, None].astype(np.float32)
        out[:] = 0
        add_shared(
            self.query_starts[rows.start : rows.stop + 1],
            self.query_members,
            self.query_weights,
            self.member_starts,
            self.member_items,
            self.member_weights,
            columns.start,
            out,
        )
        # Both encodings sum to 1, so the sum of their maxima is 2 minus that of their minima.
        np.divide(out, 2 - out, out=out)
        out -= 1
        out *= np.float32(1 - self.weight)
        out -= np.float32(self.weight) * distances


@compiled
def add_shared(
    query_starts: np.ndarray,
    query_members: np.ndarray,
    query_weights: np.ndarray,
    member_starts: np.ndarray,
    member_items: np.ndarray,
    member_weights: np.ndarray,
    first: int,
    out: np.ndarray,
) -> None:
    """Add to ``out``, items from ``first`` on, the sum over shared neighbours of the lower of the two weights."""
    for query in range(len(out)):
        for place in range(query_starts[query], query_starts[query + 1]):
            member, weight = query_members[place], query_weights[place]
            start, stop = member_starts[member], member_starts[member + 1]
            start += np.searchsorted(member_items[start:stop], first)
            for position in range(start, stop):
                column = member_items[position] - first
                if column >= out.shape[1]:
                    break
                out[query, column] += min(weight, member_weights[position])
