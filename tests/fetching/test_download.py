"""Downloads: whole and verified, or resumed, or an error; never half a file in place."""

import hashlib
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.fetching.download import NotFetched, RemoteFile, download
from pipeline.retrieval.errors import RetrievalError
from tests.conftest import Web

CONTENT = np.random.default_rng(0).integers(0, 256, 3_000_000, dtype=np.uint8).tobytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def remote(web: Web) -> RemoteFile:
    web.files["/models/net.pth"] = CONTENT
    return RemoteFile(f"{web.url}/models/net.pth", "net.pth", f"sha256:{SHA256}", len(CONTENT))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_file_arrives_once(web: Web, remote: RemoteFile, tmp_path: Path) -> None:
    target = tmp_path / "new" / "net.pth"
    for _ in range(2):
        download(remote, target)
        assert target.read_bytes() == CONTENT
    assert len(web.requests) == 1
    assert names_in(tmp_path) == ["net.pth", "new"]


def test_a_truncated_answer_is_gone_on_with(web: Web, remote: RemoteFile, tmp_path: Path) -> None:
    web.cut_after = [1_000_000, 1_500_000]  # twice, then no more
    download(remote, tmp_path / "net.pth")
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    first, second, third = web.requests
    assert "Range" not in first
    begins = [int(request["Range"].removeprefix("bytes=").rstrip("-")) for request in (second, third)]
    assert 0 < begins[0] < begins[1] < len(CONTENT)
    assert names_in(tmp_path) == ["net.pth"]


def test_another_process_goes_on_where_one_was_stopped(web: Web, remote: RemoteFile, tmp_path: Path) -> None:
    web.cut_after = [1_000_000] + [0] * 10
    with pytest.raises(NotFetched, match=r"net\.pth \(3,000,000 bytes, sha256 [0-9a-f]{64}\) could not be fetched"):
        download(remote, tmp_path / "net.pth")
    assert not (tmp_path / "net.pth").exists()
    web.cut_after = []
    download(remote, tmp_path / "net.pth")
    assert web.requests[-1]["Range"].startswith("bytes=")
    assert (tmp_path / "net.pth").read_bytes() == CONTENT


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(web: Web, remote: RemoteFile, tmp_path: Path) -> None:
    web.cut_after = [1_000_000] + [0] * 10
    with pytest.raises(NotFetched):
        download(remote, tmp_path / "net.pth")
    web.cut_after = []
    changed = CONTENT[::-1]
    web.files["/models/net.pth"] = changed
    download(replace(remote, digest=f"md5:{hashlib.md5(changed).hexdigest()}"), tmp_path / "net.pth")
    assert (tmp_path / "net.pth").read_bytes() == changed


def test_a_server_without_validators_starts_again(web: Web, remote: RemoteFile, tmp_path: Path) -> None:
    web.tags = False
    web.cut_after = [1_000_000]
    download(remote, tmp_path / "net.pth")
    assert (tmp_path / "net.pth").read_bytes() == CONTENT
    assert all("Range" not in request for request in web.requests)


def test_all_bytes_without_the_last_step(web: Web, remote: RemoteFile, tmp_path: Path) -> None:
    """A process killed after the last byte leaves a part that is as long as the file."""
    web.cut_after = [1_000_000] + [0] * 10
    with pytest.raises(NotFetched):
        download(remote, tmp_path / "net.pth")
    web.cut_after = []
    (tmp_path / ".net.pth.partial").write_bytes(CONTENT)
    download(remote, tmp_path / "net.pth")
    assert (tmp_path / "net.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("wrong", ["sha256:" + "0" * 64, "md5:" + "0" * 32, "sha256:00000000"])
def test_another_file_than_meant_is_refused_and_removed(remote: RemoteFile, tmp_path: Path, wrong: str) -> None:
    with pytest.raises(RetrievalError, match=f"not {wrong.partition(':')[2]}: it is damaged or another file"):
        download(replace(remote, digest=wrong), tmp_path / "net.pth")
    with pytest.raises(RetrievalError, match="has 3,000,000 bytes, not 2,999,999"):
        download(replace(remote, bytes=2_999_999), tmp_path / "net.pth")
    assert names_in(tmp_path) == []


def test_the_first_digits_of_a_hash_are_checked(remote: RemoteFile, tmp_path: Path) -> None:
    download(replace(remote, digest=f"sha256:{SHA256[:8]}"), tmp_path / "net.pth")
    assert (tmp_path / "net.pth").is_file()


def test_a_wrong_file_in_place_is_said_and_left(remote: RemoteFile, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(RetrievalError, match=r"net\.pth has the sha256 [0-9a-f]{64}, not .* remove it and get"):
        download(remote, tmp_path / "net.pth")
    assert (tmp_path / "net.pth").is_file()


def test_what_the_server_does_not_have(web: Web, remote: RemoteFile, tmp_path: Path) -> None:
    with pytest.raises(NotFetched, match=r"could not be fetched from .*nowhere \(the server says 404"):
        download(replace(remote, url=f"{web.url}/nowhere"), tmp_path / "net.pth")
    assert len(web.requests) == 1
    assert names_in(tmp_path) == []


def test_without_a_connection_nothing_is_written(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    unknown = RemoteFile(f"http://127.0.0.1:{port}/net.pth", "net.pth")
    with pytest.raises(
        NotFetched, match=r"net\.pth \(of unknown length, hash unknown\) could .*Connection refused"
    ) as e:
        download(unknown, tmp_path / "new" / "net.pth")
    assert "\n" not in str(e.value) and "object at" not in str(e.value)
    assert names_in(tmp_path) == []
