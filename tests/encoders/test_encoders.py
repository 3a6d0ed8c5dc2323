"""Encoders: the right architecture, the right preprocessing, and weights that are never a surprise."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torchvision import models

from pipeline.encoders.building import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.encoders.loading import sha256_of_tensors
from pipeline.retrieval.errors import RetrievalError
from tests.conftest import TOP

DIMS = {
    "raw_pixels": 16 * 16 * 3,
    "color_histogram": 8**3,
    "hog": 7 * 7 * 2 * 2 * 9,
    "resnet18_random": 512,
    "resnet34_random": 512,
    "clip_random": 512,
    "dinov2_random": 384,
}
RESNET_NATIVE = {
    "resize": 256,
    "interpolation": "bilinear",
    "crop": 224,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}


def config_of(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((TOP / f"conf/encoder/{name}.yaml").read_text())
    return config


def build(name: str, config: dict[str, Any], directory: Path = Path("no-weights-needed")) -> Encoder:
    return build_encoder(name, config, directory)


def photograph(width: int = 60, height: int = 45) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def feature(encoder: Encoder, image: Image.Image) -> np.ndarray:
    return encoder.encode(encoder.preprocess(image)[None]).numpy()[0]


@pytest.mark.parametrize("name", DIMS)
def test_every_encoder_shipped(name: str) -> None:
    encoder = build(name, config_of(name))
    assert encoder.dim == DIMS[name]
    assert feature(encoder, photograph()).shape == (DIMS[name],)
    assert not any(module.training for module in encoder.network.modules())
    grey = photograph().convert("L").convert("RGB")
    assert np.isfinite(feature(encoder, grey)).all()


def test_raw_pixels_of_one_colour() -> None:
    encoder = build("raw_pixels", config_of("raw_pixels"))
    values = feature(encoder, Image.new("RGB", (7, 5), (255, 0, 51)))
    np.testing.assert_allclose(values.reshape(-1, 3), np.tile([1, 0, 0.2], (256, 1)), atol=1e-6)


def test_color_histogram_by_hand() -> None:
    # Three quarters of the pixels in the box (7, 0, 0), one quarter in (0, 0, 7); square roots of the shares.
    image = Image.new("RGB", (4, 4), "red")
    image.paste((0, 0, 255), (0, 0, 2, 2))
    values = feature(build("color_histogram", config_of("color_histogram")), image)
    assert values[7 * 64] == pytest.approx(0.75**0.5)
    assert values[7] == pytest.approx(0.25**0.5)
    assert np.count_nonzero(values) == 2


def test_hog_sees_edges_more_than_light() -> None:
    encoder = build("hog", config_of("hog"))
    scene, other = photograph(), photograph().transpose(Image.Transpose.ROTATE_90)
    light, dark, turned = (feature(encoder, image) for image in (scene, scene.point(lambda v: v // 2), other))

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert cosine(light, dark) > 0.9 > cosine(light, turned)


def test_resnet_is_torchvisions_up_to_the_classifier() -> None:
    encoder = build("resnet18_random", config_of("resnet18_random"))
    torch.manual_seed(0)
    reference = models.resnet18(weights=None).eval()
    batch = torch.stack([encoder.preprocess(photograph())])
    with torch.inference_mode():
        expected = reference.fc(encoder.encode(batch))
        np.testing.assert_allclose(reference(batch), expected, rtol=1e-4, atol=1e-5)


def test_resnet_preprocessing_is_the_one_of_its_weights() -> None:
    encoder = build("resnet18_random", config_of("resnet18_random"))
    expected = models.ResNet18_Weights.IMAGENET1K_V1.transforms()(photograph(301, 222))
    torch.testing.assert_close(encoder.preprocess(photograph(301, 222)), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "processor"), [("clip_random", "CLIPImageProcessorPil"), ("dinov2_random", "BitImageProcessorPil")]
)
def test_transformers_processors_agree_pixel_for_pixel(name: str, processor: str) -> None:
    """With the settings that the checkpoints' preprocessor_config.json have.

    Where the margin around the crop is odd, transformers rounds its start down and torchvision, as the
    original CLIP and DINOv2 code, to the nearest even number: a shift by at most one pixel.
    """
    import transformers

    settings = config_of(name)["native"]
    reference = getattr(transformers, processor)(
        size={"shortest_edge": settings["resize"]},
        resample=Image.Resampling.BICUBIC,
        crop_size={"height": 224, "width": 224},
        image_mean=settings["mean"],
        image_std=settings["std"],
    )
    preprocess = build(name, config_of(name)).preprocess

    def both(image: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
        return preprocess(image), reference(image, return_tensors="pt")["pixel_values"][0]

    for size in ((448, 224), (512, 256), (180, 400), (300, 300), (100, 100)):
        torch.testing.assert_close(*both(photograph(*size)), atol=1e-6, rtol=0)
    found, expected = both(photograph(301, 222))
    torch.testing.assert_close(found[:, :, :-1], expected[:, :, 1:], atol=1e-6, rtol=0)


def test_vision_transformers_take_the_documented_feature() -> None:
    for name, read in (
        ("clip_random", lambda out: out.image_embeds),
        ("dinov2_random", lambda out: out.last_hidden_state[:, 0]),
    ):
        encoder = build(name, config_of(name))
        batch = torch.stack([encoder.preprocess(photograph())])
        with torch.inference_mode():
            expected = read(encoder.network.network(pixel_values=batch))
        torch.testing.assert_close(encoder.encode(batch), expected)
    # The class token comes after the last layer norm, whose initial weights are 1 and 0.
    assert float(expected.mean()) == pytest.approx(0, abs=1e-5)
    assert float(expected.std(unbiased=False)) == pytest.approx(1, abs=1e-2)


def test_random_weights_are_seeded_and_leave_the_global_generator_alone() -> None:
    config = config_of("resnet18_random")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two = (build("x", config) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert one.weights == two.weights
    other = build("x", {**config, "weights": {"kind": "random", "seed": 1}})
    assert other.weights["sha256"] != one.weights["sha256"]
    assert one.weights["kind"] == "random"


def test_the_hash_of_tensors_sees_names_shapes_and_values() -> None:
    base = {"a": torch.arange(4.0), "b": torch.tensor(1)}
    variants = [
        {"a": torch.arange(4.0).reshape(2, 2), "b": torch.tensor(1)},
        {"a": torch.arange(4.0), "c": torch.tensor(1)},
        {"a": torch.arange(4.0), "b": torch.tensor(2)},
        {"a": torch.tensor([0.0, 1, 2, 4]), "b": torch.tensor(1)},
    ]
    hashes = {sha256_of_tensors(tensors) for tensors in [base, *variants]}
    assert len(hashes) == 5
    assert sha256_of_tensors(dict(reversed(base.items()))) == sha256_of_tensors(base)


def test_training_mode_is_refused() -> None:
    encoder = build("x", config_of("resnet18_random"))
    encoder.network.layer1.train()
    with pytest.raises(RuntimeError, match=r"in training mode \(layer1\)"):
        encoder.encode(encoder.preprocess(photograph())[None])


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"source": "tensorflow"}, r"conf/encoder/x\.yaml: unknown source 'tensorflow'; one of handcrafted"),
        ({"name": "resnet19"}, "torchvision has no such network"),
        ({"name": "squeezenet1_0"}, "no linear classifier of 1,000 classes to take off"),
        ({"weights": {"kind": "imagenet"}}, "unknown weights kind 'imagenet'; one of checkpoint, random"),
        ({"weights": {"kind": "random"}}, "weights: missing key 'seed'"),
        ({"weights": "imagenet"}, "weights is 'imagenet', not keys and values such as {kind: random"),
        ({"preprocessing": "nativ"}, "unknown preprocessing 'nativ'; one of native, no_crop, squash"),
        ({"native": None}, "declares no preprocessing for weights 'None', or for a file of this hash: mend 'revision'"),
        ({"batch_norm": "own"}, "unknown batch_norm 'own'; one of image, running"),
        ({"dim": 511}, "a feature has 512 dimensions, not the 511 that 'dim' says"),
        ({"preprocesing": {}}, "unknown key 'preprocesing'"),
        ({"native": {"resize": 256}}, "missing key 'interpolation'"),
        (
            {"native": {**RESNET_NATIVE, "crop": 300}},
            "crop 300 is larger than resize 256, so that black would be added: give a smaller crop under 'native'",
        ),
        ({"native": {**RESNET_NATIVE, "crop": [224, 300]}}, r"crop \[224, 300\] is larger than resize 256"),
        ({"native": {**RESNET_NATIVE, "resize": [256, 200], "crop": 224}}, r"larger than resize \[256, 200\]"),
        ({"native": {**RESNET_NATIVE, "crop": [1, 2, 3]}}, r"of each one number or \[height, width\]"),
        ({"native": {**RESNET_NATIVE, "resize": 0}}, "'resize' is 0"),
        ({"native": {**RESNET_NATIVE, "std": [0.0, 1.0, 1.0]}}, "no std may be 0"),
    ],
)
def test_a_wrong_yaml_is_said(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(RetrievalError, match=match):
        build("x", {**config_of("resnet18_random"), **changes})


def test_a_misspelt_setting_of_transformers_is_said() -> None:
    config = config_of("dinov2_random")
    with pytest.raises(RetrievalError, match="Dinov2Config has no setting 'hiden_size'"):
        build("x", {**config, "settings": {"hiden_size": 384}})


def test_settings_of_no_network_would_do_nothing() -> None:
    config = config_of("dinov2_random")
    with pytest.raises(RetrievalError, match="'settings' does nothing without 'network'"):
        build("x", {**config, "network": None})
