"""Stages that are killed at an operation on files, or have no room: run again, they give the same bits."""

import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.attack.verdicts import Wrong

SECONDS = 120
KILLED = {-signal.SIGKILL, 256 - signal.SIGKILL, -signal.SIGXFSZ, 256 - signal.SIGXFSZ}  # the latter of a warm Python
SIZES = (0, 1, 100, 512, 1000, 4096, 10_000, 50_000)  # bytes
MEASURED = "metrics/costs"  # seconds are in it
WRITTEN = re.compile(rb'<p class="quiet" id="written">[^<]*</p>')
SCORE = "python -m pipeline.score features=features/raw_pixels/digits/features.npy labels=list.txt out=scored.json"


@dataclass(frozen=True)
class Stage:
    """A stage of the graph.

    Attributes:
        name: as DVC has it.
        command: its arguments after ``python -m``.
        outs: what it writes, relative to the top of the project.
    """

    name: str
    command: tuple[str, ...]
    outs: tuple[str, ...]


def stages_of(top: Path) -> list[Stage]:
    """Return the stages of a project, and ``score`` on what one of them made."""
    from dvc.repo import Repo

    with Repo(str(top)) as repo:
        found = [
            Stage(
                stage.name,
                tuple(shlex.split(stage.cmd)[2:]),
                tuple(os.path.relpath(out.fs_path, top) for out in stage.outs),
            )
            for stage in repo.index.stages
            if stage.cmd and stage.outs  # the last one only says something
        ]
    return [
        *sorted(found, key=lambda stage: stage.name),
        Stage("score", tuple(shlex.split(SCORE)[2:]), ("scored.json",)),
    ]


