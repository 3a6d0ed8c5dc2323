"""What readers of published annotations have in common."""

from pathlib import Path

import pytest

from pipeline.datasets.annotations import read_lines, read_rows, whole
from pipeline.datasets.escapes import with_escapes, without_escapes
from pipeline.retrieval.errors import RetrievalError


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_with_the_empty_ones(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(end.join(["\ufeffx y", "", "  ", " z\x85 w"]).encode())
    assert list(read_lines(path)) == [(f"{path}:1", "x y"), (f"{path}:4", " z\x85 w")]


def test_a_file_whose_name_is_not_seen_is_named_as_python_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b.txt"
    path.write_text("1 2\n3\n")
    with pytest.raises(RetrievalError, match=r"a\\x1b\.txt':2: expected 'a b', got '3': fetch it anew"):
        read_rows(path, "a b")


@pytest.mark.parametrize(("value", "number"), [(7, 7), ("7", 7), ("007", 7), (0, 0), ("9" * 18, 10**18 - 1)])
def test_whole_numbers(value: object, number: int) -> None:
    assert whole(value, what="it", where="here") == number


@pytest.mark.parametrize("value", [-1, "-1", "", "1.0", 1.0, True, None, [7], "\u0667", "9" * 19, 10**18])
def test_what_is_no_whole_number(value: object) -> None:
    with pytest.raises(RetrievalError, match="here: it is .*, no whole number: fetch it anew"):
        whole(value, what="it", where="here")


def test_escapes_of_names() -> None:
    assert with_escapes("caf\u00e9/\u5c71_1.jpg") == "caf#U00e9/#U5c71_1.jpg"
    assert without_escapes("caf#U00e9/#U5c71_1#U.jpg") == "caf\u00e9/\u5c71_1#U.jpg"
