"""Preprocessing: the checkpoints' own, pixel for pixel, on real photographs; and the report's squash."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image, ImageOps
from torchvision import models

from pipeline.checkpoints.timm_names import pretrained_config
from pipeline.encoders import huggingface, timm_models, torchvision_models
from pipeline.encoders.preprocessing import SQUASH, build_preprocessing
from pipeline.manifest.images import decode_rgb
from pipeline.retrieval.errors import RetrievalError
from tests.encoders.test_encoders import config_of, photograph

PROCESSORS = {"clip": "CLIPImageProcessorPil", "dinov2": "BitImageProcessorPil"}


def preprocess(name: str, choice: str = "native") -> Any:
    native = config_of(name)["native"]
    return build_preprocessing(choice, native, lambda: native, where=name)


def processor(name: str) -> Any:
    """The checkpoint's own, as its preprocessor_config.json would make it."""
    settings = config_of(name)["native"]
    return getattr(transformers, PROCESSORS[name])(
        size={"shortest_edge": settings["resize"]},
        resample=Image.Resampling.BICUBIC,
        crop_size={"height": 224, "width": 224},
        image_mean=settings["mean"],
        image_std=settings["std"],
    )


@pytest.fixture(scope="module")
def photographs(real_images: Path) -> list[Path]:
    """Real photographs of all shapes: three of each of 20 classes, grey ones among them, and turned ones."""
    objects = [
        path for number in (1, 11, 21) for path in (real_images / "mini_objects/images").glob(f"*/*{number:04}.jpg")
    ]
    voc = sorted((real_images / "mini_voc/JPEGImages").glob("*.jpg"))[::16]
    turned = sorted((real_images / "odd_images/exif_orientation").rglob("*.jpg"))
    assert len(objects) == 60 and len(voc) == 20 and len(turned) >= 4
    return [*sorted(objects), *voc, *turned]


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_torchvisions_own_on_real_photographs(name: str, photographs: list[Path]) -> None:
    reference = models.get_model_weights(name).IMAGENET1K_V1.transforms()
    for path in photographs:
        image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        ours = preprocess(name)(decode_rgb(path.read_bytes(), name=path.name))
        torch.testing.assert_close(ours, reference(image), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", PROCESSORS)
def test_transformers_own_on_real_photographs(name: str, photographs: list[Path]) -> None:
    """Equal, but for a shift by a pixel where the margin around the crop is odd.

    transformers rounds the start of the crop down, torchvision, as the original code of CLIP and DINOv2, half to
    even.
    """
    reference, ours = processor(name), preprocess(name)
    shifted = 0
    for path in photographs:
        image = decode_rgb(path.read_bytes(), name=path.name)
        found, expected = ours(image), reference(image, return_tensors="pt")["pixel_values"][0]
        if not torch.allclose(found, expected, atol=1e-5, rtol=0):
            shifted += 1
            wide = image.width > image.height
            one, other = (found, expected) if wide else (found.transpose(1, 2), expected.transpose(1, 2))
            torch.testing.assert_close(one[:, :, :-1], other[:, :, 1:], atol=1e-5, rtol=0)
            margin = int(config_of(name)["native"]["resize"] * max(image.size) / min(image.size)) - 224
            assert margin % 4 == 3  # half of it is an odd number and a half
    assert 0 < shifted < len(photographs) / 2


@pytest.mark.parametrize("size", [(1, 1), (3, 1000), (223, 225), (224, 224), (640, 481)])
def test_squash_is_the_whole_image_in_a_square(size: tuple[int, int]) -> None:
    image = photograph(*size)
    expected = np.asarray(image.resize((224, 224), Image.Resampling.BILINEAR), np.float32) / 255
    expected = (expected - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    found = preprocess("clip", "squash")(image)
    np.testing.assert_allclose(found.permute(1, 2, 0), expected, atol=1e-5)


def test_no_crop_keeps_the_native_statistics_and_the_whole_image() -> None:
    image = photograph(300, 200)
    native = config_of("clip")["native"]
    expected = np.asarray(image.resize((224, 224), Image.Resampling.BICUBIC), np.float32) / 255
    expected = (expected - np.float32(native["mean"])) / np.float32(native["std"])
    np.testing.assert_allclose(preprocess("clip", "no_crop")(image).permute(1, 2, 0), expected, atol=1e-5)
    assert "CenterCrop" in str(preprocess("clip")) and "CenterCrop" not in str(preprocess("clip", "no_crop"))


def test_the_squash_is_what_the_report_says() -> None:
    assert SQUASH["resize"] == (224, 224) and SQUASH["crop"] is None and SQUASH["interpolation"] == "bilinear"
    assert list(SQUASH["mean"]) == config_of("resnet18")["native"]["mean"]
    assert list(SQUASH["std"]) == config_of("resnet18")["native"]["std"]


def test_what_torchvision_declares() -> None:
    none = {"kind": "random"}
    for name in ("resnet18", "resnet34"):
        assert torchvision_models.declared(name, "IMAGENET1K_V1", none, where="x") == config_of(name)["native"]
    assert torchvision_models.declared("resnet50", "IMAGENET1K_V2", none, where="x")["resize"] == 232
    assert torchvision_models.declared("convnext_tiny", "IMAGENET1K_V1", none, where="x")["resize"] == 236
    with pytest.raises(RetrievalError, match="declares no preprocessing for weights 'IMAGENET9K'"):
        torchvision_models.declared("resnet50", "IMAGENET9K", none, where="x")
    # Without a name by the hash of the file: that of the second weights, which are resized to 232.
    known = {"kind": "checkpoint", "sha256": "11ad3fa6" + 56 * "0"}
    assert torchvision_models.declared("resnet50", None, known, where="x")["resize"] == 232


# As the repositories have them, without the keys that say nothing of the pixels.
STEPS = {"do_center_crop": True, "do_normalize": True, "do_resize": True}
SCALE = {"do_rescale": True, "rescale_factor": 0.00392156862745098}
CLIP_OLD = {
    **STEPS,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "crop_size": 224,
    "resample": 3,
    "size": 224,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
DINOV2 = {
    **STEPS,
    **SCALE,
    "crop_size": {"height": 224, "width": 224},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "size": {"shortest_edge": 256},
}
SIGLIP = {
    **SCALE,
    "do_normalize": True,
    "do_resize": True,
    "resample": 2,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
    "size": {"height": 224, "width": 224},
}


def declared(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return huggingface.declared(folder, where="x")


def test_what_a_repository_declares(tmp_path: Path) -> None:
    assert declared(CLIP_OLD, tmp_path) == config_of("clip")["native"]
    assert declared(DINOV2, tmp_path) == config_of("dinov2")["native"]
    siglip = declared(SIGLIP, tmp_path)
    assert (siglip["resize"], siglip["crop"], siglip["interpolation"]) == ([224, 224], None, "bilinear")
    old = {**CLIP_OLD, "feature_extractor_type": None, "do_center_crop": False}
    assert declared(old, tmp_path)["resize"] == [224, 224]


@pytest.mark.parametrize(
    "change",
    [
        {"do_rescale": False},
        {"do_normalize": False},
        {"crop_pct": 0.9},
        {"rescale_factor": 1 / 127.5},
        {"size": {"a": 1}},
        {"resample": None},
        {"resample": 99},
    ],
)
def test_a_declaration_that_cannot_be_followed_is_said(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match=r"preprocessor_config\.json cannot be followed .*: write 'native'"):
        declared({**DINOV2, **change}, tmp_path)


def test_what_timm_declares() -> None:
    config = pretrained_config("resnet18.tv_in1k", where="x")
    found = timm_models.declared(config, where="x")
    assert {**found, "mean": list(found["mean"]), "std": list(found["std"])} == config_of("resnet18")["native"]
    config = pretrained_config("resnet50.a1_in1k", where="x")
    assert timm_models.declared(config, where="x")["resize"] == int(224 / config.crop_pct)
    volo = timm_models.declared(
        pretrained_config("volo_d4_448.sail_in1k", where="x"), where="x"
    )  # its crop_pct is 1.15
    with pytest.raises(
        RetrievalError, match="crop 448 is larger than resize 389, .*: give a smaller crop under 'native'"
    ):
        build_preprocessing("native", None, lambda: volo, where="x")
    with pytest.raises(RetrievalError, match="timm has no weights"):
        pretrained_config("resnet18.nobody", where="x")
