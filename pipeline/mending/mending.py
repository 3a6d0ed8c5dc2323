"""What a run that was cut off left is mended before DVC runs again; and DVC runs so that it is not cut off."""

import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.frame.ending import discard
from pipeline.frame.files import left_in
from pipeline.frame.holding import AtWork, holding
from pipeline.frame.places import RAW
from pipeline.mending import at_work, lock
from pipeline.retrieval.errors import shown

# Where stages write; data/raw is what they read, and may be large.
WRITTEN = [Path(name) for name in ("data", "features", "metrics", "plots")]


def mend() -> list[str]:
    """Mend what DVC left of its lock and its list of who is at work; return what was done, a line each.

    Raises:
        AtWork: DVC is at work here, and nothing was done.
        RetrievalError: see :func:`pipeline.mending.lock.mended`.
    """
    if not Path(".dvc").is_dir():
        return []
    with holding(lock.HELD, "dvc"):
        return [said for said in (at_work.mended(), lock.mended(), swept()) if said]


def swept() -> str | None:
    """Remove what killed stages have left under temporary names, and return what was done.

    A stage does that itself when it runs again; one whose results were whole before it was killed does not.
    """
    left = [path for place in WRITTEN for path in left_in(place, but=RAW)]
    for path in left:
        discard(path)
    return f"{shown(str(left[0]))}, left half-written: removed" + others(left) if left else None


def others(left: Sequence[Path]) -> str:
    """Return in words how many more there are than the first."""
    return f", and {len(left) - 1} more" if len(left) > 1 else ""


def mend_if_idle() -> None:
    """Mend and say what was done; nothing if DVC is at work.

    Raises:
        RetrievalError: see :func:`mend`.
    """
    with suppress(AtWork):
        for line in mend():
            print(line, file=sys.stderr)


def run_dvc(*arguments: str, environment: Mapping[str, str] | None = None) -> int:
    """Run DVC and return its exit code.

    Ctrl-C reaches DVC too, which ends when the stage has: this process waits for it, because to kill it may cut its
    lock off. SIGTERM is handed on.
    """
    with subprocess.Popen([sys.executable, "-m", "dvc", *arguments], env=environment) as process:
        received: list[int] = []

        def note(number: int, _: object) -> None:
            received.append(number)
            if number == signal.SIGTERM:
                process.terminate()

        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        if threading.current_thread() is not threading.main_thread():  # no other one hears of signals
            before = {}
        for number, handler in before.items():
            signal.signal(number, handler if handler == signal.SIG_IGN else note)
        process.wait()
    for number, handler in before.items():
        signal.signal(number, handler)
    if received:
        signal.raise_signal(max(received))  # SIGTERM, if both: a pool that runs this may take no notice of Ctrl-C
    return process.returncode
