"""A run of the real graph that was cut off: mended, it completes, with the same bits."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import yaml

from pipeline.frame.files import sha256_of
from pipeline.frame.holding import holding
from tests.conftest import Project

RESULTS = ("data/prepared", "features", "metrics", "plots")


def bits(project: Project) -> dict[str, str]:
    """Return the digests of all results and of the lock."""
    found = {"dvc.lock": sha256_of(project.top / "dvc.lock")}
    for folder in RESULTS:
        for path in (project.top / folder).rglob("*"):
            if path.is_file():
                found[str(path.relative_to(project.top))] = sha256_of(path)
    return found


def at_a_stage(text: str) -> str:
    return text[: text.index("  compare:\n")]


def in_a_stage(text: str) -> str:
    return text[: text.index("metrics/summary.json")]


def to_nothing(text: str) -> str:
    return ""


@pytest.mark.parametrize(
    "cut, listed, flaw",
    [
        (to_nothing, '{"write": {"/da', "is empty"),
        (in_a_stage, "", "ends in the middle of a line"),
        (at_a_stage, "{}", "ends before the stage compare"),
    ],
)
def test_a_run_completes_whatever_was_cut(
    on_digits: Project, cut: Callable[[str], str], listed: str, flaw: str
) -> None:
    expected = bits(on_digits)
    lock = on_digits.top / "dvc.lock"
    lock.write_text(cut(lock.read_text()))
    (on_digits.top / ".dvc/tmp/rwlock").write_text(listed)
    said = on_digits.stage("mend").stdout.splitlines()
    assert [line.partition(": ")[0] for line in said] == [
        *([".dvc/tmp/rwlock was cut off"] if listed != "{}" else []),
        f"dvc.lock {flaw}",
    ]
    on_digits.repro()
    assert bits(on_digits) == expected
    assert on_digits.stage("mend").stdout == ""


def test_without_its_lock_a_run_takes_what_is_cached_from_there(on_digits: Project) -> None:
    expected = bits(on_digits)
    (on_digits.top / "dvc.lock").write_text("")
    (on_digits.top / ".dvc/tmp/dvc.lock.whole").unlink(missing_ok=True)
    (on_digits.top / ".git").rename(on_digits.top.parent / "git")
    assert "removed, because neither git" in on_digits.stage("mend").stdout
    (on_digits.top.parent / "git").rename(on_digits.top / ".git")
    ran = {stage.partition("@")[0] for stage in on_digits.repro()}
    assert ran == {"evaluate", "pr", "compare", "results"}  # what Git keeps the results of, or has none
    records = [yaml.safe_load((on_digits.top / "dvc.lock").read_text())["stages"]]
    on_digits.git("checkout", "-q", "dvc.lock")
    records.append(yaml.safe_load((on_digits.top / "dvc.lock").read_text())["stages"])
    assert records[0].items() <= records[1].items()  # that has those of the removed dataset too
    assert bits(on_digits) == expected


def test_a_merge_is_said_and_left(on_digits: Project) -> None:
    on_digits.append("dvc.lock", "<<<<<<< HEAD\n=======\n>>>>>>> other\n")
    done = on_digits.stage("mend", check=False)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: dvc.lock has a merge of Git in it")


def test_ctrl_c_while_dvc_writes_its_lock(on_digits: Project) -> None:
    project = Project(on_digits.top)  # with Python as it is: signals reach no fork of another one
    headline = project.top / "conf/headline.yaml"
    headline.write_text(re.sub(r"metrics: \[.*\]", "metrics: [mAP]", headline.read_text()))
    assert project.repro("headline") == {"headline"}
    expected = bits(project)
    project.git("checkout", "-q", "dvc.lock", "metrics")
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "-f", "-s", "headline"],
        cwd=project.top, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, "PATH": f"{project.bin}{os.pathsep}{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:  # fmt: skip
        assert process.stdout
        while "Updating lock file" not in process.stdout.readline():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
    assert process.returncode
    project.stage("mend")
    project.repro("headline")
    assert bits(project) == expected


def test_two_extractions_of_the_same_exclude_each_other(on_digits: Project) -> None:
    expected = bits(on_digits)
    with holding(on_digits.top / "data/scratch/raw_pixels-digits.lock", "a test"):
        done = on_digits.stage("extract", "encoder=raw_pixels", "dataset=digits", check=False)
        others = on_digits.stage("extract", "encoder=color_histogram", "dataset=digits")
    said = f"an extraction of raw_pixels on digits is at work already (process {os.getpid()}): wait until it ends"
    assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert others.returncode == 0
    on_digits.stage("extract", "encoder=raw_pixels", "dataset=digits")
    features = {path: digest for path, digest in expected.items() if path.endswith(".npy")}
    assert features and features.items() <= bits(on_digits).items()
