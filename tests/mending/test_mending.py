"""What killed stages have left is swept before DVC runs; what is being written, or is another machine's, stays."""

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline.mending.mending import mend


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (".dvc/tmp", "data/raw", "data/prepared", "features/hog"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def gone() -> int:
    """Return the number of a process that was there."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def left(folder: Path, process: int, *, machine: str = platform.node()) -> Path:
    """Leave a folder under a temporary name, as a killed process does."""
    partial = folder / f".digits.{process}-0@{machine}.partial"
    partial.mkdir()
    (partial / "manifest.csv").write_text("path\n")
    return partial


def test_what_killed_stages_left_is_removed_and_said(project: Path) -> None:
    number = gone()
    found = [left(project / name, number) for name in ("data", "data/prepared", "features/hog")]
    (said,) = mend()
    assert said == f"data/.digits.{number}-0@{platform.node()}.partial, left half-written: removed, and 2 more"
    assert not any(path.exists() for path in found)
    assert mend() == []


def test_a_number_that_another_process_has_by_now_is_no_reason_to_keep_it(project: Path) -> None:
    partial = left(project / "features", os.getpid())
    os.utime(partial, (0, 0))  # long before this process began
    assert len(mend()) == 1 and not partial.exists()


def test_a_dead_process_that_nobody_asked_for_is_gone(project: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        partial = left(project / "features", process.pid)
        assert len(mend()) == 1 and not partial.exists()


def test_what_may_be_written_and_what_is_not_ours_stays(project: Path) -> None:
    kept = [
        left(project / "features", os.getpid()),
        left(project / "features", gone(), machine="another"),
        left(project / "data/raw", gone()),
        project / "features" / "notes.partial",
    ]
    kept[-1].write_text("")
    assert mend() == []
    assert all(path.exists() for path in kept)
