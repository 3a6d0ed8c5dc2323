"""Numbers of fewer bits: float16, and int8 with a range of each dimension. Queries stay float32."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int8

from ..matrix import blocks
from ..steps import Learner, LearnOn, Sets, Step, Stored
from .codes import Coded, Numbers


@dataclass(frozen=True)
class Float16(Step):
    """The gallery in float16 of IEEE 754, rounded to the nearest; queries stay float32. Must be the last step."""

    makes_scores: ClassVar[bool] = True

    def stored(self, before: Stored) -> Stored:
        """Return numbers of 16 bits."""
        return replace(before, bits=16)

    def apply(self, sets: Sets) -> Coded:
        """Return the scores."""
        values = np.empty(sets.gallery.shape, np.float16)
        for block in blocks(len(values)):
            values[block] = sets.gallery[block]
        return Coded.of(sets.queries, Numbers(values))


@dataclass(frozen=True)
class Ranges:
    """From which value to which each dimension goes, in 255 steps.

    The rule of faiss' ``ScalarQuantizer.QT_8bit``: x becomes floor(255 (x - low) / (high - low)), from 0 to 255; what
    is beyond the range becomes its end. A code c stands for low + (c + 1/2) (high - low) / 255, which is at most half
    a step from what was within. c - 128 is kept. The ``uint8`` of sentence-transformers' ``quantize_embeddings`` has
    the same codes within the range; beyond it, its numbers overflow.

    Attributes:
        low: the least value of each dimension.
        width: the greatest minus the least.
    """

    low: Float32[np.ndarray, " dim"]
    width: Float32[np.ndarray, " dim"]

    @classmethod
    def of(cls, rows: Float32[np.ndarray, "row dim"]) -> "Ranges":
        """Return the ranges of rows."""
        ends = [(rows[block].min(axis=0), rows[block].max(axis=0)) for block in blocks(len(rows))]
        low = np.min([least for least, _ in ends], axis=0)
        return cls(low, np.max([greatest for _, greatest in ends], axis=0) - low)

    def coded(self, rows: Float32[np.ndarray, "row dim"]) -> Int8[np.ndarray, "row dim"]:
        """Return the codes of rows."""
        codes = np.empty(rows.shape, np.int8)
        whole = np.where(self.width > 0, self.width, np.float32(1))
        for block in blocks(len(rows)):
            places = np.clip((rows[block] - self.low) / whole, 0, 1)
            codes[block] = (np.float32(255) * places).astype(np.int16) - 128
        return codes

    def scores(self, queries: Float32[np.ndarray, "query dim"], gallery: Float32[np.ndarray, "item dim"]) -> Coded:
        """Return the dot products of queries with what the codes of a gallery stand for.

        The product of a query with low + (c + 1/2) w / 255 is that of the query times w / 255 with the whole number
        c - 128, plus a constant: codes are multiplied as they are.
        """
        step = self.width.astype(np.float64) / 255
        middle = self.low + 128.5 * step
        asked, missing = np.empty_like(queries), np.empty(len(queries))
        for block in blocks(len(queries)):
            exact = queries[block].astype(np.float64)
            asked[block], missing[block] = exact * step, exact @ middle
        return Coded.of(asked, Numbers(self.coded(gallery)), missing)


@dataclass(frozen=True)
class Int8Codes(Learner):
    """The gallery in 8 bits a dimension, within the ranges of a set, see :class:`Ranges`. Must be the last step.

    Attributes:
        learn_on: whose ranges: another set's, beyond which values of the gallery are cut off, or the gallery's own.
    """

    makes_scores: ClassVar[bool] = True

    learn_on: LearnOn = "another"

    def stored(self, before: Stored) -> Stored:
        """Return numbers of 8 bits; the two numbers of a range, of all items together, are not counted."""
        return replace(before, bits=8)

    def apply(self, sets: Sets) -> Coded:
        """Return the scores; :class:`RetrievalError` where no other set is given, and it learns on one."""
        return Ranges.of(sets.to_learn_on(self.learn_on, "int8")).scores(sets.queries, sets.gallery)
