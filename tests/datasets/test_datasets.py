"""Readers of layouts, prepare and the manifest: what is accepted, what is an error, and what is written."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits
from upath import UPath

from pipeline.datasets.clutter import OBJECTS
from pipeline.datasets.copies import EDITS
from pipeline.datasets.photographs import PHOTOGRAPHS
from pipeline.datasets.preparing import prepare
from pipeline.datasets.readers import EMBEDDED, LAYOUTS, read_dataset
from pipeline.extraction.extraction import extract
from pipeline.extraction.runtime import Runtime
from pipeline.manifest.images import decode_rgb
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest, read_manifest, write_manifest
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.reading.lists import join_labels, split_labels
from pipeline.views.items import thumbnail
from tests.conftest import TOP
from tests.encoders.test_encoders import build, config_of

Draw = Callable[..., Path]


@pytest.fixture
def folder(draw: Draw, tmp_path: Path) -> Path:
    for seed, name in enumerate(["dog/2.png", "cat/1.jpg", "cat/deep/3.png"]):
        draw(f"own/{name}", seed=seed)
    return tmp_path / "own"


@pytest.fixture
def listed(draw: Draw, tmp_path: Path) -> Path:
    for seed, name in enumerate(["a.png", "b.png", "c.png"]):
        draw(f"own/images/{name}", seed=seed)
    write_list(tmp_path / "own", "images/b.png\tcat", "images/a.png\tdog", "", "images/c.png\tgrey cat")
    return tmp_path / "own"


def write_list(root: Path, *lines: str) -> None:
    (root / "list_of_images.txt").write_text("\n".join(lines), encoding="utf-8")


def entries(tmp_path: Path, **config: object) -> list[tuple[str, tuple[str, ...]]]:
    return list(read_dataset("own", config, tmp_path / "unused").entries)


def refused(tmp_path: Path, match: str, **config: object) -> None:
    with pytest.raises(RetrievalError, match=match) as caught:
        read_dataset("own", config, tmp_path / "unused")
    assert "\n" not in str(caught.value)


def test_a_folder_per_class(folder: Path, tmp_path: Path) -> None:
    (folder / ".DS_Store").write_text("x")
    (folder / "cat" / ".thumbs").mkdir()
    (folder / "cat" / ".thumbs" / "1.png").write_text("x")
    assert entries(tmp_path, kind="folder", root=str(folder)) == [
        ("cat/1.jpg", ("cat",)),
        ("cat/deep/3.png", ("cat",)),
        ("dog/2.png", ("dog",)),
    ]


def test_excluded_files_are_left_out_and_must_exist(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.txt").write_text("x")
    kept = entries(tmp_path, kind="folder", root=str(folder), exclude=["notes.txt", "cat/1.jpg"])
    assert [name for name, _ in kept] == ["cat/deep/3.png", "dog/2.png"]
    refused(
        tmp_path,
        "'cat/9.jpg' under 'exclude' is not in",
        kind="folder",
        root=str(folder),
        exclude=["notes.txt", "cat/9.jpg"],
    )


def test_a_folder_with_strays(folder: Path, tmp_path: Path) -> None:
    (folder / "cat" / "notes.txt").write_text("x")
    refused(tmp_path, r"cat/notes\.txt \(no image by its name\)", kind="folder", root=str(folder))
    (folder / "cat" / "notes.txt").unlink()
    (folder / "4.png").write_text("x")
    refused(tmp_path, r"own has strays: 4\.png \(beside the class folders\)", kind="folder", root=str(folder))


def test_linked_class_folders_are_followed_or_refused_never_dropped(folder: Path, draw: Draw, tmp_path: Path) -> None:
    draw("elsewhere/4.png")
    os.symlink(tmp_path / "elsewhere", folder / "emu")
    refused(tmp_path, "emu is a symbolic link: set follow_links: true", kind="folder", root=str(folder))
    found = entries(tmp_path, kind="folder", root=str(folder), follow_links=True)
    assert ("emu/4.png", ("emu",)) in found and len(found) == 4
    os.symlink(folder, folder / "cat" / "loop")
    refused(tmp_path, "loop leads back", kind="folder", root=str(folder), follow_links=True)


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    refused(tmp_path, r"conf/dataset/own\.yaml: no image in .*own", kind="folder", root=str(tmp_path / "own"))


def test_a_list(listed: Path, tmp_path: Path) -> None:
    assert entries(tmp_path, kind="list", root=str(listed)) == [
        ("images/b.png", ("cat",)),
        ("images/a.png", ("dog",)),
        ("images/c.png", ("grey cat",)),
    ]


def test_a_list_whose_paths_start_in_images(listed: Path, tmp_path: Path) -> None:
    write_list(listed, "b.png\tcat", "a.png\tdog")
    listing = read_dataset("own", {"kind": "list", "root": str(listed)}, tmp_path / "unused")
    assert listing.root == listed / "images"
    assert [name for name, _ in listing.entries] == ["b.png", "a.png"]


def test_a_list_with_windows_line_ends_and_a_byte_order_mark(listed: Path, tmp_path: Path) -> None:
    (listed / "list_of_images.txt").write_bytes("\ufeffimages/a.png\tcafé\r\n".encode())
    assert entries(tmp_path, kind="list", root=str(listed)) == [("images/a.png", ("café",))]


@pytest.mark.parametrize(
    ("line", "match"),
    [
        ("images/a.png", r"list_of_images\.txt:2: expected path<TAB>label, got 'images/a\.png'"),
        ("images/a.png\t ", r"txt:2: expected path<TAB>label"),
        ("\tcat", r"txt:2: expected path<TAB>label"),
        ("images/a.png\tcat\tdog", r"txt:2: more than one tab"),
        ("images/b.png\tdog", r"txt:2: images/b\.png stands already in line 1: remove one"),
        ("../a.png\tcat", r"txt:2: \.\./a\.png leaves the root"),
        ("images/../../a.png\tcat", r"txt:2: images/\.\./\.\./a\.png leaves the root"),
        ("/etc/hostname\tcat", r"txt:2: /etc/hostname leaves the root"),
        ("..\\a.png\tcat", r"txt:2: \.\.\\a\.png leaves the root"),
        ("C:\\a.png\tcat", r"txt:2: C:\\a\.png leaves the root"),
        ("images/z.png\tcat", r"txt:2: images/z\.png is not there \(.*images/z\.png\): put the file there"),
    ],
)
def test_a_bad_line_is_named(listed: Path, tmp_path: Path, line: str, match: str) -> None:
    write_list(listed, "images/b.png\tcat", line)
    refused(tmp_path, match, kind="list", root=str(listed))


def test_no_list(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    refused(tmp_path, r"list_of_images\.txt cannot be read", kind="list", root=str(tmp_path / "own"))


def test_an_empty_list(listed: Path, tmp_path: Path) -> None:
    write_list(listed, "")
    refused(tmp_path, r"list_of_images\.txt lists no item", kind="list", root=str(listed))


def test_a_table_says_roles_groups_and_distractors(listed: Path, draw: Draw, tmp_path: Path) -> None:
    draw("own/images/d.png", seed=4)
    rows = ["images/a.png,cat|dog,query,burst", "images/b.png,cat,,burst", "images/c.png,,,", "images/d.png,dog,both,"]
    (listed / "L.csv").write_text("\n".join(["path,labels,role,group", *rows]))
    config = {"kind": "list", "root": str(listed), "list": "L.csv"}
    assert entries(tmp_path, **config) == [
        ("images/a.png", ("cat", "dog")),
        ("images/b.png", ("cat",)),
        ("images/c.png", ()),
        ("images/d.png", ("dog",)),
    ]
    prepare("own", {**config, "exclude": ["images/b.png"]}, tmp_path / "prepared/own")
    manifest = read_manifest(tmp_path / "prepared/own")
    assert [(item.path[7:], item.role, item.group) for item in manifest.items] == [
        ("a.png", "query", "burst"),
        ("c.png", "gallery", None),
        ("d.png", "both", None),
    ]
    counts = json.loads((tmp_path / "prepared/own/summary.json").read_text())
    assert [counts[name] for name in ("only_query", "only_in_gallery", "distractors", "groups")] == [1, 1, 1, 1]
    (listed / "L.csv").write_text("path,labels,role\nimages/a.png,cat,asker")
    refused(tmp_path, "L.csv:2: unknown role 'asker'", **config)


def test_distractors_are_appended_from_folders_of_their_own(listed: Path, draw: Draw, tmp_path: Path) -> None:
    for seed, name in enumerate(["far/b/2.png", "far/1.png", "near/1.png"]):
        draw(name, seed=9 + seed)
    config = {"kind": "list", "root": str(listed), "distractors": [str(tmp_path / "far"), str(tmp_path / "near")]}
    prepare("own", config, tmp_path / "prepared/own")
    manifest = read_manifest(tmp_path / "prepared/own")
    assert manifest.paths[3:] == ["1.png", "b/2.png", "1.png"]
    assert [item.role for item in manifest.items] == ["both"] * 3 + ["gallery"] * 3
    for item in manifest.items:
        place = manifest.folder(item) / item.path
        assert item.sha256 == hashlib.sha256(place.read_bytes()).hexdigest()
    counts = json.loads((tmp_path / "prepared/own/summary.json").read_text())
    assert (counts["images"], counts["distractors"], counts["exact_duplicates"]) == (6, 3, 0)
    (tmp_path / "far/notes.txt").write_text("x")
    refused(tmp_path, r"own\.yaml, distractors: .*notes\.txt \(no image by its name\)", **config)
    (tmp_path / "empty").mkdir()
    refused(tmp_path, "distractors: no image in", **{**config, "distractors": [str(tmp_path / "empty")]})
    refused(tmp_path, "'distractors' is '7': expected a list of folders", **{**config, "distractors": 7})


def test_a_link_out_of_the_root(listed: Path, draw: Draw, tmp_path: Path) -> None:
    os.symlink(draw("elsewhere/d.png"), listed / "images" / "d.png")
    write_list(listed, "images/d.png\tcat")
    refused(tmp_path, "leaves the root by a symbolic link: set follow_links", kind="list", root=str(listed))
    assert entries(tmp_path, kind="list", root=str(listed), follow_links=True) == [("images/d.png", ("cat",))]


def test_a_missing_root(tmp_path: Path) -> None:
    for kind in ("folder", "list"):
        refused(tmp_path, "nowhere is not a folder: put the images there or mend 'root'", kind=kind, root="nowhere")


def test_raw_data_elsewhere(listed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest keeps the root as written; images are looked for where RETRIEVAL_RAW says."""
    write_list(listed, "b.png\tcat", "a.png\tcat")
    config = {"kind": "list", "root": "data/raw/own", "fetch": {"into": "data/raw/own"}}
    monkeypatch.setenv("RETRIEVAL_RAW", str(tmp_path))
    prepare("own", config, tmp_path / "prepared/own")
    manifest = read_manifest(tmp_path / "prepared/own")
    assert manifest.root == Path("data/raw/own/images")
    assert manifest.paths == ["b.png", "a.png"]
    other = {"kind": "folder", "root": "data/raw/own", "exclude": ["list_of_images.txt"]}
    folder = read_dataset("own", other, tmp_path / "unused")
    assert folder.root == Path("data/raw/own") and len(folder.entries) == 3
    monkeypatch.setenv("RETRIEVAL_RAW", str(tmp_path / "no"))
    refused(tmp_path, r"data/raw/own is not a folder \(looked for at .*no/own\): put the images there", **config)


