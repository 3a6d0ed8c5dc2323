"""In which floating-point type a network computes: a choice of the encoder, since it changes features."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

import torch
from torch import nn

from pipeline.encoders.encoder import Encoder
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import choose

TYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def in_precision(encoder: Encoder, precision: object, *, where: str) -> Encoder:
    """Return an encoder whose products and convolutions are computed in a type.

    The rest, such as norms and sums of residuals, stays as torch's autocast has it. Weights of linear and
    convolutional layers are converted once.

    Args:
        encoder: in float32.
        precision: ``fp32``, ``bf16`` or ``fp16``.
        where: what to call the YAML in an error.

    Raises:
        RetrievalError: an unknown precision; the encoder has no network.
    """
    dtype = choose(TYPES, precision, key="precision", where=where)
    if dtype == torch.float32:
        return encoder
    networks = [encoder.network] if encoder.text is None else [encoder.network, encoder.text.network]
    modules = chain.from_iterable(network.modules() for network in networks)
    layers = [module for module in modules if isinstance(module, nn.Linear | nn.Conv2d)]
    if not layers:
        raise RetrievalError(f"{where}: there is no network to compute in {precision}: remove 'precision'")
    for layer in layers:
        layer.to(dtype)
    return replace(encoder, dtype=dtype)
