"""``source: timm``: the networks of PyTorch Image Models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from pipeline.checkpoints.timm_names import pretrained_config
from pipeline.encoders.batch_norm import with_batch_norm
from pipeline.encoders.encoder import Encoder, measured
from pipeline.encoders.inputs import NATIVE, Sizes
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
    sizes: Sizes = NATIVE,
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
        sizes: of inputs; for other sizes than its own a network's position embeddings are interpolated by timm.

    Raises:
        RetrievalError: timm has no such network.
    """
    where = f"timm encoder '{name}'"
    declaration = pretrained_config(name, where=where)
    options: dict[str, Any] = {} if pooling is None else {"global_pool": pooling}
    network, identity = with_weights(lambda: created(name, options, sizes), weights, directory, where=where)
    if not projection:
        network.reset_classifier(0)  # type: ignore[operator]
    network = with_batch_norm(network.eval(), batch_norm, where=where)
    network.to(memory_format=torch.channels_last)  # as in pipeline.encoders.torchvision_models
    patch = patch_of(network)
    preprocess = build_preprocessing(
        preprocessing, native, lambda: declared(declaration, where=where), where=where, sized=sizes.sized, patch=patch
    )
    if sizes.square is not None:
        fit_to(network, sizes.square)
    return measured(network, preprocess, identity, dim=dim, where=where, patch=patch, remedy=sizes.remedy)


def created(name: str, options: Mapping[str, Any], sizes: Sizes) -> nn.Module:
    """Return a network of timm; one that interpolates position embeddings as it goes, if it can and is to."""
    if not sizes.native:
        try:
            return timm.create_model(name, pretrained=False, **options, dynamic_img_size=True)
        except TypeError as error:
            if "dynamic_img_size" not in str(error):
                raise
    return timm.create_model(name, pretrained=False, **options)


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
