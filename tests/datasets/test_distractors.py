"""Distractors: whole folders, and lists of images in one."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets.distractors import listed_in
from pipeline.datasets.listing import Listing
from pipeline.datasets.preparing import prepare
from pipeline.datasets.readers import read_dataset
from pipeline.manifest.manifest import read_manifest
from pipeline.retrieval.errors import RetrievalError

Draw = Callable[..., Path]


@pytest.fixture
def config(draw: Draw, tmp_path: Path) -> dict[str, Any]:
    for seed, name in enumerate(["own/a/1.png", "own/a/2.png", "far/x/1.jpg", "far/x/2.jpg", "far/y/3.jpg"]):
        draw(name, seed=seed)
    (tmp_path / "list.txt").write_text("y/3.jpg\n./x//1.jpg\n\n")
    listed = {"root": str(tmp_path / "far"), "list": str(tmp_path / "list.txt")}
    return {"kind": "folder", "root": str(tmp_path / "own"), "distractors": [listed]}


def read(config: dict[str, Any], **changes: Any) -> Listing:
    return read_dataset("own", {**config, "distractors": [{**config["distractors"][0], **changes}]}, Path("unused"))


def test_those_of_a_list_in_its_order(config: dict[str, Any], tmp_path: Path) -> None:
    found = read(config)
    assert found.entries == (("a/1.png", ("a",)), ("a/2.png", ("a",)), ("y/3.jpg", ()), ("x/1.jpg", ()))
    assert found.roles == {2: "gallery", 3: "gallery"}
    assert found.roots == {2: tmp_path / "far", 3: tmp_path / "far"}
    prepare("own", config, tmp_path / "prepared/own")
    manifest = read_manifest(tmp_path / "prepared/own")
    assert [(item.path, item.role, str(item.root)) for item in manifest.items[2:]] == [
        ("y/3.jpg", "gallery", str(tmp_path / "far")),
        ("x/1.jpg", "gallery", str(tmp_path / "far")),
    ]


def test_a_list_that_leaves_out_the_ending(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfy/3\r\nx/1\r\n")
    assert [path for path, _ in read(config, ending=".jpg").entries[2:]] == ["y/3.jpg", "x/1.jpg"]


def test_folders_and_lists_together(config: dict[str, Any], draw: Draw, tmp_path: Path) -> None:
    draw("near/1.png")
    listed = config["distractors"][0]
    both = {**config, "distractors": [str(tmp_path / "near"), listed, {"root": str(tmp_path / "far/x")}]}
    (tmp_path / "list.txt").write_text("y/3.jpg")
    found = read_dataset("own", both, tmp_path)
    assert [path for path, _ in found.entries[2:]] == ["1.png", "y/3.jpg", "1.jpg", "2.jpg"]
    (tmp_path / "list.txt").write_text("x/1.jpg")
    with pytest.raises(RetrievalError, match=r"far/x/1\.jpg is there twice"):
        read_dataset("own", both, tmp_path)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("y/3.jpg\n../own/a/1.png\n", r"list\.txt:2: \.\./own/a/1\.png leaves the root"),
        ("/etc/a.jpg\n", r"list\.txt:1: /etc/a\.jpg leaves the root"),
        ("y/3.jpg\n\ny//3.jpg\n", r"list\.txt:3: y/3\.jpg stands already at .*list\.txt:1: remove one"),
        ("y/3\n", r"distractors: .*far has strays: y/3 \(no image by its name\)"),
        ("\n \n", r"list\.txt lists no image"),
        (None, r"list\.txt cannot be read .*: it lists the images, a path a line"),
    ],
)
def test_wrong_lists(config: dict[str, Any], tmp_path: Path, text: str | None, match: str) -> None:
    (tmp_path / "list.txt").unlink()
    if text is not None:
        (tmp_path / "list.txt").write_text(text)
    with pytest.raises(RetrievalError, match=match) as caught:
        read(config)
    assert "\n" not in str(caught.value)


def test_an_image_that_is_not_there_is_named_when_it_is_opened(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("y/3.jpg\nx/7.jpg\n")
    assert len(read(config).entries) == 4
    with pytest.raises(RetrievalError, match=r"far/x/7\.jpg cannot be read \(No such file or directory\)"):
        prepare("own", config, tmp_path / "prepared/own")


@pytest.mark.parametrize(
    ("distractors", "match"),
    [
        ("far", "'distractors' is 'far': expected a list of folders"),
        ([7], "'distractors' is .*: expected a list of folders"),
        ([{"list": "x.txt"}], r"own\.yaml: distractors: missing key 'root'; its keys are root, list, ending"),
        ([{"root": "far", "lists": "x.txt"}], "unknown key 'lists'"),
        ([{"root": "far", "list": 7}], "'list' is 7: expected a string or null"),
        ([{"root": "nowhere", "list": "x.txt"}], "nowhere is not a folder"),
    ],
)
def test_wrong_keys(config: dict[str, Any], distractors: object, match: str) -> None:
    with pytest.raises(RetrievalError, match=match):
        read_dataset("own", {**config, "distractors": distractors}, Path("unused"))


def test_a_long_list_is_read_without_a_look_at_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{number % 997:03x}/{number:08x}.jpg" for number in range(50_000)]
    (tmp_path / "list.txt").write_text("\n".join(names))
    asked = []
    for name in ("stat", "lstat"):
        usual = getattr(os, name)
        monkeypatch.setattr(os, name, lambda path, *a, usual=usual, **k: asked.append(path) or usual(path, *a, **k))
    assert listed_in(tmp_path / "list.txt", ending="") == names
    assert len(asked) < 100
