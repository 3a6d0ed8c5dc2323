"""Features and lists as other libraries hold them, taken as NumPy has them; none of these libraries is imported."""

import warnings
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
from jaxtyping import Float

from .errors import RetrievalError


def as_array(given: Any, *, what: str) -> np.ndarray | None:
    """Return an array, tensor, series or frame as an array; None for what is none of these, such as a list.

    A tensor may be on a GPU, and need a gradient; bfloat16, which NumPy has not, comes as float32.

    Raises:
        RetrievalError: its own library cannot hand it over, as a sparse or a quantised tensor.
    """
    if isinstance(given, np.ndarray):
        return np.asarray(given)  # no class of its own, such as a matrix
    if not any(hasattr(given, name) for name in ("detach", "to_numpy", "__array__")):
        return None
    try:
        if hasattr(given, "detach"):
            given = given.detach().cpu()
            given = given.float() if dtype_of(given) == "bfloat16" else given
            return np.asarray(given.numpy())
        return np.asarray(given.to_numpy() if hasattr(given, "to_numpy") else given)
    except Exception as error:  # each library has exceptions of its own
        problem = " ".join(str(error).split())
        raise RetrievalError(
            f"{what}: a {type(given).__name__} that NumPy cannot take ({problem}): give an array"
        ) from None


def dtype_of(given: Any) -> str:
    """Return the name of the type of an array's or a tensor's values."""
    return str(given.dtype).removeprefix("torch.")


def as_features(given: Any, *, where: str) -> tuple[Float[np.ndarray, "item dim"], str]:
    """Return features as a plain matrix, and the name of the type that they came in.

    Args:
        given: an array, a tensor, a frame of numbers, or a list of rows, each a list or one of these.
        where: what to call them in an error.

    Raises:
        RetrievalError: they are no matrix of floating-point numbers; rows differ in length; a masked array has values
            missing.
    """
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise RetrievalError(f"{where}: a masked array with values missing: leave out their rows, or fill them")
    matrix = of_rows(given, where=where) if isinstance(given, list | tuple) else as_array(given, what=where)
    if matrix is None or matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.floating):
        kind = type(given).__name__ if matrix is None else f"an array of {matrix.dtype} of shape {matrix.shape}"
        raise RetrievalError(f"{where}: {kind}: give a matrix of floating-point numbers, one row an item")
    kind = dtype_of(given) if hasattr(given, "dtype") else str(matrix.dtype)
    with np.errstate(over="ignore"):  # what is beyond float64 is infinite, and refused as that
        return (matrix.astype(np.float64) if matrix.dtype.itemsize > 8 else matrix), kind


def of_rows(rows: Sequence[Any], *, where: str) -> np.ndarray:
    """Return the array of a list of rows; :class:`RetrievalError` if they have not one length."""
    found = [as_array(row, what=f"{where}: row {number}") for number, row in enumerate(rows)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy's of rows that differ
            return np.array([row if array is None else array for row, array in zip(rows, found, strict=True)])
    except (ValueError, TypeError, OverflowError, Warning) as error:
        problem = " ".join(str(error).split())
        raise RetrievalError(f"{where}: a list that is no matrix ({problem}): give rows of one length") from None


def as_list(given: Any, *, what: str) -> list[Any]:
    """Return what is given an entry an item as a list; :class:`RetrievalError` if it is none."""
    whole = as_array(given, what=f"the {what}")
    if whole is not None and whole.ndim == 1:
        found: list[Any] = given.tolist() if isinstance(given, np.ma.MaskedArray) else whole.tolist()
        return found
    no_list = isinstance(given, str | bytes | bytearray | Mapping | Set) or not isinstance(given, Iterable)
    if whole is not None or no_list:
        kind = type(given).__name__ + (f" of shape {whole.shape}" if whole is not None else "")
        raise RetrievalError(f"the {what} are a {kind}: give a list with an entry for each row of features, in order")
    return list(given)


def missing(value: Any) -> bool:
    """Return whether a value stands for none: None, NaN, or what pandas and NumPy have for a missing one."""
    if value is None or value is np.ma.masked or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))
