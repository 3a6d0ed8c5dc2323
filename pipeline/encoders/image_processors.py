"""preprocessor_config.json of a repository of transformers -> the settings of a preprocessing.

The keys alone do not tell the pixels: of ``size: 256, crop_size: 224`` CLIP's image processor makes a shorter side of
256, and DeiT's a square. What they mean, and what is meant where a key is missing, the processor's class says.
"""

from collections.abc import Mapping
from typing import Any

import transformers
from PIL.Image import Resampling

from pipeline.encoders.preprocessing import INTERPOLATIONS

CONVNEXT, DINOV3, LEVIT = "ConvNextImageProcessor", "DINOv3ViTImageProcessor", "LevitImageProcessor"
# Those that resize, crop the centre, scale and normalise.
CLASSES = (
    "BeitImageProcessor",
    "BitImageProcessor",
    "BlipImageProcessor",
    "CLIPImageProcessor",
    "ChineseCLIPImageProcessor",
    CONVNEXT,
    DINOV3,
    "DeiTImageProcessor",
    LEVIT,
    "MobileNetV1ImageProcessor",
    "MobileNetV2ImageProcessor",
    "PvtImageProcessor",
    "SiglipImageProcessor",
    "ViTImageProcessor",
)
READ = (
    "size", "crop_size", "resample", "image_mean", "image_std", "rescale_factor",
    "do_resize", "do_center_crop", "do_rescale", "do_normalize",
)  # fmt: skip
# Keys that change no pixel of an RGB image; those of segmentation maps are among them.
SILENT = (
    "image_processor_type", "feature_extractor_type", "processor_class", "_valid_processor_keys", "do_convert_rgb",
    "data_format", "input_data_format", "return_tensors", "device", "disable_grouping", "do_reduce_labels",
    "reduce_labels",
)  # fmt: skip
# Where no class is declared; the other keys have to be there.
USUAL = {"size": 224, "do_resize": True, "do_rescale": True, "do_normalize": True, "rescale_factor": 1 / 255}


def read_image_processor(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a preprocessor_config.json declares, as settings of ``resize_crop_normalise``.

    Pixels are those of the class of transformers that works with Pillow, but for a shift by one where the margin around
    a crop is odd. DINOv3's class, which scales before it resizes, does not round to grey levels in between.

    Raises:
        ValueError: the class is not among those that are known, a key that changes pixels is not read, or steps are
            others than resize, centre crop, scale to [0, 1] and normalise.
        KeyError: a key is missing, and no class says what is meant.
        TypeError: a value is of another type.
        AttributeError: the same.
    """
    name = class_of(config)
    if name is not None and name not in CLASSES:
        raise ValueError(f"what {name} does is not known here")
    known = (*READ, *SILENT, "default_to_square", *(["crop_pct"] if name == CONVNEXT else []))
    # null and false switch nothing on.
    for key in sorted(key for key, value in config.items() if key not in known and value not in (None, False)):
        raise ValueError(f"'{key}' is not read")
    meant = by_keys(config) if name is None else by_class(name, config)
    usual = meant["do_resize"] and meant["do_rescale"] and meant["do_normalize"]
    if not usual or abs(meant["rescale_factor"] - 1 / 255) > 1e-6:
        raise ValueError("steps other than resize, centre crop, scale by 1/255 and normalise")
    interpolation = Resampling(meant["resample"]).name.lower()
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation {interpolation}")
    if name == DINOV3 and interpolation != "bilinear":
        raise ValueError(f"the overshoot of {interpolation} is not clipped in the way of DINOv3")
    resize = resize_of(meant["size"])
    crop = [meant["crop_size"]["height"], meant["crop_size"]["width"]] if meant["do_center_crop"] else None
    if name == CONVNEXT:
        resize, crop = as_convnext(resize, crop, meant["crop_pct"])
    elif name == LEVIT and isinstance(resize, int):
        resize = int(256 / 224 * resize)
    return {
        "resize": resize,
        "interpolation": interpolation,
        "crop": crop[0] if crop and crop[0] == crop[1] else crop,
        "mean": list(meant["image_mean"]),
        "std": list(meant["image_std"]),
    }


def class_of(config: Mapping[str, Any]) -> str | None:
    """Return the name of the class that a config declares, without the backend in it; None for none."""
    name = config.get("image_processor_type")
    if name is None and (former := config.get("feature_extractor_type")) is not None:
        name = former.replace("FeatureExtractor", "ImageProcessor")
    return None if name is None else name.removesuffix("Fast").removesuffix("Pil")


def by_class(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a class makes of a config: sizes as dictionaries, and its defaults for what is missing."""
    made = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    keys = (*READ, "default_to_square", "crop_pct")
    processor = made(**{key: config[key] for key in keys if key in config})
    meant = {key: getattr(processor, key, None) for key in keys}
    for key in ("size", "crop_size"):
        meant[key] = {side: pixels for side, pixels in dict(meant[key] or {}).items() if pixels is not None}
    return meant


def by_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same of a config that declares no class.

    Raises:
        ValueError: classes differ in what they make of it.
    """
    meant = {**USUAL, **config}
    size, crop = meant["size"], meant.get("crop_size")
    if crop is not None and meant.get("do_center_crop") is None:
        raise ValueError("no class is declared, and crop_size without do_center_crop means different things by class")
    meant.setdefault("do_center_crop", False)
    if isinstance(size, int) and meant["do_center_crop"]:
        raise ValueError(f"no class is declared, and 'size: {size}' with a crop means different things by class")
    # Before version 4.26 of transformers.
    sides = {key: {"height": meant[key], "width": meant[key]} for key in READ[:2] if isinstance(meant.get(key), int)}
    return {**meant, **sides}


def resize_of(size: Mapping[str, int]) -> int | list[int]:
    """Return the shorter side, or height and width.

    Raises:
        ValueError: it is neither.
    """
    if set(size) == {"shortest_edge"}:
        return size["shortest_edge"]
    if set(size) == {"height", "width"}:
        return [size["height"], size["width"]]
    raise ValueError(f"size by {', '.join(sorted(size))}")


def as_convnext(resize: int | list[int], crop: Any, part: Any) -> tuple[int | list[int], Any]:
    """Return resize and crop of ConvNeXt's class: from 384 pixels on it squashes the whole image.

    Raises:
        ValueError: it resizes to something else, or crops once more.
    """
    if crop or not isinstance(resize, int):
        raise ValueError("a size by height and width, or a centre crop, in the way of ConvNeXt")
    return (int(resize / part), [resize, resize]) if resize < 384 else ([resize, resize], None)
