"""From an RGB image of any size to the input of a network: resize, crop, scale, normalise."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PIL import Image
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from pipeline.encoders.inputs import SQUARE, Input
from pipeline.encoders.whole_image import whole_image
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import Side, call, choose

INTERPOLATIONS = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
# What the report gave every encoder, whatever the encoder was trained with.
SQUASH: Mapping[str, Any] = {"resize": (224, 224), "interpolation": "bilinear", "crop": None, **IMAGENET}


def build_preprocessing(
    choice: str,
    native: Mapping[str, Any] | None,
    declared: Callable[[], Mapping[str, Any]],
    *,
    where: str,
    sized: Input | None = None,
    patch: int = 1,
) -> Callable[[Image.Image], Tensor]:
    """Return the transform that a YAML's ``preprocessing``, ``native`` and ``input`` ask for.

    Args:
        choice: ``native``, what belongs to the weights; ``squash``, the report's 224 x 224 without
            regard to aspect ratio, bilinear, with ImageNet's statistics; ``no_crop``, the native
            interpolation and statistics, the whole image squashed to the native input's square.
        native: the settings of :func:`resize_crop_normalise`; None for those the weights declare.
        declared: returns the latter.
        where: what to call the YAML in an error.
        sized: what ``input`` says, in place of the native resize and crop; None for nothing.
        patch: side of the network's patches; 1 where it has none.

    Raises:
        RetrievalError: an unknown choice; settings that are no preprocessing; two answers to how large the input is.
    """

    def own() -> Mapping[str, Any]:
        return declared() if native is None else native

    choices: Mapping[str, Callable[[], Mapping[str, Any]]]
    choices = {"native": own, "squash": lambda: SQUASH, "no_crop": lambda: uncropped(own(), where=where)}
    settings = choose(choices, choice, key="preprocessing", where=where)()
    if sized is not None and choice != "native":
        raise RetrievalError(
            f"{where}: both 'preprocessing: {choice}' and 'input' say how large the input is: drop one (input has fit: "
            "squash)"
        )
    transform = call(resize_crop_normalise, settings, where=f"{where}, native preprocessing")
    if sized is None:
        return transform
    if sized.fit not in SQUARE:
        return whole_image(sized, settings, patch, where=where)
    squared = square(sized, settings, patch, where=where)
    return call(resize_crop_normalise, squared, where=f"{where}, input")


def uncropped(native: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return ``native`` with the whole image squashed to what would have been cropped."""
    call(resize_crop_normalise, native, where=f"{where}, native preprocessing")
    return {**native, "resize": pair(native["crop"] or native["resize"]), "crop": None}


def square(said: Input, native: Mapping[str, Any], patch: int, *, where: str) -> dict[str, Any]:
    """Return the settings of a preprocessing to squares of a side.

    Args:
        said: with fit ``crop`` or ``squash``.
        native: the settings of :func:`resize_crop_normalise`, whose interpolation and
            statistics are kept, and for ``crop`` the ratio of ``resize`` to ``crop``; of the shorter side to the
            crop's longer one where the aspect ratio is kept.
        patch: side of the network's patches; 1 where it has none.
        where: what to call the YAML in an error.

    Raises:
        RetrievalError: the square has no whole number of patches.
    """
    if said.side % patch:
        near = sorted({max(said.side // patch, 1) * patch, (said.side // patch + 1) * patch})
        raise RetrievalError(
            f"{where}, input: side {said.side} is no multiple of the network's patches of {patch} pixels: take "
            f"{' or '.join(map(str, near))}"
        )
    if said.fit == "squash":
        return {**native, "resize": [said.side, said.side], "crop": None}
    resize, crop = native["resize"], native["crop"]
    if crop is None:
        return {**native, "resize": said.side, "crop": said.side}
    if isinstance(resize, int):
        return {**native, "resize": round(said.side * resize / max(pair(crop))), "crop": said.side}
    sides = zip(resize, pair(crop), strict=True)
    return {**native, "resize": [round(said.side * whole / part) for whole, part in sides], "crop": said.side}


def pair(sides: Side | Sequence[Side]) -> list[Side]:
    """Return height and width; of a single number both are that."""
    return [sides, sides] if isinstance(sides, int) else list(sides)


def resize_crop_normalise(
    resize: Side | Sequence[Side],
    interpolation: str,
    crop: Side | Sequence[Side] | None,
    mean: Sequence[float],
    std: Sequence[float],
) -> Callable[[Image.Image], Tensor]:
    """Return a transform from an RGB image to a float32 tensor ``(3, height, width)``.

    Args:
        resize: pixels of the shorter side, the aspect ratio kept; or ``[height, width]``, squashed.
        interpolation: ``bilinear`` or ``bicubic``, Pillow's, with antialiasing.
        crop: side of the square cut from the centre afterwards, or ``[height, width]``; ``null`` for none.
        mean: of each channel, in [0, 1], subtracted.
        std: of each channel, divided by.

    Raises:
        RetrievalError: an unknown interpolation; a mean or std without three values; a length that
            is not positive; a crop that would reach beyond the resized image.
    """
    mode = choose(INTERPOLATIONS, interpolation, key="interpolation", where="preprocessing")
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise RetrievalError(
            "preprocessing: mean and std need three values each, for red, green and blue, and no std may be 0"
        )
    sides, part = pair(resize), [] if crop is None else pair(crop)
    if len(sides) != 2 or len(part) not in (0, 2) or min(sides + part) < 1:
        raise RetrievalError(
            f"preprocessing: resize is {resize} and crop {crop}: give pixels, of each one number or [height, width]"
        )
    if any(cut > whole for cut, whole in zip(part, sides, strict=False)):
        raise RetrievalError(
            f"preprocessing: crop {crop} is larger than resize {resize}, so that black would be added: give a smaller "
            "crop under 'native' in the YAML"
        )
    transform: Callable[[Image.Image], Tensor] = transforms.Compose(
        [
            transforms.Resize(resize if isinstance(resize, int) else sides, interpolation=mode),
            *([transforms.CenterCrop(tuple(part))] if part else []),
            transforms.ToTensor(),
            transforms.Normalize(list(mean), list(std)),
        ]
    )
    return transform
