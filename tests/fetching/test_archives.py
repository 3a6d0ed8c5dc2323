"""Archives: what is extracted, and every way out of the folder that is refused."""

import gzip
import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.fetching.archives import extract_archive
from pipeline.retrieval.errors import RetrievalError

Change = Callable[[tarfile.TarInfo], None]


def member(name: str, data: bytes = b"x", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return path


def zipped(path: Path, *names: str, mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "x")
    return path


def extract(archive: Path, *, max_bytes: int = 10_000_000, max_files: int = 10) -> dict[str, bytes]:
    """Extract into ``<folder of the archive>/target`` and return what is in it."""
    target = archive.parent / "target"
    target.mkdir(exist_ok=True)
    written = extract_archive(archive, target, max_bytes=max_bytes, max_files=max_files)
    found = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert written == sum(map(len, found.values()))
    return found


def refused(archive: Path, match: str, *, max_bytes: int = 10_000_000, max_files: int = 10) -> None:
    """Check that an archive is refused and that nothing appears beside the folder to extract into."""
    before = {path for path in archive.parent.rglob("*") if "target" not in path.parts}
    with pytest.raises(RetrievalError, match=match) as caught:
        extract(archive, max_bytes=max_bytes, max_files=max_files)
    assert "\n" not in str(caught.value)
    assert str(archive) in str(caught.value)
    assert {path for path in archive.parent.rglob("*") if "target" not in path.parts} == before
    assert not any(path.is_symlink() for path in archive.parent.rglob("*"))


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.TGZ"])
def test_a_tar_is_extracted(tmp_path: Path, name: str) -> None:
    folder = member("./voc/", b"", type=tarfile.DIRTYPE, mode=0o000)
    large = bytes(range(256)) * 10_000  # more than a piece
    path = tmp_path / name
    tar(path, member(".", b"", type=tarfile.DIRTYPE), folder, member("./voc/a.jpg", large), member("deep/er/b", b""))
    assert extract(path) == {"voc/a.jpg": large, "deep/er/b": b""}


def test_a_zip_is_extracted(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("voc/", "")
        archive.writestr("voc/a.jpg", b"abc" * 1000)
    assert extract(tmp_path / "a.zip") == {"voc/a.jpg": b"abc" * 1000}


def test_modes_are_not_taken_over(tmp_path: Path) -> None:
    extract(tar(tmp_path / "a.tar", member("a", mode=0o4777, mtime=5)))
    status = (tmp_path / "target/a").stat()
    assert status.st_mode & 0o7111 == 0 and status.st_mtime > 1_000_000


OUTSIDE = ["../a", "a/../../b", "/etc/a", "C:/a", "C:a", "..\\a", "a\\b", "a\nb", "a\x7fb"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_of_a_tar(tmp_path: Path, name: str) -> None:
    refused(tar(tmp_path / "a.tar", member("good"), member(name)), "is unfit or leads out of its folder")
    assert [path.name for path in (tmp_path / "target").iterdir()] == ["good"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_of_a_zip(tmp_path: Path, name: str) -> None:
    refused(zipped(tmp_path / "a.zip", name), "is unfit or leads out of its folder")


def test_a_folder_that_leads_out(tmp_path: Path) -> None:
    refused(tar(tmp_path / "a.tar", member("../out", b"", type=tarfile.DIRTYPE)), "leads out of its folder")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
@pytest.mark.parametrize("target", ["/etc/passwd", "../..", "good"])
def test_a_link_in_a_tar(tmp_path: Path, kind: bytes, target: str) -> None:
    path = tar(tmp_path / "a.tar", member("good"), member("link", b"", type=kind, linkname=target), member("link/a"))
    refused(path, "member 'link' is a link, not a file or folder")


@pytest.mark.parametrize("kind", [tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_device_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    refused(tar(tmp_path / "a.tar", member("null", b"", type=kind)), "member 'null' is a device")


@pytest.mark.parametrize(("mode", "kind"), [(0o120777, "link"), (0o010644, "device"), (0o020644, "device")])
def test_a_link_or_device_in_a_zip(tmp_path: Path, mode: int, kind: str) -> None:
    refused(zipped(tmp_path / "a.zip", "odd", mode=mode), f"member 'odd' is a {kind}")
    assert extract(zipped(tmp_path / "b.zip", "good", mode=0o100644)) == {"good": b"x"}


@pytest.mark.parametrize("name", ["a", "./a"])
def test_a_name_that_comes_twice(tmp_path: Path, name: str) -> None:
    assert extract(tar(tmp_path / "a.tar", member("a", b"xy"), member(name, b"xy"))) == {"a": b"xy"}
    for number, other in enumerate([b"xz", b"x", b"xyz", b""]):
        path = tar(tmp_path / f"{number}.tar", member("a", b"xy"), member(name, other))
        refused(path, f"member '{name}' comes twice with different content")
    assert (tmp_path / "target/a").read_bytes() == b"xy"


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    refused(tar(tmp_path / "a.tar", member("a"), member("a/b")), "cannot be extracted")
    refused(tar(tmp_path / "b.tar", member("d", b"", type=tarfile.DIRTYPE), member("d")), "comes twice with different")


def test_more_bytes_than_allowed(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tgz", member("a", bytes(60_000)), member("b", bytes(60_000)))
    assert len(extract(path, max_bytes=120_000)) == 2
    (tmp_path / "target/b").unlink()
    (tmp_path / "target/a").unlink()
    refused(path, "member 'b' goes past the limit of bytes", max_bytes=119_999)


def test_a_zip_that_claims_to_be_small(tmp_path: Path) -> None:
    """What counts is what comes out: a million zeros, of which the directory says that they are ten."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(1_000_000))
    data = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(data.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    refused(tmp_path / "a.zip", "cannot be read|goes past the limit", max_bytes=1000)
    assert sum(path.stat().st_size for path in (tmp_path / "target").iterdir()) <= 1000


def test_more_members_than_allowed(tmp_path: Path) -> None:
    members = [member(str(number), b"", type=tarfile.DIRTYPE) for number in range(4)]
    path = tar(tmp_path / "a.tar", *members)
    assert extract(path, max_files=4) == {}
    refused(path, "member '3' is one more than the 3 allowed", max_files=3)


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.zip"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.6, 0.9])
def test_an_archive_that_breaks_off(tmp_path: Path, name: str, keep: float) -> None:
    path = tmp_path / name
    if name == "a.zip":
        zipped(path, *"abcdefgh")
    else:
        tar(path, *(member(letter, bytes(3000)) for letter in "abcdefgh"))
    length = len(path.read_bytes()) if name != "a.tar" else 8 * 3584  # what follows is padding
    path.write_bytes(path.read_bytes()[: int(length * keep)])
    refused(path, rf"{name} (cannot be (read|extracted) \(.+\)|is empty)")


def test_a_tar_that_breaks_off_between_two_members(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", member("a", bytes(512)), member("b", bytes(512)))
    path.write_bytes(path.read_bytes()[:1024])
    refused(path, r"a\.tar cannot be read \(a header is damaged or missing")


def test_a_tar_with_a_damaged_header_in_its_midst(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", member("a", bytes(512)), member("b", bytes(512)))
    data = bytearray(path.read_bytes())
    data[1024] ^= 1  # the name of b, which the header's checksum covers
    path.write_bytes(data)
    refused(path, r"a\.tar cannot be read \(a header is damaged or missing")


def test_a_damaged_member(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "content")
    path.write_bytes(path.read_bytes().replace(b"content", b"c0ntent"))
    refused(path, r"a\.zip cannot be read \(Bad CRC-32")
    path = tar(tmp_path / "b.tgz", member("b", b"content" * 9000))
    data = gzip.decompress(path.read_bytes()).replace(b"content", b"c0ntent", 1)
    path.write_bytes(gzip.compress(data)[:-8] + path.read_bytes()[-8:])
    refused(path, r"b\.tgz cannot be read \(CRC check failed")


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.zip"])
def test_no_archive_at_all(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no archive" * 100)
    refused(tmp_path / name, f"{name} cannot be read")


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.zip"])
@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"<html>404</html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"", "empty"),
    ],
)
def test_what_came_in_place_of_an_archive_is_named(tmp_path: Path, name: str, data: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(data)
    refused(tmp_path / name, f"{name} is {what}.*: remove it and fetch it again")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.tar")
    refused(tmp_path / "a.tar", r"a\.tar is a named pipe \(FIFO\), not a file")


def header(name: str, size: bytes, kind: bytes) -> bytes:
    """A tar's header with any length in it, and a checksum that is right."""
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.GNU_FORMAT))
    block[124:136], block[156:157], block[148:156] = size, kind, b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize("kind", [b"0", b"L", b"x", b"g"])
def test_a_tar_with_a_length_that_cannot_be(tmp_path: Path, kind: bytes) -> None:
    """Lengths in base 256: one below zero, where tarfile goes back, and a name of four gigabytes."""
    (tmp_path / "a.tar").write_bytes(header("a", b"\xff" * 12, kind) + bytes(2048))
    refused(tmp_path / "a.tar", r"cannot be read .*a header announces -1 bytes")
    if kind != b"0":
        (tmp_path / "b.tar").write_bytes(header("b", b"\x80" + (1 << 32).to_bytes(11, "big"), kind) + bytes(2048))
        refused(tmp_path / "b.tar", r"cannot be read .*a header announces 4294967296 bytes")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.zip", "sparse.tar"])
def test_a_damaged_archive_is_one_line_whatever_its_library_raises(tmp_path: Path, name: str, data: Any) -> None:
    path = tmp_path / name
    if name == "a.zip":
        zipped(path, *"abcd")
    elif name == "sparse.tar":
        path.write_bytes(header("s", b"00000000001\0", b"S") + bytes(1024))
    else:
        tar(path, *(member(letter, b"xy") for letter in "abcd"))
    content = bytearray(path.read_bytes())
    places = st.integers(0, min(len(content), 2560) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)):
        content[place] = value
    path.write_bytes(content)
    with tempfile.TemporaryDirectory() as target, suppress(RetrievalError):
        extract_archive(path, Path(target), max_bytes=10_000, max_files=10)


def test_a_sparse_tar_that_breaks_off(tmp_path: Path) -> None:
    block = bytearray(header("s", b"00000000001\0", b"S"))
    block[482] = 1  # goes on in the next block, which is not there
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    (tmp_path / "a.tar").write_bytes(block)
    refused(tmp_path / "a.tar", r"a\.tar cannot be read \(")


def test_another_format(tmp_path: Path) -> None:
    (tmp_path / "a.rar").write_bytes(b"x")
    refused(tmp_path / "a.rar", r"is no archive by its name: one of \.tar, \.tar\.gz, \.tgz, \.zip")


def test_a_missing_archive(tmp_path: Path) -> None:
    refused(tmp_path / "a.tar", r"a\.tar cannot be extracted \(.*No such file")
