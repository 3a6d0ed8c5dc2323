"""DVC's list of who is at work, cut off or stale, and whom it names rightly."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.frame.holding import AtWork
from pipeline.mending.at_work import LIST, mended
from pipeline.mending.mending import mend

DEAD = 2**22 + 1  # more than Linux gives


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    LIST.parent.mkdir(parents=True)


@pytest.fixture
def dvc(tmp_path: Path) -> Iterator[int]:
    """A process that looks like DVC in the folder."""
    (tmp_path / "dvc").write_text("import time; print(flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "dvc"], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        yield process.pid
        process.kill()


def listed(*processes: int) -> str:
    first, *others = [{"pid": process, "cmd": "dvc repro"} for process in processes]
    return json.dumps({"write": {"/data": first}, "read": {"/code": others}})


@pytest.mark.parametrize("content", ["", "{", listed(1)[:20], '{"write": 3}', '{"write": {"/data": {}}}', "[]", "\0"])
def test_what_cannot_be_read_is_removed(content: str) -> None:
    LIST.write_text(content)
    assert mended() == ".dvc/tmp/rwlock was cut off: removed"
    assert not LIST.exists() and mended() is None


@pytest.mark.parametrize("content", ["", "{"])
def test_but_not_while_dvc_is_at_work(content: str, dvc: int) -> None:
    LIST.write_text(content)
    with pytest.raises(AtWork, match=rf"dvc is at work already \(process {dvc}\): wait"):
        mended()
    assert LIST.read_text() == content


def test_an_empty_list_stays() -> None:
    LIST.write_text("{}")
    assert mended() is None and LIST.read_text() == "{}"


def test_processes_that_are_gone_are_no_longer_named(dvc: int) -> None:
    LIST.write_text(listed(DEAD, DEAD))
    assert mended() == ".dvc/tmp/rwlock named processes that are gone: removed"
    LIST.write_text(listed(dvc))
    os.utime(LIST, (0, 0))  # the number was another one's then
    assert mended() == ".dvc/tmp/rwlock named processes that are gone: removed"


def test_one_that_lives_is_said(dvc: int) -> None:
    LIST.write_text(listed(DEAD, dvc))
    Path("dvc.lock").write_text("")
    with pytest.raises(AtWork, match=rf"dvc is at work already \(process {dvc}\): wait"):
        mend()
    assert json.loads(LIST.read_text()) and Path("dvc.lock").read_text() == ""


def test_so_is_one_that_holds_the_lock(tmp_path: Path) -> None:
    code = "import sys, zc.lockfile; lock = zc.lockfile.LockFile('.dvc/tmp/lock'); print(flush=True); sys.stdin.read()"
    Path("dvc.lock").write_text("")
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        process.stdout.readline()
        with pytest.raises(AtWork, match=rf"dvc is at work already \(process {process.pid}\): wait"):
            mend()
        process.stdin.close()
    assert [line.partition(":")[0] for line in mend()] == ["dvc.lock is empty"]


def test_a_folder_without_dvc_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert mend() == [] and list(Path().iterdir()) == []
