"""A command that fares badly: ``python -m tests.attack.shim <how> <number> <module> <arguments>``.

It counts what the command does to files below the working folder (opening for writing, renaming, making, removing),
and at the operation of that number, from 1:

- ``kill`` ends it with SIGKILL; ``halve`` cuts what is about to be renamed in half first, as if that had happened while
  it was written;
- ``full`` says that there is no room left, then and at every later operation that would need some;
- ``count`` does nothing, and the count stands in the file that ``SHIM_COUNT`` names.

``bytes`` is another thing: no file may grow beyond that number of bytes, and the write that would make it fails;
``cut`` kills it there.
"""

import atexit
import errno
import os
import resource
import runpy
import signal
import sys
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# From the event to whether it takes room on the disk.
EVENTS = {"open": True, "os.rename": False, "os.mkdir": True, "os.remove": False, "os.rmdir": False, "os.symlink": True}


class Shim:
    """Counts operations and acts at one."""

    def __init__(self, how: str, number: int) -> None:
        """Take what to do and when."""
        self.how, self.number, self.count = how, number, 0
        self.top = os.getcwd() + os.sep

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """See one event."""
        if event not in EVENTS or (event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING)):
            return
        path = arguments[0]
        if not isinstance(path, str | os.PathLike) or not os.path.abspath(path).startswith(self.top):
            return
        if "__pycache__" in os.fspath(path):
            return
        self.count += 1
        if self.count < self.number or self.how == "count":
            return
        if self.how == "full" and EVENTS[event]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(path))
        if self.count == self.number and self.how in ("kill", "halve"):
            if self.how == "halve" and event == "os.rename" and os.path.isfile(path):
                os.truncate(path, os.path.getsize(path) // 2)
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run the command."""
    how, number, module, *arguments = sys.argv[1:]
    shim = Shim(how, int(number))
    if how in ("bytes", "cut"):
        if how == "cut":
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it, and the write fails
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(number), resource.RLIM_INFINITY))
    else:
        sys.addaudithook(shim)
    if how == "count":
        atexit.register(lambda: Path(os.environ["SHIM_COUNT"]).write_text(str(shim.count)))
    sys.argv = ["-m", *arguments]  # as Python has it while it looks for the module
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
