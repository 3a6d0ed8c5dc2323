"""MAT-files: what SciPy wrote and reads, read by this reader; and files that are damaged or of other kinds."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.io import loadmat, savemat

from pipeline.datasets.mat_files import read_mat
from pipeline.retrieval.errors import RetrievalError


def cells(*values: object) -> np.ndarray:
    made = np.empty((1, len(values)), dtype=object)
    for place, value in enumerate(values):
        made[0, place] = value
    return made


VARIABLES: dict[str, Any] = {
    **{kind: np.arange(6).reshape(2, 3).astype(kind) for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")},
    **{kind: np.linspace(-1, 1, 6).reshape(3, 2).astype(kind) for kind in ("f4", "f8")},
    "logical": np.array([[True, False]]),
    "cube": np.arange(24.0).reshape(2, 3, 4),
    "empty": np.zeros((0, 3)),
    "text": "all_souls_000013",
    "letters": "Zürich 山 \U0001f600",
    "one": "a",
    "none": "",
    "names": cells("a.jpg", "bb.jpg", "", "d"),
    "nest": cells(cells(1, "x"), np.array([[3, 4, 5]])),
    "truth": {"bbx": np.array([[1.5, 2, 3, 4]]), "ok": np.array([[1, 2, 3]], np.uint16), "junk": np.zeros((0, 0))},
    "truths": np.array(
        [[(np.array([[1, 2]]), "a"), (np.array([[3]]), "bc")]], dtype=[("ok", object), ("name", object)]
    ),
}


def plain(value: Any) -> Any:
    """Return what SciPy reads in the words of the reader: structs as lists of dictionaries, cells as lists."""
    if value.dtype.names:
        return [{name: plain(one[name]) for name in value.dtype.names} for one in value.ravel(order="F")]
    if value.dtype == object:
        return [plain(one) for one in value.ravel(order="F")]
    if value.dtype.kind == "U":
        return value.item() if value.size else ""
    return value.tolist()


def listed(value: Any) -> Any:
    """Return what the reader returns without arrays."""
    if isinstance(value, dict):
        return {name: listed(one) for name, one in value.items()}
    if isinstance(value, list):
        return [listed(one) for one in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("name", VARIABLES)
def test_variables_are_those_that_scipy_reads(tmp_path: Path, name: str, compressed: bool) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {f"v_{key}": value for key, value in VARIABLES.items()}, do_compression=compressed)
    found, expected = read_mat(path, f"v_{name}"), loadmat(path, chars_as_strings=True)[f"v_{name}"]
    assert listed(found) == plain(expected)
    if isinstance(found, np.ndarray):
        assert found.shape == expected.shape


def test_texts_and_structs_by_hand(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"gnd": VARIABLES["truths"], "imlist": VARIABLES["names"], "word": "Zürich"})
    assert read_mat(tmp_path / "a.mat", "imlist") == ["a.jpg", "bb.jpg", "", "d"]
    assert read_mat(tmp_path / "a.mat", "word") == "Zürich"
    first, second = read_mat(tmp_path / "a.mat", "gnd")
    assert first["name"] == "a" and first["ok"].tolist() == [[1, 2]] and second["ok"].tolist() == [[3]]


def refused(path: Path, match: str) -> None:
    with pytest.raises(RetrievalError, match=match) as caught:
        read_mat(path, "v")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array([[1 + 2j]]), "a matrix is of class 6, which is not read"),
        (sparse.csc_array(np.eye(3)), "a matrix is of class 5, which is not read"),
        (np.array(["ab", "cd"]), r"characters of shape \[2, 2\] are no text"),
    ],
)
def test_what_is_not_read(tmp_path: Path, value: object, message: str) -> None:
    savemat(tmp_path / "a.mat", {"v": value})
    refused(tmp_path / "a.mat", rf"a\.mat cannot be read as a MAT-file \({message}\): fetch it anew")
    savemat(tmp_path / "b.mat", {"other": value})
    refused(tmp_path / "b.mat", "there is no variable 'v'")


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def mat(*parts: bytes) -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124, b" ") + b"\x00\x01IM" + b"".join(parts)


def array(kind: int, shape: tuple[int, ...], *parts: bytes) -> bytes:
    """Return a variable 'v' of a class and a shape, and what follows."""
    flags, sides = struct.pack("<II", kind, 0), struct.pack(f"<{len(shape)}i", *shape)
    return element(14, element(6, flags) + element(5, sides) + element(1, b"v") + b"".join(parts))


def test_a_variable_byte_by_byte(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(mat(array(6, (1, 2), element(2, b"\x07\x09"))))  # doubles, stored as bytes
    assert read_mat(tmp_path / "a.mat", "v").tolist() == [[7, 9]]
    small = struct.pack("<HH", 2, 2) + b"\x07\x09\0\0"  # an element of two bytes within eight
    (tmp_path / "a.mat").write_bytes(mat(array(6, (2, 1), small)))
    assert read_mat(tmp_path / "a.mat", "v").tolist() == [[7], [9]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (mat()[:100], "no MAT-file of level 5"),
        (mat()[:126] + b"MI", "no MAT-file of level 5"),
        (mat(array(6, (1, 2), element(2, b"\x07"))), "cannot reshape"),
        (mat(array(6, (1 << 20, 1 << 20))), "says that it has 1099511627776 elements in 48 bytes"),
        (mat(array(1, (-1, 1))), "no class or no shape"),
        (mat(array(1, (1,))), "no class or no shape"),
        (mat(array(1, (1, 1))), "a matrix is cut off"),
        (mat(array(1, (1, 1), element(2, b"1"))), "an element of type 2, no matrix"),
        (mat(array(2, (1, 1), element(5, struct.pack("<i", 0)), element(1, b"ab"))), "names of a struct's fields are"),
        (
            mat(array(2, (1, 1), element(5, struct.pack("<i", 2)), element(1, b"a\0a\0"))),
            "no fields, or two of one name",
        ),
        (mat(array(4, (1, 1), element(9, b"12345678"))), "characters are of type 9"),
        (mat(array(4, (1, 1), element(16, b"\xff"))), "codec can't decode"),
        (mat(array(6, (1, 1), element(77, b"1"))), "numbers are of type 77"),
        (mat(struct.pack("<II", 14, 1 << 31)), "an element of 2147483648 bytes is cut off"),
        (mat(struct.pack("<HHI", 1, 9, 0)), "a small element says that it has 9 bytes"),
        (mat(element(15, zlib.compress(element(1, b"a")))), "in a compressed element there is no variable"),
        (mat(element(15, zlib.compress(array(6, (1, 1)))[:-5])), "cut off or larger"),
        (mat(element(15, b"no zlib")), "incorrect header check"),
    ],
)
def test_damaged_files(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.mat").write_bytes(data)
    refused(tmp_path / "a.mat", message)


def test_what_grows_when_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zlib.compress(array(6, (1, 5000), element(2, bytes(5000))))
    (tmp_path / "a.mat").write_bytes(mat(element(15, packed)))
    assert read_mat(tmp_path / "a.mat", "v").shape == (1, 5000)
    monkeypatch.setattr("pipeline.datasets.mat_files.MOST", 5000)
    refused(tmp_path / "a.mat", "cut off or larger than 5000 bytes")


def test_a_nest_without_end(tmp_path: Path) -> None:
    nest = b""
    for _ in range(3000):
        nest = array(1, (1, 1), nest)
    (tmp_path / "a.mat").write_bytes(mat(nest))
    refused(tmp_path / "a.mat", "recursion")