def test_an_unknown_kind_and_unknown_or_missing_keys(tmp_path: Path) -> None:
    kinds = ", ".join(sorted([*LAYOUTS, *EMBEDDED]))
    refused(tmp_path, rf"conf/dataset/own\.yaml: unknown kind 'zip'; one of {kinds}$", kind="zip")
    refused(tmp_path, "unknown key 'rot', missing key 'root'; its keys are root, exclude", kind="folder", rot="x")
    refused(tmp_path, "unknown key 'directory'; its keys are per_class", kind="digits", per_class=2, directory="x")


def test_digits_are_scikit_learns(tmp_path: Path) -> None:
    listing = read_dataset("digits", {"kind": "digits", "per_class": 2}, tmp_path)
    digits = load_digits()
    assert len(listing.entries) == 20
    for path, labels in listing.entries:
        row = int(Path(path).stem)
        assert labels == (str(digits.target[row]),)
        with Image.open(tmp_path / path) as image:
            np.testing.assert_array_equal(np.asarray(image), np.round(digits.images[row] * 255 / 16))
    with pytest.raises(RetrievalError, match="per_class must be 1 to 178"):
        read_dataset("digits", {"kind": "digits", "per_class": 1000}, tmp_path)


def test_photo_views_are_seeded_and_differ(tmp_path: Path) -> None:
    config = {"kind": "photo_views", "views": 2, "side": 40, "seed": 3}
    one = read_dataset("photo_views", config, tmp_path / "1")
    read_dataset("photo_views", config, tmp_path / "2")
    read_dataset("photo_views", {**config, "seed": 4}, tmp_path / "3")
    assert len(one.entries) == 2 * len(PHOTOGRAPHS) == len({(tmp_path / "1" / p).read_bytes() for p, _ in one.entries})
    for path, (label,) in one.entries:
        assert label == Path(path).parent.name
        first = (tmp_path / "1" / path).read_bytes()
        assert first == (tmp_path / "2" / path).read_bytes()
        assert first != (tmp_path / "3" / path).read_bytes()
        with Image.open(tmp_path / "1" / path) as image:
            assert max(image.size) == 40


