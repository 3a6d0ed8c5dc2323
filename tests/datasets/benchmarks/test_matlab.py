"""MAT-files of level 5, written by SciPy, and damaged."""

import io
import random
import struct
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from pipeline.datasets.benchmarks.matlab import read_variables


def saved(compressed: bool = False, **variables: Any) -> bytes:
    file = io.BytesIO()
    savemat(file, variables, do_compression=compressed)
    return file.getvalue()


def cells(*values: Any) -> Any:
    made = np.empty((1, len(values)), object)
    for place, value in enumerate(values):
        made[0, place] = value
    return made


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_numbers_come_as_they_are_columns_first(dtype: str, compressed: bool) -> None:
    value = np.array([[1, 2, 3], [4, 5, 100]], dtype)
    found = read_variables(saved(compressed, x=value, long_name_of_a_variable=np.array([7.5])))
    assert found["x"].tolist() == [1, 4, 2, 5, 3, 100]
    assert found["long_name_of_a_variable"].tolist() == [7.5]


@pytest.mark.parametrize("compressed", [False, True])
def test_cells_structures_and_texts(compressed: bool) -> None:
    truth = np.empty((1, 2), [("ok", object), ("bbx", object)])
    truth[0, 0] = (np.array([[1.0, 2.0]]), "a")
    truth[0, 1] = (np.empty((0, 0)), cells("b", np.array([[3]])))
    found = read_variables(saved(compressed, names=cells("INSTRE-S1/1.jpg", "café", ""), gnd=truth))
    assert found["names"] == ["INSTRE-S1/1.jpg", "café", ""]
    first, second = found["gnd"]
    assert list(first) == ["ok", "bbx"] and first["ok"].tolist() == [1, 2] and first["bbx"] == "a"
    assert second["ok"].tolist() == [] and second["bbx"][0] == "b" and second["bbx"][1].tolist() == [3]


def test_big_endian_by_hand() -> None:
    # A variable x of class 6 (double), 1 x 1, the number 2.5: flags, sizes, name (a small element), numbers.
    parts = struct.pack(">IIII", 6, 8, 6, 0) + struct.pack(">IIii", 5, 8, 1, 1)
    parts += struct.pack(">HH", 1, 1) + b"x\0\0\0" + struct.pack(">IId", 9, 8, 2.5)
    data = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x01\x00MI" + struct.pack(">II", 14, len(parts)) + parts
    assert read_variables(data)["x"].tolist() == [2.5]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "no MAT-file of level 5"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "no MAT-file of level 5"),
        (saved(x=np.eye(3))[:-9], "an element is cut off"),
        (saved(x=np.eye(3)) + b"\0\0\0", "an element is cut off"),
        (saved(True, x=np.eye(30))[:-9], "an element is cut off"),
        (saved(x=np.array([1 + 2j])), "complex numbers"),
        (saved(x=np.array(["ab", "cd"])), r"an array of size \[2, 2\]"),
        (saved(x=cells(cells(cells(cells(cells(cells(cells(cells(cells(cells(1))))))))))), "more than 8 deep"),
    ],
)
def test_what_is_refused(data: bytes, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        read_variables(data)


def test_damage_is_a_value_error_and_nothing_else() -> None:
    rng = random.Random(0)
    truth = np.empty((1, 1), [("ok", object), ("bbx", object)])
    truth[0, 0] = (np.array([[1.0, 2.0]]), "a")
    refused = 0
    for given in (saved(n=cells("a", "b"), gnd=truth), saved(True, n=cells("a", "b"), gnd=truth)):
        for _ in range(1500):
            data = bytearray(given)
            for _ in range(rng.choice((1, 2, 8))):
                data[rng.randrange(124, len(data))] = rng.randrange(256)
            try:
                read_variables(bytes(data))
            except ValueError:
                refused += 1
    assert refused > 500
