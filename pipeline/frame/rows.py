"""Rows as CSV: what is written reads back equal, whatever stands in a cell."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

# The default limit, 128 KiB, is of what is read only.
csv.field_size_limit(2**31 - 1)


def csv_of(rows: Iterable[Sequence[Any]]) -> str:
    r"""Return rows as CSV, lines ending in ``\n``; None is an empty cell."""
    text = io.StringIO(newline="")
    plain = csv.writer(text, lineterminator="\n")
    quoted = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        # It ends a row for who reads it, but before Python 3.13 csv does not quote it.
        returns = any(isinstance(cell, str) and "\r" in cell for cell in row)
        (quoted if returns else plain).writerow(row)
    return text.getvalue()
