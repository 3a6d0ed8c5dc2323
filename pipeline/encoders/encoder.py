"""What every source of encoders returns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn


@dataclass(frozen=True)
class Encoder:
    """A network and the preprocessing that belongs to its weights.

    Attributes:
        network: from a batch of preprocessed images to features, ``(image, dim)``; in eval mode.
        preprocess: from an RGB image to the network's input; runs in the decoding workers, hence
            picklable.
        dim: of a feature.
        weights: which weights these are, for the provenance: where from, and their SHA-256.
    """

    network: nn.Module
    preprocess: Callable[[Image.Image], Tensor]
    dim: int
    weights: dict[str, Any]

    @torch.inference_mode()
    def encode(self, batch: Float[Tensor, "image ..."]) -> Float[Tensor, "image dim"]:
        """Return the features of a batch that :attr:`preprocess` made.

        Raises:
            RuntimeError: a module is in training mode, where batch norm would mix the images of a batch.
        """
        training = [name for name, module in self.network.named_modules() if module.training]
        if training:
            raise RuntimeError(f"the network is in training mode ({training[0] or 'as a whole'}): call eval()")
        features: Tensor = self.network(batch)
        return features
