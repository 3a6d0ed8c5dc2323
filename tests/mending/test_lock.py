"""dvc.lock cut off anywhere, and put back."""

import subprocess
from pathlib import Path

import pytest

from pipeline.mending import lock
from pipeline.retrieval.errors import RetrievalError

GRAPH = """stages:
  check: {cmd: c, deps: [pipeline], outs: [data/code]}
  extract: {matrix: {e: [a, b]}, cmd: e, outs: [features, costs: {cache: false}], plots: [p], metrics: [m]}
"""
FILE = "\n".join(
    ("    - path: {}", "      hash: md5", "      md5: 81a94682f7ed60e906ce1a24580a8bab", "      size: 748", "")
)
FOLDER = FILE.replace("bab\n", "bab.dir\n") + "      nfiles: 12\n"
CHECK = "  check:\n    cmd: c\n    deps:\n" + FOLDER.format("pipeline") + "    outs:\n" + FOLDER.format("data/code")
EXTRACT = "    cmd: e\n    outs:\n" + FOLDER.format("f") + "".join(FILE.format(name) for name in "cpm")
LOCK = f"schema: '2.0'\nstages:\n{CHECK}  extract@a:\n{EXTRACT}  extract@b:\n{EXTRACT}"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a lock that was kept, and another one in git."""
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(GRAPH)
    git("init", "-q")
    Path("dvc.lock").write_text(LOCK.replace("12", "11"))
    git("add", ".")
    git("-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "before")
    Path(".dvc/tmp").mkdir(parents=True)
    Path("dvc.lock").write_text(LOCK)
    lock.keep(LOCK.encode())
    return tmp_path


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True)


def text() -> str:
    return Path("dvc.lock").read_text()


# The record that changed last may be anywhere, so that a lock that is cut off is no beginning of the one kept.
@pytest.mark.parametrize("changed", [LOCK, LOCK.replace("nfiles: 12", "nfiles: 34", 2)])
def test_it_is_noticed_wherever_it_is_cut(changed: str) -> None:
    lines = changed.splitlines(keepends=True)
    for number, line in enumerate(lines):
        before = "".join(lines[:number])
        for rest in {"", line[: len(line) // 2], line[:-1]}:
            Path("dvc.lock").write_text(before + rest)
            said = lock.mended()
            assert said and said.startswith("dvc.lock ") and "put back as the last stage found it" in said, before
            assert text() == LOCK and Path(".dvc/tmp/dvc.lock.cut").read_text() == before + rest
            assert lock.mended() is None


@pytest.mark.parametrize("number", range(2, LOCK.count("\n")))
def test_without_a_copy_it_is_noticed_but_at_the_end_of_a_stage(number: int) -> None:
    Path(".dvc/tmp/dvc.lock.whole").unlink()
    cut = "".join(LOCK.splitlines(keepends=True)[:number])
    Path("dvc.lock").write_text(cut)
    if cut.endswith((CHECK, f"extract@a:\n{EXTRACT}")):
        assert lock.mended() is None
    else:
        said = lock.mended()
        assert said and "put back as git has it" in said and text() == LOCK.replace("12", "11")


@pytest.mark.parametrize("number", range(1, 13))
def test_a_stage_without_outputs_ends_with_its_dependencies(number: int) -> None:
    Path("dvc.yaml").write_text(f"{GRAPH}  said: {{cmd: s, deps: [x, y]}}\n")
    Path(".dvc/tmp/dvc.lock.whole").unlink()
    record = "  said:\n    cmd: s\n    deps:\n" + FILE.format("x") + FOLDER.format("y")
    cut = "".join(record.splitlines(keepends=True)[:number])
    Path("dvc.lock").write_text(LOCK + cut)
    assert (lock.mended() is None) == (cut == record)


@pytest.mark.parametrize(
    "content, flaw",
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\0" * 4096, "ends in the middle of a line"),  # what a crash of the machine leaves
        (b"\xff\xfe\x00schema\n", "is not what DVC writes"),
        (b"schema: '2.0'\n", "is not what DVC writes"),
        (b"- a list\n", "is not what DVC writes"),
        (b"stages: [\n", "is not what DVC writes"),
        (LOCK.replace(EXTRACT, "", 1)[:-1].encode(), "ends in the middle of a line"),
        (f"schema: '2.0'\nstages:\n{CHECK}".encode(), "ends before the stage extract@a"),
        (LOCK.removesuffix(FILE.format("m")).encode(), "ends in the middle of the stage extract@b"),
    ],
)
def test_what_is_said(content: bytes, flaw: str) -> None:
    Path("dvc.lock").write_bytes(content)
    assert lock.mended() == (
        f"dvc.lock {flaw}: put back as the last stage found it; dvc repro takes what was done since from its cache "
        "(the cut one: .dvc/tmp/dvc.lock.cut)"
    )


def test_a_merge_is_the_users(project: Path) -> None:
    merge = LOCK.replace("  extract@a:\n", "<<<<<<< HEAD\n  extract@a:\n=======\n>>>>>>> other\n")
    Path("dvc.lock").write_text(merge)
    with pytest.raises(RetrievalError, match=r"a merge of Git in it that is undecided, at line 17: take one side"):
        lock.mended()
    assert text() == merge


@pytest.mark.parametrize("content", [LOCK.replace("12", "13"), LOCK + f"  extract@c:\n{EXTRACT}"])
def test_a_whole_lock_stays_and_is_kept(content: str) -> None:
    Path("dvc.lock").write_text(content)
    assert lock.mended() is None and text() == content
    Path("dvc.lock").write_text("")
    assert lock.mended() and text() == content


def test_a_shorter_lock_is_meant_where_git_has_it_or_other_stages_are_named() -> None:
    short = f"schema: '2.0'\nstages:\n{CHECK}"
    Path("dvc.lock").write_text(short)
    git("add", "dvc.lock")
    assert lock.mended() is None and text() == short
    lock.keep(LOCK.encode())
    git("rm", "-q", "--cached", "dvc.lock")
    Path("params.yaml").write_text("encoders: [a]")
    assert lock.mended() is None and text() == short


def test_a_copy_of_other_stages_comes_after_what_git_has() -> None:
    Path("params.yaml").write_text("encoders: [a]")
    Path("dvc.lock").write_text("")
    said = lock.mended()
    assert said and "put back as git has it" in said and text() == LOCK.replace("12", "11")


def test_a_stage_that_has_another_number_of_outputs_by_now_is_no_cut_where_git_has_it() -> None:
    git("add", "dvc.lock")
    Path(".dvc/tmp/dvc.lock.whole").unlink()
    Path("dvc.yaml").write_text(GRAPH.replace("[features", "[features, another"))
    assert lock.mended() is None and text() == LOCK


def test_without_any_whole_one_the_cut_one_is_put_aside() -> None:
    Path(".dvc/tmp/dvc.lock.whole").write_text("# half a cop")
    git("rm", "-q", "--cached", "dvc.lock")
    git("-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "without")
    Path("dvc.lock").write_text("half")
    said = lock.mended()
    assert said and "removed, because neither git nor a stage has kept a whole one" in said
    assert not Path("dvc.lock").exists() and Path(".dvc/tmp/dvc.lock.cut").read_text() == "half"
    assert lock.mended() is None


def test_a_stage_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, later = Path(".dvc/tmp/dvc.lock.whole"), LOCK.replace("12", "13")
    Path("dvc.lock").write_text(later)
    lock.keep_in_stage()
    assert kept.read_text().endswith(LOCK)  # this is none
    monkeypatch.setenv("DVC_STAGE", "extract@a")
    with lock.holding(lock.HELD, "another dvc"):
        lock.keep_in_stage()
    assert kept.read_text().endswith(LOCK)  # it may be writing
    lock.keep_in_stage()
    assert kept.read_text().endswith(later)
