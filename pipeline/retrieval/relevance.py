"""Which items of the gallery are positives of a query, and which are left out of its ranking."""

from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int

from .counting import drop_one_each
from .ragged import Ragged


@runtime_checkable
class Judge(Protocol):
    """From the numbers of consecutive queries to the positives and the left-out items of each.

    Both are indices into the gallery, ascending, distinct and disjoint.
    """

    def __call__(self, first: int, last: int) -> tuple[Ragged, Ragged]:
        """Return the positives and the left-out items of the queries ``first``, ..., ``last - 1``."""


class SharedLabel:
    """Positives are the items that share at least one label with the query.

    The query itself is left out of its own ranking by its identity, not because it ranks first: an exact duplicate
    may. So are the items of its group, such as the other shots of a burst. An item without labels is a distractor:
    a negative of every query. Lists are put together when asked for: all at once would take memory that grows as
    items squared over classes.
    """

    def __init__(
        self,
        labels: Sequence[tuple[str, ...]],
        *,
        queries: Int[np.ndarray, " query"] | None = None,
        gallery: Int[np.ndarray, " member"] | None = None,
        groups: Sequence[str | None] | None = None,
    ) -> None:
        """Take the labels of every item, which items are queries and which are the gallery; all by default.

        ``groups`` names the group of every item; None: it has none.
        """
        everything = np.arange(len(labels))
        self._queries = everything if queries is None else queries
        members = everything if gallery is None else gallery
        self._place = np.full(len(labels), -1)  # in the gallery
        self._place[members] = np.arange(len(members))
        sets = [frozenset(names) for names in labels]
        self._kind = numbered(sets)
        self._kinds = list(dict.fromkeys(sets))
        holders: dict[str, list[int]] = {}
        for place, item in enumerate(members.tolist()):
            for name in set(labels[item]):
                holders.setdefault(name, []).append(place)
        self._holders = {name: np.array(places) for name, places in holders.items()}
        self._remember()
        self._group, self._group_members = numbered_groups(groups, members)

    def _remember(self) -> None:
        self._sharing = lru_cache(maxsize=512)(self._find_sharing)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is only remembered, and cannot be pickled."""
        return {name: value for name, value in vars(self).items() if name != "_sharing"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Undo :meth:`__getstate__`."""
        vars(self).update(state)
        self._remember()

    def _find_sharing(self, kind: int) -> Int[np.ndarray, " place"]:
        found = [self._holders[name] for name in self._kinds[kind] if name in self._holders]
        if len(found) == 1:
            return found[0]
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)

    def __call__(self, first: int, last: int) -> tuple[Ragged, Ragged]:
        """Return the positives and the left-out items of the queries ``first``, ..., ``last - 1``."""
        items = self._queries[first:last]
        positives = Ragged.of([self._sharing(kind) for kind in self._kind[items].tolist()])
        own = self._place[items]
        if self._group is None:
            return Ragged(*drop_one_each(positives.values, positives.starts, own)), one_each(own)
        ignored = []
        for item, place in zip(items.tolist(), own.tolist(), strict=True):
            together = self._group_members.get(int(self._group[item]), np.empty(0, np.int64))
            ignored.append(np.union1d(together, [place]) if place >= 0 else together)
        return without(positives, Ragged.of(ignored))


class Listed:
    """Positives and left-out items are listed query by query, as in the landmark benchmarks."""

    def __init__(self, positives: Sequence[Int[np.ndarray, " _"]], ignored: Sequence[Int[np.ndarray, " _"]]) -> None:
        """Take indices into the gallery; what is left out and a positive is left out."""
        self._positives = [np.unique(row).astype(np.int64) for row in positives]
        self._ignored = [np.unique(row).astype(np.int64) for row in ignored]

    def __call__(self, first: int, last: int) -> tuple[Ragged, Ragged]:
        """Return the positives and the left-out items of the queries ``first``, ..., ``last - 1``."""
        return without(Ragged.of(self._positives[first:last]), Ragged.of(self._ignored[first:last]))


