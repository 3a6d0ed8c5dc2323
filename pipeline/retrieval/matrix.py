"""Matrices with one row per item that may be too large for memory: then they stay on the disk and are gone through."""

import os
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from .errors import RetrievalError, shown

LARGE = 1 << 30  # bytes; matrices from here on stay on the disk
REMEDY = "remove the image from the dataset, or mend the encoder or its weights"
BLOCK = 4096  # rows that are gone through at a time


def empty_rows(count: int, dim: int) -> Float32[np.ndarray, "item dim"]:
    """Return a matrix to fill: in memory or, if it is ``LARGE``, in a nameless file where TMPDIR says.

    Raises:
        RetrievalError: there is no room for the file.
    """
    if 4 * count * dim < LARGE:
        return np.empty((count, dim), np.float32)
    try:
        with tempfile.TemporaryFile() as file:
            if hasattr(os, "posix_fallocate"):  # else a full disk would end the process when the rows are written
                os.posix_fallocate(file.fileno(), 0, 4 * count * dim)
            return np.asarray(np.memmap(file, np.float32, "w+", shape=(count, dim)))
    except OSError as error:
        room, folder = 4 * count * dim / 2**30, tempfile.gettempdir()
        raise RetrievalError(
            f"no room for {room:.1f} GiB of features in {folder} ({error.strerror}): set TMPDIR to another folder"
        ) from None


def taken(rows: Float[np.ndarray, "item dim"], places: Int[np.ndarray, " place"]) -> Float[np.ndarray, "place dim"]:
    """Return some rows in their order; a large matrix's stay on the disk."""
    if rows.nbytes < LARGE:
        some: Float[np.ndarray, "place dim"] = rows[places]
        return some
    if np.array_equal(places, np.arange(len(rows))):
        return rows
    found = empty_rows(len(places), rows.shape[1])
    for block in blocks(len(places)):
        found[block] = rows[places[block]]
    return found


def blocks(count: int) -> Iterator[slice]:
    """Yield so many rows in blocks."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def nonzero(rows: Float[np.ndarray, "item dim"]) -> Bool[np.ndarray, " item"]:
    """Return which rows are not zero throughout; the others have no direction, and no cosine with anything."""
    found = np.empty(len(rows), bool)
    for block in blocks(len(rows)):
        found[block] = rows[block].any(axis=1)
    return found


def check_features(
    features: Float[np.ndarray, "item dim"],
    names: Sequence[str],
    *,
    where: str,
    cosine: bool,
    remedy: str = REMEDY,
) -> None:
    """Check that every row is a usable feature.

    Args:
        features: one row per item.
        names: of the items.
        where: what to call the features in an error.
        cosine: whether they are compared by cosine: a row of zeros has none. By dot product or distance it is a point
            like any other.
        remedy: how an error ends.

    Raises:
        RetrievalError: the number of rows is not that of ``names``; a row has a NaN or an infinity, is not zero but
            less than float64 has in full, or is zero where ``cosine`` is set. The first such row is named and all are
            counted.
    """
    if len(features) != len(names):
        raise RetrievalError(f"{where}: {len(features)} rows of features for {len(names)} images: extract them again")
    largest = np.empty(len(features))
    for block in blocks(len(features)):
        largest[block] = np.abs(features[block].astype(np.float64)).max(axis=1, initial=0)
    small = (largest > 0) & (largest < np.finfo(np.float64).tiny)
    for wrong, what in (
        (~np.isfinite(largest), "NaN or infinite values"),
        ((largest == 0) & cosine, "only zeros, and so no cosine"),
        (small, "only values less than float64 has in full"),
    ):
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise RetrievalError(
                f"{where}: the feature of item {first} ({shown(names[first])}) has {what}, as have {int(wrong.sum())} "
                f"in all: {remedy}"
            )
