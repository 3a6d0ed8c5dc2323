"""Extraction: rows in the manifest's order, the same whatever the batch and workers, and errors that name the image."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.encoders.encoder import Encoder
from pipeline.errors import RetrievalError
from pipeline.extract import extract
from pipeline.features import check_features, read_features, write_features
from pipeline.images import decode_rgb
from pipeline.manifest import Item, Manifest
from pipeline.options import call
from pipeline.provenance import made_here, provenance
from pipeline.runtime import Runtime
from tests.test_encoders import build, config_of

PLAIN = Runtime(device="cpu", batch_size=4, workers=0)


@pytest.fixture
def manifest(draw: Callable[..., Path], tmp_path: Path) -> Manifest:
    items = []
    for seed in range(9):
        path = draw(f"{seed}.png", seed=seed, size=(40 + seed, 30))
        items.append(Item(path.name, ("a",), 40 + seed, 30, hashlib.sha256(path.read_bytes()).hexdigest()))
    return Manifest("own", tmp_path, tuple(items))


def test_rows_are_in_the_order_of_the_manifest(manifest: Manifest) -> None:
    encoder = build("x", config_of("raw_pixels"))
    features = extract(encoder, manifest, PLAIN)
    for row, item in zip(features, manifest.items, strict=True):
        image = decode_rgb((manifest.root / item.path).read_bytes(), name=item.path)
        np.testing.assert_array_equal(row, encoder.preprocess(image).numpy())


def test_an_image_from_another_folder(manifest: Manifest, draw: Callable[..., Path], tmp_path: Path) -> None:
    path = draw("far/0.png", seed=99)
    distractor = Item("0.png", (), 32, 24, hashlib.sha256(path.read_bytes()).hexdigest(), root=tmp_path / "far")
    encoder = build("x", config_of("raw_pixels"))
    features = extract(encoder, replace(manifest, items=(*manifest.items, replace(distractor, role="gallery"))), PLAIN)
    image = decode_rgb(path.read_bytes(), name="far")
    np.testing.assert_array_equal(features[-1], encoder.preprocess(image).numpy())


@pytest.mark.parametrize("name", ["resnet18_random", "dinov2_random"])
def test_batches_and_workers_change_nothing(manifest: Manifest, name: str) -> None:
    encoder = build("x", config_of(name))
    expected = extract(encoder, manifest, Runtime("cpu", batch_size=1, workers=0))
    for batch_size, workers in ((7, 1), (32, 2)):
        features = extract(encoder, manifest, Runtime("cpu", batch_size, workers))
        np.testing.assert_allclose(features, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_is_one_error(manifest: Manifest, workers: int) -> None:
    bad = manifest.root / "5.png"
    bad.write_bytes(bad.read_bytes()[:50])
    damaged = replace(manifest.items[5], sha256=hashlib.sha256(bad.read_bytes()).hexdigest())
    items = (*manifest.items[:5], damaged, *manifest.items[6:])
    with pytest.raises(RetrievalError, match=r"5\.png ") as caught:
        extract(build("x", config_of("raw_pixels")), replace(manifest, items=items), replace(PLAIN, workers=workers))
    assert "\n" not in str(caught.value)


def test_a_changed_or_missing_image_is_an_error(manifest: Manifest, draw: Callable[..., Path]) -> None:
    encoder = build("x", config_of("raw_pixels"))
    draw("3.png", seed=77)
    with pytest.raises(RetrievalError, match=r"3\.png has changed since it was prepared: run dvc repro -f prepare@own"):
        extract(encoder, manifest, PLAIN)
    (manifest.root / "3.png").unlink()
    with pytest.raises(RetrievalError, match=r"3\.png cannot be read"):
        extract(encoder, manifest, PLAIN)


def test_a_wrong_dimension_is_an_error(manifest: Manifest) -> None:
    encoder = build("x", config_of("raw_pixels"))
    wrong = Encoder(nn.Linear(768, 5).eval(), encoder.preprocess, 7, {})
    with pytest.raises(RetrievalError, match=r"features of shape \(5,\), not \(7,\)"):
        extract(wrong, manifest, PLAIN)


def test_a_device_that_is_not_there_is_an_error() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA GPU, so that asking for one is no error")
    with pytest.raises(RetrievalError, match="device 'cuda' cannot be used .*: set device in conf/runtime"):
        replace(PLAIN, device="cuda").resolved_device()
    with pytest.raises(RetrievalError, match="device 'gpu' cannot be used"):
        replace(PLAIN, device="gpu").resolved_device()


def test_auto_runtime() -> None:
    runtime = Runtime(device="auto", batch_size="auto", workers="auto")
    assert runtime.resolved_workers() >= 1
    assert runtime.resolved_batch_size() == (64 if torch.cuda.is_available() else 8)


NAMES = ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize(
    ("value", "what"), [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (0, "only zeros")]
)
def test_an_unusable_feature_is_named(value: float, what: str) -> None:
    features = np.ones((3, 2), np.float32)
    features[1] = value
    with pytest.raises(RetrievalError, match=rf"x on y: the feature of item 1 \(b\.png\) has {what}.*1 in all: remove"):
        check_features(features, NAMES, where="x on y")


def test_too_few_rows_are_an_error() -> None:
    with pytest.raises(RetrievalError, match="2 rows of features for 3 images"):
        check_features(np.ones((2, 2), np.float32), NAMES, where="x")


def test_features_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "hog" / "own"
    write_features(target, np.ones((3, 2), np.float32), {"a": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_features(target, np.zeros((3, 2), np.float32), {"a": float("nan")})
    features, provenance = read_features(target)
    assert features.all() and provenance == {"a": 1}
    assert list(target.parent.iterdir()) == [target]


def test_features_that_cannot_be_used_are_an_error(tmp_path: Path) -> None:
    target = tmp_path / "hog" / "own"
    with pytest.raises(RetrievalError, match="no usable features in .*: run dvc repro extract@hog-own"):
        read_features(target)
    write_features(target, np.ones((3, 2), np.float32), {})
    for wrong in (np.ones(3, np.float32), np.ones((3, 2), np.int64)):
        np.save(target / "features.npy", wrong)
        with pytest.raises(RetrievalError, match="expected a matrix of float16.*run dvc repro extract@hog-own"):
            read_features(target)
    np.save(target / "features.npy", np.array([[None]]), allow_pickle=True)
    with pytest.raises(RetrievalError, match="no usable features"):
        read_features(target)


def test_a_misspelt_runtime_setting_is_said() -> None:
    with pytest.raises(RetrievalError, match="conf/runtime: unknown key 'batchsize', missing key 'batch_size'"):
        call(Runtime, {"device": "cpu", "batchsize": 3, "workers": 0}, where="conf/runtime")


def test_the_provenance_names_the_processor(manifest: Manifest) -> None:
    encoder = build("x", config_of("raw_pixels"))
    made = made_here(encoder, len(manifest.items), PLAIN, seconds=2.0)
    origin = provenance("x", config_of("raw_pixels"), manifest, made, guards={"off": []})
    assert origin["device"].startswith("cpu (") and not origin["device"].endswith("()")
    assert origin["images_per_second"] == 4.5
    assert origin["preprocessing"] == "RawPixels(side=16)"