@pytest.mark.parametrize("name", ["copies", "clutter"])
def test_embedded_sets_are_seeded_and_their_attributes_beside_the_manifest(name: str, tmp_path: Path) -> None:
    config = {**yaml.safe_load((TOP / f"conf/dataset/{name}.yaml").read_text()), "side": 64}
    for folder, seed in (("1", 0), ("2", 0), ("3", 1)):
        prepare(name, {**config, "seed": seed}, tmp_path / folder)
    one, two, three = (read_manifest(tmp_path / folder) for folder in "123")
    assert [item.sha256 for item in one.items] == [item.sha256 for item in two.items]
    edited = "query" if name == "copies" else "gallery"
    kept = [a.sha256 == b.sha256 for a, b in zip(one.items, three.items, strict=True) if a.role == edited]
    assert not any(kept)
    assert len(one.items) == 144 == len(set(one.contents))
    attributes = pd.read_csv(tmp_path / "1/attributes.csv")
    assert attributes.path.tolist() == one.paths
    assert (tmp_path / "1/attributes.csv").read_bytes() == (tmp_path / "2/attributes.csv").read_bytes()


def test_copies_have_one_original_each_and_no_edit_is_mild(tmp_path: Path) -> None:
    prepare("copies", {"kind": "copies", "side": 64, "seed": 0}, tmp_path / "copies")
    manifest = read_manifest(tmp_path / "copies")
    known = pd.read_csv(tmp_path / "copies/attributes.csv")
    queries = known[known.edit.notna()]
    assert queries.groupby("edit").size().to_dict() == dict.fromkeys(EDITS, 16)
    by_label = {item.labels: known.iloc[n] for n, item in enumerate(manifest.items) if item.role == "gallery"}
    for number, row in queries.iterrows():
        original = by_label[manifest.items[number].labels]
        assert (original.photograph, original.quarter) == (row.photograph, row.quarter)
        assert 10 <= row.jpeg_quality < 50 and 0.6 <= row.brightness <= 1.4
        with Image.open(tmp_path / "copies" / row.path) as image:
            assert abs(image_quality(image) - row.jpeg_quality) <= 1
    crops = queries[queries.edit == "crop"]
    assert crops.strength.str.removesuffix("% of the area").astype(float).between(25, 60).all()


