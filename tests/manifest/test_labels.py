"""Lists of items: one spelling of a path, labels as they are written, and what is no list."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.manifest.labels import read_labels
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.reading.lists import join_labels, spelt, split_labels


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("./a.png", "a.png"),
        ("x//a.png", "x/a.png"),
        ("x/./a.png", "x/a.png"),
        ("x/", "x"),
        ("../a.png", "../a.png"),
        ("x/../a.png", "x/../a.png"),
        ("s3://bucket//x/./a.png", "s3://bucket//x/./a.png"),
        (" a  b.png", " a  b.png"),
    ],
)
def test_paths_are_spelt_alike_in_every_list(tmp_path: Path, written: str, path: str) -> None:
    assert spelt(written) == path
    for name, content in {"L.txt": f"{written}\tcat\n", "L.csv": f"path,labels\n{written},cat\n"}.items():
        (tmp_path / name).write_text(content)
        assert read_labels(tmp_path / name).names == [path]


@pytest.mark.parametrize("labels", [("cat ",), (" cat",), ("a\u00a0",), ("\ufeffcat",), ("a  b",), ("a\x1b[2Jb",)])
def test_labels_are_as_they_are_written(tmp_path: Path, labels: tuple[str, ...]) -> None:
    for name, content in {"L.txt": f"a.png\t{labels[0]}\r\n", "L.csv": f"path,labels\r\na.png,{labels[0]}\r\n"}.items():
        (tmp_path / name).write_text(content, encoding="utf-8", newline="")
        assert read_labels(tmp_path / name).labels == [labels]


def test_a_label_in_quotes_has_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "L.csv").write_text('path,labels\na.png,"c\ra\nt, ""x"""\n', newline="")
    assert read_labels(tmp_path / "L.csv").labels == [('c\ra\nt, "x"',)]


@pytest.mark.parametrize("written", ["c\\at", "cat\\", "\\", "a|c\\at", "\\\\\\"])
def test_a_stray_backslash_is_refused(tmp_path: Path, written: str) -> None:
    (tmp_path / "L.csv").write_text(f"path,labels\na.png,{written}\n")
    with pytest.raises(RetrievalError, match=r"L\.csv:2: in .* a \\ stands before neither \| nor \\: write it twice"):
        read_labels(tmp_path / "L.csv")


@given(st.text("a|\\", max_size=8))
def test_no_two_cells_are_the_same_labels(written: str) -> None:
    try:
        found = split_labels(written)
    except ValueError:
        return
    assert join_labels(found) == written


@pytest.mark.parametrize("row", ['a.png,"cat\nb.png,dog', 'a.png,"cat"s', 'a.png,c"at"'])
def test_a_quote_that_nothing_ends_swallows_no_rows(tmp_path: Path, row: str) -> None:
    (tmp_path / "L.csv").write_text(f"path,labels\n{row}\nc.png,cat\n")
    if row.endswith('c"at"'):  # one inside a cell is a character like others
        assert read_labels(tmp_path / "L.csv").labels == [('c"at"',), ("cat",)]
        return
    with pytest.raises(RetrievalError, match=r"L\.csv cannot be read \("):
        read_labels(tmp_path / "L.csv")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_labels_alone_are_of_numbered_rows(tmp_path: Path, ends: str) -> None:
    path = tmp_path / "L.txt"
    path.write_bytes(f"\ufeffcat {ends} cat, a/b{ends}dog.jpg".encode())  # the last line without an end
    found = read_labels(path, alone=True)
    assert found.names == ["row 0", "row 1", "row 2"] and list(found.lines) == [1, 2, 3]
    assert found.labels == [("cat ",), (" cat, a/b",), ("dog.jpg",)]
    with pytest.raises(RetrievalError, match=r"L\.txt:1: expected path<TAB>label, got 'cat '"):
        read_labels(path)  # a list of images, whose paths are needed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cat\na.png\tdog\n", r"L\.txt:1: expected path<TAB>label \(or no tab in any line, for labels alone\)"),
        ("a.png\tdog\n\ncat\n", r"L\.txt:3: expected path<TAB>label"),
        ("cat\n\ndog\n", r"L\.txt:2: an empty line among labels alone: remove it"),
        ("cat\n \n", r"L\.txt:2: an empty line"),
        ("cat\nx/1.JPG\n", r"L\.txt:2: 'x/1\.JPG' is a path without a label: give path<TAB>label"),
        ("x/1.jpeg cat\n", r"'x/1\.jpeg cat' is a path"),  # a space for the tab
        ("1.webp,cat\n", r"'1\.webp,cat' is a path"),
        ("x\\1.tif\n", r"is a path"),
        (" \n\n", r"L\.txt lists no item"),
        ("", r"L\.txt lists no item"),
    ],
)  # fmt: skip
def test_what_labels_alone_cannot_be(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "L.txt").write_text(text)
    with pytest.raises(RetrievalError, match=said):
        read_labels(tmp_path / "L.txt", alone=True)


@pytest.mark.parametrize("name", ["L.txt", "L.csv"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(RetrievalError, match=rf"{name} is a named pipe \(FIFO\), not a file"):
        read_labels(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(RetrievalError, match=rf"{name} is a device, not a file"):
        read_labels(tmp_path / name)


def test_a_line_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "L.txt").write_text("a.png\tcat\nb\x1b[2J  c.png\n")
    with pytest.raises(RetrievalError) as caught:
        read_labels(tmp_path / "L.txt")
    assert str(caught.value) == f"{tmp_path}/L.txt:2: expected path<TAB>label, got 'b\\x1b[2J  c.png'"
