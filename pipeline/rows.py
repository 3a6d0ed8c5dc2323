"""Matrices with a row an item that may be too large for memory: then they stay on the disk and are gone through."""

import tempfile
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32

LARGE = 1 << 30  # bytes; matrices from here on stay on the disk
BLOCK = 4096  # rows that are gone through at a time


def empty_rows(count: int, dim: int) -> Float32[np.ndarray, "item dim"]:
    """Return a matrix to fill: in memory or, if it is ``LARGE``, in a nameless file where TMPDIR says."""
    if 4 * count * dim < LARGE:
        return np.empty((count, dim), np.float32)
    with tempfile.TemporaryFile() as file:
        return np.asarray(np.memmap(file, np.float32, "w+", shape=(count, dim)))


def blocks(count: int) -> Iterator[slice]:
    """Yield so many rows in blocks."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))