def image_quality(image: Image.Image) -> float:
    """Return the quality that a JPEG of libjpeg was saved with, from its first quantisation table."""
    scale = 100 * np.mean(np.array(image.quantization[0][:8]) / [16, 11, 10, 16, 24, 40, 51, 61])
    return round(5000 / scale if scale > 100 else (200 - scale) / 2)


def test_an_object_is_where_the_attributes_say_and_as_large(tmp_path: Path) -> None:
    config = {"kind": "clutter", "queries": 1, "scenes": 2, "scenes_without": 3, "side": 96, "seed": 5}
    prepare("clutter", config, tmp_path / "clutter")
    manifest = read_manifest(tmp_path / "clutter")
    known = pd.read_csv(tmp_path / "clutter/attributes.csv")
    assert len(known) == len(OBJECTS) * 3 + 3
    scenes = known[known.share.notna()]
    assert scenes.share.between(0.1, 0.3).all() and scenes.pieces.between(1, 4).all()
    for row in scenes.itertuples():
        left, top, right, bottom = map(int, row.box.split())
        assert 0 <= left < right <= 96 and 0 <= top < bottom <= 96
        assert (right - left) * (bottom - top) / 96**2 == pytest.approx(row.share, abs=0.02)
    assert not set(known.background.dropna()) & set(OBJECTS)
    assert [item.role for item in manifest.items].count("query") == len(OBJECTS)
    assert [item.labels for item in manifest.items].count(()) == 3


