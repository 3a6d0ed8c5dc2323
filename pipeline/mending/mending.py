"""What a run that was cut off left is mended before DVC runs again; and DVC runs so that it is not cut off."""

import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pipeline.frame.holding import AtWork, holding
from pipeline.mending import at_work, lock


def mend() -> list[str]:
    """Mend what DVC left of its lock and its list of who is at work; return what was done, a line each.

    Raises:
        AtWork: DVC is at work here, and nothing was done.
        RetrievalError: see :func:`pipeline.mending.lock.mended`.
    """
    if not Path(".dvc").is_dir():
        return []
    with holding(lock.HELD, "dvc"):
        return [said for said in (at_work.mended(), lock.mended()) if said]


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
