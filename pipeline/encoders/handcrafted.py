"""``source: handcrafted``: descriptors without a network. They are all preprocessing, done in the workers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from skimage.feature import hog
from torch import Tensor, nn

from pipeline.encoders.encoder import Encoder
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import Side, call, choose


class Descriptor:
    """A descriptor as a dataclass, whose fields are its settings: whole numbers from 1."""

    def __post_init__(self) -> None:
        """Raise :class:`RetrievalError` naming a setting that is less than 1."""
        for key, value in vars(self).items():
            if value < 1:
                raise RetrievalError(f"handcrafted encoder, settings: '{key}' is {value}: expected at least 1")


@dataclass(frozen=True)
class RawPixels(Descriptor):
    """The pixels of a ``side`` x ``side`` thumbnail, in [0, 1]; 3 side^2 values."""

    side: Side

    def __call__(self, image: Image.Image) -> Tensor:
        """Describe an RGB image."""
        thumbnail = image.resize((self.side, self.side), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.asarray(thumbnail, np.float32).ravel() / 255)


@dataclass(frozen=True)
class ColorHistogram(Descriptor):
    """The square roots of the shares of the pixels in each of ``bins``^3 boxes of RGB space.

    With the square roots, the cosine of two histograms is their Bhattacharyya coefficient.
    """

    bins: Annotated[int, Field(ge=1, le=256)]

    def __call__(self, image: Image.Image) -> Tensor:
        """Describe an RGB image."""
        levels = np.asarray(image).astype(np.int64) * self.bins // 256
        boxes = (levels[..., 0] * self.bins + levels[..., 1]) * self.bins + levels[..., 2]
        counts = np.bincount(boxes.ravel(), minlength=self.bins**3)
        return torch.from_numpy(np.sqrt(counts / counts.sum()).astype(np.float32))


@dataclass(frozen=True)
class Hog(Descriptor):
    """Histograms of oriented gradients (Dalal and Triggs, 2005) of the grey image squashed to a square.

    Cells of ``cell`` pixels, blocks of 2 x 2 cells, L2-Hys normalisation; scikit-image's.
    """

    side: Side
    cell: Side
    orientations: Annotated[int, Field(ge=1, le=360)]

    def __post_init__(self) -> None:
        """Raise :class:`RetrievalError` also where not even one block fits in."""
        super().__post_init__()
        if self.side < 2 * self.cell:
            raise RetrievalError(
                f"handcrafted encoder, settings: 'side' is {self.side}: expected at least {2 * self.cell}, "
                f"as a block is 2 x 2 cells and 'cell' is {self.cell}"
            )

    def __call__(self, image: Image.Image) -> Tensor:
        """Describe an RGB image."""
        grey = image.convert("L").resize((self.side, self.side), Image.Resampling.BILINEAR)
        descriptor = hog(
            np.asarray(grey, np.float32) / 255,
            orientations=self.orientations,
            pixels_per_cell=(self.cell, self.cell),
            cells_per_block=(2, 2),
        )
        return torch.from_numpy(descriptor.astype(np.float32))


DESCRIPTORS: Mapping[str, Callable[..., Callable[[Image.Image], Tensor]]] = {
    "raw_pixels": RawPixels,
    "color_histogram": ColorHistogram,
    "hog": Hog,
}


def build(name: str, settings: Any) -> Encoder:
    """Build a descriptor.

    Args:
        name: a key of ``DESCRIPTORS``.
        settings: its fields.

    Raises:
        RetrievalError: there is no such descriptor or field; a field is of another type or out of range.
    """
    where = f"handcrafted encoder '{name}'"
    descriptor = call(choose(DESCRIPTORS, name, key="name", where=where), settings, where=f"{where}, settings")
    dim = len(descriptor(Image.new("RGB", (64, 64))))
    return Encoder(nn.Identity().eval(), descriptor, dim, {"kind": "none"})
