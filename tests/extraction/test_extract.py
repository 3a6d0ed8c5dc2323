"""Extraction: rows in the manifest's order, the same whatever the batch and workers, and errors that name the image."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline.encoders.encoder import Encoder
from pipeline.extraction.encoding import DecodedImages
from pipeline.extraction.extraction import Guarded, determining, extract
from pipeline.extraction.features import read_features, write_features
from pipeline.extraction.guards import Limits
from pipeline.extraction.parts import Here
from pipeline.extraction.provenance import costs_of, machine_of, made_by, provenance
from pipeline.extraction.runtime import Runtime, cores
from pipeline.extraction.scratch import Scratch, key_of
from pipeline.frame.versions import versions_of
from pipeline.manifest.images import decode_rgb
from pipeline.manifest.items import Item, sha256_of_text
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.matrix import check_features
from pipeline.retrieval.settings import call
from tests.conftest import Project
from tests.encoders.test_encoders import build, config_of

PLAIN = Runtime(device="cpu", batch_size=4, workers=0)
MACHINE = {"device": "a machine"}


@pytest.fixture
def manifest(draw: Callable[..., Path], tmp_path: Path) -> Manifest:
    items = []
    for seed in range(9):
        path = draw(f"{seed}.png", seed=seed, size=(40 + seed, 30))
        items.append(Item(path.name, ("a",), 40 + seed, 30, hashlib.sha256(path.read_bytes()).hexdigest()))
    return Manifest("own", tmp_path, tuple(items))


def test_rows_are_in_the_order_of_the_manifest(manifest: Manifest) -> None:
    encoder = build("x", config_of("raw_pixels"))
    features, _ = extract(encoder, manifest, PLAIN)
    for row, item in zip(features, manifest.items, strict=True):
        image = decode_rgb((manifest.root / item.path).read_bytes(), name=item.path)
        np.testing.assert_array_equal(row, encoder.preprocess(image).numpy())


def test_an_image_from_another_folder(manifest: Manifest, draw: Callable[..., Path], tmp_path: Path) -> None:
    path = draw("far/0.png", seed=99)
    distractor = Item("0.png", (), 32, 24, hashlib.sha256(path.read_bytes()).hexdigest(), root=tmp_path / "far")
    encoder = build("x", config_of("raw_pixels"))
    features, _ = extract(
        encoder, replace(manifest, items=(*manifest.items, replace(distractor, role="gallery"))), PLAIN
    )
    image = decode_rgb(path.read_bytes(), name="far")
    np.testing.assert_array_equal(features[-1], encoder.preprocess(image).numpy())


@pytest.mark.parametrize("name", ["resnet18_random", "dinov2_random"])
def test_batches_and_workers_change_nothing(manifest: Manifest, name: str) -> None:
    encoder = build("x", config_of(name))
    expected, _ = extract(encoder, manifest, Runtime("cpu", batch_size=1, workers=0))
    for batch_size, workers in ((7, 0), (7, 1), (32, 2)):
        features, _ = extract(encoder, manifest, Runtime("cpu", batch_size, workers))
        np.testing.assert_allclose(features, expected, atol=1e-5 * np.abs(expected).max())


def test_one_engine_takes_one_encoder_after_the_other(manifest: Manifest) -> None:
    engine = Here()
    for name in ("raw_pixels", "resnet18_random", "raw_pixels"):
        encoder = build("x", config_of(name))
        features, _ = extract(encoder, manifest, PLAIN, engine=engine)
        assert features.tobytes() == extract(encoder, manifest, PLAIN)[0].tobytes()


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


def test_versions_are_those_of_what_is_installed() -> None:
    assert versions_of(("numpy", "no-such-library")) == {"numpy": np.__version__}


def test_a_wrong_dimension_is_an_error(manifest: Manifest) -> None:
    encoder = build("x", config_of("raw_pixels"))
    wrong = Encoder(nn.Linear(768, 5).eval(), encoder.preprocess, 7, {})
    with pytest.raises(RetrievalError, match=r"0\.png or one of 3 others: .* of shape \(4, 5\), not \(4, 7\): take"):
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
    assert runtime.resolved_threads() >= 1
    gpu = torch.cuda.is_available()
    assert (runtime.resolved_workers() > 0) == gpu and runtime.resolved_batch_size() == (64 if gpu else 16)


class Small(nn.Module):
    """A network that has no memory for more than some images."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most, self.seen = most, []

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(batch))
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return batch


