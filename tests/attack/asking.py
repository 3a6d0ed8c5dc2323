"""Cases given to a process that may die of them."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.attack.kinds import KINDS

TOP = Path(__file__).resolve().parents[2]
MEMORY = 3 << 29  # bytes beyond what the process had before its first case of a kind
STARTING = 120.0  # seconds for the first case of a kind, which imports what it needs
LOOK = 0.02  # seconds between two looks at the memory


class Worker:
    """A process that runs cases; another one takes its place when it dies."""

    def __init__(self, folder: Path, patience: float = 1.0) -> None:
        """Take a folder that is its own, and a factor of the seconds that a case may take."""
        self.folder, self.patience = folder, patience
        self.process: subprocess.Popen[str] | None = None
        self.base: dict[str, int] = {}  # bytes of memory after the first case of a kind

    def __enter__(self) -> "Worker":
        """Start nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self.close()

    def ask(self, kind: str, seed: int, case: int) -> dict[str, Any]:
        """Return how a case ended."""
        if self.process is None:
            self.start()
        if kind not in self.base:
            self._ask(kind, -1, 0, STARTING, MEMORY << 2)
            if self.process is None:
                self.start()
            self.base[kind] = self.memory()
        return self._ask(kind, seed, case, self.patience * KINDS[kind].seconds, self.base[kind] + MEMORY)

    def _ask(self, kind: str, seed: int, case: int, seconds: float, memory: int) -> dict[str, Any]:
        assert self.process and self.process.stdin and self.process.stdout
        print(json.dumps([kind, seed, case]), file=self.process.stdin, flush=True)
        until = time.monotonic() + seconds
        while not select.select([self.process.stdout], [], [], LOOK)[0]:
            if time.monotonic() > until:
                return self.killed(f"hang: more than {seconds:g} s")
            if self.memory() > memory:
                return self.killed(f"memory: more than {MEMORY >> 20} MiB")
        answer = self.process.stdout.readline()
        if not answer:
            return self.killed(f"died: {self.process.wait()}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def start(self) -> None:
        """Start the process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TOP)}
        command = [sys.executable, "-m", "tests.attack.worker", str(self.folder)]
        self.process = subprocess.Popen(
            command, cwd=TOP, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.base = {}

    def memory(self) -> int:
        """Return the bytes of memory that the process has touched and holds; 0 where that cannot be known."""
        assert self.process
        try:
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGESIZE")

    def killed(self, why: str) -> dict[str, Any]:
        """End the process and return the fault, with where it was."""
        assert self.process
        stacks = self.folder / "stacks"
        before = stacks.stat().st_size
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGUSR1)
            time.sleep(0.3)
        self.close()
        # The thread that runs the cases comes last, its innermost frame first.
        lines = stacks.read_text(errors="replace")[before if "died" not in why else 0 :].splitlines()
        frames = [line.strip() for line in lines if line.strip().startswith("File")]
        own = [line for line in frames if "/pipeline/" in line]
        where = own[0].partition("/pipeline/")[2] if own else ""
        return {"verdict": "fault", "error": why, "where": where, "lines": [why, *frames[:3], "...", *frames[-3:]]}

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout):
                assert stream
                stream.close()
            self.process = None
