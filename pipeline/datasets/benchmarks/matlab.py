"""MATLAB's MAT-files of level 5, as ``save`` writes them: cells, structures, texts and real numbers.

SciPy's reader crashes or hangs on some damaged files; this one reads less, checks every length, and runs nothing.
The format: MathWorks, "MAT-File Format", chapter 1.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

HEADER = 128  # bytes
MOST = 1 << 28  # bytes that a compressed variable may grow to
DEEPEST = 8  # cells and structures in one another
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
CELL, STRUCTURE, CHARACTERS = 1, 2, 4
NUMERIC = range(6, 16)  # classes: double, single, and integers of 8 to 64 bits
COMPLEX = 0x0800  # among the flags


def read_variables(data: bytes) -> dict[str, Any]:
    """Return the variables of a MAT-file by their names.

    A cell array is a list, in MATLAB's order (columns first), an array of structures a list of dictionaries by the
    names of fields, a row of characters a text, numbers are an array of one dimension.

    Raises:
        ValueError: it is no MAT-file of level 5, is damaged, or has what is none of these, such as an object.
    """
    if len(data) < HEADER or data[126:128] not in (b"IM", b"MI"):
        raise ValueError("it is no MAT-file of level 5, as MATLAB's save -v7 writes it")
    order = "<" if data[126:128] == b"IM" else ">"
    found = {}
    for kind, content in elements(memoryview(data)[HEADER:], order):
        if kind == COMPRESSED:
            unpacked = zlib.decompressobj()
            try:
                plain = unpacked.decompress(content, MOST)
            except zlib.error as error:
                raise ValueError(f"a variable cannot be decompressed ({error})") from None
            if unpacked.unconsumed_tail or not unpacked.eof:
                raise ValueError(f"a variable is cut off, or larger than {MOST} bytes")
            kind, content = only(elements(memoryview(plain), order))
        if kind != MATRIX:
            raise ValueError(f"an element of type {kind} stands where a variable should")
        name, value = matrix(content, order, 0)
        found[name] = value
    return found


def elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield the type and the bytes of each element; ValueError if one does not end within the data."""
    place = 0
    while place < len(data):
        if place + 8 > len(data):
            raise ValueError("an element is cut off")
        kind, size = struct.unpack(f"{order}II", data[place : place + 8])
        start = place + 8
        if kind >> 16:  # a small one: type and length share four bytes, the other four are its content
            kind, size, start = kind & 0xFFFF, kind >> 16, place + 4
            if size > 4:
                raise ValueError("a small element has more than four bytes")
        if start + size > len(data):
            raise ValueError("an element is cut off")
        yield kind, data[start : start + size]
        place = start + size if kind == COMPRESSED else start + size + -(start + size) % 8


def only(found: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    """Return the next element; ValueError if there is none."""
    for element in found:
        return element
    raise ValueError("an element is missing")


def matrix(content: memoryview, order: str, depth: int) -> tuple[str, Any]:
    """Return the name and the value of an array, which is empty if its content is; ValueError if it is none."""
    if not content:
        return "", np.empty(0)
    if depth > DEEPEST:
        raise ValueError(f"arrays are more than {DEEPEST} deep in one another")
    parts = elements(content, order)
    flags = numbers(only(parts), order)
    sizes = numbers(only(parts), order).tolist()
    name = text(only(parts), order)
    if len(flags) != 2 or len(sizes) < 2 or min(sizes) < 0:
        raise ValueError("an array has no class or no size")
    kind, count = int(flags[0]) & 0xFF, int(np.prod([int(size) for size in sizes], dtype=object))
    if int(flags[0]) & COMPLEX:
        raise ValueError("an array of complex numbers")
    if kind == CELL:
        return name, [inner(parts, order, depth) for _ in range(count)]
    if kind == STRUCTURE:
        names = fields(parts, order)
        return name, [{field: inner(parts, order, depth) for field in names} for _ in range(count if names else 0)]
    if kind not in (CHARACTERS, *NUMERIC):
        raise ValueError(f"an array of class {kind}, which is none of cells, structures, characters and numbers")
    value = text(only(parts), order) if kind == CHARACTERS else numbers(only(parts), order)
    if not count:
        return name, "" if kind == CHARACTERS else np.empty(0)
    if len(value) != count or (kind == CHARACTERS and sizes != [1, count]):
        raise ValueError(f"an array of size {sizes} has {len(value)} entries, or is a text of several rows")
    return name, value


def inner(parts: Iterator[tuple[int, memoryview]], order: str, depth: int) -> Any:
    """Return the value of the next array in another one."""
    kind, content = only(parts)
    if kind != MATRIX:
        raise ValueError(f"an element of type {kind} stands where an array should")
    return matrix(content, order, depth + 1)[1]


def fields(parts: Iterator[tuple[int, memoryview]], order: str) -> list[str]:
    """Return the names of a structure's fields, each in as many bytes as the element before them says."""
    widths = numbers(only(parts), order).tolist()
    _, packed = only(parts)
    if len(widths) != 1 or widths[0] < 1 or len(packed) % widths[0]:
        raise ValueError("the names of fields are damaged")
    names = [bytes(packed[start : start + widths[0]]) for start in range(0, len(packed), widths[0])]
    return [name.split(b"\0")[0].decode("latin-1") for name in names]


def numbers(element: tuple[int, memoryview], order: str) -> np.ndarray:
    """Return the numbers of an element; ValueError if it holds others."""
    kind, content = element
    if kind not in NUMBERS:
        raise ValueError(f"an element of type {kind} stands where numbers should")
    dtype = np.dtype(order + NUMBERS[kind])
    if len(content) % dtype.itemsize:
        raise ValueError("an element ends within a number")
    return np.frombuffer(content, dtype)


def text(element: tuple[int, memoryview], order: str) -> str:
    """Return the text of an element; ValueError if it holds none."""
    kind, content = element
    if kind not in TEXTS:
        raise ValueError(f"an element of type {kind} stands where a text should")
    coding = TEXTS[kind]
    if coding in ("utf-16", "utf-32"):
        coding += "-le" if order == "<" else "-be"
    return bytes(content).decode(coding)
