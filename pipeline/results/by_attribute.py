"""Means of runs over the queries of which something is known, such as how their image was edited."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pipeline.frame.upstream import output_of
from pipeline.manifest.manifest import ATTRIBUTES
from pipeline.results.tables import read_table
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.reading.lists import split_labels

# An attribute with more values than these, such as a size in pixels, sorts no queries.
MOST_VALUES = 50
COLUMNS = ("attribute", "value", "queries", "encoder", "metric", "mean")


def by_attribute(
    attributes: Mapping[str, Sequence[str]],
    queries: Int[np.ndarray, " query"],
    values: Mapping[str, Float[np.ndarray, " query"]],
    *,
    metric: str,
) -> dict[str, list[Any]]:
    r"""Return the mean of each run over the queries with each value of each attribute, as the columns of a table.

    These are ``attribute``, ``value``, ``queries`` (how many have it), ``encoder``, ``metric`` and ``mean``.
    A query of which an attribute is not known counts for none of its values, and one with several for each. Attributes
    that sort no queries are left out: those with more than 50 values, and those of which every value is one query's
    alone, such as a name. Values are in the order of numbers where all are finite ones, else in that of text.

    Args:
        attributes: the cells of each, one an item: a value, several joined by ``|`` (a ``|`` or ``\`` inside one has a
            ``\`` before it), or nothing where none is known.
        queries: the items that are the queries.
        values: of the runs by name, one value a query.
        metric: which they are of.

    Raises:
        RetrievalError: a cell is not of this form; it is named.
    """
    rows: list[tuple[Any, ...]] = []
    for attribute, cells in attributes.items():
        holders = holders_of(attribute, cells, queries)
        if len(holders) > MOST_VALUES or all(len(places) == 1 for places in holders.values()):
            continue
        for value in in_order(list(holders)):
            places = np.array(holders[value])
            for run, numbers in values.items():
                rows.append((attribute, value, len(places), run, metric, float(numbers[places].mean())))
    return {name: [row[column] for row in rows] for column, name in enumerate(COLUMNS)}


def read_attributes(prepared: Path, items: int) -> dict[str, list[str]]:
    """Return what a dataset says of its images beside their labels, by name, a cell an item; nothing where it does not.

    Args:
        prepared: the folder of its manifest.
        items: how many the manifest has.

    Raises:
        RetrievalError: the file is damaged, or has not a row for each item.
    """
    path = prepared / ATTRIBUTES
    if not path.exists():
        return {}
    with output_of(f"prepare@{prepared.name}", f"attributes in {path}"):
        columns = read_table(path)
        if (rows := len(columns.pop("path"))) != items:
            raise ValueError(f"{rows} rows for {items} items")
    return columns


def holders_of(attribute: str, cells: Sequence[str], queries: Int[np.ndarray, " query"]) -> dict[str, list[int]]:
    """Return which queries, by their place among them, have each value of an attribute."""
    holders: dict[str, list[int]] = {}
    for place, item in enumerate(queries.tolist()):
        try:
            known = split_labels(cells[item])
        except ValueError as error:
            raise RetrievalError(f"the attribute '{attribute}' of item {item} is {cells[item]!r}: {error}") from None
        for value in dict.fromkeys(known):
            holders.setdefault(value, []).append(place)
    return holders


def in_order(values: list[str]) -> list[str]:
    """Return values in ascending order: of numbers where all are finite numbers, else of text."""
    try:
        numbers = {value: float(value) for value in values}
    except ValueError:
        return sorted(values)
    return sorted(values, key=numbers.__getitem__ if all(map(math.isfinite, numbers.values())) else None)
