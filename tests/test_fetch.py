"""Fetching a dataset from a server on this machine, and where raw data lies."""

import hashlib
import http.server
import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.datasets.parcels import fetch, read_parcels
from pipeline.frame.places import located
from pipeline.retrieval.errors import RetrievalError
from tests.conftest import TOP


@dataclass
class Server:
    """A folder that is served, and what was asked of it."""

    folder: Path
    address: str = ""
    asked: list[str] = field(default_factory=list)

    def put(self, name: str, data: bytes) -> dict[str, object]:
        """Serve a file and return its entry in a YAML."""
        (self.folder / name).write_bytes(data)
        return {"url": f"{self.address}/{name}", "md5": hashlib.md5(data).hexdigest()}


class Handler(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *arguments: Any, served: Server) -> None:
        self.served = served
        super().__init__(*arguments, directory=str(served.folder))

    def log_message(self, format: str, *arguments: object) -> None:
        self.served.asked.append(self.path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    served = Server(tmp_path / "served")
    served.folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, served=served)) as listening:
        served.address = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        yield served
        listening.shutdown()
        thread.join()


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETRIEVAL_RAW", str(tmp_path / "raw"))
    return tmp_path / "raw"


def tgz(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(f"images/{name}.jpg")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def parcel(*files: dict[str, object], into: str = "data/raw/own", gigabytes: float = 0.001) -> dict[str, object]:
    return {"into": into, "max_gigabytes": gigabytes, "files": list(files)}


def fetch_all(*parcels: dict[str, object]) -> None:
    for one in read_parcels("own", {"fetch": list(parcels)}):
        fetch(one)


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_archives_and_plain_files_make_one_folder(server: Server, raw: Path) -> None:
    one, two = server.put("1.tgz", tgz(a=b"A")), server.put("2.tgz", tgz(b=b"B", c=b"C"))
    plain = server.put("gnd.pkl", b"pickle")
    fetch_all(parcel(one, two, plain), parcel(server.put("truth.pkl", b"t"), into="data/raw/deep/truth"))
    expected = {"images/a.jpg": b"A", "images/b.jpg": b"B", "images/c.jpg": b"C", "gnd.pkl": b"pickle"}
    assert files_below(raw / "own") == expected
    assert files_below(raw / "deep") == {"truth/truth.pkl": b"t"}
    assert sorted(path.name for path in raw.iterdir()) == ["deep", "downloads", "own"]
    assert sorted(path.name for path in (raw / "downloads").iterdir()) == ["1.tgz", "2.tgz", "gnd.pkl", "truth.pkl"]


def test_what_is_there_is_left_alone(server: Server, raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (raw / "own").mkdir(parents=True)
    fetch_all(parcel(server.put("1.tgz", tgz(a=b"A"))))
    assert f"{raw / 'own'} is there already and is left as it is" in capsys.readouterr().out
    assert files_below(raw) == {} and server.asked == []


def test_a_download_is_used_again(server: Server, raw: Path) -> None:
    entry = server.put("1.tgz", tgz(a=b"A"))
    fetch_all(parcel(entry))
    (raw / "own/images/a.jpg").unlink()
    (raw / "own/images").rmdir()
    (raw / "own").rmdir()
    fetch_all(parcel(entry))
    assert files_below(raw / "own") == {"images/a.jpg": b"A"}
    assert server.asked == ["/1.tgz"]


def test_a_wrong_hash_leaves_nothing(server: Server, raw: Path) -> None:
    entry = {**server.put("1.tgz", tgz(a=b"A")), "md5": "0" * 32}
    with pytest.raises(RetrievalError, match=r"has the md5 [0-9a-f]{32}, not 0{32}"):
        fetch_all(parcel(entry))
    assert files_below(raw) == {} and not (raw / "own").exists()


def test_a_sha256_is_checked_too(server: Server, raw: Path) -> None:
    entry = server.put("1.tgz", data := tgz(a=b"A"))
    right = {"url": entry["url"], "sha256": hashlib.sha256(data).hexdigest()}
    with pytest.raises(RetrievalError, match="has the sha256"):
        fetch_all(parcel({**right, "sha256": "0" * 64}))
    fetch_all(parcel(right))
    assert (raw / "own/images/a.jpg").is_file()


def test_an_unverified_file_is_said(server: Server, raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch_all(parcel({"url": server.put("1.tgz", tgz(a=b"A"))["url"], "unverified": True}))
    assert "1.tgz: nobody states its hash" in capsys.readouterr().out
    assert files_below(raw / "own") == {"images/a.jpg": b"A"}


def test_the_folder_appears_whole_or_not_at_all(server: Server, raw: Path) -> None:
    good, bad = server.put("1.tgz", tgz(a=b"A")), server.put("2.tgz", tgz(b=os.urandom(9000))[:5000])
    with pytest.raises(RetrievalError, match=r"2\.tgz cannot be read"):
        fetch_all(parcel(good, bad))
    assert [path.name for path in raw.iterdir()] == ["downloads"]


def test_the_limit_is_for_all_archives_together(server: Server, raw: Path) -> None:
    entries = [server.put(f"{name}.tgz", tgz(**{name: bytes(600)})) for name in "ab"]
    with pytest.raises(RetrievalError, match="b.jpg' goes past the limit of bytes to extract: raise max_gigabytes"):
        fetch_all(parcel(*entries, gigabytes=1e-6))
    fetch_all(parcel(*entries, gigabytes=1.2e-6))
    assert len(files_below(raw / "own")) == 2


MD5 = "0" * 32
URL = "http://127.0.0.1:1/a.tgz"


@pytest.mark.parametrize(
    ("fetching", "match"),
    [
        ("put them there", "own cannot be downloaded: put them there"),
        (3, r"conf/dataset/own\.yaml: fetch: expected keys and values, got '3'"),
        ({"into": "data/raw/own"}, "missing key 'files', missing key 'max_gigabytes'"),
        (parcel(), "fetch into data/raw/own: 'files' names none"),
        ({**parcel({"url": URL, "md5": MD5}), "to": "x"}, "unknown key 'to'"),
        (parcel({"url": URL}), f"{URL}: give its md5 or sha256, or unverified: true"),
        (parcel({"url": URL, "md5": MD5, "unverified": True}), "give its md5 or sha256, or unverified"),
        (parcel({"url": URL, "md5": MD5, "sha256": "0" * 64}), "give its md5 or sha256, or unverified"),
        (parcel({"url": URL, "unverified": False}), "give its md5 or sha256, or unverified"),
        (parcel({"url": URL, "md5": "12"}), "md5 must be 32 hexadecimal digits"),
        (parcel({"url": URL, "sha256": MD5}), "sha256 must be 64 hexadecimal digits"),
        (parcel({"url": URL, "sha1": MD5}), "unknown key 'sha1'"),
        (parcel({"url": "ftp://127.0.0.1/a.tgz", "md5": MD5}), "expected http:// or https://"),
        (parcel({"url": "file:///etc/passwd", "md5": MD5}), "expected http:// or https://"),
        (parcel({"url": "http://127.0.0.1/", "md5": MD5}), "ends in the name of a file"),
        (parcel({"url": "http://127.0.0.1/..%2F.bashrc", "md5": MD5}), "ends in the name of a file"),
        (parcel({"url": URL, "md5": MD5}, {"url": f"{URL}?b", "md5": MD5}), "two files under 'fetch' are named a.tgz"),
    ],
)
def test_a_wrong_fetch_is_said(fetching: object, match: str) -> None:
    with pytest.raises(RetrievalError, match=match) as caught:
        read_parcels("own", {"kind": "list", "fetch": fetching})
    assert "\n" not in str(caught.value)


def test_nothing_to_fetch() -> None:
    with pytest.raises(RetrievalError, match=r"conf/dataset/own\.yaml has no 'fetch'.*put the images at data/raw/own"):
        read_parcels("own", {"kind": "list", "root": "data/raw/own"})
    with pytest.raises(RetrievalError, match="has no 'fetch'.*its images are made by prepare"):
        read_parcels("digits", {"kind": "digits"})


@pytest.mark.parametrize("path", sorted((TOP / "conf/dataset").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_roots_of_the_datasets_are_what_is_fetched(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    if not isinstance(config.get("fetch"), dict | list):
        pytest.raises(RetrievalError, read_parcels, path.stem, config)
        return
    folders = [Path(parcel.into) for parcel in read_parcels(path.stem, config)]
    for key in {"root", "ground_truth"} & set(config):
        root = Path(config[key])  # in what is fetched, or around it
        assert any(root.is_relative_to(folder) or folder.is_relative_to(root) for folder in folders)
        assert root.is_relative_to("data/raw") and root != Path("data/raw")


def command(*arguments: str, raw: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.fetch", *arguments],
        cwd=TOP, env={**os.environ, "RETRIEVAL_RAW": str(raw)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_line(server: Server, tmp_path: Path) -> None:
    entry = server.put("1.tgz", tgz(a=b"A"))
    files = f"dataset.fetch.files=[{{url: '{entry['url']}', md5: '{entry['md5']}'}}]"
    done = command("dataset=voc2007_val", files, raw=tmp_path / "raw")
    assert done.returncode == 0, done.stderr
    assert files_below(tmp_path / "raw/voc2007") == {"images/a.jpg": b"A"}


def test_the_command_line_says_how_to_get_what_cannot_be_downloaded(tmp_path: Path) -> None:
    done = command("dataset=simple1k", raw=tmp_path / "raw")
    assert done.returncode == 2
    assert done.stderr.startswith("error: simple1k cannot be downloaded: no public address is known. Put its images/")
    assert done.stderr.count("\n") == 1 and not (tmp_path / "raw").exists()


# --- where raw data lies


def test_raw_data_may_lie_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETRIEVAL_RAW", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    roots = ["data/raw/a/b", "data/raw", "data/rawer/a", "data/prepared", "/data/raw/a", "~/a"]
    assert [str(located(root)) for root in roots] == [*roots[:-1], "/home/me/a"]
    monkeypatch.setenv("RETRIEVAL_RAW", "~/big")
    expected = ["/home/me/big/a/b", "/home/me/big", "data/rawer/a", "data/prepared", "/data/raw/a", "/home/me/a"]
    assert [str(located(root)) for root in roots] == expected
    assert located(Path("data/raw/a")) == Path("/home/me/big/a")
    monkeypatch.setenv("RETRIEVAL_RAW", "")
    assert located("data/raw/a") == Path("data/raw/a")


def test_an_unknown_home(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RetrievalError, match="~nobody-of-that-name/a: .* Write the path without '~'"):
        located("~nobody-of-that-name/a")
    monkeypatch.setenv("RETRIEVAL_RAW", "~nobody-of-that-name")
    with pytest.raises(RetrievalError, match="RETRIEVAL_RAW: .* Write the path without '~'"):
        located("data/raw/a")
