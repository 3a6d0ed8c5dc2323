"""Runs and relevance judgements in files: the text of trec_eval, or JSON ``{query: {item: number}}``."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..errors import RetrievalError, shown
from .lists import read_text

Number = TypeVar("Number", int, float)

RUN = ("query", "Q0", "item", "rank", "score", "tag")
CELL = re.compile(r"[^ \t\r]+")  # as in C: names can have what Unicode has beside
JUDGEMENTS = ("query", "0", "item", "relevance")


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """Return the scores of the items that were found for each query; the ranks in the file do not count.

    Raises:
        RetrievalError: the file cannot be read, or a line has another form, or an item stands twice for a query.
    """
    return read(path, float, columns=RUN, value="score")


def read_judgements(path: Path) -> dict[str, dict[str, int]]:
    """Return the relevance of the items that are judged for each query.

    Raises:
        RetrievalError: see :func:`read_run`.
    """
    return read(path, int, columns=JUDGEMENTS, value="relevance")


def read(
    path: Path, number: Callable[[str], Number], *, columns: tuple[str, ...], value: str
) -> dict[str, dict[str, Number]]:
    """Return what a file has of each query and item.

    Args:
        path: a ``.json``, else text.
        number: from text to what is kept; ValueError for what is none.
        columns: of the text.
        value: the name of the column that is kept.

    Raises:
        RetrievalError: see :func:`read_run`.
    """
    form = " ".join(columns)
    text = read_text(path, remedy=f"give lines '{form}', or a .json {{query: {{item: {value}}}}}")
    found = read_json(text, str(path)) if path.suffix.lower() == ".json" else {}
    if path.suffix.lower() != ".json":
        for place, line in enumerate(text.split("\n"), start=1):
            cells = CELL.findall(line)
            if not cells:
                continue
            try:
                row = dict(zip(columns, cells, strict=True))
                known = number(row[value])
            except ValueError:
                raise RetrievalError(f"{path}:{place}: expected '{form}', got {line!r}") from None
            items = found.setdefault(row["query"], {})
            if row["item"] in items:
                raise RetrievalError(
                    f"{path}:{place}: {shown(row['item'])} stands twice for query {shown(row['query'])}"
                )
            items[row["item"]] = known
    if not found:
        raise RetrievalError(f"{path} has no query: expected lines '{form}', or a .json")
    return found


def read_json(text: str, where: str) -> dict[str, dict[str, Any]]:
    """Return JSON ``{query: {item: number}}``; the numbers are checked by who takes them."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise RetrievalError(f"{where}: {shown(name)} stands twice in one place")
            found[name] = value
        return found

    try:
        found = json.loads(text, object_pairs_hook=once)
    except RetrievalError:
        raise
    except (ValueError, RecursionError) as error:
        raise RetrievalError(f"{where} cannot be read ({error}): give JSON {{query: {{item: number}}}}") from None
    if not isinstance(found, dict) or not all(isinstance(items, dict) for items in found.values()):
        raise RetrievalError(f"{where}: expected {{query: {{item: number}}}}")
    return found
