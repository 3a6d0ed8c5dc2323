"""``source: torchvision``: classification networks of torchvision without their classifier."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from pipeline.encoders.batch_norm import with_batch_norm
from pipeline.encoders.encoder import Encoder, measured
from pipeline.encoders.inputs import NATIVE, Sizes
from pipeline.encoders.layers import Anatomy
from pipeline.encoders.loading import with_weights
from pipeline.encoders.pooling import Pooled, read_pooling
from pipeline.encoders.preprocessing import build_preprocessing
from pipeline.retrieval.errors import RetrievalError

# What gives the last feature map, by the class of the network; of others a layer has to be named.
LAST_MAPS: Mapping[str, str] = {
    "AlexNet": "features",
    "ConvNeXt": "features",
    "EfficientNet": "features",
    "GoogLeNet": "inception5b",
    "Inception3": "Mixed_7c",
    "MNASNet": "layers",
    "MobileNetV2": "features",
    "MobileNetV3": "features",
    "RegNet": "trunk_output",
    "ResNet": "layer4",
    "ShuffleNetV2": "conv5",
    "VGG": "features",
}


def build(
    name: str,
    weights: Any,
    directory: Path,
    revision: str | None = None,
    pooling: str | Mapping[str, Any] | None = None,
    preprocessing: str = "native",
    native: Mapping[str, Any] | None = None,
    batch_norm: str = "running",
    dim: int | None = None,
    sizes: Sizes = NATIVE,
) -> Encoder:
    """Build a network whose last linear layer is the identity: the feature is what the classifier reads.

    Args:
        name: torchvision's, such as ``resnet18``.
        weights: see :func:`pipeline.encoders.loading.with_weights`.
        directory: where its weights are.
        revision: torchvision's name of the weights, such as ``IMAGENET1K_V1``; None for a file of one's own.
        pooling: see :func:`pipeline.encoders.pooling.read_pooling`, of the last feature map, or of tokens after the
            last layer norm; None for what the classifier reads.
        preprocessing: see :func:`pipeline.encoders.preprocessing.build_preprocessing`.
        native: the same; None for what torchvision declares for these weights, which it knows by ``revision``, or
            by the hash of the file.
        batch_norm: see :func:`pipeline.encoders.batch_norm.with_batch_norm`.
        dim: of a feature, to be checked.
        sizes: of inputs; a vision transformer takes another square, to which its position embeddings are interpolated
            by torchvision, but no inputs of different sizes.

    Raises:
        RetrievalError: torchvision has no such network, or it has no classifier to take off.
    """
    where = f"torchvision encoder '{name}'"
    if name not in models.list_models(module=models):
        raise RetrievalError(f"{where}: torchvision has no such network; see torchvision.models.list_models()")
    # The classifier is built and loaded too, so that a checkpoint must fit in every tensor.
    network, identity = with_weights(lambda: models.get_model(name, weights=None), weights, directory, where=where)
    network = without_classifier(network, where=where)
    patch = network.patch_size if isinstance(network, VisionTransformer) else 1
    if isinstance(network, VisionTransformer) and sizes.square is not None:
        fit_to(network, sizes.square)
    if pooling is not None:
        pooled = read_pooling(pooling, where=where)
        network = Pooled(network, anatomy_of(network), pooled, where=where).eval()
    network = with_batch_norm(network, batch_norm, where=where)
    # Convolutions run on the layout of their weights; with channels last they are faster on CPUs and GPUs.
    network.to(memory_format=torch.channels_last)

    def own() -> dict[str, Any]:
        return declared(name, revision, identity, where=where)

    preprocess = build_preprocessing(preprocessing, native, own, where=where, sized=sizes.sized, patch=patch)
    return measured(network, preprocess, identity, dim=dim, where=where, patch=patch, remedy=sizes.remedy)


def fit_to(network: VisionTransformer, side: int) -> None:
    """Change the size of input of a vision transformer; position embeddings are interpolated by torchvision's code."""
    resized = interpolate_embeddings(side, network.patch_size, network.state_dict())
    positions = resized["encoder.pos_embedding"]
    network.encoder.pos_embedding = nn.Parameter(positions, requires_grad=False)
    network.image_size, network.seq_length = side, positions.shape[1]


def anatomy_of(network: nn.Module) -> Anatomy:
    """Return where a network of torchvision has what is pooled."""
    if isinstance(network, models.VisionTransformer):
        blocks = [f"encoder.layers.{name}" for name, _ in network.encoder.layers.named_children()]
        return Anatomy(tap="encoder", prefix=1, blocks=blocks, norm="encoder.ln")
    if isinstance(network, models.SwinTransformer):
        return Anatomy(tap="norm", channels_last=True)
    return Anatomy(tap=LAST_MAPS.get(type(network).__name__, ""))


def without_classifier(network: nn.Module, *, where: str) -> nn.Module:
    """Put the identity in the place of a network's last linear layer.

    Raises:
        RetrievalError: it has no such layer with ImageNet's 1,000 outputs.
    """
    linear = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not linear or linear[-1][1].out_features != 1000:
        raise RetrievalError(f"{where}: it has no linear classifier of 1,000 classes to take off: use another network")
    network.set_submodule(linear[-1][0], nn.Identity())
    return network.eval()


def declared(name: str, revision: str | None, identity: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Return the preprocessing that a network's weights declare.

    Raises:
        RetrievalError: torchvision does not know these weights.
    """
    known = models.get_model_weights(name)
    # The names of torchvision's files end in the first digits of their hashes.
    digits = str(identity.get("sha256", ""))[:8] if identity["kind"] == "checkpoint" else ""
    named = revision or next((entry.name for entry in known if digits and f"-{digits}" in entry.url), None)
    try:
        preset = known[str(named)].transforms()
    except KeyError:
        raise RetrievalError(
            f"{where}: torchvision declares no preprocessing for weights '{revision}', or for a file of this hash: "
            "mend 'revision', or write 'native' in the YAML"
        ) from None
    return {
        "resize": preset.resize_size[0],
        "interpolation": preset.interpolation.value,
        "crop": preset.crop_size[0],
        "mean": preset.mean,
        "std": preset.std,
    }
