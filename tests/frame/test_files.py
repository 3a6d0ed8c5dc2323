"""Files and folders that two processes write at once, what a killed one leaves, and what is no file."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.frame.files import replacing_directory, replacing_file, write_text
from pipeline.frame.holding import AtWork, holding
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.reading.regular import regular_file
from tests.conftest import TOP

# Writes the same file and the same folder again and again.
WRITER = """
import sys
from pathlib import Path
from pipeline.frame.files import replacing_directory, write_text
folder = Path(sys.argv[1])
for number in range(150):
    write_text(folder / "f", "whole" * 1000)
    with replacing_directory(folder / "d") as made:
        for name in "abc":
            (made / name).write_text("whole")
"""
KILLED = """
import os, sys
from pathlib import Path
from pipeline.frame.files import replacing_directory, replacing_file
folder = Path(sys.argv[1])
with replacing_directory(folder / "d") as made, replacing_file(folder / "f") as partial:
    (made / "a").write_text("half")
    partial.write_text("half")
    os._exit(9)
"""


def python(code: str, folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        env={**os.environ, "PYTHONPATH": str(TOP)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_processes_that_write_the_same_do_not_meet(tmp_path: Path) -> None:
    writers = [python(WRITER, tmp_path) for _ in range(3)]
    assert [writer.communicate()[1] for writer in writers] == [""] * 3
    assert (tmp_path / "f").read_text() == "whole" * 1000
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "d",
        "d/a",
        "d/b",
        "d/c",
        "f",
    ]


def test_what_a_killed_process_left_goes_and_what_another_one_writes_stays(tmp_path: Path) -> None:
    python(KILLED, tmp_path).communicate()
    assert len(list(tmp_path.glob(".*.partial"))) == 2
    with replacing_file(tmp_path / "f") as living:
        living.write_text("half")
        elsewhere = tmp_path / f"{living.name.partition('@')[0]}@elsewhere.partial"  # on a disk that machines share
        elsewhere.write_text("half")
        write_text(tmp_path / "f", "whole")
        with replacing_directory(tmp_path / "d"):
            pass
        assert sorted(tmp_path.iterdir()) == sorted([living, elsewhere, tmp_path / "d", tmp_path / "f"])


def test_a_long_name_has_room(tmp_path: Path) -> None:
    for name in ("n" * 255, "\N{FULLWIDTH LATIN SMALL LETTER N}" * 85):
        write_text(tmp_path / name, "whole")
        assert [path.name for path in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()


def test_a_folder_does_not_take_the_place_of_a_file(tmp_path: Path) -> None:
    write_text(tmp_path / "d", "a file")
    with pytest.raises(NotADirectoryError), replacing_directory(tmp_path / "d"):
        pass
    assert [path.read_text() for path in tmp_path.iterdir()] == ["a file"]


def test_one_at_a_time_and_the_other_is_told_which(tmp_path: Path) -> None:
    lock = tmp_path / "made/lock"
    said = rf"an extraction is at work already \(process {os.getpid()}\): wait"
    with holding(lock, "an extraction"), pytest.raises(AtWork, match=said), holding(lock, "an extraction"):
        pass
    with holding(lock, "an extraction"):
        pass


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "device", "loop", "link to a pipe"])
def test_what_is_no_file_is_refused_at_once_for_what_it_is(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)  # a socket's name must be short
    path = tmp_path / "it"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("it")
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to("it")
    else:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to("pipe")
    said = {"pipe": "a named pipe", "link to a pipe": "a named pipe", "loop": "a link that leads back to itself"}
    with pytest.raises(RetrievalError, match=f"{path} is {said.get(kind, f'a {kind}')}"):
        regular_file(path)


def test_a_file_and_a_link_to_one_are_files_and_nothing_is_what_opening_it_says(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    file.touch()
    link.symlink_to(file)
    regular_file(file)
    regular_file(link)
    with pytest.raises(FileNotFoundError):
        regular_file(tmp_path / "nothing")
    with pytest.raises(RetrievalError, match=r"\\x00b' is no name of a file: it has a null character"):
        regular_file(tmp_path / "a\0b")


@pytest.mark.parametrize("name", ["a.png", "two words.png", "Füße", "犬/1.jpg", "'quoted'", "a\\b"])
def test_a_name_that_can_be_found_by_what_one_sees_is_shown_as_it_is(name):
    assert shown(name) == name


@pytest.mark.parametrize(
    "name", ["a\n", "a\rb", "a\tb", "a  b", " a", "a ", "", "\x1b[2J", "a\udcff", "a\u200b", "a\xa0b", "\u202ea"]
)
def test_any_other_is_shown_as_python_writes_it(name):
    assert shown(name) == repr(name)
    assert shown(name).isprintable()


def test_a_folder_of_other_things_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/mine.jpg").touch()
    with (
        pytest.raises(RetrievalError, match=r"photos is a folder of other things \(mine.jpg\): name another to write"),
        replacing_directory(tmp_path / "photos") as made,
    ):
        (made / "manifest.csv").touch()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    for target in (Path("."), Path(".."), tmp_path / "work/../../.."):
        with (
            pytest.raises(RetrievalError, match="is the folder of this process, or above it"),
            replacing_directory(target),
        ):
            pass
    assert os.listdir(tmp_path / "photos") == ["mine.jpg"] and sorted(os.listdir(tmp_path)) == ["photos", "work"]