def digests(top: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a project's results, by path; of folders that are empty, nothing.

    Of the page without the line that says by which commit it was written, and whether files have changed since.
    """
    found = {}
    for place in ("data", "features", "metrics", "plots", "scored.json", "params.yaml", "conf"):
        root = top / place
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            name = path.relative_to(top).as_posix()
            if path.is_file() and not name.startswith(MEASURED) and "scratch" not in name:
                found[name] = hashlib.sha256(WRITTEN.sub(b"", path.read_bytes())).hexdigest()
    return found


def partials(top: Path) -> list[str]:
    """Return what is left in a project under temporary names."""
    found = [path for place in ("data", "features", "metrics", "plots") for path in (top / place).rglob("*.partial*")]
    return [path.relative_to(top).as_posix() for path in (*found, *top.glob("*.partial*"))]


@dataclass
class Subject:
    """A project whose stages are cut off.

    Attributes:
        top: its folder, where all stages have run.
        python: what runs them.
        stages: of it.
        meant: what it holds.
        costs: the files that have seconds in them, put back after each run: what is made from them is compared.
    """

    top: Path
    python: str
    stages: list[Stage]
    meant: Mapping[str, str]
    costs: Mapping[Path, bytes]

    @classmethod
    def of(cls, top: Path, python: str) -> "Subject":
        """Take a project that has been reproduced."""
        rows = (top / "data/prepared/digits/manifest.csv").read_text().splitlines()[1:]
        lines = [row.split(",")[:2] for row in rows]
        (top / "list.txt").write_text("".join(f"{name}\t{label}\n" for name, label in lines))
        costs = {path: path.read_bytes() for path in (top / MEASURED).rglob("*.json")}
        made = cls(top, python, stages_of(top), {}, costs)
        done = made.run(made.stages[-1])
        if done.returncode:
            raise RuntimeError(f"score ended with {done.returncode}: {done.stderr}")
        made.meant = digests(top)
        return made

    def run(self, stage: Stage, *shim: str) -> "subprocess.CompletedProcess[str]":
        """Run a stage, through the shim if it is given something to do."""
        before = ("tests.attack.shim", *shim) if shim else ()
        environment = {**os.environ, "PATH": os.pathsep.join([str(Path(self.python).parent), os.environ["PATH"]])}
        done = subprocess.run(
            [self.python, "-m", *before, *stage.command],
            cwd=self.top,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
        for path, content in self.costs.items():
            path.write_bytes(content)
        return done

    def drop(self, stage: Stage) -> None:
        """Remove what a stage wrote, as DVC does before it runs it."""
        for out in stage.outs:
            path = self.top / out
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def operations(self, stage: Stage) -> int:
        """Return how many operations on files a stage makes."""
        count = self.top.parent / "count"
        os.environ["SHIM_COUNT"] = str(count)
        self.drop(stage)
        done = self.run(stage, "count", "0")
        if done.returncode:
            raise RuntimeError(f"{stage.name} ended with {done.returncode}: {done.stderr[-2000:]}")
        return int(count.read_text())

    def attempt(self, stage: Stage, how: str, number: int, *, keep: bool) -> str:
        """Run a stage badly, then well, and return how the first ended: ``worked``, ``refused`` or ``killed``.

        Args:
            stage: which.
            how: see the shim.
            number: the same.
            keep: whether its old results are there when it is run.

        Raises:
            Wrong: it ended otherwise; something is left; the second run fails, or gives other bits.
        """
        if not keep:
            self.drop(stage)
        done = self.run(stage, how, str(number))
        ended = "worked" if done.returncode == 0 else "killed" if done.returncode in KILLED else "refused"
        try:
            if ended == "refused":
                one_line(done)
            if ended == "killed" and how not in ("kill", "halve", "cut"):
                raise Wrong(f"killed by {done.returncode}")
            if ended != "killed" and partials(self.top):
                raise Wrong(f"{ended}, and left behind: {partials(self.top)[:3]}")
            again = self.run(stage)
            if again.returncode:
                raise Wrong(f"run again it ended with {again.returncode}: {again.stderr[-1500:]}")
            if partials(self.top):
                raise Wrong(f"run again it left behind: {partials(self.top)[:3]}")
            found = digests(self.top)
            if found != self.meant:
                names = sorted(name for name in {*found, *self.meant} if found.get(name) != self.meant.get(name))
                raise Wrong(f"run again it gave others of {names[:5]}")
        except Wrong:
            self.run(stage)  # so that the next one begins with a sound project
            raise
        return ended


def one_line(done: "subprocess.CompletedProcess[str]") -> None:
    """Raise ``Wrong`` unless a command ended with exit code 2 and one line beside its bars of progress."""
    lines = [line.rpartition("\r")[2] for line in done.stderr.split("\n")]
    lines = [
        line for line in lines if line.strip() and "images/s" not in line and "it/s" not in line and "%|" not in line
    ]
    if done.returncode != 2 or len(lines) != 1 or not lines[0].startswith("error: "):
        raise Wrong(f"ended with {done.returncode} and {len(lines)} lines: {lines[:2]} ... {lines[-2:]}")


class Cuts:
    """Every way in which every stage can be cut off, in an order of the seed's."""

    def __init__(self, subject: Subject, ways: Sequence[str]) -> None:
        """Count the operations of the stages; one that ``ways`` names is done to each of them."""
        self.subject = subject
        self.ways: list[tuple[Stage, str, int, bool]] = []
        for stage in subject.stages:
            for number in range(1, subject.operations(stage) + 1):
                for how in ways:
                    if how in ("bytes", "cut"):
                        continue
                    self.ways += [(stage, how, number, keep) for keep in (False, True)]
            self.ways += [(stage, how, size, False) for how in ways if how in ("bytes", "cut") for size in SIZES]

    def ask(self, seed: int, case: int) -> dict[str, Any] | None:
        """Return how a case ended; None if there is none of this number."""
        order = list(range(len(self.ways)))
        Random(seed).shuffle(order)
        if case >= len(order):
            return None
        stage, how, number, keep = self.ways[order[case]]
        where = f"{stage.name} {how} {number}{' over old results' if keep else ''}"
        try:
            ended = self.subject.attempt(stage, how, number, keep=keep)
            return {"verdict": "refused" if ended == "refused" else "worked", "line": where}
        except (Wrong, subprocess.TimeoutExpired) as error:
            return {"verdict": "fault", "error": type(error).__name__, "where": where, "lines": str(error).splitlines()}
