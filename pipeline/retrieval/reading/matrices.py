"""Features in a file."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from .. import matrix as matrices
from ..errors import RetrievalError
from .mistaken import mistaken_at
from .regular import regular_file


def read_matrix(path: Path) -> tuple[Float[np.ndarray, "item dim"], str]:
    """Return the matrix in a ``.npy`` and the name of its type; bfloat16 comes as float32.

    A large one (:data:`..matrix.LARGE`) stays on the disk and is mapped into memory.

    Raises:
        RetrievalError: it is no regular file, cannot be read, is pickled, or is no matrix of floating-point numbers.
    """
    try:
        regular_file(path)
        if what := mistaken_at(path):
            raise RetrievalError(f"{path} is {what}: get it again")
        if path.stat().st_size >= matrices.LARGE:
            matrix = np.asarray(np.lib.format.open_memmap(path, mode="r"))
        else:
            with path.open("rb") as file:
                matrix = np.lib.format.read_array(file, allow_pickle=False)
    except RetrievalError:
        raise
    except Exception as error:  # NumPy raises nearly every exception type on damaged files.
        problem = " ".join(str(error).split())
        raise RetrievalError(f"{path} cannot be read ({problem}): save it by numpy.save, one float per value") from None
    kind = str(matrix.dtype)
    if matrix.dtype == np.dtype("V2"):  # NumPy has no bfloat16 of its own: the upper half of a float32
        kind = "bfloat16"
        matrix = (matrix.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    if matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.floating) or matrix.dtype.itemsize > 8:
        raise RetrievalError(
            f"{path} is {kind} of shape {matrix.shape}: expected a matrix of float16, bfloat16, float32 or float64"
        )
    return matrix, kind
