"""Who is at work in DVC here, and its own list of that, which a run that was cut off leaves empty or half."""

import json
import os
from pathlib import Path
from typing import Any

from pipeline.frame.holding import AtWork

LIST = Path(".dvc/tmp/rwlock")


def mended() -> str | None:
    """Remove the list if it cannot be read or names processes that are gone, and return what was done.

    Raises:
        AtWork: DVC is at work here.
    """
    if not LIST.is_file():
        return None
    named = processes_in(LIST.read_bytes())
    if named == set():
        return None
    living = running_here() if named is None else {process for process in named if wrote(process)}
    if living:
        raise AtWork("dvc", ", ".join(map(str, sorted(living))))
    LIST.unlink()
    return f"{LIST} {'was cut off' if named is None else 'named processes that are gone'}: removed"


def processes_in(text: bytes) -> set[int] | None:
    """Return the processes that the list names as writers or readers of files; None if it is none."""
    try:
        listed: dict[str, dict[str, Any]] = json.loads(text)
        writers = list(listed.get("write", {}).values())
        readers = [reader for readers in listed.get("read", {}).values() for reader in readers]
        return {int(entry["pid"]) for entry in writers + readers}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def wrote(process: int) -> bool:
    """Return whether a process can have written the list: it lives, and did before."""
    import psutil  # rarely needed, and slow to import

    try:
        began: float = psutil.Process(process).create_time()
    except psutil.Error:
        return False
    return began <= LIST.stat().st_mtime + 1  # a second, as clocks are not exact


def running_here() -> set[int]:
    """Return the processes in this folder whose command line says dvc."""
    import psutil

    found = set()
    for process in psutil.process_iter():
        try:
            words = {Path(word).name for word in process.cmdline()}
            if "dvc" in words and process.pid != os.getpid() and Path(process.cwd()) == Path.cwd():
                found.add(process.pid)
        except (psutil.Error, OSError):
            continue
    return found