def test_a_batch_that_does_not_fit_is_halved(manifest: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = build("x", config_of("raw_pixels"))
    expected, _ = extract(encoder, manifest, PLAIN)
    network = Small(2)
    features, _ = extract(replace(encoder, network=network.eval()), manifest, replace(PLAIN, batch_size=9))
    np.testing.assert_array_equal(features, expected)
    assert network.seen == [9, 4, 2, 2, 2, 2, 1]
    assert capsys.readouterr().err.count("do not fit into the memory of cpu") == 1
    with pytest.raises(RetrievalError, match="one image does not fit into the memory of cpu"):
        extract(replace(encoder, network=Small(0).eval()), manifest, PLAIN)


@pytest.mark.parametrize("name", ["resnet18_random", "clip_random", "dinov2_random"])
def test_half_precision_is_close(manifest: Manifest, name: str) -> None:
    exact, half = (build("x", {**config_of(name), "precision": precision}) for precision in ("fp32", "bf16"))
    expected, _ = extract(exact, manifest, PLAIN)
    features, _ = extract(half, manifest, PLAIN)
    assert features.dtype == np.float32 and not np.array_equal(features, expected)
    cosine = (features * expected).sum(1) / np.linalg.norm(features, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > 0.999
    assert [made_by(encoder, MACHINE)["precision"] for encoder in (exact, half)] == ["fp32", "bf16"]


def test_a_precision_that_cannot_be_had() -> None:
    with pytest.raises(
        RetrievalError, match=r"conf/encoder/x\.yaml: unknown precision 'int8'; one of bf16, fp16, fp32"
    ):
        build("x", {**config_of("resnet18_random"), "precision": "int8"})
    with pytest.raises(RetrievalError, match="there is no network to compute in bf16: remove 'precision'"):
        build("x", {**config_of("hog"), "precision": "bf16"})


def test_what_an_image_costs(manifest: Manifest) -> None:
    """Against what is published: torchvision gives ResNet-18 11,689,512 parameters and 1.81 billion multiply-adds."""
    made = costs_of(build("x", config_of("resnet18_random")), 9, 1.0, machine_of(PLAIN))
    assert made["parameters"] == 11_689_512 - 513_000  # without the classifier
    assert made["flops_per_image"] == pytest.approx(2 * (1.814e9 - 512_000), rel=2e-3)
    assert made["peak_memory_bytes"] > 1e8 and made["peak_gpu_memory_bytes"] is None
    none = costs_of(build("x", config_of("hog")), 9, 1.0, MACHINE)
    assert (none["parameters"], none["flops_per_image"]) == (0, 0)


def test_latencies_are_those_of_real_images(manifest: Manifest) -> None:
    engine, encoder = Here(), build("x", config_of("raw_pixels"))
    found = engine.latencies(encoder, DecodedImages.of(manifest, encoder), PLAIN)
    assert len(found) == len(manifest.items) and min(found) > 0
    assert costs_of(encoder, 9, 1.0, MACHINE, [0.0123456, 2.0])["latency_seconds"] == [0.012346, 2.0]
    assert "latency_seconds" not in costs_of(encoder, 9, 1.0, MACHINE)


# ---- what was killed goes on


@pytest.fixture
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.extraction.extraction.PART", 4)  # of nine images: parts of 4, 4 and 1


def test_finished_parts_are_not_made_again(manifest: Manifest, tmp_path: Path, short_parts: None) -> None:
    encoder = build("x", config_of("resnet18_random"))
    expected, _ = extract(encoder, manifest, replace(PLAIN, batch_size=3))
    scratch = Scratch(tmp_path / "scratch", "key")
    missing = manifest.root / "8.png"
    content = missing.read_bytes()
    missing.unlink()
    with pytest.raises(RetrievalError, match=r"8\.png cannot be read"):
        extract(encoder, manifest, replace(PLAIN, batch_size=3), scratch)
    assert sorted(path.name for path in (tmp_path / "scratch/key").iterdir()) == ["0.json", "0.npy", "1.json", "1.npy"]
    missing.write_bytes(content)
    for number in range(8):
        (manifest.root / f"{number}.png").unlink()  # not read again
    features, seconds = extract(encoder, manifest, replace(PLAIN, batch_size=3), scratch)
    assert features.tobytes() == expected.tobytes()
    said = [json.loads((tmp_path / f"scratch/key/{number}.json").read_text())["seconds"] for number in range(3)]
    assert seconds == pytest.approx(sum(said))
    scratch.clear()
    assert not (tmp_path / "scratch").exists()


def test_damaged_and_stale_parts_are_made_again(manifest: Manifest, tmp_path: Path, short_parts: None) -> None:
    encoder = build("x", config_of("raw_pixels"))
    scratch = Scratch(tmp_path / "scratch", "key")
    expected, _ = extract(encoder, manifest, PLAIN, scratch)
    parts = tmp_path / "scratch/key"
    data = bytearray((parts / "0.npy").read_bytes())
    data[-1] ^= 1
    (parts / "0.npy").write_bytes(data)
    (parts / "1.json").unlink()
    (parts / "2.npy").write_bytes(b"")
    features, _ = extract(encoder, manifest, PLAIN, scratch)
    assert features.tobytes() == expected.tobytes()
    wrong = np.zeros((4, 5), np.float32)
    scratch.write(0, wrong, seconds=1.0)  # whole, but of another dimension
    features, _ = extract(encoder, manifest, PLAIN, scratch)
    assert features.tobytes() == expected.tobytes()
    Scratch(tmp_path / "scratch", "other").drop_stale()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_key_is_of_all_that_determines_features(manifest: Manifest) -> None:
    config = config_of("raw_pixels")
    encoder = build("x", config)

    def key(config: dict[str, Any], encoder: Encoder, manifest: Manifest) -> str:
        return key_of(determining(config, encoder, manifest))

    same = key(config, encoder, manifest)
    assert key({**config, "without_guards": ["mean_cosine"]}, encoder, manifest) == same
    others = [
        key({**config, "precision": "bf16"}, encoder, manifest),
        key(config, replace(encoder, weights={"sha256": "1"}), manifest),
        key(config, replace(encoder, preprocess=nn.Identity()), manifest),
        key(config, encoder, replace(manifest, sha256="1")),
    ]
    assert len({same, *others}) == 5


def test_features_of_texts_depend_on_what_runs_tokenisers(manifest: Manifest) -> None:
    encoder = build("x", config_of("raw_pixels"))
    text = Item("q", ("a",), None, None, sha256_of_text("a cat"), role="query", text="a cat")
    asking = replace(manifest, items=(*manifest.items, text))
    for of_images, of_texts in (
        (determining({}, encoder, manifest)["versions"], determining({}, encoder, asking)["versions"]),
        (made_by(encoder, {})["versions"], made_by(encoder, {}, texts=True)["versions"]),
    ):
        assert of_texts == {**of_images, **versions_of(("tokenizers", "ftfy", "regex"))}
        assert "tokenizers" in of_texts and "tokenizers" not in of_images


KILLS = int(os.environ.get("RETRIEVAL_TEST_KILLS", "3"))


def test_killed_at_random_moments(project: Project) -> None:
    """By default three times; RETRIEVAL_TEST_KILLS=20 for more."""
    code = (
        "import pipeline.extract as e, pipeline.extraction.extraction as x, time\n"
        "from pipeline.extraction.encoding import Encoding\n"
        "x.PART = 4\n"
        "encode = Encoding.__call__\n"
        "def slowly(*arguments):\n    time.sleep(0.05)\n    return encode(*arguments)\n"
        "Encoding.__call__ = slowly\n"
        "e.main()\n"
    )
    command = [sys.executable, "-c", code, "encoder=color_histogram", "dataset=digits", "runtime.batch_size=2"]
    out = project.top / "features/color_histogram/digits"
    uninterrupted = (out / "features.npy").read_bytes()
    random = np.random.default_rng()
    shutil.rmtree(out)
    silent = subprocess.DEVNULL
    kills = 0
    while kills < KILLS:
        with subprocess.Popen(command, cwd=project.top, stdout=silent, stderr=silent) as process:
            try:
                process.wait(timeout=float(random.uniform(1.5, 5.0)))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
        if out.exists():  # whole, or not there
            assert (out / "features.npy").read_bytes() == uninterrupted
            assert json.loads((out / "provenance.json").read_text())["images"] == 40
            shutil.rmtree(out)
        else:
            assert process.returncode == -signal.SIGKILL
    project.run(*command)
    assert (out / "features.npy").read_bytes() == uninterrupted
    assert not (project.top / "data/scratch/color_histogram-digits").exists()


NAMES = ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize(
    ("value", "what"), [(np.nan, "NaN or infinite"), (np.inf, "NaN or infinite"), (0, "only zeros")]
)
def test_an_unusable_feature_is_named(value: float, what: str) -> None:
    features = np.ones((3, 2), np.float32)
    features[1] = value
    with pytest.raises(RetrievalError, match=rf"x on y: the feature of item 1 \(b\.png\) has {what}.*1 in all: remove"):
        check_features(features, NAMES, where="x on y", cosine=True)
    if value == 0:
        check_features(features, NAMES, where="x on y", cosine=False)
    else:
        with pytest.raises(RetrievalError, match=what):
            check_features(features, NAMES, where="x on y", cosine=False)


def test_a_black_image_is_a_point_like_any_other(manifest: Manifest, draw: Callable[..., Path]) -> None:
    Image.new("RGB", (40, 30)).save(manifest.root / "black.png")
    black = Item("black.png", ("a",), 40, 30, hashlib.sha256((manifest.root / "black.png").read_bytes()).hexdigest())
    limits = Limits(
        effective_rank=1.0, mean_cosine=0.99, constant_dimensions=0.5, equal_features=0.5, batch_difference=0.001
    )
    guarded = Guarded(limits, [], where="x on y")
    encoder = build("x", config_of("raw_pixels"))
    seen = guarded.inspect(extract(encoder, manifest, PLAIN)[0], manifest, {})
    own = replace(manifest, items=(*manifest.items, black))
    features, _ = extract(encoder, own, PLAIN)
    assert not features[-1].any()
    found = guarded.inspect(features, own, {})
    for name in ("effective_rank", "effective_rank_images", "mean_cosine"):  # those of the others
        assert found[name] == seen[name]
    assert found["distinct_features"] == seen["distinct_features"] + 1
    with pytest.raises(RetrievalError, match="256 of 256|768 of 768"):
        guarded.inspect(0 * features, own, {})


def test_too_few_rows_are_an_error() -> None:
    with pytest.raises(RetrievalError, match="2 rows of features for 3 images"):
        check_features(np.ones((2, 2), np.float32), NAMES, where="x", cosine=True)


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
    made = made_by(encoder, machine_of(PLAIN))
    origin = provenance("x", config_of("raw_pixels"), manifest, made, guards={"off": []})
    assert origin["device"].startswith("cpu (") and not origin["device"].endswith("()")
    assert not {"seconds", "images_per_second", "peak_memory_bytes", "batch_size", "threads"} & set(origin)
    costs = costs_of(encoder, len(manifest.items), 2.0, machine_of(PLAIN))
    assert (costs["images_per_second"], costs["feature_bytes"], costs["threads"]) == (4.5, 4 * encoder.dim, cores())
    assert origin["preprocessing"] == "RawPixels(side=16)"