@pytest.mark.parametrize(
    "config",
    [
        {"kind": "copies", "side": 15, "seed": 0},
        {"kind": "clutter", "queries": 0, "scenes": 1, "scenes_without": 0, "side": 64, "seed": 0},
        {"kind": "clutter", "queries": 1, "scenes": 1, "scenes_without": -1, "side": 64, "seed": 0},
    ],
)
def test_embedded_sets_of_nothing(config: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="expected an integer from|must be at least"):
        read_dataset(config["kind"], config, tmp_path)


def test_prepare_writes_the_manifest(listed: Path, tmp_path: Path) -> None:
    prepare("own", {"kind": "list", "root": str(listed)}, tmp_path / "prepared/own")
    manifest = read_manifest(tmp_path / "prepared/own")
    assert manifest.paths == ["images/b.png", "images/a.png", "images/c.png"]
    assert manifest.labels == [("cat",), ("dog",), ("grey cat",)]
    for item in manifest.items:
        assert (item.width, item.height) == (32, 24)
        assert item.sha256 == hashlib.sha256((listed / item.path).read_bytes()).hexdigest()
    text = (tmp_path / "prepared/own/manifest.csv").read_bytes()
    assert manifest.sha256 == hashlib.sha256(text).hexdigest()
    assert text.startswith(b"path,labels,width,height,sha256,box,role,group,root\n")
    summary = json.loads((tmp_path / "prepared/own/summary.json").read_text())
    assert (summary["images"], summary["labels"], summary["exact_duplicates"]) == (3, 3, 0)


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_prepare_names_the_bad_image_and_leaves_nothing(listed: Path, tmp_path: Path, content: bytes | None) -> None:
    bad = listed / "images" / "a.png"
    bad.write_bytes(bad.read_bytes()[:60] if content is None else content)
    with pytest.raises(RetrievalError, match=r"images/a\.png "):
        prepare("own", {"kind": "list", "root": str(listed)}, tmp_path / "prepared/own")
    assert list((tmp_path / "prepared").iterdir()) == []


def test_prepare_counts_the_bad_images(listed: Path, tmp_path: Path) -> None:
    for name in ("a.png", "c.png"):
        (listed / "images" / name).write_bytes(b"")
    with pytest.raises(RetrievalError, match=r"a\.png is empty .*\(2 such images in all\)"):
        prepare("own", {"kind": "list", "root": str(listed)}, tmp_path / "prepared/own")


