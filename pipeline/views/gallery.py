"""Which queries a gallery shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.results.retrievals import Retrieval
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import Count

MOST_CLASSES = 40  # that have a row

# What a sheet has of the rankings of an encoder.
Which = Literal["best", "worst"]


def in_order(retrievals: Sequence[Retrieval], which: Which) -> list[Retrieval]:
    """Return queries by their AP, the best or the worst first, equal ones by their number."""
    sign = 1 if which == "worst" else -1
    return sorted(retrievals, key=lambda one: (sign * one.ap, one.query))


def of_different_classes(
    ordered: Sequence[Retrieval], labels: Sequence[tuple[str, ...]], count: int
) -> list[Retrieval]:
    """Return the first queries, but while there are others none that shares a label with one before it.

    Args:
        ordered: all queries, see :func:`in_order`; those that are returned keep this order.
        labels: of the items.
        count: how many.
    """
    new: list[int] = []
    others: list[int] = []
    seen: set[str] = set()
    for one in ordered:
        own = set(labels[one.query])
        if own & seen:
            others.append(one.query)
        else:
            new.append(one.query)
            seen |= own
    chosen = {*new[:count], *others[: max(0, count - len(new))]}
    return [one for one in ordered if one.query in chosen]


def one_of_each_class(ordered: Sequence[Retrieval], labels: Sequence[tuple[str, ...]]) -> list[Retrieval]:
    """Return the first query of each label, in the same order; one that is the first of several labels stands once."""
    first: dict[str, int] = {}
    for one in ordered:
        for label in labels[one.query]:
            first.setdefault(label, one.query)
    chosen = set(first.values())
    return [one for one in ordered if one.query in chosen]


@dataclass(frozen=True)
class Choice:
    """What is shown; conf/gallery.yaml.

    Attributes:
        choose: ``best_and_worst``, so many of all queries, of different classes as long as there are; or ``per_class``,
            the best and the worst of each class. The latter is for queries with labels; without any it is the former.
        queries: how many of the best, and of the worst.
        encoders: of which encoders; None: of all.
    """

    choose: Literal["best_and_worst", "per_class"]
    queries: Count
    encoders: Sequence[str] | None

    def __post_init__(self) -> None:
        """Check the setting."""
        if self.encoders is not None and not self.encoders:
            raise RetrievalError("conf/gallery.yaml: 'encoders' names none: use null for all of them")

    def among(self, encoders: Sequence[str]) -> Sequence[str]:
        """Return the chosen ones of the encoders in params.yaml.

        Raises:
            RetrievalError: one is not there.
        """
        for name in self.encoders or ():
            if name not in encoders:
                raise RetrievalError(f"encoders: '{name}' is not in params.yaml: add it there, or name one of them")
        return encoders if self.encoders is None else self.encoders

    def of(
        self, retrievals: Sequence[Retrieval], labels: Sequence[tuple[str, ...]], which: Which
    ) -> tuple[list[Retrieval], str]:
        """Return the queries that a sheet shows, and what they are in words; of the worst none that has AP 1.

        Args:
            retrievals: all queries of a run.
            labels: of the items.
            which: the best or the worst.
        """
        ordered = in_order(retrievals, which)
        shown = ordered if which == "best" else [one for one in ordered if one.ap < 1]
        if not shown:
            return [], "no worst query, all have AP 1" if ordered else "no query has positives"
        each = one_of_each_class(shown, labels) if self.choose == "per_class" else []
        if each:
            return each[:MOST_CLASSES], in_words_of_each(each, shown, ordered, labels, which)
        chosen = of_different_classes(shown, labels, self.queries)
        return chosen, in_words(chosen, shown, ordered, labels, which)


def in_words_of_each(
    each: Sequence[Retrieval],
    shown: Sequence[Retrieval],
    ordered: Sequence[Retrieval],
    labels: Sequence[tuple[str, ...]],
    which: Which,
) -> str:
    """Return what a sheet of one query per class has, of those that may be shown and of all."""
    cut = f", {MOST_CLASSES} of {len(each)}" if len(each) > MOST_CLASSES else ""
    classes, of_all = ({label for one in some for label in labels[one.query]} for some in (shown, ordered))
    perfect = "; classes in which all have AP 1 are left out" if classes != of_all else ""
    return f"the {which} query of each class by AP{cut}{perfect}"


def in_words(
    chosen: Sequence[Retrieval],
    shown: Sequence[Retrieval],
    ordered: Sequence[Retrieval],
    labels: Sequence[tuple[str, ...]],
    which: Which,
) -> str:
    """Return what a sheet has of all queries, of those that may be shown and of all."""
    different = differing(chosen, labels)
    perfect = sum(one.ap == 1 for one in ordered)
    if chosen[-1].ap == 1 and perfect > len(chosen):
        return f"{len(chosen)} of the {perfect} queries with AP 1{different}"
    queries = f"{len(chosen)} {which} queries" if len(chosen) > 1 else f"{which} query"
    others = "; all other queries have AP 1" if len(chosen) == len(shown) < len(ordered) else ""
    return f"the {queries} by AP{different}{others}"


def differing(chosen: Sequence[Retrieval], labels: Sequence[tuple[str, ...]]) -> str:
    """Return in words that queries are of different classes, which the best ones need not be; empty if they are not."""
    own = [label for one in chosen for label in labels[one.query]]
    return ", of different classes" if len(chosen) > 1 and own and len(own) == len(set(own)) else ""
