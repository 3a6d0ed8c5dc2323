"""``source: huggingface``: vision networks of transformers."""

from collections.abc import Mapping
from typing import Any

import transformers
from torch import Tensor, nn

from pipeline.encoders.encoder import Encoder
from pipeline.encoders.preprocessing import preprocessing as build_preprocessing
from pipeline.encoders.weights import with_weights
from pipeline.errors import RetrievalError
from pipeline.options import choose

# What the feature is, and the setting of the network's config that gives its dimension.
POOLINGS = {"projection": "projection_dim", "cls": "hidden_size"}


class Pooled(nn.Module):
    """A network of transformers reduced to one feature an image."""

    def __init__(self, network: nn.Module, pooling: str) -> None:
        """Wrap ``network``; ``pooling`` is a key of ``POOLINGS``."""
        super().__init__()
        self.network = network
        self.pooling = pooling

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features ``(image, dim)`` of pixels ``(image, 3, height, width)``."""
        output = self.network(pixel_values=pixels)
        feature: Tensor = output.image_embeds if self.pooling == "projection" else output.last_hidden_state[:, 0]
        return feature


def build(
    name: str,
    settings: Mapping[str, Any],
    pooling: str,
    weights: Any,
    preprocessing: Any,
) -> Encoder:
    """Build a vision network of transformers.

    Args:
        name: its class, such as ``Dinov2Model``.
        settings: what differs from the defaults of the class's config.
        pooling: ``cls``, the first token after the last layer norm, or ``projection``, the image's
            embedding in a space shared with text.
        weights: see :func:`pipeline.encoders.weights.with_weights`.
        preprocessing: see :func:`pipeline.encoders.preprocessing.resize_crop_normalise`.

    Raises:
        RetrievalError: transformers has no such class, or its config no such setting.
    """
    where = f"huggingface encoder '{name}'"
    network_class = getattr(transformers, name, None)
    config_class = getattr(network_class, "config_class", None)
    if network_class is None or config_class is None:
        raise RetrievalError(f"{where}: transformers has no such network class")
    # A config takes any keyword without a word, so that a misspelt one would do nothing.
    for key in settings:
        if not hasattr(config_class(), key):
            raise RetrievalError(f"{where}: {config_class.__name__} has no setting '{key}'")
    config = config_class(**settings)
    size_key = choose(POOLINGS, pooling, key="pooling", where=where)
    network, identity = with_weights(lambda: network_class(config), weights, where=where)
    return Encoder(
        Pooled(network, pooling).eval(),
        build_preprocessing(preprocessing, where=where),
        int(getattr(config, size_key)),
        identity,
    )
