"""Small tables as CSV, without pandas, whose import takes longer than many a stage."""

import csv
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pipeline.frame.files import write_text
from pipeline.frame.rows import csv_of


def write_table(target: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns of one length, whole or not at all; None as an empty cell."""
    write_text(target, csv_of(chain([list(columns)], zip(*columns.values(), strict=True))))


def read_table(path: Path, *names: str) -> dict[str, list[str]]:
    """Return some columns of a table by their names, or all of them, every cell as it is written.

    Raises:
        OSError: it cannot be read.
        ValueError: it lacks a column, or a row has not as many cells as the header.
    """
    with path.open(encoding="utf-8", newline="") as file:
        try:
            header, *rows = list(csv.reader(file)) or [[]]
        except csv.Error as error:
            raise ValueError(str(error)) from None
    for name in names:
        if name not in header:
            raise ValueError(f"there is no column '{name}'")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"row {number} has not {len(header)} cells")
    return {name: [row[header.index(name)] for row in rows] for name in names or header}
