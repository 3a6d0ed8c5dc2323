"""What lies at a path is a file, and not what can be waited for or read without an end."""

import errno
import stat
from pathlib import Path

from ..errors import RetrievalError, shown

# What lies where a file is expected, and is none: to open it can wait for ever, to read it never end.
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def regular_file(path: Path) -> None:
    """Check, without opening it, that what a path leads to is a regular file of this machine.

    Raises:
        RetrievalError: it is a folder, a named pipe, a device, a socket, or a link that leads back to itself.
        OSError: it cannot be looked at, as when nothing is there: what opening it would raise.
    """
    try:
        mode = path.stat().st_mode
    except ValueError:
        raise RetrievalError(f"{shown(str(path))} is no name of a file: it has a null character") from None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        kind = "a link that leads back to itself"
    else:
        if stat.S_ISREG(mode):
            return
        kind = KINDS.get(stat.S_IFMT(mode), "no regular file")
    raise RetrievalError(f"{shown(str(path))} is {kind}, not a file: give a regular file")
