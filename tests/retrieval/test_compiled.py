"""Compiled functions where nothing can be kept on disk."""

import importlib.util
from contextlib import nullcontext
from pathlib import Path

import pytest

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
