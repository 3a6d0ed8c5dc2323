"""From an RGB image of any size to the input of a network: resize, crop, scale, normalise."""

from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from pipeline.errors import RetrievalError
from pipeline.options import call, choose

INTERPOLATIONS = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def preprocessing(options: Any, *, where: str) -> Callable[[Image.Image], Tensor]:
    """Return the transform that a YAML's ``preprocessing`` describes; see :func:`resize_crop_normalise`."""
    return call(resize_crop_normalise, options, where=f"{where}, preprocessing")


def resize_crop_normalise(
    resize: int | Sequence[int],
    interpolation: str,
    crop: int | None,
    mean: Sequence[float],
    std: Sequence[float],
) -> Callable[[Image.Image], Tensor]:
    """Return a transform from an RGB image to a float32 tensor ``(3, height, width)``.

    Args:
        resize: pixels of the shorter side, the aspect ratio kept; or ``[height, width]``, squashed.
        interpolation: ``bilinear`` or ``bicubic``, Pillow's, with antialiasing.
        crop: side of the square cut from the centre afterwards; ``null`` for none.
        mean: of each channel, in [0, 1], subtracted.
        std: of each channel, divided by.

    Raises:
        RetrievalError: an unknown interpolation; a mean or std without three values.
    """
    if len(mean) != 3 or len(std) != 3:
        raise RetrievalError("preprocessing: mean and std need three values each, for red, green and blue")
    mode = choose(INTERPOLATIONS, interpolation, key="interpolation", where="preprocessing")
    size = resize if isinstance(resize, int) else list(resize)
    transform: Callable[[Image.Image], Tensor] = transforms.Compose(
        [
            transforms.Resize(size, interpolation=mode),
            *([] if crop is None else [transforms.CenterCrop(crop)]),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    return transform
