"""Images as tensors: decoded by TorchCodec, resized by torchvision."""

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor, nn
from torchcodec.decoders import decode_jpeg  # type: ignore[attr-defined]  # its __all__ lacks it
from torchvision import transforms
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.functional import pil_to_tensor

from pipeline.encoders.whole_image import WholeImage
from pipeline.manifest.images import REMEDY, decode_part, formats, refuse_bomb
from pipeline.manifest.items import Box
from pipeline.retrieval.errors import RetrievalError

EXIF = b"Exif\0\0"  # begins the segment that has it
ORIENTATION = 0x0112  # a tag of EXIF
UPRIGHT = [3, 1, 1]  # the type SHORT, one number, which is 1
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
        return cast(Tensor, decode_jpeg(data, device=device))
    except RuntimeError as error:
        raise RetrievalError(f"{name} cannot be decoded ({str(error).splitlines()[0]}): {REMEDY}") from None


def plain_jpeg(data: bytes) -> bool:
    """Return whether data are a JPEG of which all decoders make the same RGB: grey or YCbCr, and upright."""
    try:
        with Image.open(io.BytesIO(data), formats=formats()) as image:
            refuse_bomb(image)
            if image.format != "JPEG" or image.mode not in ("L", "RGB"):
                return False
            segments: list[tuple[str, bytes]] = image.applist  # type: ignore[attr-defined]  # of the JPEG plugin
            return upright([content for name, content in segments if name == "APP1"])
    except Exception:  # whatever is wrong with it, decode_rgb says
        return False


def upright(segments: Sequence[bytes]) -> bool:
    """Return whether a JPEG's APP1 segments leave no decoder a reason to turn it: there is none, or one plain EXIF.

    Pillow reads an orientation from any of them, from XMP too, whatever its type, and the last of several. TorchCodec
    looks into the first segment alone and takes every type for SHORT; nvJPEG looks nowhere.

    Raises:
        struct.error: the EXIF is damaged.
    """
    if not segments:
        return True
    tiff = segments[0].removeprefix(EXIF)
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if len(segments) > 1 or not segments[0].startswith(EXIF) or order is None:
        return False
    [start] = struct.unpack_from(f"{order}I", tiff, 4)
    [count] = struct.unpack_from(f"{order}H", tiff, start)
    tags = [struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * place) for place in range(count)]
    return all(rest == UPRIGHT for tag, *rest in tags if tag == ORIENTATION)
