"""Downloads: whole and verified, or resumed, or an error; never half a file in place."""

import hashlib
import itertools
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.fetching.download import PIECE, NotFetched, RemoteFile, download, verify
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


# ---- servers that answer what none should


@pytest.fixture
def served() -> Iterator[Callable[..., Any]]:
    """From the answers of a server, byte by byte, to a file that it has; every connection gets the next one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"

        def run(answers: list[bytes]) -> None:
            for number in itertools.count():
                try:
                    connection, _ = listening.accept()
                except OSError:  # closed: the test is over
                    return
                with connection:
                    connection.settimeout(10)
                    requests.append(connection.recv(65536).decode("latin-1"))
                    connection.sendall(answers[min(number, len(answers) - 1)].replace(b"URL", url.encode()))

        requests: list[str] = []

        def start(*answers: bytes) -> tuple[RemoteFile, list[str]]:
            threading.Thread(target=run, args=(list(answers),), daemon=True).start()
            return RemoteFile(f"{url}/net.pth", "net.pth"), requests

        yield start
        listening.shutdown(socket.SHUT_RDWR)


OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([OK + b"Content-Length: abc\r\n\r\nxyz"], "the server announces 'abc' bytes"),
        ([OK + b"Content-Length: -5\r\n\r\nxyz"], "the server announces '-5' bytes"),
        ([OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nxyz"], "Content-Length|announces '3, 4' bytes"),
        ([OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nxyz"], "digits"),
        ([OK + b"Content-Length: 9\r\n\r\nxyz"], "3 bytes read, 6 more expected|3 of 9 bytes"),
        ([OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n9\r\nx"], "bytes read|incomplete|IncompleteRead"),
        ([OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nxyz"], "invalid literal|Invalid chunk|InvalidChunkLength"),
        ([OK + b"Content-Encoding: gzip\r\n\r\nxyz"], "Error -3|header"),
        ([b"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: URL/net.pth\r\n\r\n"], "Exceeded 30 redirects"),
        ([b"HTTP/1.1 302 Found\r\nLocation: \xff\xfe\r\n\r\n"], "decode|404"),
        ([b"HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n"], "URL|IPv6"),
        ([b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"], "No connection adapters"),
        ([b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes x-/\r\n\r\n"], "another part than the one asked"),
        ([b"HTTP/1.1 abc\r\n\r\n"], "abc"),
        ([b"SSH-2.0-OpenSSH\r\n"], "SSH"),
        ([OK + b"x: y\r\n" * 200 + b"\r\n"], "headers"),
        ([OK + b"x: " + b"y" * 70_000 + b"\r\n\r\n"], "header line"),
    ],
)
def test_what_no_server_should_answer_is_one_line(
    served: Callable[..., Any], tmp_path: Path, answers: list[bytes], said: str
) -> None:
    remote, _ = served(*answers)
    with pytest.raises(NotFetched, match=rf"^net\.pth .* could not be fetched from http.* \(.*({said}).*\)$"):
        download(remote, tmp_path / "net.pth")
    assert not (tmp_path / "net.pth").exists()


@pytest.mark.parametrize(
    ("tag", "sent"),
    [(b'"caf\xe9"', '"caf\xe9"'), (b'W/"weak"', None), (b'"\x07"', None)],
)
def test_an_odd_etag_is_sent_back_as_it_came_or_not_at_all(
    served: Callable[..., Any], tmp_path: Path, tag: bytes, sent: str | None
) -> None:
    length = PIECE + 3
    cut = OK + b"Content-Length: %d\r\nETag: %s\r\n\r\n" % (length, tag) + CONTENT[:PIECE]
    part = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\nContent-Range: bytes %d-%d/%d\r\n\r\n"
    rest = part % (PIECE, length - 1, length) + CONTENT[PIECE:length]
    whole = OK + b"Content-Length: %d\r\n\r\n" % length + CONTENT[:length]
    remote, requests = served(cut, rest if sent else whole)
    download(remote, tmp_path / "net.pth")
    assert (tmp_path / "net.pth").read_bytes() == CONTENT[:length]
    assert [line for line in requests[1].split("\r\n") if line.startswith("If-Range")] == (
        [f"If-Range: {sent}"] if sent else []
    )


def test_what_a_server_sends_in_place_of_a_file_is_named(served: Callable[..., Any], tmp_path: Path) -> None:
    remote, _ = served(OK + b"\r\n<!DOCTYPE html>\n<html>Sign in")
    with pytest.raises(RetrievalError, match="has the sha256 .*: it is an HTML page, .*; it is damaged"):
        download(replace(remote, digest=f"sha256:{SHA256}"), tmp_path / "net.pth")


def test_a_pipe_in_place_of_a_file_is_not_waited_for(remote: RemoteFile, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "net.pth")
    with pytest.raises(RetrievalError, match=r"net\.pth is a named pipe \(FIFO\), not a file"):
        verify(tmp_path / "net.pth", remote)
