"""Which items are queries, which are the gallery, what is relevant, and by which rule AP is taken."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int

from . import partitions
from .errors import RetrievalError
from .labels import refuse_alike
from .metrics import Rule
from .partitions import Partition, linked_clusters
from .queries import Query, Role, check_queries
from .relevance import Among, Judge, Listed, SharedLabel, numbered
from .uncertainty import Population

Difficulty = Literal["easy", "medium", "hard"]
DIFFICULTIES: tuple[Difficulty, ...] = ("easy", "medium", "hard")
LANDMARKS = (*DIFFICULTIES, "classic")


@dataclass(frozen=True)
class Protocol:
    """How rankings of a dataset are judged.

    Attributes:
        name: ``labels``; ``easy``, ``medium`` or ``hard`` of the revisited landmark benchmarks; ``classic``;
            ``listed``; ``choice``.
        queries: the items that are asked for.
        gallery: the items that are ranked.
        judge: gives the positives of a query, and what is left out of its ranking.
        rule: by which AP is taken by those who defined the protocol.
        leaves_out_empty: whether queries without positives are left out by definition.
        partitions: from a seed to what of it could have been others, by population, for intervals: those of its classes
            and images, where there are several.
    """

    name: str
    queries: Int[np.ndarray, " query"]
    gallery: Int[np.ndarray, " member"]
    judge: Judge
    rule: Rule
    leaves_out_empty: bool
    partitions: Callable[[int], dict[Population, Partition]]


def by_labels(
    labels: Sequence[tuple[str, ...]],
    *,
    roles: Sequence[str] | None = None,
    groups: Sequence[str | None] | None = None,
) -> Protocol:
    """Return the protocol in which items that share a label are relevant to each other.

    Every item is a query and in the gallery of all others, unless its role says ``query`` or ``gallery``; an item
    without labels is a distractor in the gallery. Items of a query's group are left out of its ranking; None is no
    group.

    Raises:
        RetrievalError: there are no queries, or no gallery; a role is unknown; an item is a query alone and has no
            label; two labels or groups look the same.
    """
    refuse_alike(chain.from_iterable(labels), what="labels")
    refuse_alike((group for group in groups or () if group is not None), what="groups")
    places = np.arange(len(labels))
    for role in roles if roles is not None else ():
        if not isinstance(role, str) or role not in get_args(Role):
            raise RetrievalError(f"unknown role {role!r}: one of {', '.join(get_args(Role))}")
    for item, (role, names) in enumerate(zip(roles if roles is not None else (), labels, strict=False)):
        if role == "query" and not names:
            raise RetrievalError(f"item {item} is a query without labels: say what it shows, or leave it out")
    given = np.array(roles if roles is not None else ["both"] * len(labels), dtype=str)
    labelled = np.array([bool(names) for names in labels], dtype=bool)
    queries = places[(given != "gallery") & labelled]
    gallery = places[given != "query"]
    for found, what in ((queries, "query"), (gallery, "item in the gallery")):
        if not len(found):
            raise RetrievalError(f"there is no {what} among {len(labels)} items: there is nothing to rank")
    judge = SharedLabel(labels, queries=queries, gallery=gallery, groups=groups)
    known = partial(label_partitions, labels, groups, queries, gallery)
    return Protocol("labels", queries, gallery, judge, "rectangle", False, known)


def label_partitions(
    labels: Sequence[tuple[str, ...]],
    groups: Sequence[str | None] | None,
    queries: Int[np.ndarray, " query"],
    gallery: Int[np.ndarray, " member"],
    seed: int,
) -> dict[Population, Partition]:
    """Return the classes of labelled items and their images, those of a group together, dealt into groups."""
    kinds = numbered([frozenset(names) for names in labels])
    together = None if groups is None else numbered(groups)
    return found(
        classes=partitions.by_classes(labels, queries=queries, gallery=gallery, seed=seed),
        images=partitions.by_images(kinds, queries=queries, gallery=gallery, together=together, seed=seed),
    )


def landmark_partitions(
    clusters: Int[np.ndarray, " query"],
    listed: Sequence[Int[np.ndarray, " _"]],
    asked: Int[np.ndarray, " query"],
    gallery: Int[np.ndarray, " member"],
    seed: int,
) -> dict[Population, Partition]:
    """Return landmarks, each with the images that its queries list, and single images, dealt into groups."""
    kinds = np.full(max(asked.max(), gallery.max()) + 1, -1)
    kinds[asked] = clusters
    return found(
        classes=partitions.by_lists(clusters, listed, len(gallery), seed=seed),
        images=partitions.by_images(kinds, queries=asked, gallery=gallery, seed=seed),
    )


def found(**named: Partition | None) -> dict[Population, Partition]:
    """Return the partitions that there are."""
    return {name: partition for name, partition in named.items() if partition is not None}  # type: ignore[misc]


def by_landmarks(queries: Sequence[Query], items: int, *, difficulty: Difficulty) -> Protocol:
    """Return the protocol of the Oxford and Paris benchmarks, revisited (F. Radenovic et al., CVPR 2018).

    Easy: the positives are the easy items, hard ones are left out as junk is. Medium: easy and hard ones are
    positives. Hard: hard ones are, easy ones are left out. A query without positives counts for nothing. The gallery
    is every item that is no query's.

    Raises:
        RetrievalError: there are no queries, or no gallery; a query's lists are wrong (see
            :func:`.queries.check_queries`).
    """
    try:
        check_queries(queries, items)
    except ValueError as error:
        raise RetrievalError(f"{error}: mend the ground truth") from None
    asked = np.array([query.item for query in queries], np.int64)
    gallery = np.setdiff1d(np.arange(items), asked)
    for found, what in ((asked, "query"), (gallery, "item in the gallery")):
        if not len(found):
            raise RetrievalError(f"there is no {what} among {items} items: there is nothing to rank")
    place = np.full(items, -1)
    place[gallery] = np.arange(len(gallery))

    def places(listed: Sequence[int]) -> Int[np.ndarray, " listed"]:
        return place[np.array(listed, np.int64)]

    wanted, unwanted, listed = [], [], []
    for query in queries:
        easy, hard, junk = places(query.easy), places(query.hard), places(query.junk)
        positives = {"easy": [easy], "medium": [easy, hard], "hard": [hard]}[difficulty]
        ignored = {"easy": [junk, hard], "medium": [junk], "hard": [junk, easy]}[difficulty]
        wanted.append(np.concatenate(positives))
        unwanted.append(np.concatenate(ignored))
        listed.append(np.concatenate([easy, hard, junk]))
    clusters = linked_clusters([np.array([*query.easy, *query.hard], np.int64) for query in queries])
    known = partial(landmark_partitions, clusters, listed, asked, gallery)
    return Protocol(difficulty, asked, gallery, Listed(wanted, unwanted), "trapezoid", True, known)


def by_classic_landmarks(queries: Sequence[Query], items: int) -> Protocol:
    """Return the protocol of Oxford 5k and Paris 6k as they were published (J. Philbin et al., CVPR 2007 and 2008).

    Positives are the good and the ok items, both among ``easy``; junk is left out of the ranking. The whole image from
    which a query is cropped is in the gallery and, where it is listed as good, a positive of it.
    """
    return replace(by_landmarks(queries, items, difficulty="medium"), name="classic")


def by_lists(queries: Sequence[Query], items: int) -> Protocol:
    """Return the protocol of a dataset that lists the positives of each query: easy and hard ones, judged alike.

    AP is taken by the rectangle rule. A query without positives, which shows what is not in the gallery, counts for no
    metric but those over all queries together (:mod:`.pooled`).
    """
    return replace(by_landmarks(queries, items, difficulty="medium"), name="listed", rule="rectangle")


def by_choice(queries: Sequence[Query], items: int) -> Protocol:
    """Return the protocol in which a query chooses among few items: its easy ones are right, its hard ones wrong.

    All other items are left out of its ranking, so that precision at 1 is the accuracy of the choice.

    Raises:
        RetrievalError: see :func:`by_landmarks`; a query has no right item to choose, or no wrong one.
    """
    protocol = by_landmarks(queries, items, difficulty="easy")
    for number, query in enumerate(queries):
        for found, what in ((query.easy, "right"), (query.hard, "wrong")):
            if not found:
                raise RetrievalError(f"query {number} has no item that is {what} to choose: mend the ground truth")
    place = np.full(items, -1)
    place[protocol.gallery] = np.arange(len(protocol.gallery))
    right = [place[np.array(query.easy, np.int64)] for query in queries]
    wrong = [place[np.array(query.hard, np.int64)] for query in queries]
    judge = Among(right, wrong, len(protocol.gallery))
    return replace(protocol, name="choice", judge=judge, rule="rectangle", partitions=lambda seed: {})
