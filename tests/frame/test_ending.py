"""How commands end before their time, and what they leave."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import TOP

# A command with two workers, which is writing a file and a folder. It says which processes those are.
COMMAND = r"""
import multiprocessing, os, signal, sys, time
from pathlib import Path
from pipeline.frame import ending
from pipeline.frame.files import replacing_directory, replacing_file

def work(folder):
    with replacing_file(folder / f"worker{os.getpid()}") as partial:
        partial.write_text("half")
        if len(sys.argv) > 2:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        os.write(1, b"%d\n" % os.getpid())
        time.sleep(60)

ending.guard()
folder = Path(sys.argv[1])
context = multiprocessing.get_context("fork")
with replacing_directory(folder / "d") as made, replacing_file(folder / "f") as partial:
    (made / "one").write_text("half")
    partial.write_text("half")
    for _ in range(2):
        context.Process(target=work, args=(folder,)).start()
    os.write(1, b"%d\n" % os.getpid())
    try:
        time.sleep(60)
    except BaseException:
        time.sleep(60)  # as libraries that hold up an exception
"""
# What runs it as DVC does: by a shell, with its name in the environment.
DVC = """
import os, subprocess, sys
command = " ".join((sys.executable, "-c", '"$COMMAND"', sys.argv[2])) + sys.argv[3]
subprocess.run([sys.argv[1], "-c", command], env={**os.environ, "DVC_STAGE": "stage"})
"""


@contextmanager
def started(code: str, *arguments: str, processes: int) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run Python in a process group of its own until it has named so many processes; none of them is left."""
    environment = {**os.environ, "PYTHONPATH": str(TOP), "COMMAND": COMMAND}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # what "&" starts ignores it
    )  # fmt: skip
    assert process.stdout
    named: list[int] = []
    try:
        while len(named) < processes:
            named.append(int(process.stdout.readline()))
        time.sleep(0.1)  # all wait by now: Python may miss a signal between two steps
        yield process, named
    finally:
        for number in (process.pid, *named):
            if psutil.pid_exists(number):
                os.kill(number, signal.SIGKILL)
        process.communicate()


def soon(true: Callable[[], bool]) -> bool:
    """Return whether something becomes true within seconds."""
    until = time.monotonic() + 5
    while not true() and time.monotonic() < until:
        time.sleep(0.02)
    return true()


def gone(processes: list[int]) -> bool:
    return not any(
        psutil.pid_exists(number) and psutil.Process(number).status() != psutil.STATUS_ZOMBIE for number in processes
    )


@pytest.mark.parametrize("number, said", [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_a_signal_ends_a_command_in_one_line_with_all_that_it_started(
    tmp_path: Path, number: signal.Signals, said: str
) -> None:
    with started(COMMAND, str(tmp_path), processes=3) as (process, named):
        os.killpg(process.pid, number)  # as a terminal does
        assert process.communicate(timeout=5) == ("", f"{said}\n")
        assert process.returncode == 128 + number
        assert soon(lambda: gone(named)) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_command(tmp_path: Path, number: signal.Signals) -> None:
    with started(COMMAND, str(tmp_path), processes=3) as (process, named):
        process.send_signal(number)
        assert soon(lambda: gone(named))


def test_workers_that_miss_the_signal_end_with_the_command_too(tmp_path: Path) -> None:
    with started(COMMAND, str(tmp_path), "deaf", processes=3) as (process, named):
        process.kill()
        assert soon(lambda: gone(named)) and not list(tmp_path.glob("worker*"))


# dash waits for what it runs, and so does any shell that has something to do afterwards; bash hands its process over.
@pytest.mark.parametrize("shell, rest", [("bash", ""), ("sh", ""), ("sh", "; true")])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stage_ends_with_dvc(tmp_path: Path, shell: str, rest: str, number: signal.Signals) -> None:
    with started(DVC, shell, str(tmp_path), rest, processes=3) as (process, named):
        time.sleep(0.7)
        assert not gone(named)  # while it is there
        process.send_signal(number)
        assert soon(lambda: gone(named))


def test_a_stage_whose_dvc_is_gone_before_it_begins_does_not_begin(tmp_path: Path) -> None:
    # Its parent is in another process group, as is what adopts an orphan.
    code = DVC.replace('"stage"}', '"stage"}, start_new_session=True')
    done = subprocess.run(
        [sys.executable, "-c", code, "bash", str(tmp_path), ""],
        env={**os.environ, "PYTHONPATH": str(TOP), "COMMAND": COMMAND},
        capture_output=True, text=True, check=False, timeout=5,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("", "")


def test_what_ignores_a_signal_goes_on_ignoring_it(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + COMMAND
    with started(code, str(tmp_path), processes=3) as (process, named):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert not gone(named)


def test_a_command_that_is_still_importing_ends_in_one_line() -> None:
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "pipeline.query", "--help"],
        cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert process.stderr
    while "omegaconf" not in process.stderr.readline():  # Hydra imports it, and torch comes later
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert [line for line in err.splitlines() if not line.startswith("import time:")] == ["interrupted"]


def without(*modules: str, folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where modules are not installed; without any named, where nothing is but Python."""
    (folder / "sitecustomize.py").write_text(f"import sys; sys.modules.update(dict.fromkeys({modules}))")
    return subprocess.run(
        [sys.executable, *([] if modules else ["-S"]), "-m", f"pipeline.{command}"],
        cwd=TOP, env={**os.environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_without_its_environment_a_command_says_which_to_activate(tmp_path: Path) -> None:
    remedy = "source .venv/bin/activate (after make setup)"
    for modules, command, said in (
        ((), "check", "no package 'zc' here, which pipeline.frame.holding imports"),
        (("omegaconf",), "score", "no package 'omegaconf' here, which pipeline.score imports"),
        (("yaml",), "mend", "no package 'yaml' here, which pipeline.mending.lock imports"),
    ):
        done = without(*modules, folder=tmp_path, command=command)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {said}: {remedy}\n")


def test_a_module_of_the_project_that_is_missing_is_a_bug(tmp_path: Path) -> None:
    done = without("pipeline.frame.yamls", folder=tmp_path, command="check")
    assert done.returncode == 1 and done.stderr.startswith("Traceback") and "make setup" not in done.stderr
