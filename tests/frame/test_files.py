"""Files and folders that two processes write at once, and what a killed one leaves."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.frame.files import replacing_directory, replacing_file, write_text
from pipeline.frame.holding import AtWork, holding
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
