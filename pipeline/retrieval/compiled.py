"""Functions that are compiled to machine code."""

import hashlib
import inspect
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function to machine code that runs without the interpreter lock, and keep it on disk.

    Where neither the folder of the code nor the home folder can be written, each process compiles anew, and a warning
    says so. What type checkers at run time have wrapped around a function is taken off.

    numba looks at the file of a function alone to see whether what it kept is of this code, and not at those of the
    functions that are compiled into it. What it keeps has the qualified name of the function in its file name: this
    gets a digest of all of them. A copy of the folder takes what was compiled along; under another NUMBA_CACHE_DIR,
    where numba goes by the folder's path, it would not.
    """
    function = inspect.unwrap(function)
    function.__qualname__ += f"_{digest_of(Path(inspect.getfile(function)).resolve().parent)}"
    try:
        made = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        warnings.warn(
            "no folder for compiled code can be written, so that every process compiles it anew: set NUMBA_CACHE_DIR "
            "to one that can",
            stacklevel=1,  # one place for all functions, so that it is said once
        )
        made = numba.njit(nogil=True, error_model="numpy")(function)
    return made  # type: ignore[return-value]


@lru_cache
def digest_of(code: Path) -> str:
    """Return a digest of those files of a folder, as they are now, that have functions to compile."""
    digest = hashlib.sha256()
    for path in sorted(code.glob("*.py")):
        text = path.read_bytes()
        if b"@compiled" in text:
            digest.update(path.name.encode() + b"\0" + text + b"\0")
    return digest.hexdigest()[:16]