def test_a_failed_prepare_keeps_the_earlier_result(listed: Path, tmp_path: Path) -> None:
    config = {"kind": "list", "root": str(listed)}
    prepare("own", config, tmp_path / "prepared/own")
    (listed / "images" / "a.png").write_bytes(b"")
    with pytest.raises(RetrievalError):
        prepare("own", config, tmp_path / "prepared/own")
    assert len(read_manifest(tmp_path / "prepared/own").items) == 3


labels = st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=4).map(tuple)


@given(labels)
def test_labels_survive(names: tuple[str, ...]) -> None:
    assert split_labels(join_labels(names)) == names


def test_awkward_names_survive_the_file(tmp_path: Path) -> None:
    items = tuple(
        Item(path, names, 1, 2, "0" * 64)
        for path, names in [
            ("a,b.png", ("<script>alert(1)</script>", "x|y")),
            ('"q".png', ("a/../../b", "\\")),
            ("ü 😀.png", ("l" * 300,)),
        ]
    )
    write_manifest(Manifest("own", Path("r"), items), tmp_path)
    assert read_manifest(tmp_path).items == items


def test_a_missing_or_damaged_manifest(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="no usable manifest in .*own .*: run dvc repro prepare@own"):
        read_manifest(tmp_path / "own")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/summary.json").write_text('{"dataset": "own", "root": "r"}')
    header = "path,labels,width,height,sha256,box,role,group,root"
    (tmp_path / "own/manifest.csv").write_text(f"{header}\na.png,cat,wide,1,0,,both,,\n")
    with pytest.raises(RetrievalError, match="no usable manifest"):
        read_manifest(tmp_path / "own")


UNSEEN = (
    Item("a/1.png", ("a",), None, None, None),
    Item("b, 2.png", ("a", "b"), None, None, None, role="query", group="g"),
    Item("c.png", (), None, None, None, role="gallery"),
)


@pytest.mark.parametrize("large", [3, 100])
def test_a_list_without_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr("pipeline.manifest.manifest.LARGE", large)
    (tmp_path / "list.csv").write_text('path,labels,role,group\na/1.png,a,,\n"b, 2.png",a|b,query,g\nc.png,,,\n')
    config = {"kind": "list", "root": str(tmp_path), "list": "list.csv", "images": "none"}
    made, _ = prepare("own", config, tmp_path / "own")
    found = read_manifest(tmp_path / "own")
    assert tuple(found.items) == UNSEEN == tuple(made.items) and not found.has_images
    assert len(set(found.contents)) == 3
    assert thumbnail(UNSEEN[1], found, 64).size == (64, 64)
    with pytest.raises(RetrievalError, match="list.csv:2: a/1.png is not there"):
        read_dataset("own", {**config, "images": "files"}, tmp_path)
    for other in (None, True, "some"):
        with pytest.raises(RetrievalError, match="'images' is .*: expected files or none"):
            read_dataset("own", {**config, "images": other}, tmp_path)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["a.png,cat,,,,,both,,", f"b.png,cat,9,9,{'0' * 64},,both,,"], "b.png alone has an image"),
        ([f"b.png,cat,9,9,{'0' * 64},,both,,", "a.png,cat,,,,,both,,"], "a.png has no image"),
        (["a.png,cat,,9,,,both,,"], "a.png has some of width, height and sha256"),
        ([f"a.png,cat,9,,{'0' * 64},,both,,"], "a.png has some of width, height and sha256"),
        (["a.png,cat,9,9,,,both,,"], "a.png has some of width, height and sha256"),
    ],
)
def test_an_image_of_some_items_only_is_damage(tmp_path: Path, rows: list[str], problem: str) -> None:
    (tmp_path / "summary.json").write_text('{"dataset": "own", "root": "r"}')
    header = "path,labels,width,height,sha256,box,role,group,root"
    (tmp_path / "manifest.csv").write_text("\n".join([header, *rows]) + "\n")
    with pytest.raises(RetrievalError, match=f"no usable manifest .*{problem}"):
        read_manifest(tmp_path)


