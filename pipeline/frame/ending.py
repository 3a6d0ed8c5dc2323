"""How a command ends before its time: in one line, without what it had not finished, and with the DVC that ran it."""

import ctypes
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

SAID = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
STAGE = "DVC_STAGE"  # set by DVC for what it runs
PR_SET_PDEATHSIG = 1  # linux/prctl.h
PATIENCE = 0.5  # seconds between two looks at whether DVC is still there

UNFINISHED: set[Path] = set()  # what this process is writing (pipeline.frame.files)


@dataclass
class Fork:
    """What a child must know of how it came about.

    Attributes:
        parent: the process.
        lasting: whether it was made by the main thread. Linux lets a child die with the thread that made it.
    """

    parent: int
    lasting: bool


COMMAND = os.getpid()
FORK = Fork(COMMAND, lasting=True)


def guard() -> None:
    """Let Ctrl-C and SIGTERM end this process at once: one line, exit code 130 or 143, nothing half written left.

    What it forks ends likewise, without a line, and when it does. A stage ends when the DVC that runs it is gone. A
    signal that is ignored, as after ``nohup`` or ``&``, stays so.
    """
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        if signal.getsignal(number) == usual:
            signal.signal(number, end)
    if sys.platform != "win32":
        os.register_at_fork(before=note, after_in_child=follow)
        if STAGE in os.environ:
            end_with_dvc()


def end(number: int, _: FrameType | None = None) -> None:
    """End now: an exception may be held up or turned into another one by threads, pools and libraries."""
    drop_unfinished()
    if os.getpid() == COMMAND:
        with suppress(Exception):  # it may be in the middle of printing, and the reader may be gone
            sys.stdout.flush()
        with suppress(OSError):  # on a terminal, below a progress bar
            os.write(2, b"\n" * os.isatty(2) + SAID[signal.Signals(number)].encode() + b"\n")
    os._exit(128 + number)


def drop_unfinished() -> None:
    """Remove what this process is writing."""
    for path in list(UNFINISHED):
        discard(path)


def discard(path: Path) -> None:
    """Remove a file or a folder that may not be there, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def note() -> None:
    """Before a fork."""
    FORK.parent, FORK.lasting = os.getpid(), threading.current_thread() is threading.main_thread()


def follow() -> None:
    """After it, in the child, which ends when its parent does.

    At once by a signal, or else by looking: a signal that comes between Python's last look for one and a call that
    waits is not seen before that call is over.
    """
    UNFINISHED.clear()
    if FORK.lasting:
        die_with(FORK.parent, signal.SIGTERM)
    threading.Thread(target=watch, args=(os.getpid(), FORK.parent), daemon=True).start()


def die_with(parent: int, number: int) -> None:
    """Ask Linux for a signal to this process when its parent is gone; it may be by now."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(128 + signal.SIGTERM)


def end_with_dvc() -> None:
    """End when DVC does, which runs a stage by a shell: one that hands over its process (bash), or waits (dash)."""
    if sys.platform == "win32":
        return
    parent = os.getppid()
    die_with(parent, signal.SIGKILL)  # whatever it computes
    watched, dvc = os.getpid(), parent
    with suppress(OSError):
        if f"{STAGE}=".encode() in Path(f"/proc/{parent}/environ").read_bytes():  # a shell
            watched, dvc = parent, parent_of(parent)
    # What DVC starts is in its process group. A parent in another one adopts orphans: DVC is gone already.
    with suppress(ProcessLookupError):
        if os.getpgid(dvc) == os.getpgid(0):
            threading.Thread(target=watch, args=(watched, dvc), daemon=True).start()
            return
    os._exit(128 + signal.SIGTERM)


def watch(process: int, parent: int) -> None:
    """End when a process, maybe this one, has another parent than it had."""
    while parent_of(process) == parent:
        time.sleep(PATIENCE)
    drop_unfinished()
    os._exit(128 + signal.SIGTERM)


def parent_of(process: int) -> int:
    """Return the parent of this process, or on Linux of any; 0 if it is gone."""
    if process == os.getpid():
        return os.getppid()
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
