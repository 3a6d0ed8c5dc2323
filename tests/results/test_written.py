"""By what results were written, in words."""

import subprocess
from pathlib import Path

import pytest

from pipeline.results.written import written_by


def git(top: Path, *arguments: str) -> str:
    who = ("-c", "user.name=T", "-c", "user.email=t@example.org")
    return subprocess.run(["git", *who, *arguments], cwd=top, capture_output=True, text=True, check=True).stdout.strip()


def test_version_commit_date_and_changes(tmp_path: Path) -> None:
    assert written_by(tmp_path) == "retrieval-bench"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "retrieval-bench"\nversion = "1.2.3"\n')
    assert written_by(tmp_path) == "retrieval-bench 1.2.3"
    git(tmp_path, "init", "-q")
    assert written_by(tmp_path) == "retrieval-bench 1.2.3"  # no commit yet
    (tmp_path / "params.yaml").write_text("a: 1\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one", "--date", "2001-02-03T00:00:00")
    known = git(tmp_path, "log", "-1", "--format=%h of %cs")
    assert written_by(tmp_path) == f"retrieval-bench 1.2.3 at commit {known}"
    (tmp_path / "notes.txt").write_text("results are no code\n")
    assert written_by(tmp_path) == f"retrieval-bench 1.2.3 at commit {known}"
    (tmp_path / "params.yaml").write_text("a: 2\n")
    assert written_by(tmp_path) == f"retrieval-bench 1.2.3 at commit {known} with changes since"


def test_a_folder_within_another_repository_is_not_its_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "one")
    inner = tmp_path / "inner"
    inner.mkdir()
    assert written_by(inner) == "retrieval-bench"


def test_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert written_by(tmp_path) == "retrieval-bench"
