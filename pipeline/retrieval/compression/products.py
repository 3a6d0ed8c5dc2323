"""Product quantisation by faiss: parts of a row, each as the nearest word of a codebook. Queries stay float32."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32, Int, UInt8
from pydantic import Field
from threadpoolctl import threadpool_limits

from ..errors import RetrievalError
from ..matrix import blocks
from ..optional import faiss_for
from ..settings import Count
from ..similarity import sample_of
from ..steps import Learner, LearnOn, Sets, Stored
from .codes import Coded

WORDS = 256  # rows to learn on for each word of a codebook, at most: as many as faiss' k-means takes


@dataclass(frozen=True)
class Parts:
    """Codes that are the numbers of words, one a part.

    Attributes:
        books: of each part its words.
        values: of each item the number of each part's word.
    """

    books: Float32[np.ndarray, "part word sub"]
    values: UInt8[np.ndarray, "item part"]

    def __len__(self) -> int:
        """Return how many items there are."""
        return len(self.values)

    def decoded(self, part: slice | Int[np.ndarray, " item"]) -> Float32[np.ndarray, "item dim"]:
        """Return the words of each item, one after the other."""
        parts, words, sub = self.books.shape
        numbers = self.values[part] + words * np.arange(parts)
        found: Float32[np.ndarray, "item dim"] = self.books.reshape(-1, sub)[numbers].reshape(-1, parts * sub)
        return found


@dataclass(frozen=True)
class ProductQuantisation(Learner):
    """The gallery as the words of codebooks, the query in float32 (asymmetric distances). Must be the last step.

    H. Jegou, M. Douze and C. Schmid, "Product quantization for nearest neighbor search", TPAMI 2011; with ``rotate:
    opq`` after a rotation learnt for it, T. Ge, K. He, Q. Ke and J. Sun, "Optimized product quantization", CVPR 2013.
    Both learn by faiss, on one thread, so that its number changes no word, on at most 256 rows a word, evenly spaced.
    Scores are the products of a query with the words, as of faiss' ``IndexPQ`` with ``METRIC_INNER_PRODUCT``.

    Attributes:
        parts: in how many a row is cut.
        bits: of a word's number: a codebook has 2 ** bits words.
        rotate: none, or opq.
        learn_on: another set, or the gallery itself.
    """

    makes_scores: ClassVar[bool] = True

    parts: Count
    bits: Annotated[int, Field(ge=1, le=8)] = 8
    rotate: Literal["none", "opq"] = "none"
    learn_on: LearnOn = "another"

    def stored(self, before: Stored) -> Stored:
        """Return ``parts`` numbers of words; codebooks and rotation, of all items together, are not counted."""
        return Stored(self.parts, self.bits)

    def apply(self, sets: Sets) -> Coded:
        """Return the scores.

        Raises:
            RetrievalError: faiss is missing; the dimensions cannot be cut in so many parts; no other set is given, and
                it learns on one; that has fewer rows than a codebook words.
        """
        faiss = faiss_for("product_quantisation")
        width, words = sets.gallery.shape[1], 2**self.bits
        if width % self.parts:
            raise RetrievalError(
                f"product_quantisation: 'parts' is {self.parts}, which does not divide the {width} dimensions of the "
                "features: choose one that does, or a pca before it"
            )
        rows = sets.to_learn_on(self.learn_on, "product_quantisation")
        if len(rows) < words:
            raise RetrievalError(
                f"product_quantisation: {len(rows)} features to learn on, fewer than the {words} words of a codebook "
                f"('bits' is {self.bits}): lower it, or learn on a larger set"
            )
        with threadpool_limits(1):
            return self._scores(faiss, sets, np.ascontiguousarray(sample_of(rows, WORDS * words)))

    def _scores(self, faiss: Any, sets: Sets, rows: Float32[np.ndarray, "row dim"]) -> Coded:
        """Learn on some rows, and return the scores."""
        width = sets.gallery.shape[1]
        rotation = np.eye(width, dtype=np.float32) if self.rotate == "none" else self._rotation(faiss, rows)

        def rotated(some: Float32[np.ndarray, "row dim"]) -> Float32[np.ndarray, "row dim"]:
            return some if self.rotate == "none" else some @ rotation.T

        quantiser = self._quantiser(faiss, width)
        quantiser.train(rotated(rows))
        values = np.empty((len(sets.gallery), self.parts), np.uint8)
        for block in blocks(len(values)):
            packed = quantiser.compute_codes(np.ascontiguousarray(rotated(sets.gallery[block])))
            values[block] = self._unpacked(packed)
        books = faiss.vector_to_array(quantiser.centroids).reshape(self.parts, 2**self.bits, -1)
        return Coded.of(rotated(sets.queries), Parts(books, values))

    def _rotation(self, faiss: Any, rows: Float32[np.ndarray, "row dim"]) -> Float32[np.ndarray, "dim dim"]:
        """Return the rotation that is learnt for the parts."""
        learner, quantiser = faiss.OPQMatrix(rows.shape[1], self.parts), self._quantiser(faiss, rows.shape[1])
        learner.pq = quantiser
        learner.train(rows)
        found: Float32[np.ndarray, "dim dim"] = faiss.vector_to_array(learner.A).reshape(rows.shape[1], -1)
        return found

    def _quantiser(self, faiss: Any, width: int) -> Any:
        """Return what learns codebooks; the rows to learn on are counted here, not by its warnings."""
        quantiser = faiss.ProductQuantizer(width, self.parts, self.bits)
        quantiser.cp.min_points_per_centroid = 1
        return quantiser

    def _unpacked(self, packed: UInt8[np.ndarray, "item byte"]) -> UInt8[np.ndarray, "item part"]:
        """Return the numbers that faiss packs into bits, the lowest first."""
        bits = np.unpackbits(packed, axis=1, count=self.parts * self.bits, bitorder="little")
        numbers = bits.reshape(len(packed), self.parts, self.bits) << np.arange(self.bits, dtype=np.uint8)
        found: UInt8[np.ndarray, "item part"] = numbers.sum(axis=2, dtype=np.uint8)
        return found
