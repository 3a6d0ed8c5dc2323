"""``dvc repro`` killed at random, or interrupted while it writes its lock: run again, it gives the same bits."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from tests.attack.cutting import digests, partials
from tests.attack.verdicts import Wrong

WRITING = "Updating lock file"  # what DVC prints before it does
SECONDS = 600
# What seconds are in.
TIMED = re.compile(r"metrics/cost\.(csv|md)|plots/figures/\w+/cost\.\w+|plots/report/index\.html")


class Repros:
    """Runs of a project's graph that are cut off."""

    def __init__(self, top: Path, folder: Path, *, at_the_lock: bool) -> None:
        """Take a reproduced project, of which a copy is run in ``folder``."""
        self.top, self.at_the_lock = folder / "repro" / "project", at_the_lock
        shutil.copytree(top, self.top, symlinks=True, dirs_exist_ok=True)
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "DVC_SITE_CACHE_DIR": str(folder / "repro" / "site"),
            "PYTHONUNBUFFERED": "1",
        }
        self.meant = self.made()
        started = time.monotonic()
        self.repro("-f")
        self.lasts = time.monotonic() - started  # seconds

    def made(self) -> dict[str, str]:
        """Return the digests of all results but those that seconds are in."""
        return {name: digest for name, digest in digests(self.top).items() if not TIMED.fullmatch(name)}

    def python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run Python in the project."""
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(
            command, cwd=self.top, env=self.environment, capture_output=True, text=True, timeout=SECONDS
        )

    def repro(self, *arguments: str) -> None:
        """Mend what was cut off and run the graph, as ``make repro`` does."""
        for command in (("pipeline.mend",), ("dvc", "repro", *arguments)):
            done = self.python(*command)
            if done.returncode:
                raise Wrong(f"{' '.join(command)} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")

    def ask(self, seed: int, case: int) -> dict[str, Any]:
        """Cut a run off and say what came of the next one."""
        rng = Random(f"{seed} {case}")
        where = self.interrupted(rng) if self.at_the_lock else self.killed(rng)
        try:
            self.refuse_orphans()
            self.repro()
            found = self.made()
            if found != self.meant:
                names = sorted(name for name in {*found, *self.meant} if found.get(name) != self.meant.get(name))
                raise Wrong(f"run again it gave others of {names[:5]}")
            if partials(self.top):
                raise Wrong(f"left behind: {partials(self.top)[:3]}")
        except (Wrong, subprocess.TimeoutExpired) as error:
            self.python("dvc", "repro", "-f")
            return {"verdict": "fault", "error": type(error).__name__, "where": where, "lines": str(error).splitlines()}
        return {"verdict": "worked", "line": where}

    def started(self) -> "subprocess.Popen[str]":
        """Start a run of the whole graph, in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro", "-f"],
            cwd=self.top,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def killed(self, rng: Random) -> str:
        """Kill a run at any time, DVC alone or with all that it started."""
        process, alone, after = self.started(), rng.random() < 0.5, rng.uniform(0.2, self.lasts)
        time.sleep(after)
        (os.kill if alone else os.killpg)(process.pid, signal.SIGKILL)
        process.communicate()
        return f"{'DVC alone' if alone else 'all'} killed after {after:.1f} s of {self.lasts:.1f}"

    def interrupted(self, rng: Random) -> str:
        """Press Ctrl-C a moment after DVC says that it writes its lock."""
        process, after = self.started(), rng.uniform(0, 0.05)
        assert process.stdout
        wanted, seen = rng.randint(1, 12), 0
        for line in process.stdout:
            seen += WRITING in line
            if seen == wanted:
                break
        time.sleep(after)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate()
        return f"Ctrl-C {1000 * after:.0f} ms after it began to write its lock, time {wanted}"

    def refuse_orphans(self) -> None:
        """Raise ``Wrong`` if a process works in the project long after DVC is gone."""
        until = time.monotonic() + 10
        while left := [process for process in Path("/proc").glob("[0-9]*") if works_in(process, self.top)]:
            if time.monotonic() > until:
                told = [(process / "cmdline").read_bytes().replace(b"\0", b" ").decode() for process in left]
                for process in left:
                    os.kill(int(process.name), signal.SIGKILL)
                raise Wrong(f"still at work: {told}")
            time.sleep(0.1)


def works_in(process: Path, top: Path) -> bool:
    """Return whether the working folder of a process, as ``/proc`` has it, is a project's."""
    try:
        return os.readlink(process / "cwd") == str(top)
    except OSError:
        return False  # it is gone, or another user's
