"""Datasets of the package ``datasets``, saved to disk, as Parquet files, and on a hub of this machine."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.datasets.getting.dataset import may_be_missing, ways_to_get
from pipeline.datasets.preparing import prepare
from pipeline.datasets.readers import read_dataset
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.errors import RetrievalError
from tests.conftest import TOP, Project, answering

Draw = Callable[..., Path]
ROOT = "data/raw/huggingface/own"
COMMIT = "a" * 40


@pytest.fixture
def package() -> Any:
    return pytest.importorskip("datasets", reason="the package datasets is missing: pip install 'datasets>=4'")


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETRIEVAL_RAW", str(tmp_path / "raw"))
    return tmp_path / "raw"


def kind(**keys: object) -> dict[str, Any]:
    return {"kind": "huggingface", "root": ROOT, "path": "data/raw/source", **keys}


def fetch(config: Mapping[str, Any]) -> None:
    for get in ways_to_get("own", config):
        get()


def not_fetched(config: Mapping[str, Any]) -> str:
    with pytest.raises(RetrievalError) as caught:
        fetch(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def prepared(config: dict[str, Any], tmp_path: Path) -> Manifest:
    return prepare("own", config, tmp_path / "prepared")[0]


def origin(raw: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((raw / "huggingface/own/origin.json").read_text())
    return found


def files_of(draw: Draw, *names: str) -> list[bytes]:
    return [draw(name, seed=seed).read_bytes() for seed, name in enumerate(names)]


def images(*files: bytes) -> list[dict[str, Any]]:
    return [{"bytes": file, "path": None} for file in files]


def saved(package: Any, raw: Path, columns: Mapping[str, Any], **features: Any) -> None:
    """Save columns as a dataset without splits; ``image`` is one of images if nothing else is said."""
    kinds = package.Dataset.from_dict({key: value for key, value in columns.items() if key != "image"}).features
    known = package.Features({**kinds, "image": package.Image(), **features})
    package.Dataset.from_dict(dict(columns), features=known).save_to_disk(raw / "source")


# --- what is written


def test_bytes_are_written_as_they_are(package: Any, raw: Path, draw: Draw, tmp_path: Path) -> None:
    files = files_of(draw, "a.jpg", "b.png", "c.webp", "d.jpg")
    names = package.ClassLabel(names=["cat", "dog|wolf"])
    saved(package, raw, {"image": images(*files), "label": [1, 0, 1, 0], "other": [0] * 4}, label=names)
    fetch(kind())
    manifest = prepared(kind(), tmp_path)
    assert manifest.labels == [("dog|wolf",), ("cat",), ("dog|wolf",), ("cat",)]
    assert [item.path[-12:] for item in manifest.items] == [
        "/0000000.jpg", "/0000001.png", "0000002.webp", "/0000003.jpg",
    ]  # fmt: skip
    assert [item.sha256 for item in manifest.items] == [hashlib.sha256(file).hexdigest() for file in files]
    assert manifest.root == Path(ROOT)
    written = origin(raw)
    assert written["images"] == 4 and written["encoded"] == {"bytes as they are": 4} and written["commit"] is None
    assert written["versions"]["datasets"] == package.__version__ and written["asked"]["path"] == "data/raw/source"


def test_pixels_are_written_as_png(package: Any, raw: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    feature = package.Array3D(shape=(5, 4, 3), dtype="uint8")
    saved(package, raw, {"image": pixels.tolist(), "label": ["a", "a"]}, image=feature)
    fetch(kind())
    manifest = prepared(kind(), tmp_path)
    for expected, item in zip(pixels, manifest.items, strict=True):
        assert np.array_equal(np.asarray(Image.open(raw / "huggingface/own" / item.path)), expected)
    assert origin(raw)["encoded"] == {"as PNG here": 2}


def test_images_that_are_files_elsewhere_are_copied(package: Any, raw: Path, draw: Draw, tmp_path: Path) -> None:
    file = draw("elsewhere.png")
    saved(package, raw, {"image": [{"bytes": None, "path": str(file)}] * 2, "label": ["a", "a"]})
    fetch(kind())
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    assert [item.sha256 for item in prepared(kind(), tmp_path).items] == [expected] * 2


def test_labels_of_every_kind(package: Any, raw: Path, draw: Draw, tmp_path: Path) -> None:
    """Classes, one or several, are their names; integers and texts are as they are; null is no label."""
    columns = {
        "image": images(*files_of(draw, *(f"{n}.png" for n in range(3)))),
        "numbers": [7, 7, -2],
        "texts": ["a b", "a b", None],
        "classes": [[0, 1], [1, 1], []],
        "lists": [["x", "y"], ["y"], ["x"]],
    }
    names = package.List(package.ClassLabel(names=["sky", "sea"]))
    saved(package, raw, columns, classes=names)
    expected = {
        "numbers": [("7",), ("7",), ("-2",)],
        "texts": [("a b",), ("a b",), ()],
        "classes": [("sky", "sea"), ("sea",), ()],
        "lists": [("x", "y"), ("y",), ("x",)],
    }
    for column, labels in expected.items():
        config = kind(label=column, root=f"data/raw/huggingface/{column}")
        fetch(config)
        listing = read_dataset("own", config, tmp_path)
        assert [found for _, found in listing.entries] == labels
        assert listing.roles == {number: "gallery" for number, found in enumerate(labels) if not found}


def test_roles_and_groups_from_columns(package: Any, raw: Path, draw: Draw, tmp_path: Path) -> None:
    columns = {
        "picture": images(*files_of(draw, *(f"{n}.png" for n in range(4)))),
        "label": ["a", "a", "b", "b"],
        "part": ["query", "gallery", "both", "both"],
        "burst": [3, 3, None, None],
    }
    saved(package, raw, {**columns, "image": columns["picture"]}, picture=package.Image())
    config = kind(image="picture", role="part", group="burst")
    fetch(config)
    listing = read_dataset("own", config, tmp_path)
    assert listing.roles == {0: "query", 1: "gallery"} and listing.groups == {0: "3", 1: "3"}


# --- Parquet, with splits


def parquet(package: Any, folder: Path, draw: Draw) -> dict[str, list[bytes]]:
    """Write three images to a file for the split train, two of them to one for test."""
    folder.mkdir(parents=True)
    files = files_of(draw, "a.jpg", "b.jpg", "c.png")
    features = package.Features({"img": package.Image(), "fine": package.ClassLabel(names=["ant", "bee"])})
    parts = {"train": files, "test": files[1:]}
    for split, those in parts.items():
        rows = {"img": images(*those), "fine": [n % 2 for n in range(len(those))]}
        package.Dataset.from_dict(rows, features=features).to_parquet(folder / f"{split}-00000-of-00001.parquet")
    return parts


PARQUET = {"image": "img", "label": "fine"}


def test_a_split_of_parquet_files(package: Any, raw: Path, draw: Draw, tmp_path: Path) -> None:
    parts = parquet(package, raw / "source", draw)
    config = kind(split="train", **PARQUET)
    fetch(config)
    manifest = prepared(config, tmp_path)
    assert manifest.labels == [("ant",), ("bee",), ("ant",)]
    assert [item.sha256 for item in manifest.items] == [hashlib.sha256(file).hexdigest() for file in parts["train"]]


def test_a_split_of_queries_and_one_of_the_gallery(package: Any, raw: Path, draw: Draw, tmp_path: Path) -> None:
    parquet(package, raw / "source", draw)
    config = kind(query_split="test", gallery_split="train", **PARQUET)
    fetch(config)
    listing = read_dataset("own", config, tmp_path)
    assert [labels for _, labels in listing.entries] == [("ant",), ("bee",), ("ant",), ("bee",), ("ant",)]
    assert [listing.roles[number] for number in range(5)] == ["query", "query", "gallery", "gallery", "gallery"]


def test_several_splits_saved_to_disk(package: Any, raw: Path, draw: Draw, tmp_path: Path) -> None:
    parquet(package, raw / "parquet", draw)
    package.load_dataset(str(raw / "parquet")).save_to_disk(raw / "source")
    fetch(kind(split="test", **PARQUET))
    assert len(read_dataset("own", kind(split="test", **PARQUET), tmp_path).entries) == 2
    said = not_fetched(kind(root="data/raw/other", **PARQUET))
    assert said == "data/raw/source has no split 'None': its splits are train, test"


# --- once, whole, and what was asked for


def test_it_is_fetched_once_and_as_asked(
    package: Any, raw: Path, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet(package, raw / "source", draw)
    config = kind(split="train", **PARQUET)
    assert may_be_missing(config)
    fetch(config)
    assert not may_be_missing(config)
    before = (raw / "huggingface/own/list.csv").stat().st_mtime_ns
    fetch(config)
    assert "is there already and is left as it is" in capsys.readouterr().out
    assert (raw / "huggingface/own/list.csv").stat().st_mtime_ns == before
    other = kind(split="test", **PARQUET)
    with pytest.raises(RetrievalError, match="own was fetched with split 'train', not 'test': give another 'root'"):
        read_dataset("own", other, tmp_path)
    assert "was fetched with split 'train', not 'test'" in not_fetched(other)


def test_nothing_is_left_of_what_stops_halfway(package: Any, raw: Path, draw: Draw, tmp_path: Path) -> None:
    good = files_of(draw, "a.jpg")[0]
    columns = {"image": [*images(good), *images(good[:5])], "label": ["a", "a"]}
    saved(package, raw, columns)
    said = not_fetched(kind())
    assert said.startswith("data/raw/source, row 1: its bytes are no image (")
    assert list((raw / "huggingface").iterdir()) == []
    with pytest.raises(RetrievalError, match="own is not a folder .*: put the images there .*pipeline.fetch dataset="):
        read_dataset("own", kind(), tmp_path)


# --- what is wrong


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"label": "class"}, r"data/raw/source: no column 'class': its columns are .*image.*"),
        ({"image": "label"}, r"row 0: 1 is no image: mend 'image'"),
        ({"split": "test"}, r"data/raw/source has no split 'test': its splits are none, since it was saved alone"),
        ({"label": "hidden"}, r"row 0: 'hidden' is the class -1, which has no name: take another split"),
        ({"label": "weights"}, r"row 0: 'weights' is 0\.5: expected a class, an integer or a text"),
        ({"label": "empty"}, r"row 0: 'empty' is ' ': expected a class, an integer or a text"),
        ({"role": "empty"}, r"row 0: 'role' is ' '"),
        ({"role": "split"}, r"row 0: .*'train'"),
        ({"role": "query", "label": "null"}, r"row 0: a query without a label in 'null'"),
        ({"group": "several"}, r"row 0: in 'several' are 2 groups: an image has one, or none"),
        ({"path": "data/raw/nowhere"}, r"'path' is data/raw/nowhere, which is no folder \(looked for at .*: mend it"),
        ({"root": "s3://bucket/a"}, "'root' is s3://bucket/a: give a folder of this machine"),
    ],
)
def test_wrong_columns_and_places_are_said(
    package: Any, raw: Path, draw: Draw, keys: dict[str, Any], match: str
) -> None:
    columns = {
        "image": images(*files_of(draw, "a.png")), "label": [1], "hidden": [-1], "weights": [0.5], "empty": [" "],
        "split": ["train"], "query": ["query"], "null": [None], "several": [["a", "b"]],
    }  # fmt: skip
    saved(package, raw, columns, hidden=package.ClassLabel(names=["a"]), null=package.Value("string"))
    with pytest.raises(RetrievalError, match=match) as caught:
        fetch(kind(**keys))
    assert "\n" not in str(caught.value)
    assert not (raw / "huggingface/own").exists()


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"name": "a/b"}, "give 'name', a dataset of the hub, or 'path', a folder: one of them"),
        ({"path": None}, "give 'name', a dataset of the hub, or 'path', a folder: one of them"),
        ({"query_split": "test"}, "'query_split' and 'gallery_split' go together"),
        ({"query_split": "a", "gallery_split": "b", "split": "c"}, "leave out 'split' and 'role'"),
        ({"query_split": "a", "gallery_split": "b", "role": "c"}, "leave out 'split' and 'role'"),
        ({"revision": "v1"}, "'revision' is of a dataset of the hub: leave it out beside 'path'"),
        ({"columns": "a"}, "unknown key 'columns'"),
        ({"label": ["a"]}, r"'label' is \['a'\]: expected a string"),
    ],
)
def test_wrong_settings_are_said(keys: dict[str, Any], match: str, tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match=match):
        read_dataset("own", kind(**keys), tmp_path)
    with pytest.raises(RetrievalError, match=match):
        ways_to_get("own", kind(**keys))


def test_without_the_package(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    said = not_fetched(kind())
    assert said.startswith("the package datasets cannot be imported (")
    assert said.endswith("pip install 'datasets>=4', which is the extra huggingface-datasets of pyproject.toml")
    extras = (TOP / "pyproject.toml").read_text()
    assert 'huggingface-datasets = ["datasets>=4"]' in extras


def test_a_damaged_folder_is_said(package: Any, raw: Path) -> None:
    (raw / "source").mkdir(parents=True)
    (raw / "source/state.json").write_text("{")
    assert not_fetched(kind()).startswith(f"the dataset {raw / 'source'} cannot be opened (")
    (raw / "source/state.json").rename(raw / "source/notes.md")
    assert not_fetched(kind(split="train")).endswith("): mend 'path' or 'config'")


# --- the hub


def command(*overrides: str, raw: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.fetch", "dataset=food101_validation", *overrides],
        cwd=TOP, env={**os.environ, "RETRIEVAL_RAW": str(raw), **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_yaml_names_what_there_is(raw: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((TOP / "conf/dataset/food101_validation.yaml").read_text())
    assert len(ways_to_get("food101_validation", config)) == 1
    with pytest.raises(RetrievalError, match="data/raw/huggingface/food101_validation is not a folder"):
        read_dataset("food101_validation", config, tmp_path)


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "http://127.0.0.1:9 does not answer ("),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    ],
)
def test_without_the_hub(package: Any, raw: Path, environment: dict[str, str], why: str) -> None:
    done = command(raw=raw, **environment)
    [line] = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith(f"error: the dataset ethz/food101 cannot be fetched ({why}")
    assert "connect to the network, or save it by save_to_disk where there is one, and give that folder as" in line
    assert not raw.exists() or not list(raw.rglob("*.csv"))


@dataclass
class Hub:
    """A server on this machine that answers as the hub does for one dataset, ``own/food``.

    Attributes:
        url: its base.
        files: of the dataset, by path.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = urlsplit(request.path).path
        api, resolve = "/api/datasets/own/food", f"/datasets/own/food/resolve/{COMMIT}/"
        if path in ("/", f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            siblings = [{"rfilename": name} for name in self.files]
            self.send(request, json.dumps({"id": "own/food", "sha": COMMIT, "siblings": siblings}).encode())
        elif path.startswith(f"{api}/tree/{COMMIT}"):
            folder = path.removeprefix(f"{api}/tree/{COMMIT}").strip("/")
            inside = {name: len(data) for name, data in self.files.items() if folder and name.startswith(f"{folder}/")}
            files = [{"type": "file", "path": name, "size": size, "oid": COMMIT} for name, size in inside.items()]
            folders = [] if folder else [{"type": "directory", "path": "data", "size": 0, "oid": COMMIT}]
            self.send(request, json.dumps([*files, *folders]).encode())
        elif path.startswith(resolve) and (name := path.removeprefix(resolve)) in self.files:
            self.send(request, self.files[name])
        else:
            request.send_response(404)
            request.send_header("X-Error-Code", "RepoNotFound" if "own/food" not in path else "EntryNotFound")
            request.send_header("Content-Length", "0")
            request.end_headers()

    def send(self, request: BaseHTTPRequestHandler, data: bytes) -> None:
        begin, end = 0, len(data)
        if asked := request.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last or end) + 1, end)
        request.send_response(206 if asked else 200)
        if asked:
            request.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
        request.send_header("ETag", f'"{hashlib.md5(data).hexdigest()}"')
        request.send_header("X-Repo-Commit", COMMIT)
        request.send_header("Content-Length", str(end - begin))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(data[begin:end])


