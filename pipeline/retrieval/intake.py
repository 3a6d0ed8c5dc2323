"""Features and labels as a training loop has them, such as tensors on a GPU, made what the rest of this room takes.

Nothing here imports torch: a tensor can be given only by who has.
"""

import sys
from typing import Any

import numpy as np
from jaxtyping import Float

from .errors import RetrievalError
from .labels import SEVERAL, as_labels
from .scoring import as_features, listed, refuse_lengths


def matrix_of(features: Any, *, where: str) -> Float[np.ndarray, "item dim"]:
    """Return features, one row per item, as a matrix on the CPU of the type that they have, bfloat16 as float32.

    It may share the memory of what is given.

    Raises:
        RetrievalError: they are no matrix of floating-point numbers.
    """
    return as_features(array_of(features), where=where)


def texts_of(labels: Any, *, items: int, what: str = "labels") -> list[tuple[str, ...]]:
    """Return the labels of so many items as texts: whole numbers as they are written, 7 as ``7``.

    Raises:
        RetrievalError: there is not one entry an item; a label is neither a text nor a whole number.
    """
    given = array_of(labels)
    entries = listed(given.tolist() if isinstance(given, np.ndarray) else given, what=what)
    found = as_labels([tuple(map(text_of, one)) if isinstance(one, SEVERAL) else text_of(one) for one in entries])
    refuse_lengths(items, **{what: found})
    return found


def text_of(label: Any) -> Any:
    """Return the text of a label that is a whole number, a tensor's, NumPy's or Python's; any other as it is."""
    label = array_of(label)
    if isinstance(label, np.ndarray | np.generic) and label.ndim == 0:
        label = label.item()
    whole = isinstance(label, int) and not isinstance(label, bool) or isinstance(label, float) and label.is_integer()
    return str(int(label)) if whole else label


def array_of(given: Any) -> Any:
    """Return a tensor of torch as an array on the CPU, without its gradient; anything else as it is.

    What NumPy has no type for, such as bfloat16, is float32, which has all of its numbers.

    Raises:
        RetrievalError: the tensor is sparse.
    """
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(given, torch.Tensor):
        return given
    if given.layout != torch.strided:
        raise RetrievalError(f"a tensor of layout {given.layout}: give a dense one, by to_dense()")
    plain = given.detach().cpu()
    known = not plain.is_floating_point() or plain.dtype in (torch.float16, torch.float32, torch.float64)
    return (plain if known else plain.float()).numpy()
