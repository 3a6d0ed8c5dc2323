"""Images with their aspect ratio as inputs of a network: of different sizes, none of them cropped."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor
from torch.nn.functional import pad
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as on_pillow

from pipeline.encoders.inputs import Input
from pipeline.retrieval.errors import RetrievalError

STRIDE = 32  # of the last layer of most networks without patches
LONGEST = 16_384  # pixels of a side of an input


@dataclass(frozen=True)
class WholeImage:
    """The whole image with its aspect ratio, so that inputs are of different sizes: resize, scale, normalise, pad.

    Attributes:
        side: see :class:`pipeline.encoders.inputs.Input`.
        fit: ``shortest`` or ``longest``.
        edges: see :class:`pipeline.encoders.inputs.Input`.
        multiple: see :class:`pipeline.encoders.inputs.Input`.
        interpolation: ``bilinear`` or ``bicubic``, Pillow's, with antialiasing.
        mean: of each channel, in [0, 1], subtracted; hence padding with it is padding with 0 afterwards.
        std: of each channel, divided by.
    """

    side: int
    fit: str
    edges: str
    multiple: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Return height and width of an image once it is resized, at least a pixel each.

        An image smaller than ``side`` is enlarged.

        Raises:
            RetrievalError: a side would be longer than ``LONGEST``.
        """
        sides = (max(height, 1), max(width, 1))
        over = (min if self.fit == "shortest" else max)(sides)
        # In integers, halves upwards: a float would round the exact half of some sizes down.
        unit = self.multiple if self.edges == "round" else 1
        tall, wide = (max(unit, (2 * one * self.side + unit * over) // (2 * unit * over) * unit) for one in sides)
        if max(tall, wide) > LONGEST:
            raise RetrievalError(
                f"an image of {width} x {height} pixels would become {wide} x {tall} by input {{fit: {self.fit}, side: "
                f"{self.side}}}, and {LONGEST} is the most: take fit longest, or drop such images"
            )
        return tall, wide

    def extent(self, width: int, height: int) -> tuple[int, int]:
        """Return height and width of the network's input of an image."""
        tall, wide = self.resized(width, height)
        return -(-tall // self.multiple) * self.multiple, -(-wide // self.multiple) * self.multiple

    def __call__(self, image: Image.Image) -> Tensor:
        """Return the network's input of an RGB image, float32, ``(3, height, width)``."""
        resized = on_pillow.resize(image, list(self.resized(*image.size)), InterpolationMode(self.interpolation))
        return self.padded(on_pillow.to_tensor(resized), *image.size)

    def padded(self, pixels: Tensor, width: int, height: int) -> Tensor:
        """Return the input of an image of ``width`` and ``height`` from its resized pixels in [0, 1]."""
        normal = on_pillow.normalize(pixels, list(self.mean), list(self.std))
        down, right = (want - have for want, have in zip(self.extent(width, height), normal.shape[1:], strict=True))
        return pad(normal, (right // 2, right - right // 2, down // 2, down - down // 2)) if down or right else normal


def whole_image(said: Input, native: Mapping[str, Any], patch: int, *, where: str) -> WholeImage:
    """Return the transform to inputs with the aspect ratio of their images.

    Args:
        said: with fit ``shortest`` or ``longest``.
        native: see :func:`pipeline.encoders.preprocessing.square`; its interpolation and statistics are kept.
        patch: side of the network's patches; 1 where it has none.
        where: what to call the YAML in an error.

    Raises:
        RetrievalError: sides would not be multiples of the patches; not even one fits.
    """
    multiple = said.multiple or (patch if patch > 1 else STRIDE)
    if multiple % patch:
        raise RetrievalError(
            f"{where}, input: 'multiple' is {multiple}, and the network has patches of {patch} pixels: take a multiple "
            "of that, or leave the key out"
        )
    if said.side < multiple:
        raise RetrievalError(
            f"{where}, input: side {said.side} is less than {multiple}, of which sides are multiples: take more"
        )
    mean, std = (tuple(float(value) for value in native[key]) for key in ("mean", "std"))
    return WholeImage(said.side, said.fit, said.edges or "round", multiple, native["interpolation"], mean, std)
