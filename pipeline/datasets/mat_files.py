"""MAT-files of level 5, in which MATLAB keeps variables: structs, cells, texts and numbers.

The format is that of "MAT-File Format" by The MathWorks. SciPy reads it too, but some damaged files bring it down, and
the process around it.
"""

import struct
import zlib
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from pipeline.frame.places import Place
from pipeline.manifest.images import read_file
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.reading.mistaken import mistaken

HEADER = 128  # bytes
LEVEL_5 = b"\x00\x01IM"  # ends the header: the version, and that small bytes come first
MOST = 1 << 28  # bytes that a compressed variable may come to; lists of a benchmark come to some megabytes
# Types of data elements, and classes of arrays.
NUMBERS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16-le", 16: "utf-8", 17: "utf-16-le", 18: "utf-32-le"}
MATRIX, COMPRESSED = 14, 15
CELL, STRUCT, CHAR = 1, 2, 4
NUMERIC = range(6, 16)
COMPLEX = 0x08


def read_mat(path: Place, name: str) -> Any:
    """Return a variable of a MAT-file.

    A struct array is a list of dictionaries, a cell array a list, both in MATLAB's order, the first index fastest; a
    row of characters is a text; numbers are an array of their shape.

    Raises:
        RetrievalError: the file is missing or damaged, of another level (7.3 is HDF5), lacks the variable, or has in it
            what is none of these: objects, functions, sparse or complex matrices.
    """
    data = read_file(path, name=str(path))
    try:
        if what := mistaken(data):
            raise ValueError(f"it is {what}")
        if data[:HEADER][-len(LEVEL_5) :] != LEVEL_5 or len(data) < HEADER:
            raise ValueError("it is no MAT-file of level 5, little-endian: in MATLAB, save it with -v7")
        for kind, content in elements(data[HEADER:]):
            found, value = matrix(inflated(content) if kind == COMPRESSED else content, wanted=name)
            if found == name:
                return value
        raise ValueError(f"there is no variable '{name}'")
    except (ValueError, struct.error, zlib.error, RecursionError, OverflowError) as error:
        problem = " ".join(str(error).split())
        raise RetrievalError(f"{path} cannot be read as a MAT-file ({problem}): fetch it anew") from None


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the data elements that follow each other: the type of each, and what is in it.

    Raises:
        ValueError: one is longer than what is there.
    """
    place = 0
    while place < len(data):
        kind, count = struct.unpack_from("<II", data, place)
        start = place + 8
        if kind >> 16:  # a small element: its length in the upper half of the type, at most four bytes in place of it
            kind, count, start = kind & 0xFFFF, kind >> 16, place + 4
            if count > 4:
                raise ValueError(f"a small element says that it has {count} bytes")
        if start + count > len(data):
            raise ValueError(f"an element of {count} bytes is cut off")
        yield kind, data[start : start + count]
        end = start + count
        place = end if kind == COMPRESSED else end + -end % 8


def inflated(content: bytes) -> bytes:
    """Return the inside of the matrix that is compressed in an element; ValueError if it is too large or none."""
    unpacking = zlib.decompressobj()
    data = unpacking.decompress(content, MOST)
    if not unpacking.eof:
        raise ValueError(f"a compressed variable is cut off or larger than {MOST} bytes")
    kind, inside = next(elements(data), (0, b""))
    if kind != MATRIX:
        raise ValueError("in a compressed element there is no variable")
    return inside


def matrix(content: bytes, *, wanted: str | None = None) -> tuple[str, Any]:
    """Return the name and the value of a matrix; no value where another name is wanted.

    Raises:
        ValueError: it is damaged, or of a class that is not read.
    """
    if not content and wanted is None:
        return "", np.empty((0, 0))  # how MATLAB writes an empty field
    parts = elements(content)
    flags = np.frombuffer(next_of(parts), "<u4")
    shape = np.frombuffer(next_of(parts), "<i4").tolist()
    name = next_of(parts).decode("latin-1")
    if wanted is not None and name != wanted:
        return name, None
    if not len(flags) or len(shape) < 2 or min(shape) < 0:
        raise ValueError("a matrix has no class or no shape")
    kind, count = int(flags[0]) & 0xFF, prod(shape)
    if count > len(content):  # not even a byte each
        raise ValueError(f"a matrix says that it has {count} elements in {len(content)} bytes")
    if kind == CELL:
        return name, [inner(parts) for _ in range(count)]
    if kind == STRUCT:
        fields = field_names(parts)
        return name, [{field: inner(parts) for field in fields} for _ in range(count)]
    if kind == CHAR:
        return name, text(parts, shape)
    if kind in NUMERIC and not int(flags[0]) >> 8 & COMPLEX:
        return name, numbers(parts, shape)
    raise ValueError(f"a matrix is of class {kind}, which is not read")


def next_of(parts: Iterator[tuple[int, bytes]]) -> bytes:
    """Return what is in the next element; ValueError if there is none."""
    return next_with_type(parts)[1]


def next_with_type(parts: Iterator[tuple[int, bytes]]) -> tuple[int, bytes]:
    """Return the type of the next element and what is in it; ValueError if there is none."""
    found = next(parts, None)
    if found is None:
        raise ValueError("a matrix is cut off")
    return found


def inner(parts: Iterator[tuple[int, bytes]]) -> Any:
    """Return the value of the next element, which is a matrix in a cell or a field."""
    kind, content = next_with_type(parts)
    if kind != MATRIX:
        raise ValueError(f"in a cell or a field there is an element of type {kind}, no matrix")
    return matrix(content)[1]


def field_names(parts: Iterator[tuple[int, bytes]]) -> list[str]:
    """Return the names of a struct's fields: texts of one length, filled up with zeros."""
    length = np.frombuffer(next_of(parts), "<i4")
    names = next_of(parts)
    if len(length) != 1 or length[0] < 1 or len(names) % int(length[0]):
        raise ValueError("the names of a struct's fields are damaged")
    step = int(length[0])
    fields = [names[at : at + step].split(b"\0")[0].decode("latin-1") for at in range(0, len(names), step)]
    if not fields or len(set(fields)) < len(fields):
        raise ValueError("a struct has no fields, or two of one name")
    return fields


def text(parts: Iterator[tuple[int, bytes]], shape: list[int]) -> str:
    """Return a row of characters; ValueError if there are several."""
    if 0 in shape:
        return ""
    if prod(shape) != shape[1]:
        raise ValueError(f"characters of shape {shape} are no text")
    kind, content = next_with_type(parts)
    if kind not in TEXTS:
        raise ValueError(f"characters are of type {kind}, which is not read")
    return content.decode(TEXTS[kind])


def numbers(parts: Iterator[tuple[int, bytes]], shape: list[int]) -> np.ndarray:
    """Return numbers, of the type that they are stored as, which may be narrower than their class.

    Raises:
        ValueError: they are of another type, or not as many as the shape says.
    """
    if 0 in shape:
        return np.empty(shape)
    kind, content = next_with_type(parts)
    if kind not in NUMBERS:
        raise ValueError(f"numbers are of type {kind}, which is not read")
    return np.frombuffer(content, NUMBERS[kind]).reshape(shape, order="F")
