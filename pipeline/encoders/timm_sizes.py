"""Sizes of the inputs of timm's networks, as encoders of their own and as towers of open_clip."""

from typing import Any

from torch import nn


def fit_to(network: nn.Module, side: int) -> None:
    """Change the size of input of a network that has just one; position embeddings and windows follow."""
    change = getattr(network, "set_input_size", None)
    if change is not None and not getattr(network, "dynamic_img_size", False):
        change(img_size=(side, side))


def patch_of(network: Any) -> int:
    """Return the side of a network's patches; 1 for one that merges or convolves them further, hence takes any size."""
    side = getattr(getattr(network, "patch_embed", None), "patch_size", 1)
    side = side if isinstance(side, int) else int(side[0])
    return side if side > 1 and network.feature_info[-1]["reduction"] == side else 1
