"""Functions that are compiled to machine code."""

import inspect
import warnings
from collections.abc import Callable
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function to machine code that runs without the interpreter lock, and keep it on disk.

    Where neither the folder of the code nor the home folder can be written, each process compiles anew, and a warning
    says so. What type checkers at run time have wrapped around a function is taken off.
    """
    function = inspect.unwrap(function)
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