class Among:
    """A query chooses among few items, those that are right and those that are wrong; all others are left out."""

    def __init__(
        self, right: Sequence[Int[np.ndarray, " _"]], wrong: Sequence[Int[np.ndarray, " _"]], items: int
    ) -> None:
        """Take indices into the gallery, and how many items there are in it."""
        self._right = [np.unique(row).astype(np.int64) for row in right]
        self._wrong = [np.asarray(row, np.int64) for row in wrong]
        self._items = items

    def __call__(self, first: int, last: int) -> tuple[Ragged, Ragged]:
        """Return the positives and the left-out items of the queries ``first``, ..., ``last - 1``."""
        ignored = []
        for right, wrong in zip(self._right[first:last], self._wrong[first:last], strict=True):
            others = np.ones(self._items, bool)
            others[right], others[wrong] = False, False
            ignored.append(np.flatnonzero(others))
        return Ragged.of(self._right[first:last]), Ragged.of(ignored)


class Unjudged:
    """Nothing is known to be relevant, as in a search for neighbours; each item is left out of its own ranking."""

    def __init__(self, itself: Int[np.ndarray, " query"]) -> None:
        """Take the place of each query in the gallery; -1 where it is not in it."""
        self._itself = itself

    def __call__(self, first: int, last: int) -> tuple[Ragged, Ragged]:
        """Return no positives and the left-out item of the queries ``first``, ..., ``last - 1``."""
        own = self._itself[first:last]
        return Ragged(np.empty(0, np.int64), np.zeros(len(own) + 1, np.int64)), one_each(own)


class Without:
    """As another judge, with some items left out of every ranking."""

    def __init__(self, judge: Judge, dropped: Int[np.ndarray, " dropped"]) -> None:
        """Take the judge and indices into the gallery."""
        self._judge, self._dropped = judge, dropped

    def __call__(self, first: int, last: int) -> tuple[Ragged, Ragged]:
        """Return the positives and the left-out items of the queries ``first``, ..., ``last - 1``."""
        positives, ignored = self._judge(first, last)
        return without(positives, Ragged.of([np.union1d(row, self._dropped) for row in ignored.rows()]))


class SomePositives:
    """As another judge, with those of its positives that are not kept left out of every ranking."""

    def __init__(self, judge: Judge, kept: Bool[np.ndarray, " member"]) -> None:
        """Take the judge, and which items of the gallery are kept."""
        self._judge, self._kept = judge, kept

    def __call__(self, first: int, last: int) -> tuple[Ragged, Ragged]:
        """Return the positives and the left-out items of the queries ``first``, ..., ``last - 1``."""
        positives, ignored = self._judge(first, last)
        kept = self._kept[positives.values]
        others = positives.where(~kept)
        left_out = [np.union1d(one, other) for one, other in zip(ignored.rows(), others.rows(), strict=True)]
        return positives.where(kept), Ragged.of(left_out)


def without(positives: Ragged, ignored: Ragged) -> tuple[Ragged, Ragged]:
    """Return the positives that are not left out, and what is left out."""
    kept: list[Bool[np.ndarray, " _"]] = [
        ~np.isin(row, unwanted) for row, unwanted in zip(positives.rows(), ignored.rows(), strict=True)
    ]
    return positives.where(np.concatenate(kept)) if kept else positives, ignored


def one_each(places: Int[np.ndarray, " query"]) -> Ragged:
    """Return one value per query; none where it is negative."""
    return Ragged(places, np.arange(len(places) + 1)).where(places >= 0)


def numbered(names: Iterable[Hashable | None]) -> Int[np.ndarray, " item"]:
    """Return for each name a number, from 0 in the order in which they first stand; -1 for None."""
    numbers: dict[Hashable, int] = {}
    return np.array([-1 if name is None else numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def numbered_groups(
    groups: Sequence[str | None] | None, members: Int[np.ndarray, " member"]
) -> tuple[Int[np.ndarray, " item"] | None, dict[int, Int[np.ndarray, " place"]]]:
    """Return the number of each item's group, -1 for none, and the gallery's places of each group."""
    if groups is None or all(name is None for name in groups):
        return None, {}
    group = numbered(groups)
    places: dict[int, list[int]] = {}
    for place, number in enumerate(group[members].tolist()):
        if number >= 0:
            places.setdefault(number, []).append(place)
    return group, {number: np.array(found) for number, found in places.items()}
