"""CSV: whatever stands in a cell is read back."""

import csv
import io

from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.frame.rows import csv_of

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(
    ["\r", "\n", "\r\n", "a\rb", '"', "\\", ",", "\u2028", "\x1b[2J", " a ", "'", ""]
)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=5))
@example([["a\rb", "x" * 200_000]])  # and longer than csv reads by itself
def test_every_text_is_read_back(rows: list[list[str]]) -> None:
    assert list(csv.reader(io.StringIO(csv_of(rows), newline=""))) == rows


def test_what_was_written_before_is_written_alike() -> None:
    assert csv_of([["path", "n"], ["a,b.png", None], ["a\nb", 0.1]]) == 'path,n\n"a,b.png",\n"a\nb",0.1\n'
