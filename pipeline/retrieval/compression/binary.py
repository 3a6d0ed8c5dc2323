"""One bit a dimension: ranked by how many differ, and the first of a ranking again by something finer."""

import inspect
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32, Int, UInt64
from numba.extending import intrinsic

from ..compiled import compiled
from ..distances import closeness
from ..errors import RetrievalError
from ..matrix import blocks
from ..ranking import rank
from ..relevance import Unjudged
from ..settings import Count
from ..steps import Learner, LearnOn, Sets, Stored
from .codes import Coded
from .projections import mean_of
from .scalars import Ranges

Centre = Literal["nothing"] | LearnOn
WORD = 64  # bits


@dataclass(frozen=True)
class Signs:
    """Bits that say whether a row is above a centre, in whole words: bit b of word w is dimension 64 w + b.

    Attributes:
        words: one column per item, so that one instruction has a word of many items.
        dim: how many bits count; those after them are 0.
    """

    words: UInt64[np.ndarray, "word item"]
    dim: int

    @classmethod
    def of(cls, rows: Float32[np.ndarray, "row dim"], centre: Float32[np.ndarray, " dim"]) -> "Signs":
        """Return the bits of rows."""
        dim = len(centre)
        words = np.empty((-(-dim // WORD), len(rows)), np.uint64)
        for block in blocks(len(rows)):
            bits = np.zeros((block.stop - block.start, len(words) * WORD), bool)
            bits[:, :dim] = rows[block] > centre
            words[:, block] = np.packbits(bits, axis=1, bitorder="little").view("<u8").T
        return cls(words, dim)

    @property
    def values(self) -> UInt64[np.ndarray, "item word"]:
        """The words, one row per item."""
        return self.words.T

    def __len__(self) -> int:
        """Return how many items there are."""
        return int(self.words.shape[1])

    def decoded(self, part: slice | Int[np.ndarray, " item"]) -> Float32[np.ndarray, "item dim"]:
        """Return 1 for every bit that is set and -1 for the others."""
        bytes_of = np.ascontiguousarray(self.words[:, part].T.astype("<u8")).view(np.uint8)
        bits = np.unpackbits(bytes_of, axis=1, count=self.dim, bitorder="little")
        return 2 * bits.astype(np.float32) - 1


@dataclass(frozen=True)
class Hamming:
    """Scores of bits against bits: how many are equal minus how many differ, whole numbers, so that ties are true ones.

    Attributes:
        asked: the bits of the queries.
        codes: the bits of the gallery.
    """

    asked: Signs
    codes: Signs

    @property
    def queries(self) -> int:
        """How many queries there are."""
        return len(self.asked)

    @property
    def items(self) -> int:
        """How many items the gallery has."""
        return len(self.codes)

    @property
    def symmetric(self) -> bool:
        """Whether queries and items are the same."""
        return self.asked is self.codes

    def fill(self, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]) -> None:
        """Write the scores of some queries against some items to ``out``."""
        # Of a part that is not contiguous compiled code takes one word at a time.
        asked = np.ascontiguousarray(self.asked.words[:, rows])
        codes = np.ascontiguousarray(self.codes.words[:, columns])
        agreements(asked, codes, self.codes.dim, out)

    def told(self, rows: slice, scores: Float32[np.ndarray, "query top"]) -> Float32[np.ndarray, "query top"]:
        """Return the scores divided by the number of bits: the cosines of rows of 1 and -1."""
        return scores / np.float32(self.codes.dim)


def _ones(typing: Any, word: Any) -> tuple[Any, Any]:
    """Return the type and the code of a function that counts the bits that are set in a word."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return word(word), code


# NumPy's bitwise_count is not in numba, and arithmetic for it is seventeen times slower.
ones = intrinsic(inspect.unwrap(_ones))


@compiled
def agreements(queries: np.ndarray, items: np.ndarray, dim: int, out: np.ndarray) -> None:
    """Write how many of ``dim`` bits are equal minus how many differ; words are rows, queries and items columns."""
    differ = np.empty(items.shape[1], np.int64)
    for query in range(queries.shape[1]):
        differ[:] = 0
        for word in range(len(items)):
            asked, row = queries[word, query], items[word]
            for item in range(len(row)):
                differ[item] += ones(asked ^ row[item])
        for item in range(len(differ)):
            out[query, item] = dim - 2 * np.int32(differ[item])


@dataclass(frozen=True)
class Rescored:
    """Scores by which the first items of every query rank again, before all others, which keep their order.

    Attributes:
        base: what the first were found by.
        first: the first items of each query; -1 past the end of its ranking.
        again: their new scores.
        added: what makes a new score what it stands for.
    """

    base: Hamming
    first: Int[np.ndarray, "query k"]
    again: Float32[np.ndarray, "query k"]
    added: np.float32

    @property
    def queries(self) -> int:
        """How many queries there are."""
        return self.base.queries

    @property
    def items(self) -> int:
        """How many items the gallery has."""
        return self.base.items

    @property
    def symmetric(self) -> bool:
        """No: an item may be among the first of a query that is not among its own."""
        return False

    @cached_property
    def taken(self) -> np.float32:
        """What is taken from all other scores, a whole number, so that the highest is below the lowest new one."""
        return np.float32(self.base.codes.dim + 1 - np.floor(self.again.min(initial=0)))

    def fill(self, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]) -> None:
        """Write the scores of some queries against some items to ``out``."""
        self.base.fill(rows, columns, out)
        out -= self.taken
        first = self.first[rows]
        query, place = np.nonzero((first >= columns.start) & (first < columns.stop))
        out[query, first[query, place] - columns.start] = self.again[rows][query, place]

    def told(self, rows: slice, scores: Float32[np.ndarray, "query top"]) -> Float32[np.ndarray, "query top"]:
        """Return what the new scores stand for, and of other items what lies below."""
        return scores + self.added


class OfBits(Learner):
    """A step that keeps a bit a dimension: whether it is above that of a centre.

    Attributes:
        learn_on: whose mean is the centre: another set's, the gallery's, or nothing's, the origin.
    """

    makes_scores: ClassVar[bool] = True

    learn_on: Centre  # type: ignore[assignment]

    def hamming(self, sets: Sets, what: str) -> Hamming:
        """Return the scores of bits against bits; :class:`RetrievalError` where another set is wanted and not given."""
        centre = np.zeros(sets.gallery.shape[1], np.float32)
        if self.learn_on != "nothing":
            centre = mean_of(sets.to_learn_on(self.learn_on, what)).astype(np.float32)
        codes = Signs.of(sets.gallery, centre)
        return Hamming(codes if sets.queries is sets.gallery else Signs.of(sets.queries, centre), codes)


@dataclass(frozen=True)
class Binary(OfBits):
    """Query and gallery in one bit a dimension, compared by how many differ. Must be the last step.

    sentence-transformers' ``quantize_embeddings`` with ``ubinary``, whose centre is the origin, and faiss'
    ``IndexBinaryFlat``. Many items tie: ties rank by index, and ``tie_gap`` says what that can matter.

    Attributes:
        learn_on: whose mean is the centre: another set's, the gallery's, or nothing's, the origin.
    """

    learn_on: Centre = "nothing"

    def stored(self, before: Stored) -> Stored:
        """Return a bit a dimension."""
        return replace(before, bits=1)

    def apply(self, sets: Sets) -> Hamming:
        """Return the scores; :class:`RetrievalError` where no other set is given, and it learns on one."""
        return self.hamming(sets, "binary")


@dataclass(frozen=True)
class BinaryRescored(OfBits):
    """As :class:`Binary`, with the first items of each ranking compared again with the query in float32; last step.

    I. Yamada, A. Asai and H. Hajishirzi, "Efficient passage retrieval with hashing for open-domain question answering",
    ACL 2021, for queries in float32 against bits; sentence-transformers' ``semantic_search_faiss`` for int8. Items that
    are left out of a query's ranking later, but for itself, take a place among its first as any other.

    Attributes:
        by: what of an item it is compared with: its bits, as 1 and -1, which takes no more room; its int8 code, with
            the ranges of ``learn_on``; or its feature in float32.
        first: how many.
        learn_on: whose mean is the centre: another set's, the gallery's, or nothing's, the origin.
    """

    by: Literal["bits", "int8", "float32"]
    first: Count
    learn_on: Centre = "nothing"

    def __post_init__(self) -> None:
        """Refuse ranges of nothing."""
        if self.by == "int8" and self.learn_on == "nothing":
            raise RetrievalError("binary_rescored: int8 has ranges of a set: set learn_on to another or gallery")

    def stored(self, before: Stored) -> Stored:
        """Return a bit a dimension, and what the first are compared with."""
        return replace(before, bits=1 + {"bits": 0, "int8": 8, "float32": 32}[self.by])

    def apply(self, sets: Sets) -> Rescored:
        """Return the scores; :class:`RetrievalError` where no other set is given, and it learns on one."""
        base = self.hamming(sets, "binary_rescored")
        found = rank(base, Unjudged(sets.itself), top=min(self.first, base.items), memory=sets.memory)
        first = np.concatenate([part.top_items for part in found])
        if self.by == "float32":  # cosines of features that lie near each other differ by less than float32 has near 1
            return Rescored(base, first, closeness(sets.queries, sets.gallery, first), np.float32(1))
        return Rescored(base, first, self._coded(sets, base.codes).of_items(first), np.float32(0))

    def _coded(self, sets: Sets, signs: Signs) -> Coded:
        """Return the scores of float32 queries against codes."""
        if self.by == "bits" or self.learn_on == "nothing":
            return Coded.of(sets.queries / np.float32(np.sqrt(signs.dim)), signs)
        return Ranges.of(sets.to_learn_on(self.learn_on, "binary_rescored")).scores(sets.queries, sets.gallery)
