"""Several views of an image, averaged: its mirror image, and the image at several scales. It is decoded once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from pipeline.encoders.encoder import Encoder, measured
from pipeline.encoders.inputs import Sizes
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call

Factor = Annotated[int | float, Field(ge=0.05, le=8)]
Power = Annotated[int | float, Field(gt=0, le=64)]


@dataclass(frozen=True)
class Scales:
    """What ``scales`` says.

    Attributes:
        factors: of the input's sides, such as 1, 0.7071 and 0.5.
        unit: whether the feature at each scale is brought to unit length before, and the mean after.
        power: of the generalised mean over the scales; 1: the arithmetic mean.
    """

    factors: Sequence[Factor]
    unit: bool = True
    power: Power = 1


def read_scales(options: Any, *, where: str) -> Scales | None:
    """Return what ``scales`` says, a list being its ``factors``; None for nothing.

    Raises:
        RetrievalError: a key is unknown, missing or wrong; there is no factor, or one twice.
    """
    if options is None:
        return None
    keyed = options if isinstance(options, Mapping) else {"factors": options}
    scales = call(Scales, keyed, where=f"{where}, scales")
    if not scales.factors:
        raise RetrievalError(f"{where}, scales: there is no factor: give some, or drop 'scales'")
    if len(set(scales.factors)) < len(scales.factors):
        raise RetrievalError(f"{where}, scales: {list(scales.factors)} has a factor twice: drop one")
    return scales


class Mirrored(nn.Module):
    """The mean of a network's feature of an image and of the image with left and right exchanged."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap ``network``."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Return features ``(image, dim)`` of inputs ``(image, 3, height, width)``, averaged in float32."""
        features: Tensor = (self.network(images).float() + self.network(images.flip(-1)).float()) / 2
        return features


class Scaled(nn.Module):
    """The generalised mean ``(mean of f_s^p)^(1/p)`` of a network's features ``f_s`` of an image at several scales.

    As ``extract_ms`` of cnnimageretrieval-pytorch (Radenovic, Tolias and Chum, TPAMI 2019): the input is resized
    bilinearly, without antialiasing; features are of unit length before and after; p is that of the GeM pooling where
    nothing comes after that, else 1. DINO's ``multi_scale`` is the same without the length before and with p = 1, but
    for scaled sides of no whole patches: it leaves the rest out, and here they are rounded to the nearest patch.
    """

    def __init__(self, network: nn.Module, scales: Scales, patch: int, *, where: str = "scales") -> None:
        """Wrap ``network``, which cuts its input into patches of side ``patch`` (1: none).

        ``where`` is what to call the key in an error.
        """
        super().__init__()
        self.network, self.scales, self.patch, self.where = network, scales, patch, where

    def forward(self, images: Tensor) -> Tensor:
        """Return features ``(image, dim)`` of inputs ``(image, 3, height, width)``.

        Raises:
            RetrievalError: a feature has a negative value, which has no such power.
        """
        power = self.scales.power
        total: Tensor | None = None
        for factor in self.scales.factors:
            feature = self.network(resized(images, factor, self.patch)).float()
            if self.scales.unit:
                feature = normalize(feature, eps=torch.finfo(feature.dtype).tiny)
            if power != 1:
                if bool((feature < 0).any()):
                    raise RetrievalError(
                        f"{self.where}, power {power}: a feature has negative values, as only features of GeM have "
                        "none: drop 'power'"
                    )
                feature = feature**power
            total = feature if total is None else total + feature
        assert total is not None  # there is a factor
        mean = total / len(self.scales.factors)
        mean = mean if power == 1 else mean ** (1 / power)
        return normalize(mean, eps=torch.finfo(mean.dtype).tiny) if self.scales.unit else mean


def resized(images: Tensor, factor: int | float, patch: int) -> Tensor:
    """Return inputs with sides ``factor`` times as long: rounded down, or to the nearest of whole patches.

    They are at least a pixel or a patch long.
    """
    if factor == 1:
        return images
    if patch == 1 and min(images.shape[2:]) * factor >= 1:
        return interpolate(images, scale_factor=factor, mode="bilinear", align_corners=False)
    sides = [max(1, int(side * factor / patch + 0.5)) * patch for side in images.shape[2:]]
    return interpolate(images, sides, mode="bilinear", align_corners=False)


def with_views(encoder: Encoder, flips: object, scales: Scales | None, sizes: Sizes, *, where: str) -> Encoder:
    """Return an encoder whose features are means over views of an image.

    Args:
        encoder: as its source makes it.
        flips: whether the mirror image counts as much as the image.
        scales: at which the image, and its mirror image, are seen; None: as it is.
        sizes: what the network was built for.
        where: what to call the YAML in an error.

    Raises:
        RetrievalError: ``flips`` is neither true nor false; the encoder has no network; its network does not take an
            image at another scale.
    """
    if not isinstance(flips, bool):
        raise RetrievalError(f"{where}: 'flips' is {flips!r}: expected true or false")
    if not flips and scales is None:
        return encoder
    if encoder.weights["kind"] == "none":
        raise RetrievalError(f"{where}: a descriptor has no network to show views of an image: drop 'flips'")
    network = Mirrored(encoder.network) if flips else encoder.network
    if scales is None:
        return replace(encoder, network=network.eval())
    network = Scaled(network, scales, encoder.patch, where=f"{where}, scales").eval()
    tried = measured(network, encoder.preprocess, encoder.weights, dim=encoder.dim, where=where, remedy=sizes.remedy)
    return replace(encoder, network=tried.network)
