"""Compiled functions where nothing can be kept on disk."""

import importlib.util
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.conftest import TOP

SOURCE = """
from pipeline.retrieval.compiled import compiled

@compiled
def twice(number):
    return 2 * number
"""


@pytest.mark.parametrize("cached", [True, False])
def test_functions_work_where_no_folder_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    for name in ("XDG_CACHE_HOME", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "own.py"
    path.write_text(SOURCE)
    if not cached:
        (tmp_path / "__pycache__").touch()  # so that it is no folder, not even for root
    found = importlib.util.spec_from_file_location("own", path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    with nullcontext() if cached else pytest.warns(UserWarning, match="set NUMBA_CACHE_DIR"):
        found.loader.exec_module(module)
    assert module.twice(21) == 42
    assert cached == any(tmp_path.rglob("*.nbi"))


def said_by(folder: Path, kept: Path | None = None) -> str:
    """Return what a process that imports the code in a folder, and keeps what is compiled in another, gets from it."""
    code = "import caller; print(caller.outer(1))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(TOP)])}
    environment.pop("NUMBA_CACHE_DIR", None)
    if kept is not None:
        environment["NUMBA_CACHE_DIR"] = str(kept)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_an_edit_of_a_function_reaches_those_that_it_is_compiled_into(tmp_path: Path) -> None:
    head = "from pipeline.retrieval.compiled import compiled\n"
    (tmp_path / "called.py").write_text(f"{head}@compiled\ndef inner(number):\n    return number + 10\n")
    caller = "from called import inner\n@compiled\ndef outer(number):\n    return inner(number)\n"
    (tmp_path / "caller.py").write_text(head + caller)
    assert said_by(tmp_path) == "11" and said_by(tmp_path) == "11"
    assert len(list(tmp_path.rglob("caller.*.nbi"))) == 1  # the second process took what the first had compiled
    (tmp_path / "called.py").write_text(f"{head}@compiled\ndef inner(number):\n    return number + 20\n")
    assert said_by(tmp_path) == "21"


def test_a_copy_of_the_code_takes_what_is_compiled_along(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "first/caller.py").write_text(
        "from pipeline.retrieval.compiled import compiled\n@compiled\ndef outer(number):\n    return number + 10\n"
    )
    assert said_by(tmp_path / "first") == "11"
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "second").rglob("*.nb?")}
    assert len(kept) == 2 and said_by(tmp_path / "second") == "11"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "second").rglob("*.nb?")} == kept


def test_compiled_code_is_kept_where_the_user_says(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text(SOURCE.replace("twice", "outer"))
    assert said_by(tmp_path, tmp_path / "there") == "2"
    assert {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*.nbi")} == {"there"}
