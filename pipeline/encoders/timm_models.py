"""``source: timm``: the networks of PyTorch Image Models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import Beit, Eva, VisionTransformer
from torch import Tensor, nn

from pipeline.checkpoints.timm_names import pretrained_config
from pipeline.encoders.batch_norm import with_batch_norm
from pipeline.encoders.encoder import Encoder, measured
from pipeline.encoders.inputs import NATIVE, Sizes
from pipeline.encoders.layers import Anatomy
from pipeline.encoders.loading import with_weights
from pipeline.encoders.pooling import FORMER, Pooled, read_pooling
from pipeline.encoders.poolings import KINDS
from pipeline.encoders.preprocessing import build_preprocessing
from pipeline.encoders.timm_sizes import fit_to, patch_of
from pipeline.retrieval.errors import RetrievalError

# Transformers whose blocks have all tokens, and a norm after them.
BLOCKS_WITH_ALL_TOKENS = (Beit, Eva, VisionTransformer)


def build(
    name: str,
    weights: Any,
    directory: Path,
    revision: str | None = None,
    pooling: str | Mapping[str, Any] | None = None,
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
        pooling: see :func:`pipeline.encoders.pooling.read_pooling`, of what timm's ``forward_features`` gives; or
            timm's ``global_pool``, such as ``avg`` or ``token``; None for the network's own.
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
    timms = pooling if isinstance(pooling, str) and pooling not in (*KINDS, FORMER) else None
    pooled = None if pooling is None or timms else read_pooling(pooling, where=where)
    if pooled and projection:
        raise RetrievalError(f"{where}: 'projection' keeps the last layer, which this 'pooling' is before: remove one")
    network, identity = with_weights(lambda: created(name, timms, sizes, where=where), weights, directory, where=where)
    if not projection:
        network.reset_classifier(0)  # type: ignore[operator]
    patch = patch_of(network)
    if sizes.square is not None:
        fit_to(network, sizes.square)
    if pooled:
        network = Pooled(network, anatomy_of(network), pooled, where=where)
    network = with_batch_norm(network.eval(), batch_norm, where=where)
    network.to(memory_format=torch.channels_last)  # as in pipeline.encoders.torchvision_models
    preprocess = build_preprocessing(
        preprocessing, native, lambda: declared(declaration, where=where), where=where, sized=sizes.sized, patch=patch
    )
    return measured(network, preprocess, identity, dim=dim, where=where, patch=patch, remedy=sizes.remedy)


def created(name: str, global_pool: str | None, sizes: Sizes, *, where: str) -> nn.Module:
    """Return a network of timm with initial weights, which interpolates position embeddings if it can and is to.

    Raises:
        RetrievalError: it has no such ``global_pool``.
    """
    options: dict[str, Any] = {} if global_pool is None else {"global_pool": global_pool}
    try:
        make = timm.create_model if sizes.native else of_any_size
        network: nn.Module = make(name, pretrained=False, **options)
    except (AssertionError, ValueError) as error:
        if global_pool is None:
            raise
        kinds = ", ".join(KINDS)
        raise RetrievalError(
            f"{where}: pooling '{global_pool}' is none of {kinds}, nor what timm has here ({error}): mend it"
        ) from None
    return network


def of_any_size(name: str, **options: Any) -> nn.Module:
    """Return a network of timm that takes images of any size, if it can: not all of them have the option."""
    try:
        return timm.create_model(name, **options, dynamic_img_size=True)
    except TypeError as error:
        if "dynamic_img_size" not in str(error):
            raise
    return timm.create_model(name, **options)


def anatomy_of(network: nn.Module) -> Anatomy:
    """Return where a network of timm has what is pooled."""
    blocks: Any = getattr(network, "blocks", ())
    # Elsewhere the class token joins the patches after the blocks, or there are stages.
    plain = isinstance(network, BLOCKS_WITH_ALL_TOKENS)
    return Anatomy(
        run=forward_features,
        prefix=getattr(network, "num_prefix_tokens", None),
        class_token=getattr(network, "cls_token", None) is not None,
        channels_last=str(getattr(network, "output_fmt", "")) == "NHWC",
        blocks=[f"blocks.{place}" for place in range(len(blocks))] if plain else (),
        norm="norm" if plain else "",
    )


def forward_features(network: Any, images: Tensor) -> Any:
    """Return what a network of timm gives before its head."""
    return network.forward_features(images)


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