@pytest.fixture
def hub() -> Iterator[Hub]:
    served = Hub()
    with answering(served.answer) as served.url:
        yield served


def test_from_a_hub(package: Any, raw: Path, draw: Draw, hub: Hub, tmp_path: Path) -> None:
    parts = parquet(package, tmp_path / "made", draw)
    for path in (tmp_path / "made").iterdir():
        hub.files[f"data/{path.name}"] = path.read_bytes()
    settings = {"name": "own/food", "split": "test", "image": "img", "label": "fine"}
    overrides = [f"dataset.{key}={value}" for key, value in settings.items()]
    done = command(*overrides, raw=raw, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert f"is ready: 2 images (2 bytes as they are), of the commit {COMMIT}" in done.stdout
    root = "data/raw/huggingface/food101_validation"
    manifest = prepared({"kind": "huggingface", "root": root, **settings}, tmp_path)
    assert manifest.labels == [("ant",), ("bee",)]
    assert [item.sha256 for item in manifest.items] == [hashlib.sha256(file).hexdigest() for file in parts["test"]]


def test_what_a_hub_has_not(package: Any, raw: Path, hub: Hub, tmp_path: Path) -> None:
    done = command(raw=raw, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "home"))
    [line] = done.stderr.splitlines()
    assert line == f"error: {hub.url} has no dataset ethz/food101, or not for you: mend 'name', or set HF_TOKEN"


def test_through_the_whole_graph(package: Any, on_digits: Project, draw: Draw) -> None:
    parquet(package, on_digits.top / "data/raw/source", draw)
    config = kind(query_split="test", gallery_split="train", **PARQUET)
    (on_digits.top / "conf/dataset/insects.yaml").write_text(yaml.safe_dump(config))
    on_digits.edit("params.yaml", datasets=["insects"], encoders=["color_histogram"], encoder="color_histogram")
    assert "is ready: 5 images (5 bytes as they are)" in on_digits.stage("fetch", "dataset=insects").stdout
    assert {"prepare@insects", "extract@color_histogram-insects"} <= on_digits.repro("evaluate@color_histogram-insects")
    run = json.loads((on_digits.top / "metrics/runs/color_histogram/insects.json").read_text())
    # The queries are b, an ant, and c, a bee; in the gallery are a, an ant, b, a bee, and c, an ant. Each finds itself
    # first, under the other label: AP of b is (1/2 + 2/3) / 2 = 7/12, that of c 1/2 or 1/3.
    assert run["mAP"] in (pytest.approx((7 / 12 + 1 / 2) / 2), pytest.approx((7 / 12 + 1 / 3) / 2))
