"""Functions that are compiled to machine code."""

import hashlib
import inspect
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numba
from numba.core import config

OPTIONS = vars(config)  # of numba; CACHE_DIR is NUMBA_CACHE_DIR, read while a function is made
Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function to machine code that runs without the interpreter lock, and keep it on disk.

    Where neither the folder of the code nor the home folder can be written, each process compiles anew, and a warning
    says so. What type checkers at run time have wrapped around a function is taken off.

    numba looks at the file of a function alone to see whether what it kept is of this code, and not at those of the
    functions that are compiled into it. It is therefore kept under a digest of all of them.
    """
    function = inspect.unwrap(function)
    folder = kept_in(Path(inspect.getfile(function)).resolve().parent)
    if folder is None:
        warnings.warn(
            "no folder for compiled code can be written, so that every process compiles it anew: set NUMBA_CACHE_DIR "
            "to one that can",
            stacklevel=1,  # one place for all functions, so that it is said once
        )
        return numba.njit(nogil=True, error_model="numpy")(function)  # type: ignore[return-value]
    theirs, OPTIONS["CACHE_DIR"] = OPTIONS["CACHE_DIR"], str(folder)
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy")(function)  # type: ignore[return-value]
    finally:
        OPTIONS["CACHE_DIR"] = theirs


@lru_cache
def kept_in(code: Path) -> Path | None:
    """Return the folder for what is compiled of the files of a folder as they are now; None if there can be none."""
    digest = hashlib.sha256()
    for path in sorted(code.glob("*.py")):
        text = path.read_bytes()
        if b"@compiled" in text:
            digest.update(path.name.encode() + b"\0" + text + b"\0")
    for place in places(code):
        folder = place / digest.hexdigest()[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return None


def places(code: Path) -> Iterator[Path]:
    """Yield where compiled code may be kept: where NUMBA_CACHE_DIR says, else with the code, or below home."""
    if OPTIONS["CACHE_DIR"]:
        yield Path(OPTIONS["CACHE_DIR"])
        return
    yield code / "__pycache__"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    yield Path(home) / "numba"
