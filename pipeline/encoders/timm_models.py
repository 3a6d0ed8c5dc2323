"""``source: timm``: the networks of PyTorch Image Models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch

from pipeline.checkpoints.timm_names import pretrained_config
from pipeline.encoders.batch_norm import with_batch_norm
from pipeline.encoders.encoder import Encoder, measured
from pipeline.encoders.loading import with_weights
from pipeline.encoders.preprocessing import build_preprocessing
from pipeline.retrieval.errors import RetrievalError


def build(
    name: str,
    weights: Any,
    directory: Path,
    revision: str | None = None,
    pooling: str | None = None,
    preprocessing: str = "native",
    native: Mapping[str, Any] | None = None,
    batch_norm: str = "running",
    projection: bool = False,
    dim: int | None = None,
) -> Encoder:
    """Build a network of timm without its classifier.

    Args:
        name: timm's, with the tag of the weights, such as ``resnet18.a1_in1k``.
        weights: see :func:`pipeline.encoders.loading.with_weights`.
        directory: where its weights are.
        revision: the commit of timm's repository of the weights; read by ``pipeline.weights``.
        pooling: timm's ``global_pool``, such as ``avg`` or ``token``; None for the network's own.
        preprocessing: see :func:`pipeline.encoders.preprocessing.build_preprocessing`.
        native: the same; None for what timm declares for the weights.
        batch_norm: see :func:`pipeline.encoders.batch_norm.with_batch_norm`.
        projection: keep the last layer, for networks whose last layer is no classifier but a projection into a
            space that they share with text.
        dim: of a feature, to be checked.

    Raises:
        RetrievalError: timm has no such network.
    """
    where = f"timm encoder '{name}'"
    declaration = pretrained_config(name, where=where)
    options: dict[str, Any] = {} if pooling is None else {"global_pool": pooling}
    network, identity = with_weights(
        lambda: timm.create_model(name, pretrained=False, **options), weights, directory, where=where
    )
    if not projection:
        network.reset_classifier(0)  # type: ignore[operator]
    network = with_batch_norm(network.eval(), batch_norm, where=where)
    network.to(memory_format=torch.channels_last)  # as in pipeline.encoders.torchvision_models
    preprocess = build_preprocessing(preprocessing, native, lambda: declared(declaration, where=where), where=where)
    return measured(network, preprocess, identity, dim=dim, where=where)


def declared(declaration: Any, *, where: str) -> dict[str, Any]:
    """Return the preprocessing that timm declares: the shorter side is that of the input over ``crop_pct``."""
    if declaration.crop_mode != "center":
        raise RetrievalError(f"{where}: crop mode '{declaration.crop_mode}' is not offered: write 'native' in the YAML")
    side = declaration.input_size[-1]
    return {
        "resize": int(side / declaration.crop_pct),
        "interpolation": declaration.interpolation,
        "crop": side,
        "mean": declaration.mean,
        "std": declaration.std,
    }
