"""Annotations as they are published: tables in CSV with a header, and lines."""

import csv
import io
from collections.abc import Iterator, Sequence

from pipeline.datasets.benchmarks.lists import ANEW
from pipeline.frame.places import Place
from pipeline.manifest.labels import read_list_text
from pipeline.retrieval.errors import RetrievalError, shown


def read_table(path: Place, columns: Sequence[str], *, remedy: str = ANEW) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the place of each row of a CSV with a header, as ``file:line``, and its cells by the names of columns.

    Args:
        path: of the file, in UTF-8, with or without a byte order mark.
        columns: that there must be; others may be there too.
        remedy: the end of the error if the file cannot be read.

    Raises:
        RetrievalError: the file cannot be read; a column is missing or there twice; a row has not as many cells.
    """
    reader = csv.reader(io.StringIO(read_list_text(path, remedy=remedy), newline=""), strict=True)
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


def read_lines(path: Place, *, remedy: str = ANEW) -> Iterator[tuple[str, str]]:
    """Yield the place of each line of a text, as ``file:line``, and what stands in it; empty lines are passed over.

    Raises:
        RetrievalError: the file cannot be read.
    """
    text = read_list_text(path, remedy=remedy)
    where = shown(str(path))
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        if line.strip():
            yield f"{where}:{number}", line
