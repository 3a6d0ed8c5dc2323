"""Items with the same row, which must score the same.

BLAS may round the same sum otherwise in another column of a product, so that rounding would rank copies of an item and
hide that they tie. Scores of items whose row another item has are therefore summed here, all in one order.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped, UInt64

from .compiled import compiled
from .matrix import blocks

BEGINNING = 64  # bytes of a row that are read of all rows: they tell most apart
COLUMNS = 128  # products of a query that are summed together


@dataclass(frozen=True)
class Twins:
    """Those items of a gallery whose row another item has too.

    Attributes:
        places: of these items, ascending.
        firsts: for each the first item with its row.
    """

    places: Int[np.ndarray, " twin"]
    firsts: Int[np.ndarray, " twin"]

    @property
    def most(self) -> int:
        """How many items have the same row at most."""
        return int(np.bincount(self.firsts).max()) if len(self.firsts) else 1

    def scores(
        self,
        queries: Float32[np.ndarray, "query dim"],
        rows_of: Callable[[Int[np.ndarray, " item"]], Float32[np.ndarray, "item dim"]],
        items: slice,
    ) -> tuple[Int[np.ndarray, " twin"], Float32[np.ndarray, "query twin"]]:
        """Return the twins among some items, counted from the first of these, and their dot products with queries.

        Args:
            queries: one row per query.
            rows_of: gives the rows of items.
            items: among which.
        """
        among = slice(*np.searchsorted(self.places, (items.start, items.stop)))
        firsts, which = np.unique(self.firsts[among], return_inverse=True)
        found = np.empty((len(queries), len(firsts)), np.float32)
        for start in range(0, len(firsts), COLUMNS):
            some = firsts[start : start + COLUMNS]
            products = np.empty((len(queries), len(some)), np.float32)
            multiply(products, np.ascontiguousarray(queries), np.ascontiguousarray(rows_of(some).T))
            found[:, start : start + len(some)] = products
        return self.places[among] - items.start, found[:, which]


def twins_of(rows: Shaped[np.ndarray, "item _"]) -> Twins:
    """Return which items have the row of another. Rows are compared as numbers: zero is minus zero."""
    items = firsts = np.arange(len(rows))
    for width in (BEGINNING // rows.itemsize, rows.shape[1]):
        marks = marks_of(rows[:, :width], items)
        _, first, which, counts = np.unique(marks, return_index=True, return_inverse=True, return_counts=True)
        several = counts[which] > 1
        items, firsts = items[several], items[first[which[several]]]
    same = equal(rows, items, firsts)  # however seldom, marks of different rows may be equal
    return Twins(items[same], firsts[same])


def marks_of(rows: Shaped[np.ndarray, "item _"], items: Int[np.ndarray, " some"]) -> UInt64[np.ndarray, " some"]:
    """Return a number for each of some rows, the same where rows are the same."""
    factors = np.random.default_rng(0).integers(1, 1 << 63, rows.shape[1], np.uint64) * 2 + 1
    marks = np.empty(len(items), np.uint64)
    for block in blocks(len(items)):
        numbers = rows[items[block]] + 0  # minus zero becomes zero
        marks[block] = numbers.view(f"u{numbers.itemsize}").astype(np.uint64) @ factors
    return marks


def equal(
    rows: Shaped[np.ndarray, "item _"], items: Int[np.ndarray, " twin"], others: Int[np.ndarray, " twin"]
) -> Bool[np.ndarray, " twin"]:
    """Return whether each of some items has the row of another one."""
    same = np.empty(len(items), bool)
    for block in blocks(len(items)):
        same[block] = (rows[items[block]] == rows[others[block]]).all(axis=1)
    return same


@compiled
def multiply(products: np.ndarray, queries: np.ndarray, columns: np.ndarray) -> None:
    """Write the dot products of queries with columns to ``products``, each summed from the first dimension on."""
    whole = queries.shape[1] // 4 * 4
    for query in range(len(queries)):
        row = products[query]
        row[:] = 0
        for place in range(0, whole, 4):  # four at once, so that what is summed is read and written less often
            one, two = queries[query, place], queries[query, place + 1]
            three, four = queries[query, place + 2], queries[query, place + 3]
            first, second, third, fourth = columns[place], columns[place + 1], columns[place + 2], columns[place + 3]
            for item in range(len(row)):
                row[item] = (
                    ((row[item] + one * first[item]) + two * second[item]) + three * third[item]
                ) + four * fourth[item]
        for place in range(whole, queries.shape[1]):
            for item in range(len(row)):
                row[item] += queries[query, place] * columns[place, item]
