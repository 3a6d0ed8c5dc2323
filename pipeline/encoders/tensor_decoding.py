"""Images as tensors: decoded by TorchCodec, resized by torchvision."""

import io
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor, nn
from torchcodec.decoders import decode_jpeg  # type: ignore[attr-defined]  # its __all__ lacks it
from torchvision import transforms
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.functional import pil_to_tensor

from pipeline.encoders.whole_image import WholeImage
from pipeline.manifest.images import REMEDY, decode_part, formats
from pipeline.manifest.items import Box
from pipeline.retrieval.errors import RetrievalError

ORIENTATION = 0x0112  # EXIF's tag; 1: upright
# What does the same to tensors as a step of a transform does to Pillow's images.
STEPS: Mapping[type, Callable[[Any], nn.Module]] = {
    transforms.Resize: lambda step: v2.Resize(step.size, step.interpolation, step.max_size, antialias=True),
    transforms.CenterCrop: lambda step: v2.CenterCrop(step.size),
    transforms.ToTensor: lambda step: v2.ToDtype(torch.float32, scale=True),
    transforms.Normalize: lambda step: v2.Normalize(step.mean, step.std),
}


class OnTensors(nn.Module):
    """The transform of :func:`pipeline.encoders.preprocessing.resize_crop_normalise`, on tensors.

    Resized pixels are rounded otherwise than Pillow's, by up to one of 255 grey levels.
    """

    def __init__(self, compose: transforms.Compose) -> None:
        """Take the transform for Pillow's images."""
        super().__init__()
        self.steps = v2.Compose([STEPS[type(step)](step) for step in compose.transforms])

    def forward(self, image: Image.Image | Tensor) -> Tensor:
        """Return the network's input."""
        made: Tensor = self.steps(pil_to_tensor(image) if isinstance(image, Image.Image) else image)
        return made


class WholeImageOnTensors(WholeImage):
    """:class:`pipeline.encoders.whole_image.WholeImage`, on tensors; resized pixels are rounded as above."""

    def __call__(self, image: Image.Image | Tensor) -> Tensor:
        """Return the network's input."""
        pixels = pil_to_tensor(image) if isinstance(image, Image.Image) else image
        height, width = pixels.shape[1:]
        size = list(self.resized(width, height))
        resized = v2.functional.resize(pixels, size, InterpolationMode(self.interpolation), antialias=True)
        return self.padded(v2.functional.to_dtype(resized, torch.float32, scale=True), width, height)


def on_tensors(preprocess: object) -> OnTensors | WholeImageOnTensors | None:
    """Return a preprocessing as it is on tensors; None where it is not known there."""
    if isinstance(preprocess, WholeImage):
        return WholeImageOnTensors(**vars(preprocess))
    if isinstance(preprocess, transforms.Compose) and all(type(step) in STEPS for step in preprocess.transforms):
        return OnTensors(preprocess)
    return None


def decoded(data: bytes, box: Box | None, *, name: str, device: str) -> Tensor:
    """Decode an image file, or the part of it that counts, to RGB on a device.

    Args:
        data: the whole file.
        box: left, top, right, bottom; None for the whole.
        name: what to call it in an error.
        device: ``cpu`` or ``cuda``.

    Raises:
        RetrievalError: it cannot be decoded.
    """
    if box is not None or not plain_jpeg(data):
        part: Tensor = pil_to_tensor(decode_part(data, box, name=name))
        return part.to(device)
    try:
        # nvJPEG reads no EXIF.
        by = "cpu" if device != "cpu" and turned(data) else device
        image = cast(Tensor, decode_jpeg(data, device=by))
    except RuntimeError as error:
        raise RetrievalError(f"{name} cannot be decoded ({str(error).splitlines()[0]}): {REMEDY}") from None
    return image.to(device)


def plain_jpeg(data: bytes) -> bool:
    """Return whether data are a grey or YCbCr JPEG, of which all decoders make the same RGB."""
    try:
        with Image.open(io.BytesIO(data), formats=formats()) as image:
            return image.format == "JPEG" and image.mode in ("L", "RGB")
    except Exception:  # whatever is wrong with it, decode_rgb says
        return False


def turned(data: bytes) -> bool:
    """Return whether a JPEG's EXIF says that it is not upright."""
    with Image.open(io.BytesIO(data)) as image:
        return bool(image.getexif().get(ORIENTATION, 1) != 1)