# ---- images behind a URL


@pytest.fixture
def bucket(draw: Callable[..., Path]) -> Iterator[UPath]:
    """A folder of three images in an object store that is this process's memory."""
    store = UPath("memory://bucket")
    for number, name in enumerate(("a/1.png", "a/2.png", "b/1.png", ".hidden/1.png")):
        (store / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (store / "pictures" / name).write_bytes(draw(f"{number}.png", seed=number).read_bytes())
    yield store
    store.fs.rm("/", recursive=True)


def test_images_behind_a_url(bucket: UPath, tmp_path: Path) -> None:
    config = {"kind": "folder", "root": "memory://bucket/pictures", "distractors": ["memory://bucket/more"]}
    with pytest.raises(RetrievalError, match=r"memory://bucket/more is not a folder: put the images there"):
        prepare("own", config, tmp_path / "prepared/own")
    (bucket / "more").mkdir()
    (bucket / "more/x.png").write_bytes((bucket / "pictures/a/1.png").read_bytes())
    prepare("own", config, tmp_path / "prepared/own")
    manifest = read_manifest(tmp_path / "prepared/own")
    assert [item.path for item in manifest.items] == ["a/1.png", "a/2.png", "b/1.png", "x.png"]
    assert str(manifest.root) == "memory://bucket/pictures" and str(manifest.items[3].root) == "memory://bucket/more"
    encoder = build("x", config_of("raw_pixels"))
    features, _ = extract(encoder, manifest, Runtime("cpu", batch_size=2, workers=0))
    for row, number in zip(features, (0, 1, 2, 0), strict=True):
        image = decode_rgb((tmp_path / f"{number}.png").read_bytes(), name="x")
        np.testing.assert_array_equal(row, encoder.preprocess(image).numpy())
    assert thumbnail(manifest.items[0], manifest, 16).width == 16
    (bucket / "pictures/b/1.png").unlink()
    with pytest.raises(RetrievalError, match=r"memory://bucket/pictures/b/1\.png cannot be read \(FileNotFoundError\)"):
        extract(encoder, manifest, Runtime("cpu", batch_size=2, workers=0))


def test_a_list_behind_a_url(bucket: UPath, tmp_path: Path) -> None:
    (bucket / "list.csv").write_text("path,labels\npictures/a/1.png,x\npictures/b/1.png,x|y\npictures/c.png,y\n")
    config = {"kind": "list", "root": "memory://bucket", "list": "list.csv"}
    with pytest.raises(RetrievalError, match=r"memory://bucket/pictures/c\.png cannot be read"):
        prepare("own", config, tmp_path / "own")
    prepare("own", {**config, "exclude": ["pictures/c.png"]}, tmp_path / "own")
    assert read_manifest(tmp_path / "own").labels == [("x",), ("x", "y")]


ANNOTATION = (
    "<annotation><object><name>cat</name>"
    "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object></annotation>"
)
STORED = {
    "voc/ImageSets/Main/val.txt": "1\n",
    "voc/Annotations/1.xml": ANNOTATION,
    "voc/JPEGImages/1.jpg": "unread",
    "truth/cat_1_query.txt": "oxc1_1 0 0 9 9",
    "truth/cat_1_good.txt": "",
    "truth/cat_1_ok.txt": "",
    "truth/cat_1_junk.txt": "",
}
VOC = {"kind": "voc", "split": "val", "labels": "all", "difficult": False, "unlabelled": "error"}
OXFORD = {"kind": "classic", "root": "memory://bucket/voc/JPEGImages", "ground_truth": "memory://bucket/truth"}
REFUSED = [({**VOC, "root": "memory://bucket/voc"}, "_open"), (OXFORD, "_open"), (OXFORD, "glob")]


@pytest.mark.parametrize(("config", "method"), REFUSED, ids=["voc", "classic", "classic-names"])
def test_lists_behind_a_url_that_its_client_refuses(
    bucket: UPath, config: dict[str, object], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in STORED.items():
        (bucket / name).parent.mkdir(parents=True, exist_ok=True)
        (bucket / name).write_text(content)
    if config["kind"] == "voc":
        assert read_dataset("own", config, Path("unused")).entries == (("JPEGImages/1.jpg", ("cat",)),)

    def denied(*_: object, **__: object) -> None:
        raise RuntimeError("access\n denied")

    monkeypatch.setattr(type(bucket.fs), method, denied)
    with pytest.raises(RetrievalError, match=r"^memory://bucket/\S+ cannot be opened \(RuntimeError: access denied\)"):
        read_dataset("own", config, Path("unused"))


@pytest.mark.parametrize("root", ["no-such-kind://bucket/pictures", "nosuchkind://bucket"])
def test_a_url_that_cannot_be_opened(root: str) -> None:
    with pytest.raises(RetrievalError, match=f"{root} cannot be opened .*: install what is missing, or mend the URL"):
        read_dataset("own", {"kind": "folder", "root": root}, Path("unused"))


# ---- more items than a CSV is good for

TRICKY = (
    Item("a/1.png", ("a", 'b"|\\'), 9, 8, "0" * 64, (0.5, 1.0, 8.0, 7.0)),
    Item("b, 2.png", ("b",), 9, 8, "1" * 64, role="query", group="g"),
    Item("ü\n3.png", (), 9, 8, "2" * 64, role="gallery", root=Path("else/where")),
)


def test_a_large_manifest_is_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_manifest(Manifest("own", Path("r"), TRICKY), tmp_path / "small")
    monkeypatch.setattr("pipeline.manifest.manifest.LARGE", 3)
    write_manifest(Manifest("own", Path("r"), TRICKY), tmp_path / "large")
    assert {path.name for path in (tmp_path / "large").iterdir()} == {"manifest.parquet", "summary.json"}
    small, large = read_manifest(tmp_path / "small"), read_manifest(tmp_path / "large")
    assert tuple(large.items) == TRICKY == tuple(small.items)
    assert (len(large.items), large.items[-1], large.items[:2]) == (3, TRICKY[-1], TRICKY[:2])
    with pytest.raises(IndexError):
        large.items[3]
    for name in ("root", "paths", "contents", "labels"):
        assert getattr(large, name) == getattr(small, name)
    assert large.sha256 == hashlib.sha256((tmp_path / "large/manifest.parquet").read_bytes()).hexdigest()
    first = (tmp_path / "large/manifest.parquet").read_bytes()
    write_manifest(large, tmp_path / "large")
    assert (tmp_path / "large/manifest.parquet").read_bytes() == first


def test_a_damaged_large_manifest_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.manifest.manifest.LARGE", 3)
    write_manifest(Manifest("own", Path("r"), TRICKY), tmp_path / "own")
    path = tmp_path / "own/manifest.parquet"
    whole = path.read_bytes()
    for damaged in (whole[:-9], b"", pd.DataFrame({"path": ["x"]}).to_parquet()):
        path.write_bytes(damaged)
        with pytest.raises(RetrievalError, match="no usable manifest in .*: run dvc repro prepare@own"):
            read_manifest(tmp_path / "own")


def test_a_large_manifest_is_extracted_alike(
    draw: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(5):
        draw(f"images/{seed % 2}/{seed}.png", seed=seed)
    config = {"kind": "folder", "root": str(tmp_path / "images")}
    encoder = build("x", config_of("raw_pixels"))
    features = []
    for large, workers in ((100, 0), (5, 0), (5, 2)):
        monkeypatch.setattr("pipeline.manifest.manifest.LARGE", large)
        prepare("own", config, tmp_path / "own")
        manifest = read_manifest(tmp_path / "own")
        features.append(extract(encoder, manifest, Runtime("cpu", batch_size=2, workers=workers))[0].tobytes())
    assert len(set(features)) == 1
