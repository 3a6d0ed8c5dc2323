"""Annotations as they are published: lines, rows, tables and JSON, and the paths, numbers and boxes in them."""

import csv
import io
import json
import reprlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.datasets.layouts import LISTED, confine, refuse_outside
from pipeline.frame.places import Place
from pipeline.frame.upstream import problem_of
from pipeline.manifest.items import Box, join_box, split_box
from pipeline.manifest.labels import read_list_text
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.reading.lists import spelt

ANEW = "fetch it anew"
INCOMPLETE = "the archive is not complete"


def read_lines(path: Place, *, remedy: str = ANEW) -> Iterator[tuple[str, str]]:
    """Yield the place of each line of a text, as ``file:line``, and what stands in it; empty lines are passed over.

    Raises:
        RetrievalError: the file cannot be read.
    """
    text = io.StringIO(read_list_text(path, remedy=remedy), newline=None)
    where = shown(str(path))
    for number, line in enumerate(text, start=1):
        if line.strip():
            yield f"{where}:{number}", line.rstrip("\n")


@dataclass(frozen=True)
class Row:
    """A line of a list.

    Attributes:
        fields: what stands in it.
        where: the file and the line, for errors.
    """

    fields: tuple[str, ...]
    where: str


def read_rows(
    path: Place, columns: str, *, header: bool = False, counted: bool = False, separator: str | None = None
) -> list[Row]:
    """Read a list of one item a line; empty lines are passed over.

    Args:
        path: of the list.
        columns: their names, as a header has them, with spaces between.
        header: whether the names stand above the rows.
        counted: whether the number of rows stands above all.
        separator: between the fields of a row; None: white space.

    Raises:
        RetrievalError: the file cannot be read, has another header or fewer or more rows than it says, or a row has
            another number of fields; the line is named.
    """
    lines = [(here, line.strip()) for here, line in read_lines(path, remedy=INCOMPLETE)]
    where = shown(str(path))
    count = None
    if counted:
        here, line = lines.pop(0) if lines else (f"{where}:1", "")
        count = whole(line, what="the number of rows", where=here)
    if header:
        here, line = lines.pop(0) if lines else (f"{where}:1", "")
        if line.split() != columns.split():
            raise RetrievalError(f"{here}: expected the header '{columns}', got {line!r}: {ANEW}")
    rows = [Row(tuple(line.split(separator)), here) for here, line in lines]
    for row, (_, line) in zip(rows, lines, strict=True):
        if len(row.fields) != len(columns.split()):
            raise RetrievalError(f"{row.where}: expected '{columns}', got {line!r}: {ANEW}")
    if count is not None and count != len(rows):
        raise RetrievalError(f"{where} has {len(rows)} rows, and says that it has {count}: {ANEW}")
    return rows


def by_field(rows: Sequence[Row], column: int) -> dict[str, Row]:
    """Return from what stands in a column to its row.

    Raises:
        RetrievalError: two rows have the same there.
    """
    found: dict[str, Row] = {}
    for row in rows:
        first = found.setdefault(row.fields[column], row)
        if first is not row:
            raise RetrievalError(
                f"{row.where}: {shown(row.fields[column])} stands already in {first.where}: remove one of the lines"
            )
    return found


def read_records(path: Place, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the place of each row of a CSV with a header, as ``file:line``, and its cells by the names of columns.

    Args:
        path: of the file, in UTF-8, with or without a byte order mark.
        columns: that there must be; others may be there too.

    Raises:
        RetrievalError: the file cannot be read; a column is missing or there twice; a row has not as many cells.
    """
    reader = csv.reader(io.StringIO(read_list_text(path, remedy=ANEW), newline=""), strict=True)
    where = shown(str(path))
    try:
        header = next(reader, [])
        if not set(columns) <= set(header) or len(set(header)) < len(header):
            raise RetrievalError(f"{where}:1: its columns are {header}: expected {', '.join(columns)}: {ANEW}")
        for cells in reader:
            if not cells:
                continue
            here = f"{where}:{reader.line_num}"
            if len(cells) != len(header):
                raise RetrievalError(f"{here}: {len(cells)} cells, and not {len(header)} as in the header: {ANEW}")
            yield here, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise RetrievalError(f"{where}:{reader.line_num}: it is no CSV ({error}): {ANEW}") from None


def read_json_of(path: Place, form: Any) -> Any:
    """Return what a JSON file holds, after a check that it is of a form, a type that pydantic checks.

    Raises:
        RetrievalError: it cannot be read, or is of another form; the place in it is named.
    """
    text = read_list_text(path, remedy=INCOMPLETE)
    try:
        value = json.loads(text)
        TypeAdapter(form).validate_python(value, strict=True)
    except (ValidationError, ValueError, RecursionError) as error:
        raise RetrievalError(f"{shown(str(path))} is not as published ({problem_of(error)}): {ANEW}") from None
    return value


def listed_image(top: Place, name: str, *, where: str, follow_links: bool) -> str:
    """Return the path of an image that a list names, in one spelling.

    Raises:
        RetrievalError: it leaves the root, or there is no such file.
    """
    path = spelt(name)
    refuse_outside(path, where=where)
    confine(top, path, where=where, follow_links=follow_links, remedy=LISTED)
    return path


def whole(value: object, *, what: str, where: str) -> int:
    """Return a whole number that is not negative, or the one that a text is; RetrievalError if there is none.

    It has at most 18 decimal digits.
    """
    text = str(value) if isinstance(value, int | str) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise RetrievalError(f"{where}: {what} is {reprlib.repr(value)}, no whole number: {ANEW}")
    return int(text)


def numbers(fields: Sequence[str], *, where: str) -> list[float]:
    """Return the numbers in some fields; RetrievalError if one is none."""
    try:
        return [float(field) for field in fields]
    except ValueError:
        raise RetrievalError(f"{where}: {' '.join(fields)!r} are not {len(fields)} numbers: {ANEW}") from None


def proper_box(left: float, top: float, right: float, bottom: float, *, where: str) -> Box:
    """Return a box; RetrievalError if it has no area or is not finite."""
    sides = (float(left), float(top), float(right), float(bottom))
    try:
        split_box(join_box(sides))
    except ValueError as error:
        raise RetrievalError(f"{where}: {error} of left, top, right and bottom: {ANEW}") from None
    return sides


def sized_box(fields: Sequence[str], *, where: str) -> Box:
    """Return the box in four fields, left, top, width and height; RetrievalError if it is none."""
    left, top, width, height = numbers(fields, where=where)
    return proper_box(left, top, left + width, top + height, where=where)


def class_range(classes: Sequence[int]) -> range:
    """Return the numbers from the first class to the last.

    Raises:
        RetrievalError: ``classes`` is not these two.
    """
    if len(classes) != 2 or not 1 <= classes[0] <= classes[1]:
        raise RetrievalError(
            f"'classes' is {list(classes)}: give the number of the first and of the last, as [101, 200]"
        )
    return range(classes[0], classes[1] + 1)
