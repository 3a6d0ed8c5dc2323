"""Features made elsewhere, in the graph beside those made here."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.encoders.building import build_encoder
from pipeline.extraction.extraction import Guarded
from pipeline.extraction.features import read_checked, read_features, write_features
from pipeline.extraction.guards import Limits, mean_cosine
from pipeline.extraction.precomputed import read_precomputed
from pipeline.frame.files import sha256_of
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.reading.matrices import read_matrix
from pipeline.retrieval.scoring import score_features
from tests.conftest import Project

ITEMS = tuple(Item(f"{name}.jpg", (label,), 9, 9, name) for name, label in zip("abcd", "xxyy", strict=True))
MANIFEST = Manifest("own", Path("r"), ITEMS, sha256="0")
ROWS = np.arange(8, dtype=np.float32).reshape(4, 2)


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """Features of the items in another order."""
    np.save(tmp_path / "F.npy", ROWS[[2, 0, 3, 1]])
    return listed(tmp_path, "c.jpg\ty", "a.jpg\tx", "d.jpg\ty", "b.jpg\tx")


def listed(folder: Path, *lines: str) -> dict[str, Any]:
    (folder / "L.txt").write_text("\n".join(lines))
    files = {"features": str(folder / "F.npy"), "labels": str(folder / "L.txt")}
    files |= {f"{key}_sha256": sha256_of(Path(path)) for key, path in files.items()}
    return {"source": "precomputed", "datasets": {"own": files}}


def test_rows_come_in_the_order_of_the_manifest(config: dict[str, Any]) -> None:
    features, made = read_precomputed("mine", config, MANIFEST)
    np.testing.assert_array_equal(features, ROWS)
    files = config["datasets"]["own"]
    assert made["weights"]["files"] == {"F.npy": files["features_sha256"], "L.txt": files["labels_sha256"]}
    assert (made["precision"], made["dim"]) == ("float32", 2)


def test_a_code_of_zeros_is_kept(tmp_path: Path) -> None:
    codes = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], np.float32)
    np.save(tmp_path / "F.npy", codes)
    config = listed(tmp_path, *(f"{item.path}\t{item.labels[0]}" for item in ITEMS))
    features, made = read_precomputed("mine", config, MANIFEST)
    limits = Limits(
        effective_rank=1.5, mean_cosine=0.99, constant_dimensions=0.5, equal_features=0.5, batch_difference=0.001
    )
    guards = Guarded(limits, [], where="mine on own").inspect(features, MANIFEST, {})
    assert guards["mean_cosine"] == pytest.approx(2 * 0.5**0.5 / 3, abs=1e-6)  # of the three others
    write_features(tmp_path / "out", features, {**made, "manifest_sha256": "0"})
    np.testing.assert_array_equal(read_checked(tmp_path / "out", MANIFEST, cosine=False)[0], codes)
    with pytest.raises(RetrievalError, match=r"the feature of item 0 \(a\.jpg\) has only zeros, and so no cosine"):
        read_checked(tmp_path / "out", MANIFEST, cosine=True)


def test_an_image_that_is_there_whole_and_cropped_is_listed_twice(tmp_path: Path) -> None:
    np.save(tmp_path / "F.npy", ROWS)
    items = tuple(Item(f"{name}.jpg", (), 9, 9, name) for name in "abca")
    (tmp_path / "L.csv").write_text("path,labels\na.jpg,\nb.jpg,\na.jpg,\nc.jpg,\n")
    config = listed(tmp_path)
    config["datasets"]["own"] |= {"labels": str(tmp_path / "L.csv"), "labels_sha256": "unverified"}
    features, _ = read_precomputed("mine", config, Manifest("own", Path("r"), items))
    np.testing.assert_array_equal(features, ROWS[[0, 1, 3, 2]])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a.jpg\tx", "b.jpg\tx", "c.jpg\ty"], "F.npy has 4 rows, but .*L.txt lists 3 items"),
        (["a.jpg\tx", "b.jpg\tx", "c.jpg\ty", "e.jpg\ty"], "L.txt does not list d.jpg of own"),
        (["a.jpg\tx", "b.jpg\ty", "c.jpg\ty", "d.jpg\ty"], "b.jpg has the labels 'y', in the manifest 'x'"),
    ],
)
def test_a_wrong_list(config: dict[str, Any], tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(RetrievalError, match=message):
        read_precomputed("mine", listed(tmp_path, *lines), MANIFEST)


def test_distractors_are_listed_with_their_folder(tmp_path: Path) -> None:
    items = (*ITEMS[:2], *(Item("1.png", (), 9, 9, root, role="gallery", root=Path(root)) for root in ("near", "far")))
    np.save(tmp_path / "F.npy", ROWS)
    config = listed(tmp_path)
    config["datasets"]["own"] |= {"labels": str(tmp_path / "L.csv"), "labels_sha256": "unverified"}
    (tmp_path / "L.csv").write_text("path,labels\nfar/1.png,\na.jpg,x\nb.jpg,x\nnear/1.png,\n")
    features, _ = read_precomputed("mine", config, Manifest("own", Path("r"), items))
    np.testing.assert_array_equal(features, ROWS[[1, 2, 3, 0]])
    (tmp_path / "L.csv").write_text("path,labels\nfar/1.png,x\na.jpg,x\nb.jpg,x\nnear/1.png,\n")
    with pytest.raises(RetrievalError, match="far/1.png has the labels 'x', in the manifest ''"):
        read_precomputed("mine", config, Manifest("own", Path("r"), items))


@pytest.mark.parametrize("scale", [2.0**1000, 2.0**130, 2.0**-130, 2.0**-1000])
def test_what_float32_cannot_hold_is_kept_as_it_is(tmp_path: Path, scale: float) -> None:
    rows = np.random.default_rng(0).standard_normal((4, 3))
    expected = score_features(rows, [item.labels for item in ITEMS])["mAP"]
    rows[1] *= scale
    np.save(tmp_path / "F.npy", rows)
    lines = [f"{item.path}\t{item.labels[0]}" for item in ITEMS]
    features, made = read_precomputed("mine", listed(tmp_path, *lines), MANIFEST)
    write_features(tmp_path / "out", features, made)
    kept, _ = read_features(tmp_path / "out")
    np.testing.assert_array_equal(kept, rows)
    assert score_features(kept, [item.labels for item in ITEMS])["mAP"] == expected
    assert mean_cosine(kept, 1.0).problem == ""


def test_float64_that_is_float32_is_kept_as_that(tmp_path: Path) -> None:
    write_features(tmp_path / "out", ROWS.astype(np.float64), {})
    assert read_features(tmp_path / "out")[0].dtype == np.float32


def test_what_float64_does_not_have_in_full_is_refused() -> None:
    rows = np.ones((4, 3))
    rows[1] = 5e-324
    with pytest.raises(RetrievalError, match=r"the feature of item 1 \(1\) has only values less than float64 has"):
        score_features(rows, [item.labels for item in ITEMS])


@pytest.mark.parametrize("change", [{"decoder": "pillow"}, {"precision": "fp32"}, {"preprocessing": "native"}])
def test_keys_that_would_do_nothing(config: dict[str, Any], change: dict[str, str]) -> None:
    with pytest.raises(RetrievalError, match=rf"mine.yaml: unknown key '{next(iter(change))}'; its keys are datasets"):
        read_precomputed("mine", {**config, **change}, MANIFEST)


def test_what_is_no_file_is_not_waited_for(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "F.npy").unlink()
    os.mkfifo(tmp_path / "F.npy")
    for read in (lambda: read_precomputed("mine", config, MANIFEST), lambda: read_matrix(tmp_path / "F.npy")):
        with pytest.raises(RetrievalError, match=r"F\.npy is a named pipe \(FIFO\), not a file"):
            read()


def test_what_came_in_place_of_features_is_named(tmp_path: Path) -> None:
    (tmp_path / "F.npy").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(RetrievalError, match=r"F\.npy is a Git LFS pointer .*run git lfs pull"):
        read_matrix(tmp_path / "F.npy")


def test_an_item_too_many(config: dict[str, Any]) -> None:
    less = Manifest("own", Path("r"), ITEMS[:3])
    with pytest.raises(RetrievalError, match=r"L.txt lists d.jpg, which is not in own \(1 such\)"):
        read_precomputed("mine", config, less)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features_sha256": "0" * 64}, "F.npy has the SHA-256 .*, not 0000"),
        ({"labels_sha256": "0" * 8}, "L.txt has the SHA-256 .*, not 0000"),
        ({"labels_sha256": "0"}, "give its 64 lower-case hexadecimal digits"),
        ({"features": "nowhere.npy"}, "nowhere.npy is not there"),
        ({"feature": "F.npy"}, "conf/encoder/mine.yaml, datasets, own: unknown key 'feature'"),
    ],
)
def test_wrong_files(config: dict[str, Any], change: dict[str, str], message: str) -> None:
    config["datasets"]["own"] |= change
    with pytest.raises(RetrievalError, match=message):
        read_precomputed("mine", config, MANIFEST)


def test_what_it_cannot_do(config: dict[str, Any]) -> None:
    with pytest.raises(RetrievalError, match="mine.yaml: no features of 'own' under 'datasets'"):
        read_precomputed("mine", {"source": "precomputed", "datasets": {}}, MANIFEST)
    with pytest.raises(RetrievalError, match="unknown key 'pooling'"):
        read_precomputed("mine", {**config, "pooling": "cls"}, MANIFEST)
    with pytest.raises(RetrievalError, match="come without their network"):
        build_encoder("mine", config, Path("unused"))


def test_beside_others_in_the_graph(project: Project, tmp_path: Path) -> None:
    """The features of an encoder of the project, exported and put back under another name, give its numbers."""
    features = np.load(project.top / "features/raw_pixels/digits/features.npy")
    rows = (project.top / "data/prepared/digits/manifest.csv").read_text().splitlines()[1:]
    order = np.random.default_rng(0).permutation(len(rows))
    np.save(tmp_path / "F.npy", features[order])
    lines = ["\t".join(rows[row].split(",")[:2]) for row in order]
    files = listed(tmp_path, *lines)["datasets"]["own"]
    project.edit("conf/encoder/mine.yaml", source="precomputed", datasets={"digits": files})
    project.edit("params.yaml", encoders=["raw_pixels", "mine"], datasets=["digits"])
    assert {"weights@mine", "extract@mine-digits", "evaluate@mine-digits", "compare"} <= project.repro("compare")
    found = [json.loads((project.top / f"metrics/runs/{e}/digits.json").read_text()) for e in ("mine", "raw_pixels")]
    assert found[0] == found[1]
    costs = [json.loads((project.top / f"metrics/costs/{e}/digits.json").read_text()) for e in ("mine", "raw_pixels")]
    mine, theirs = costs
    known = {name: theirs[name] for name in ("feature_bytes", "images")}
    assert mine == {**known, "precision": "float32"} and "images_per_second" in theirs
    # DVC does not see other features under the stated hash, the stage refuses them, and a new hash runs it anew.
    np.save(tmp_path / "F.npy", features[order] ** 2)
    assert project.repro("compare") == set()
    refused = project.stage("extract", "encoder=mine", "dataset=digits", "out=elsewhere", check=False)
    assert refused.returncode == 2 and "F.npy has the SHA-256" in refused.stderr
    files["features_sha256"] = sha256_of(tmp_path / "F.npy")
    project.edit("conf/encoder/mine.yaml", datasets={"digits": files})
    assert "extract@mine-digits" in project.repro("compare")
    again = json.loads((project.top / "metrics/runs/mine/digits.json").read_text())
    assert again["mAP"] != found[0]["mAP"]


# ---- a dataset without images


def make_unseen(project: Project) -> np.ndarray:
    """Make a list of items that nobody has images of, ``unseen``, and features of them, ``mine``; return these."""
    rng = np.random.default_rng(0)
    lines = [f"photos/{number}.jpg\tclass {number % 3}" for number in range(12)]
    (project.top / "emb").mkdir()
    (project.top / "emb/list.txt").write_text("\n".join(lines) + "\n")
    features = rng.normal(size=(12, 6)).astype(np.float32) + 2 * np.eye(6, dtype=np.float32)[np.arange(12) % 3]
    np.save(project.top / "emb/F.npy", features)
    project.edit("conf/dataset/unseen.yaml", kind="list", root="emb", list="list.txt", images="none")
    files = {"features": "emb/F.npy", "labels": "emb/list.txt"}
    files |= {f"{key}_sha256": sha256_of(project.top / path) for key, path in files.items()}
    project.edit("conf/encoder/mine.yaml", source="precomputed", datasets={"unseen": files})
    return features


def test_embeddings_alone_go_through_the_whole_graph(project: Project) -> None:
    features = make_unseen(project)
    project.edit("params.yaml", encoders=["mine"], datasets=["unseen"], encoder="mine")
    project.edit("conf/gallery.yaml", queries=2)
    done = project.dvc("repro")
    assert "unseen: 12 items, 3 labels of 4 images each, no image files; passed over: nothing" in done.stdout
    run = json.loads((project.top / "metrics/runs/mine/unseen.json").read_text())
    assert run["mAP"] == pytest.approx(score_features(features, [f"class {n % 3}" for n in range(12)])["mAP"])
    lines = (project.top / "data/prepared/unseen/manifest.csv").read_text().splitlines()
    assert lines[1] == "photos/0.jpg,class 0,,,,,both,,"
    assert "exact_duplicates" not in json.loads((project.top / "data/prepared/unseen/summary.json").read_text())
    # In the place of a picture stands the item's name.
    assert len(list((project.top / "plots/report/thumbnails/unseen").iterdir())) == 12
    for name in ("mine_best.png", "mine_worst.png"):
        assert (project.top / "plots/gallery/unseen" / name).is_file()
    assert (project.top / "plots/report/index.html").is_file()
    assert "| mine" in (project.top / "metrics/table.md").read_text()
    shown = project.stage("show", "encoder=mine", "dataset=unseen", "query=photos/3.jpg")
    assert "query 3: photos/3.jpg (class 0)" in shown.stdout
    assert project.repro() == set()
    # The demo has nothing to search there.
    asked = project.stage("demo", "port=0", check=False)
    assert asked.returncode == 2 and "no encoder could take an image" in asked.stderr


def test_an_encoder_that_takes_images_is_refused_where_there_are_none(project: Project) -> None:
    make_unseen(project)
    project.stage("prepare", "dataset=unseen")
    done = project.stage("extract", "encoder=raw_pixels", "dataset=unseen", check=False)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "encoder 'raw_pixels' takes images, and dataset 'unseen' has none (images: none in its YAML)" in done.stderr
    assert not (project.top / "features/raw_pixels/unseen").exists()
    # It is said before anything runs, where the names come into params.yaml.
    project.edit("params.yaml", encoders=["raw_pixels", "mine"], datasets=["unseen"])
    done = project.stage("check", check=False)
    assert done.returncode == 2 and "encoder 'raw_pixels' takes images, and dataset 'unseen' has none" in done.stderr
