"""Labels that ask as texts: which texts, whose positives, what is refused, and the manifest that has them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets.listing import Listing
from pipeline.datasets.preparing import prepare
from pipeline.datasets.prompts import with_prompts
from pipeline.datasets.readers import read_dataset
from pipeline.manifest import manifest as manifests
from pipeline.manifest.items import sha256_of_text
from pipeline.manifest.manifest import Manifest, read_manifest, summary, write_manifest
from pipeline.manifest.protocols import protocols_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Query
from pipeline.sharing.croissant import described
from pipeline.views.items import thumbnail
from tests.datasets.benchmarks.published import answers

PHOTO = "a photo of a {label}"


@pytest.fixture
def listed(draw: Callable[..., Path], tmp_path: Path) -> dict[str, Any]:
    """Four images: of a cat, a cat and a red bus, a red bus, and a Bär."""
    lines = {"1.png": "cat", "2.png": "cat|red_bus", "3.png": "red_bus", "4.png": "Bär"}
    for seed, name in enumerate(lines):
        draw(name, seed=seed, folder=tmp_path / "raw")
    rows = "".join(f"{name},{labels}\n" for name, labels in lines.items())
    (tmp_path / "raw/list.csv").write_text(f"path,labels\n{rows}", encoding="utf-8")
    return {"kind": "list", "root": str(tmp_path / "raw"), "list": "list.csv"}


def asking(config: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {**config, "text_queries": {"templates": [PHOTO], **settings}}


def made(config: dict[str, Any], folder: Path) -> Manifest:
    prepare("own", config, folder / "own")
    return read_manifest(folder / "own")


def test_positives_by_hand(listed: dict[str, Any], tmp_path: Path) -> None:
    manifest = made(asking(listed), tmp_path)
    [protocol] = protocols_of(manifest, difficulty="medium")
    assert [manifest.paths[item] for item in protocol.gallery] == ["1.png", "2.png", "3.png", "4.png"]
    assert answers(manifest, protocol) == {
        "text/a photo of a cat": ({"1.png", "2.png"}, set()),
        "text/a photo of a red_bus": ({"2.png", "3.png"}, set()),
        "text/a photo of a Bär": ({"4.png"}, set()),
    }
    assert manifest.texts == {4: "a photo of a cat", 5: "a photo of a red_bus", 6: "a photo of a Bär"}
    assert list(manifest.pictures) == [0, 1, 2, 3] and manifest.has_images
    assert manifest.items[6].sha256 == sha256_of_text("a photo of a Bär")
    counts = summary(manifest)
    assert (counts["images"], counts["texts"], counts["images_of_largest_label"]) == (4, 3, 2)
    assert counts["exact_duplicates"] == 0


def test_each_template_asks_by_itself_and_underscores_are_a_choice(listed: dict[str, Any], tmp_path: Path) -> None:
    manifest = made(asking(listed, templates=[PHOTO, "{label}, {label}"], underscores="spaces"), tmp_path)
    assert list(manifest.texts.values()) == [
        "a photo of a cat", "a photo of a red bus", "a photo of a Bär", "cat, cat", "red bus, red bus", "Bär, Bär",
    ]  # fmt: skip
    [protocol] = protocols_of(manifest, difficulty="medium")
    found = answers(manifest, protocol)
    assert found["text/red bus, red bus"] == found["text/a photo of a red bus"] == ({"2.png", "3.png"}, set())


def test_distractors_are_found_by_no_text(draw: Callable[..., Path], listed: dict[str, Any], tmp_path: Path) -> None:
    draw("9.png", seed=9, folder=tmp_path / "more")
    manifest = made({**asking(listed), "distractors": [str(tmp_path / "more")]}, tmp_path)
    [protocol] = protocols_of(manifest, difficulty="medium")
    assert len(protocol.queries) == 3 and len(protocol.gallery) == 5
    assert all("9.png" not in positives for positives, _ in answers(manifest, protocol).values())
    assert summary(manifest)["distractors"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"templates": ["a photo"]}, r"the template 'a photo' has no \{label\}"),
        ({"templates": []}, "'templates' is empty"),
        ({"templates": PHOTO}, "expected a list"),
        ({"templates": [PHOTO, PHOTO]}, "both give 'a photo of a cat': rename one, or list each template once"),
        ({"underscores": "drop"}, "'underscores' is 'drop': expected keep or spaces"),
        ({"template": PHOTO}, "unknown key 'template'"),
    ],
)
def test_settings_that_cannot_be_meant(listed: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(RetrievalError, match=f"own.yaml, text_queries: .*{message}") as caught:
        read_dataset("own", asking(listed, **change), Path("unused"))
    assert "\n" not in str(caught.value)


def test_datasets_without_labels_images_or_room_for_other_queries(listed: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match=r"there are no images that a text could find \(images: none\)"):
        read_dataset("own", {**asking(listed), "images": "none"}, Path("unused"))
    (tmp_path / "raw/list.csv").write_text("path,labels\n1.png,a_b\n2.png,a b\n")
    with pytest.raises(RetrievalError, match="the labels 'a_b' and 'a b' both give 'a photo of a a b'"):
        read_dataset("own", asking(listed, underscores="spaces"), Path("unused"))
    own = Listing(Path("r"), (("a.png", ("a",)), ("b.png", ("a",))), (Query(0, (1,), (), ()),))
    with pytest.raises(RetrievalError, match="the dataset comes with queries of its own: take 'text_queries' out"):
        with_prompts(own, {"templates": [PHOTO]}, where="own.yaml")
    with pytest.raises(RetrievalError, match="no image has a label that could ask"):
        with_prompts(Listing(Path("r"), (("a.png", ()),)), {"templates": [PHOTO]}, where="own.yaml")


def test_parquet_keeps_texts(listed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = made(asking(listed), tmp_path)
    monkeypatch.setattr(manifests, "LARGE", 1)
    (tmp_path / "large").mkdir()
    write_manifest(manifest, tmp_path / "large")
    found = read_manifest(tmp_path / "large")
    assert (tmp_path / "large/manifest.parquet").is_file()
    assert tuple(found.items) == tuple(manifest.items) and found.texts == manifest.texts
    (tmp_path / "without").mkdir()
    write_manifest(made(listed, tmp_path / "plain"), tmp_path / "without")
    plain = read_manifest(tmp_path / "without")
    assert plain.texts == {} and list(plain.pictures) == [0, 1, 2, 3]


def test_a_manifest_without_texts_has_no_column_for_them(listed: dict[str, Any], tmp_path: Path) -> None:
    made(listed, tmp_path)
    assert (tmp_path / "own/manifest.csv").read_text().splitlines()[0].endswith(",group,root")


@pytest.mark.parametrize(
    ("old", "new"),
    [("a photo of a cat\n", "another\n"), (",query,", ",gallery,"), (",,,", ",3,4,")],
    ids=["another text than was hashed", "not asking", "as large as an image"],
)
def test_a_manifest_whose_texts_are_damaged(listed: dict[str, Any], tmp_path: Path, old: str, new: str) -> None:
    made(asking(listed), tmp_path)
    path = tmp_path / "own/manifest.csv"
    head, *rows = path.read_text().splitlines(keepends=True)
    changed = [row.replace(old, new, 1) if row.startswith("text/a photo of a cat") else row for row in rows]
    assert changed != rows
    path.write_text(head + "".join(changed))
    with pytest.raises(RetrievalError, match="text/a photo of a cat is a text: its role is query, it has its hash"):
        read_manifest(tmp_path / "own")


def test_a_text_is_shown_as_it_is_written(listed: dict[str, Any], tmp_path: Path) -> None:
    manifest = made(asking(listed), tmp_path)
    tiles = [np.asarray(thumbnail(manifest.items[number], manifest, 120)) for number in (4, 5, 6)]
    assert all(tile.shape == (120, 120, 3) and tile.min() < 100 for tile in tiles)  # there are letters on it
    assert not np.array_equal(tiles[0], tiles[1])
    other = replace(manifest.items[5], path="text/elsewhere")
    assert np.array_equal(np.asarray(thumbnail(other, manifest, 120)), tiles[1])


def test_texts_have_a_field_in_croissant(listed: dict[str, Any], tmp_path: Path) -> None:
    found = described(made(asking(listed), tmp_path), "manifest.csv", "0")
    assert found["recordSet"][0]["field"][-1]["name"] == "items/text"
    assert found["distribution"][1]["includes"] == ["**/*.png"]
