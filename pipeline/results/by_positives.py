"""A run judged by some of the positives at a time, such as those where the object is small.

Other positives of a query are left out of its ranking, as junk is: they are neither right nor wrong then.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from pipeline.results.by_attribute import MOST_VALUES, holders_of, in_order
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import Rank, evaluate
from pipeline.retrieval.protocols import Protocol
from pipeline.retrieval.ranking import ROWS
from pipeline.retrieval.relevance import Judge, SomePositives
from pipeline.retrieval.similarity import Scorer
from pipeline.retrieval.wanted import Settings

Groups = dict[str, Bool[np.ndarray, " item"]]


def by_positives(
    asked: Mapping[str, Sequence[float | int]],
    attributes: Mapping[str, Sequence[str]],
    scorer: Scorer,
    protocol: Protocol,
    settings: Settings,
    *,
    names: Sequence[str],
    rank: Rank | None = None,
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return by attribute and group of positives how many queries have some in it, and the metric over these.

    Args:
        asked: attributes, each with the numbers that divide it; none: each of its values is a group.
        attributes: see :func:`pipeline.results.by_attribute.by_attribute`.
        scorer: see :func:`pipeline.retrieval.evaluation.evaluate`.
        protocol: the same, with all positives.
        settings: the same.
        names: the same.
        rank: the same.

    Raises:
        RetrievalError: the dataset has no such attribute, one has too many values, or one that is no number where
            numbers divide it.
    """
    apart = replace(settings, queries_without_positives="skip", left_out=False)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for attribute, edges in asked.items():
        if attribute not in attributes:
            known = ", ".join(attributes) or "none"
            raise RetrievalError(f"by_positives: images have no attribute '{attribute}' (there are: {known})")
        found[attribute] = {}
        for group, kept in groups_of(attribute, attributes[attribute], edges).items():
            judge = SomePositives(protocol.judge, kept[protocol.gallery])
            if not finds_any(judge, len(protocol.queries)):
                continue  # distractors alone
            part = evaluate(scorer, replace(protocol, judge=judge), names=names, settings=apart, rank=rank)
            found[attribute][group] = {"queries": len(part.queries), part.measure.name: part.value}
    return found


def finds_any(judge: Judge, queries: int) -> bool:
    """Return whether a query has a positive; some queries at a time, as lists of all at once can take much memory."""
    firsts = range(0, queries, ROWS)
    return any(judge(first, min(first + ROWS, queries))[0].counts.any() for first in firsts)


def groups_of(attribute: str, cells: Sequence[str], edges: Sequence[float | int]) -> Groups:
    """Return which items are in each group of an attribute, in ascending order; those without a value are in none.

    Args:
        attribute: its name, for errors.
        cells: its value of each item, or several.
        edges: numbers between which groups lie, each the least of its group; none: each value is a group.

    Raises:
        RetrievalError: there are too many values, or one is no number where numbers divide them.
    """
    if edges:
        return dict(divided(attribute, cells, sorted(edges)))
    holders = holders_of(attribute, cells, np.arange(len(cells)))
    if len(holders) > MOST_VALUES:
        raise RetrievalError(
            f"by_positives: '{attribute}' has {len(holders)} values, more than {MOST_VALUES}: give the numbers that "
            f"divide them, as in by_positives: {{{attribute}: [0.1, 0.3]}}"
        )
    return {value: np.isin(np.arange(len(cells)), holders[value]) for value in in_order(list(holders))}


def divided(
    attribute: str, cells: Sequence[str], edges: Sequence[float | int]
) -> Iterator[tuple[str, Bool[np.ndarray, " item"]]]:
    """Yield the groups between numbers: what each is called, and which items are in it."""
    values = np.array([number_of(attribute, cell, item) for item, cell in enumerate(cells)])
    ends = [-math.inf, *edges, math.inf]
    for low, high in zip(ends, ends[1:], strict=False):
        if math.isinf(low):
            called = f"below {high:g}"
        else:
            called = f"from {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"
        yield called, (low <= values) & (values < high)


def number_of(attribute: str, cell: str, item: int) -> float:
    """Return the number in a cell; NaN, which is in no group, for an empty one."""
    try:
        number = float(cell or "nan")
    except ValueError:
        raise RetrievalError(f"by_positives: '{attribute}' of item {item} is {cell!r}, no number") from None
    return number
