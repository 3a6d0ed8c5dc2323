"""The words in which a dataset says what is asked and what is relevant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np

Role = Literal["both", "query", "gallery"]
ROLES = get_args(Role)


@dataclass(frozen=True)
class Query:
    """A query that a dataset comes with, and what is known about its gallery; all are indices of items.

    The gallery is every item that is no query's. What stands in none of the lists does not show the query's
    object.

    Attributes:
        item: the query's image.
        easy: items that show it clearly.
        hard: items that show it in a way that is hard to recognise.
        junk: items that show it too badly to be counted for or against a ranking.
    """

    item: int
    easy: tuple[int, ...]
    hard: tuple[int, ...]
    junk: tuple[int, ...]


def check_queries(queries: Sequence[Query], items: int) -> None:
    """Check the indices of queries: all of them items, those in the lists of the gallery and there once.

    Raises:
        ValueError: one is not.
    """
    asked = {query.item for query in queries}
    for number, query in enumerate(queries):
        listed: tuple[Any, ...] = (*query.easy, *query.hard, *query.junk)
        for index in (*listed, query.item):
            if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < items:
                raise ValueError(f"query {number}: {index!r} is no index of {items} items")
        if len(set(listed)) != len(listed) or not asked.isdisjoint(listed):
            raise ValueError(f"query {number}: an item stands twice among easy, hard and junk, or is itself a query")


def as_role(text: str | Any) -> Role:
    """Return a role; ValueError for anything else."""
    if text in ROLES:
        return cast(Role, text)
    raise ValueError(f"unknown role '{text}': one of {', '.join(ROLES)}")
