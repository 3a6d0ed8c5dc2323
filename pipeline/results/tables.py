"""Small tables as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.frame.files import write_text


def write_table(target: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Write columns of one length as pandas would, whose import takes longer than many a stage; whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_text(target, text.getvalue())
