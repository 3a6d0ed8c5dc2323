"""``source: torchvision``: classification networks of torchvision without their classifier."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision import models
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from pipeline.checkpoints.checkpoint import Checkpoint
from pipeline.checkpoints.tensors import Tensors
from pipeline.encoders.batch_norm import with_batch_norm
from pipeline.encoders.encoder import Encoder, measured
from pipeline.encoders.inputs import NATIVE, Sizes
from pipeline.encoders.layers import Anatomy
from pipeline.encoders.loading import fit_strictly, with_weights
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
# Networks that change the normalisation of their input from ImageNet's statistics to a mean and std of 0.5, where
# they have published weights.
TRANSFORMING = ("googlenet", "inception_v3")
# In the files of DenseNets, whose layers have had other names since.
FORMER_LAYER = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")


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
        revision: torchvision's name of the weights, such as ``IMAGENET1K_V1``, for which the network is built, random
            weights or not; None for a file of one's own.
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

    def fitted(tensors: Tensors, checkpoint: Checkpoint, identity: Mapping[str, Any]) -> nn.Module:
        known = published(name, revision, identity)
        return fit_strictly(lambda: created(name, known), renamed(tensors), checkpoint)

    network, identity = with_weights(
        lambda: created(name, published(name, revision, {})), weights, directory, where=where, fit=fitted
    )
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


def published(name: str, revision: str | None, identity: Mapping[str, Any]) -> Any:
    """Return torchvision's entry of a network's weights: that called ``revision``, else that of a file's hash, or None.

    Args:
        name: of the network.
        revision: None for a file of one's own.
        identity: of its weights, see :func:`pipeline.encoders.loading.with_weights`.
    """
    known = models.get_model_weights(name)
    if revision is not None:
        return known.__members__.get(revision)
    # The names of torchvision's files end in the first digits of their hashes.
    digits = str(identity.get("sha256", ""))[:8] if identity.get("kind") == "checkpoint" else ""
    return next((entry for entry in known if digits and f"-{digits}" in entry.url), None)


def created(name: str, known: Any) -> nn.Module:
    """Return a network with initial weights, with the options that torchvision sets for published ones.

    Args:
        name: of the network.
        known: torchvision's entry of the weights; None for weights that it does not know.
    """
    options: dict[str, Any] = {}
    if name in TRANSFORMING:
        # init_weights is torchvision's default, which warns where it is not stated.
        options = {"transform_input": known is not None, "init_weights": True}
    elif known is not None and name.startswith("vit_"):
        options = {"image_size": known.meta["min_size"][0]}
    network: nn.Module = models.get_model(name, weights=None, **options)
    return network


def renamed(tensors: Tensors) -> Tensors:
    """Return tensors with the present names of a DenseNet's layers, as torchvision renames those of its files."""
    return Tensors({FORMER_LAYER.sub(r"\1", name): tensor for name, tensor in tensors.items()}, tensors.versions)


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
    known = published(name, revision, identity)
    if known is None:
        raise RetrievalError(
            f"{where}: torchvision declares no preprocessing for weights '{revision}', or for a file of this hash: "
            "mend 'revision', or write 'native' in the YAML"
        )
    preset = known.transforms()
    return {
        "resize": preset.resize_size[0],
        "interpolation": preset.interpolation.value,
        "crop": preset.crop_size[0],
        "mean": preset.mean,
        "std": preset.std,
    }
