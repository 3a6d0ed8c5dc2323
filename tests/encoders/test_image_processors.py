"""preprocessor_config.json: pixels of the class that it declares, or an error."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from pipeline.encoders import huggingface
from pipeline.encoders.image_processors import CLASSES
from pipeline.encoders.preprocessing import build_preprocessing
from pipeline.retrieval.errors import RetrievalError
from tests.encoders.test_encoders import photograph

STATISTICS = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
CROPPED = {"size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}, "do_center_crop": True}
SQUARE = {"size": {"height": 240, "width": 232}}  # many classes cut 224 x 224 out of it by default
# As save_pretrained has written them at one time or another.
SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "as of the first versions": {**STATISTICS, "do_normalize": True, "do_resize": True, "size": 240, "resample": 3},
    "the same with a crop": {**STATISTICS, "size": 40, "crop_size": 32, "do_center_crop": True, "resample": 2},
    "the shorter side and a crop": {**STATISTICS, **CROPPED, "resample": 3},
    "a square and a crop": {**STATISTICS, **CROPPED, "size": {"height": 40, "width": 40}, "resample": 2},
    "a crop that is no square": {**STATISTICS, **CROPPED, "crop_size": {"height": 32, "width": 24}, "resample": 3},
    "a square": {**STATISTICS, **SQUARE, "resample": 2, "rescale_factor": 0.00392156862745098, "do_rescale": True},
    "as of the fast classes": {
        **STATISTICS, **SQUARE, "resample": 3, "crop_size": None, "data_format": "channels_first", "device": None,
        "default_to_square": True, "disable_grouping": None, "do_center_crop": None, "do_convert_rgb": True,
        "do_pad": None, "pad_size": None, "input_data_format": None, "return_tensors": None,
    },
}  # fmt: skip
REFUSED = {
    "ConvNextImageProcessor": lambda settings: "crop_size" in settings or "height" in str(settings),
    "DINOv3ViTImageProcessor": lambda settings: settings.get("resample") == 3,
}
FOLLOWED = [
    (name, label)
    for name in CLASSES
    for label, settings in SETTINGS.items()
    if name not in REFUSED or not REFUSED[name](settings)
]


def declared(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    (folder / "preprocessor_config.json").write_text(json.dumps(config))
    return huggingface.declared(folder, where="x")


def same_pixels(config: dict[str, Any], name: str, folder: Path) -> None:
    """Equal to transformers' own, but for a shift by a pixel where the margin around the crop is odd."""
    ours = build_preprocessing("native", None, lambda: declared(config, folder), where="x")
    made = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    reference = made.from_pretrained(folder)
    # DINOv3's class does not round to grey levels, as Pillow does twice: after it resized each axis.
    tolerance = 1e-5 if name != "DINOv3ViTImageProcessor" else 1.01 / 255 / min(reference.image_std)
    exact = 0
    for size in ((80, 80), (61, 47), (47, 61), (33, 150), (301, 222)):
        image = photograph(*size)
        found, expected = ours(image), reference(image, return_tensors="pt")["pixel_values"][0]
        if found.shape != expected.shape:
            pytest.fail(f"{size}: {tuple(found.shape)}, not {tuple(expected.shape)}")
        height, width = found.shape[1:]
        shifts = [
            (down, right)
            for down in (0, 1)
            for right in (0, 1)
            if torch.allclose(
                found[:, : height - down, : width - right], expected[:, down:, right:], atol=tolerance, rtol=0
            )
        ]
        assert shifts, size
        exact += shifts[0] == (0, 0)
    assert exact >= 2


@pytest.mark.parametrize(("name", "settings"), FOLLOWED)
def test_pixels_of_the_declared_class(name: str, settings: str, tmp_path: Path) -> None:
    same_pixels({"image_processor_type": name, **SETTINGS[settings]}, name, tmp_path)


@pytest.mark.parametrize("size", [224, 383, 384])
@pytest.mark.parametrize("part", [{}, {"crop_pct": 0.875}, {"crop_pct": 0.7}])
def test_convnext_crops_small_images_only(size: int, part: dict[str, float], tmp_path: Path) -> None:
    config = {**STATISTICS, "feature_extractor_type": "ConvNextFeatureExtractor", "size": size, **part}
    same_pixels(config, "ConvNextImageProcessor", tmp_path)


