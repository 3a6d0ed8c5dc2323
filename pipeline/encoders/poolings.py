"""Poolings: from the tokens or the feature map of a layer to one feature an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from pipeline.encoders.layers import Layer

LEAST = 1e-6  # what GeM raises smaller values to, as Radenovic et al.'s code does
OVERLAP = 0.4  # of neighbouring regions of R-MAC, as near as can be
MOST_REGIONS = 7  # of R-MAC along the longer side of a map, at the first level

Depth = Annotated[int, Field(ge=1, le=1000)]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A pooling, and of which layers; several are joined, from the earlier to the later.

    Attributes:
        layers: how many of a transformer's last blocks, each after the last layer norm, as ``get_intermediate_layers``
            of DINOv2 has them; None for what the network gives in the end.
        layer: a module's name, of whose output; without the last layer norm.
    """

    layers: Depth | None = None
    layer: str | None = None

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ClassToken(Part):
    """The class token."""

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        return layer.first


@dataclass(frozen=True, kw_only=True)
class TokenMean(Part):
    """The mean of all tokens, class and register tokens too."""

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        return layer.tokens.mean(dim=1)


@dataclass(frozen=True, kw_only=True)
class PatchMean(Part):
    """The mean of the patches: SPoC without its weights (Babenko and Lempitsky, ICCV 2015)."""

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        return layer.patches.mean(dim=(2, 3))


@dataclass(frozen=True, kw_only=True)
class PatchMax(Part):
    """The maximum of the patches in each dimension: MAC (Tolias et al., ICLR 2016)."""

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        return layer.patches.amax(dim=(2, 3))


@dataclass(frozen=True, kw_only=True)
class Gem(Part):
    """The generalised mean of the patches (Radenovic et al., TPAMI 2018).

    ``(mean of max(x, 1e-6)^p)^(1/p)`` in each dimension. With p = 1 it is the mean, with p towards infinity the
    maximum, of what is positive.

    Attributes:
        p: 3 as a rule for feature maps; DINO's copy detection has 4 for patch tokens.
    """

    p: Annotated[int | float, Field(gt=0, le=100)] = 3.0

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        values = layer.patches.clamp(min=LEAST)
        largest = values.amax(dim=(2, 3), keepdim=True)  # so that no power is too large or small for float32
        means = ((values / largest) ** self.p).mean(dim=(2, 3))
        return largest[:, :, 0, 0] * means ** (1 / self.p)


@dataclass(frozen=True, kw_only=True)
class Rmac(Part):
    """Maxima of regions of the map, each of unit length, summed: R-MAC (Tolias et al., ICLR 2016).

    Level l has l squares along the shorter side, of 2 / (l + 1) of its length, and l + m - 1 along the longer, evenly
    spaced; m is such that neighbours at level 1 overlap by as near 40 % as can be, and 1 for a square map. Without the
    paper's whitening. Departs from cnnimageretrieval-pytorch, which adds the maximum of the whole map.

    Attributes:
        levels: the paper's L.
    """

    levels: Annotated[int, Field(ge=1, le=10)] = 3

    def pool(self, layer: Layer) -> Float[Tensor, "image dim"]:
        """Return the feature of a layer."""
        patches = layer.patches
        corners = regions(*patches.shape[2:], levels=self.levels)
        maxima = [patches[:, :, y : y + side, x : x + side].amax(dim=(2, 3)) for y, x, side in corners]
        return torch.stack([functional.normalize(one, dim=1) for one in maxima]).sum(dim=0)


def regions(height: int, width: int, *, levels: int) -> list[tuple[int, int, int]]:
    """Return the regions of R-MAC on a map: top, left and side of each, in cells; none of less than a cell."""
    shorter, longer = min(height, width), max(height, width)
    extra = 0
    if shorter != longer:
        gaps = {count: (longer - shorter) / (count - 1) for count in range(2, MOST_REGIONS + 1)}
        extra = min(gaps, key=lambda count: abs(1 - gaps[count] / shorter - OVERLAP)) - 1
    found = []
    for level in range(1, levels + 1):
        side = 2 * shorter // (level + 1)
        if side == 0:
            break
        tops = starts(height, side, level + (extra if height == longer else 0))
        lefts = starts(width, side, level + (extra if width == longer else 0))
        found += [(top, left, side) for top in tops for left in lefts]
    return found


def starts(length: int, side: int, count: int) -> list[int]:
    """Return where ``count`` evenly spaced pieces of a length begin, the first at its start, the last at its end."""
    return [place * (length - side) // max(count - 1, 1) for place in range(count)]


KINDS: Mapping[str, type[Part]] = {
    "cls": ClassToken,
    "patch_mean": PatchMean,
    "patch_max": PatchMax,
    "gem": Gem,
    "rmac": Rmac,
    "token_mean": TokenMean,
}
