"""How much memory some work takes that the system could not take back: all but the pages of files that are mapped."""

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Made = TypeVar("Made")

STATUS = Path("/proc/self/status")  # Linux
EVERY = 0.02  # seconds


def held() -> float:
    """Return what the process holds now, in GiB; a matrix in a mapped file counts for nothing."""
    sizes = re.findall(r"^Rss(?:Anon|Shmem):\s+(\d+) kB$", STATUS.read_text(), flags=re.MULTILINE)
    return sum(map(int, sizes)) / 2**20


def watched(work: Callable[[], Made]) -> tuple[Made, float]:
    """Return what some work returns, and the most that was held at any time meanwhile, in GiB."""
    most, done = held(), threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(EVERY):
            most = max(most, held())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        made = work()
    finally:
        done.set()
        watching.join()
    return made, max(most, held())