@pytest.mark.parametrize("name", ["DeiTImageProcessor", "DeiTImageProcessorFast", "DeiTImageProcessorPil"])
def test_names_of_the_same_class(name: str, tmp_path: Path) -> None:
    config = {**STATISTICS, "size": 256, "crop_size": 224, "do_center_crop": True, "resample": 3}
    expected = {"resize": [256, 256], "crop": 224, "interpolation": "bicubic", "mean": [0.48, 0.46, 0.41],
                "std": [0.27, 0.26, 0.28]}  # fmt: skip
    assert declared({**config, "image_processor_type": name}, tmp_path) == expected
    former = {**config, "feature_extractor_type": "DeiTFeatureExtractor"}
    assert declared(former, tmp_path) == expected
    assert declared({**former, "image_processor_type": "CLIPImageProcessor"}, tmp_path) == {**expected, "resize": 256}


CLIP = {**STATISTICS, **CROPPED, "resample": 3, "image_processor_type": "CLIPImageProcessor"}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"image_processor_type": "EfficientNetImageProcessor"}, "what EfficientNetImageProcessor does is not known"),
        ({"image_processor_type": "MobileViTImageProcessorFast"}, "what MobileViTImageProcessor does is not known"),
        ({"image_processor_type": "PerceiverImageProcessor"}, "PerceiverImageProcessor"),
        ({"image_processor_type": "Siglip2ImageProcessor"}, "Siglip2ImageProcessor"),
        ({"image_processor_type": "OwnProcessor"}, "OwnProcessor"),
        ({"image_processor_type": 5}, "removesuffix"),
        ({"auto_map": {"AutoImageProcessor": "own.OwnProcessor"}}, "'auto_map' is not read"),
        ({"do_flip_channel_order": True}, "'do_flip_channel_order' is not read"),
        ({"include_top": True}, "'include_top' is not read"),
        ({"crop_pct": 0.9}, "'crop_pct' is not read"),
        ({"do_pad": True}, "'do_pad' is not read"),
        ({"size": {"shortest_edge": 40, "longest_edge": 50}}, "size by longest_edge, shortest_edge"),
        ({"size": {"longest_edge": 50}}, "size by longest_edge"),
        ({"size": {"max_height": 50, "max_width": 50}}, "size by max_height, max_width"),
        ({"size": {"a": 1}}, "a"),
        ({"size": "40"}, "40"),
        ({"resample": 1}, "interpolation lanczos"),
        ({"resample": 99}, "99"),
        ({"do_rescale": False}, "steps other than"),
        ({"rescale_factor": 1 / 127.5}, "steps other than"),
        ({"image_processor_type": "ConvNextImageProcessor"}, "in the way of ConvNeXt"),
        ({"image_processor_type": "DINOv3ViTImageProcessor"}, "overshoot of bicubic is not clipped"),
        (
            {"image_processor_type": "ConvNextImageProcessor", "do_center_crop": None, "crop_pct": 0},
            "division by zero",
        ),
        ({"image_processor_type": None, "size": 40}, "'size: 40' with a crop means different things by class"),
        ({"image_processor_type": None, "do_center_crop": None}, "crop_size without do_center_crop"),
        ({"image_processor_type": None, "do_flip_channel_order": True}, "'do_flip_channel_order' is not read"),
    ],
)
def test_what_is_not_known_is_said(change: dict[str, Any], match: str, tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match=rf"cannot be followed \(.*{match}.*\): write 'native' in the YAML"):
        declared({**CLIP, **change}, tmp_path)


def test_without_a_class_the_keys_are_read(tmp_path: Path) -> None:
    keys = {key: value for key, value in CLIP.items() if key != "image_processor_type"}
    same_pixels(keys, "CLIPImageProcessor", tmp_path)
    same_pixels({**STATISTICS, **SQUARE, "resample": 3}, "ViTImageProcessor", tmp_path)
    same_pixels({**STATISTICS, "size": 40, "resample": 3, "do_center_crop": False}, "ViTImageProcessor", tmp_path)
