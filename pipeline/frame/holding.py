"""One process at a time, and the others are told which."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zc.lockfile import LockError, LockFile

from pipeline.retrieval.errors import RetrievalError


class AtWork(RetrievalError):
    """Another process is at it."""

    def __init__(self, what: str, process: object) -> None:
        """Say what it does, and which it is."""
        super().__init__(f"{what} is at work already (process {process}): wait until it ends, or end it")


@contextmanager
def holding(path: Path, what: str) -> Iterator[None]:
    """Hold a lock while the block runs: a file with the number of this process, like the lock of DVC.

    The system takes the lock back from a process that dies. The file stays.

    Args:
        path: the file.
        what: what runs in the block, for the error.

    Raises:
        AtWork: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = LockFile(str(path))
    except LockError:
        raise AtWork(what, path.read_text(encoding="utf-8").strip()) from None
    try:
        yield
    finally:
        lock.close()
