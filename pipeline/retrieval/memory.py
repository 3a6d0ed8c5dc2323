"""How much memory there is, asked before much is taken: a machine that runs out of it ends a process without a word."""

import os
from pathlib import Path

from .errors import RetrievalError

# What a container may have, where it is told: version 2 of Linux's control groups, and version 1.
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def refuse_memory(needed: int, what: str) -> None:
    """Raise :class:`RetrievalError` if ``what`` needs more bytes than this machine or its container has."""
    if needed > memory():
        raise RetrievalError(
            f"{what} needs {needed / 2**30:.1f} GiB of memory, and there are {memory() / 2**30:.1f}: ask for less"
        )


def memory() -> int:
    """Return the bytes of memory of this machine or, if that is less, of the container."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in map(Path, LIMITS):
        text = limit.read_text().strip() if limit.is_file() else ""
        found += [int(text)] if text.isdecimal() else []  # else it says max
    return min(found)
