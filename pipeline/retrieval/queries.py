"""The words in which a dataset says what is asked and what is relevant."""

from dataclasses import dataclass
from typing import Literal, get_args

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
