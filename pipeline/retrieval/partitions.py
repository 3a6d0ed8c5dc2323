"""What of a set could have been others, its classes or its images, dealt into groups that are left out in turn.

How far a mean moves when a group is gone from queries and gallery both says how sure it is: the jackknife that leaves
out groups (P. Kott, "The delete-a-group jackknife", Journal of Official Statistics, 2001).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt64

from .ragged import Ragged

# Groups, at most: each is a bit of a mask.
GROUPS = 50
# Kinds of queries that are held as they are, at most: each takes memory for every group.
STRATA = 500


@dataclass(frozen=True)
class Partition:
    """Units, such as classes or images, dealt into groups.

    Attributes:
        units: how many units there are.
        groups: how many groups; group g is the bit g of a mask.
        items: of each item of the gallery a mask of its groups: it is gone with the last of them; 0: never.
        queries: of each query the same.
        strata: of each query the number of its kind, of which the set has as many whatever is drawn; all 0 where kinds
            themselves are drawn.
        item_labels: of each item of the gallery its labels, ascending, where an item may have several units and
            relevance goes with them; None: relevance stays.
        query_labels: of each query the same.
        label_groups: of each label a mask of its group.
    """

    units: int
    groups: int
    items: UInt64[np.ndarray, " item"]
    queries: UInt64[np.ndarray, " query"]
    strata: Int[np.ndarray, " query"]
    item_labels: Ragged | None = None
    query_labels: Ragged | None = None
    label_groups: UInt64[np.ndarray, " label"] | None = None


def by_classes(
    labels: Sequence[tuple[str, ...]],
    *,
    queries: Int[np.ndarray, " query"],
    gallery: Int[np.ndarray, " member"],
    seed: int = 0,
) -> Partition | None:
    """Return the classes of items with labels as units; None if there are fewer than two.

    With a class goes what has no other label; what has others stays, and is relevant by those.
    """
    names = sorted({name for item in queries.tolist() for name in labels[item]})
    if len(names) < 2:
        return None
    # A label that no query has is no class that is asked for: its items are distractors, which stay.
    numbers = {name: number for number, name in enumerate(names)}
    groups = min(len(names), GROUPS)
    masks = masks_of(dealt(np.random.default_rng(seed).permutation(len(names)), groups))
    listed = [np.array(sorted({numbers[name] for name in row if name in numbers}), np.int64) for row in labels]
    stays = [any(name not in numbers for name in row) for row in labels]
    together = np.array(
        [0 if kept else np.bitwise_or.reduce(masks[row]) for row, kept in zip(listed, stays, strict=True)], np.uint64
    )
    several = any(len(row) > 1 for row in listed)
    return Partition(
        len(names),
        groups,
        together[gallery],
        together[queries],
        np.zeros(len(queries), np.int64),
        Ragged.of([listed[item] for item in gallery.tolist()]) if several else None,
        Ragged.of([listed[item] for item in queries.tolist()]) if several else None,
        masks if several else None,
    )


def by_images(
    kinds: Int[np.ndarray, " item"],
    *,
    queries: Int[np.ndarray, " query"],
    gallery: Int[np.ndarray, " member"],
    together: Int[np.ndarray, " item"] | None = None,
    seed: int = 0,
) -> Partition | None:
    """Return single images as units, those of a kind spread over all groups; None if there are fewer than two.

    Args:
        kinds: of every item the number of its kind, such as its class.
        queries: the items that are queries.
        gallery: the items that are ranked.
        together: of every item the number of its unit, where several images are one; negative: it is its own.
        seed: of the deal.
    """
    items = np.arange(len(kinds))
    units = items if together is None else np.where(together >= 0, together, together.max(initial=-1) + 1 + items)
    used = np.union1d(queries, gallery)
    _, first, unit = np.unique(units[used], return_index=True, return_inverse=True)
    count = len(first)
    if count < 2:
        return None
    groups = min(count, GROUPS)
    # Those that are only asked for and those that are only ranked are two samples, each spread evenly.
    role = np.isin(used, queries) + 2 * np.isin(used, gallery)
    shuffled = np.random.default_rng(seed).permutation(count)
    order = np.lexsort((shuffled, kinds[used][first], role[first]))
    masks = np.zeros(len(kinds), np.uint64)
    masks[used] = masks_of(dealt(order, groups))[unit.reshape(-1)]
    return Partition(count, groups, masks[gallery], masks[queries], strata_of(kinds[queries]))


def by_lists(
    clusters: Int[np.ndarray, " query"], lists: Sequence[Int[np.ndarray, " _"]], items: int, *, seed: int = 0
) -> Partition | None:
    """Return clusters of queries as units, each with the items that its queries list; None if there are fewer than two.

    Args:
        clusters: the number of each query's cluster.
        lists: of each query the gallery's places that go with it: positives and junk.
        items: of the gallery.
        seed: of the deal.
    """
    names, cluster = np.unique(clusters, return_inverse=True)
    if len(names) < 2:
        return None
    groups = min(len(names), GROUPS)
    queries = masks_of(dealt(np.random.default_rng(seed).permutation(len(names)), groups))[cluster.reshape(-1)]
    masks = np.zeros(items, np.uint64)
    for mask, listed in zip(queries, lists, strict=True):
        masks[listed] |= mask
    return Partition(len(names), groups, masks, queries, np.zeros(len(clusters), np.int64))


def linked_clusters(lists: list[Int[np.ndarray, " _"]], *, overlap: float = 0.25) -> Int[np.ndarray, " query"]:
    """Return the cluster of each query: those whose lists of positives overlap, or that are linked so, are in one.

    Two lists overlap if they have more than that share of their items in common. Some is not enough: an image may
    show two landmarks.
    """
    sets = [set(items.tolist()) for items in lists]
    clusters = np.arange(len(sets))
    for query, items in enumerate(sets):
        for other, theirs in enumerate(sets[:query]):
            if len(items & theirs) > overlap * len(items | theirs):
                clusters[clusters == clusters[query]] = clusters[other]
    return clusters


def dealt(order: Int[np.ndarray, " unit"], groups: int) -> Int[np.ndarray, " unit"]:
    """Return the group of each unit, when they are dealt one by one in an order."""
    group = np.empty(len(order), np.int64)
    group[order] = np.arange(len(order)) % groups
    return group


def masks_of(groups: Int[np.ndarray, " unit"]) -> UInt64[np.ndarray, " unit"]:
    """Return the masks of single groups."""
    return np.left_shift(np.uint64(1), groups.astype(np.uint64))


def strata_of(kinds: Int[np.ndarray, " query"]) -> Int[np.ndarray, " query"]:
    """Return the number of each query's stratum: its kind; kinds of one query, and what there is no room for, together.

    Of a kind with one query nothing says how others of it would be.
    """
    _, kind, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    number = np.cumsum(counts > 1) - 1
    strata: Int[np.ndarray, " query"] = np.where(counts > 1, number % STRATA, number.max(initial=0) + 1)[
        kind.reshape(-1)
    ]
    return np.unique(np.minimum(strata, STRATA), return_inverse=True)[1].reshape(-1)
