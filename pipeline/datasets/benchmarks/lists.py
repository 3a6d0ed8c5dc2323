"""What the lists of published datasets have in common: fields in lines, JSON of a form, paths, numbers, boxes."""

import io
import json
from collections.abc import Sequence
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
    text = read_list_text(path, remedy="the archive is not complete")
    lines = [(number, line.strip()) for number, line in enumerate(io.StringIO(text, newline=None), start=1)]
    lines = [(number, line) for number, line in lines if line]
    count = None
    if counted:
        number, line = lines.pop(0) if lines else (1, "")
        count = whole(line, what="the number of rows", where=f"{path}:{number}")
    if header:
        number, line = lines.pop(0) if lines else (1, "")
        if line.split() != columns.split():
            raise RetrievalError(f"{path}:{number}: expected the header '{columns}', got {line!r}: {ANEW}")
    rows = [Row(tuple(line.split(separator)), f"{path}:{number}") for number, line in lines]
    for row, (_, line) in zip(rows, lines, strict=True):
        if len(row.fields) != len(columns.split()):
            raise RetrievalError(f"{row.where}: expected '{columns}', got {line!r}: {ANEW}")
    if count is not None and count != len(rows):
        raise RetrievalError(f"{path} has {len(rows)} rows, and says that it has {count}: {ANEW}")
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


def read_json_of(path: Place, form: Any) -> Any:
    """Return what a JSON file holds, after a check that it is of a form, a type that pydantic checks.

    Raises:
        RetrievalError: it cannot be read, or is of another form; the place in it is named.
    """
    text = read_list_text(path, remedy="the archive is not complete")
    try:
        value = json.loads(text)
        TypeAdapter(form).validate_python(value, strict=True)
    except (ValidationError, ValueError, RecursionError) as error:
        raise RetrievalError(f"{path} is not as published ({problem_of(error)}): {ANEW}") from None
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


def whole(text: str, *, what: str, where: str) -> int:
    """Return the number that a text is, of at most 18 decimal digits; RetrievalError if it is none."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise RetrievalError(f"{where}: {what} is {text!r}, no whole number: {ANEW}")
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
