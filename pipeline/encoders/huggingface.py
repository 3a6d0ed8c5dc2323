"""``source: huggingface``: vision networks of transformers."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import transformers
from PIL.Image import Resampling
from torch import Tensor, nn

from pipeline.checkpoints.checkpoint import Checkpoint
from pipeline.checkpoints.tensors import Tensors
from pipeline.encoders.batch_norm import with_batch_norm
from pipeline.encoders.encoder import Encoder, measured
from pipeline.encoders.loading import described, misfit, with_weights
from pipeline.encoders.preprocessing import build_preprocessing
from pipeline.encoders.text import PooledText, TextSettings, TextTower, read_tokeniser, refuse_other_space
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call, choose

# What the feature is: a field of the network's output, and which of its tokens where it has several.
POOLINGS: Mapping[str, Callable[[Any], Tensor]] = {
    "projection": lambda output: output.image_embeds,
    "pooler": lambda output: output.pooler_output.flatten(1),
    "cls": lambda output: output.last_hidden_state[:, 0],
    "mean": lambda output: output.last_hidden_state.mean(dim=1),
}
# Networks whose first token stands for the image and comes after the last layer norm. Elsewhere the first token is
# a patch like any other (SigLIP, Swin), or lacks the norm (CLIPVisionModel, where 'pooler' has it).
WITH_CLASS_TOKEN = ("Dinov2", "Dinov2WithRegisters", "DINOv3ViT", "ViT", "DeiT")
# What the names of a text tower's tensors begin with in the checkpoint that it shares with the image tower.
OF_TEXT = ("text_model.", "text_projection.")


messages: Any = transformers.utils.logging


class Pooled(nn.Module):
    """A network of transformers reduced to one feature an image."""

    def __init__(self, network: nn.Module, pooling: str) -> None:
        """Wrap ``network``; ``pooling`` is a key of ``POOLINGS``."""
        super().__init__()
        self.network = network
        self.pooling = pooling

    def forward(self, pixels: Tensor) -> Tensor:
        """Return features ``(image, dim)`` of pixels ``(image, 3, height, width)``."""
        return POOLINGS[self.pooling](self.network(pixel_values=pixels))


def build(
    pooling: str,
    weights: Any,
    directory: Path,
    name: str | None = None,
    revision: str | None = None,
    network: str | None = None,
    settings: Mapping[str, Any] | None = None,
    preprocessing: str = "native",
    native: Mapping[str, Any] | None = None,
    batch_norm: str = "running",
    dim: int | None = None,
    text: Mapping[str, Any] | None = None,
) -> Encoder:
    """Build a vision network of transformers.

    Args:
        pooling: ``projection``, the image's embedding in a space shared with text; ``pooler``, what the
            network itself makes of its tokens; ``cls``, the first token after the last layer norm;
            ``mean``, the mean of all tokens.
        weights: see :func:`pipeline.encoders.loading.with_weights`.
        directory: where its weights are.
        name: the repository of the checkpoint, ``owner/repository``; None for weights of one's own.
        revision: its commit, or a branch or tag where no commit is known; None for weights of one's own.
        network: the class, such as ``Dinov2Model``; None for the one that transformers takes for the
            repository's config.json.
        settings: what differs from the defaults of the class's config; None for the repository's
            config.json.
        preprocessing: see :func:`pipeline.encoders.preprocessing.build_preprocessing`.
        native: the same; None for the repository's preprocessor_config.json.
        batch_norm: see :func:`pipeline.encoders.batch_norm.with_batch_norm`.
        dim: of a feature, to be checked.
        text: the text tower of the same checkpoint, see :class:`pipeline.encoders.text.TextSettings`; None for none.

    Raises:
        RetrievalError: transformers has no such class, its config no such setting, its output no such
            feature.
    """
    where = f"huggingface encoder '{name or network}'"
    choose(POOLINGS, pooling, key="pooling", where=where)
    network_class, config = architecture(network, settings, directory, where=where)
    towers = [(network_class, config)]
    asked = None if text is None else call(TextSettings, text, where=f"{where}, text")
    if asked is not None:
        towers.append(architecture(asked.network, asked.settings, directory, where=f"{where}, text"))
    both, identity = with_weights(
        lambda: joined([made(its) for made, its in towers]),
        weights,
        directory,
        where=where,
        fit=lambda tensors, checkpoint: joined(fitted_towers(towers, tensors, checkpoint)),
    )
    built, *others = both if isinstance(both, nn.ModuleList) else [both]
    refuse_pooling(built, pooling, where=where)
    preprocess = build_preprocessing(preprocessing, native, lambda: declared(directory, where=where), where=where)
    try:
        pooled = with_batch_norm(Pooled(built, pooling).eval(), batch_norm, where=where)
        encoder = measured(pooled, preprocess, identity, dim=dim, where=where)
    except AttributeError as error:
        raise RetrievalError(f"{where}: no feature by pooling '{pooling}' ({error}): choose another") from None
    return encoder if asked is None else with_text(encoder, others[0], asked, directory, where=where)


def with_text(encoder: Encoder, network: nn.Module, asked: TextSettings, directory: Path, *, where: str) -> Encoder:
    """Return an encoder with a text network, and the tokeniser that came with its weights."""
    path, sha256 = described(directory, "tokenizer.json", where=where)
    tokenise = read_tokeniser(path, asked, where=where)
    tower = TextTower(PooledText(network, asked.pooling).eval(), tokenise)
    refuse_other_space(tower, encoder.dim, where=where)
    return replace(encoder, text=tower, weights={**encoder.weights, "tokenizer_sha256": sha256})


def joined(networks: list[nn.Module]) -> nn.Module:
    """Return several networks as one; a single one as it is."""
    return networks[0] if len(networks) == 1 else nn.ModuleList(networks)


def fitted_towers(towers: list[tuple[Any, Any]], tensors: Tensors, checkpoint: Checkpoint) -> list[nn.Module]:
    """Return the network of images, and that of texts where it is asked for, each with all its tensors."""
    if len(towers) == 1:
        return [fitted(*towers[0], tensors, checkpoint)]
    of_text = {name: tensor for name, tensor in tensors.items() if name.startswith(OF_TEXT)}
    of_images = {name: tensor for name, tensor in tensors.items() if name not in of_text}
    parts = zip(towers, (of_images, of_text), strict=True)
    return [fitted(*tower, part, checkpoint) for tower, part in parts]


def architecture(
    network: str | None, settings: Mapping[str, Any] | None, directory: Path, *, where: str
) -> tuple[Any, Any]:
    """Return a class of transformers and the config to build it with."""
    if network is None and settings is not None:
        raise RetrievalError(f"{where}: 'settings' does nothing without 'network', the class that it is of: add that")
    if network is None:
        config = transformers.AutoConfig.from_pretrained(describing(directory, "config.json", where=where).parent)
        return transformers.MODEL_MAPPING[type(config)], config
    network_class = getattr(transformers, network, None)
    config_class = getattr(network_class, "config_class", None)
    if network_class is None or config_class is None:
        raise RetrievalError(f"{where}: transformers has no network class '{network}'")
    if settings is None:
        return network_class, config_class.from_pretrained(describing(directory, "config.json", where=where).parent)
    # A config takes any keyword without a word, so that a misspelt one would do nothing.
    for key in settings:
        if not hasattr(config_class(), key):
            raise RetrievalError(f"{where}: {config_class.__name__} has no setting '{key}'")
    return network_class, config_class(**settings)


def fitted(network_class: Any, config: Any, tensors: Tensors, checkpoint: Checkpoint) -> nn.Module:
    """Return a network with tensors under the names of the checkpoint, which can be older than transformers' own.

    Raises:
        RetrievalError: a tensor of the network is missing, or one is too many and not ignored.
    """
    verbosity = messages.get_verbosity()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        network, found = network_class.from_pretrained(
            None, config=config, state_dict=dict(tensors), output_loading_info=True, dtype="float32"
        )
    except RuntimeError as error:
        raise misfit(str(error)) from None
    finally:
        messages.set_verbosity(verbosity)
        messages.enable_progress_bar()
    unexpected = sorted(key for key in found["unexpected_keys"] if not key.startswith(tuple(checkpoint.ignore)))
    missing, mismatched = sorted(found["missing_keys"]), sorted(map(str, found["mismatched_keys"]))
    if unexpected or missing or mismatched:
        raise misfit(f"missing {missing}, of another shape {mismatched}, too many {unexpected}")
    module: nn.Module = network
    return module


def refuse_pooling(network: nn.Module, pooling: str, *, where: str) -> None:
    """Raise :class:`RetrievalError` for the first token of a network where it is not a summary of the image."""
    if pooling == "cls" and type(network).__name__ not in {f"{family}Model" for family in WITH_CLASS_TOKEN}:
        raise RetrievalError(
            f"{where}: the first token of {type(network).__name__} is not known to stand for the image after a last "
            "layer norm: use pooling: pooler, mean or projection"
        )


def declared(directory: Path, *, where: str) -> dict[str, Any]:
    """Return the preprocessing that a repository's preprocessor_config.json declares.

    Raises:
        RetrievalError: it has steps other than resize, centre crop, scale to [0, 1] and normalise.
    """
    path = describing(directory, "preprocessor_config.json", where=where)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        extent = config.get("size", 224)
        # Before version 4.26 of transformers a single number was the shorter side, or both.
        if isinstance(extent, int):
            resize: Any = extent if config.get("do_center_crop") else [extent, extent]
        else:
            resize = extent["shortest_edge"] if "shortest_edge" in extent else [extent["height"], extent["width"]]
        crop = config["crop_size"] if config.get("do_center_crop") else None
        settings = {
            "resize": resize,
            "interpolation": Resampling(config["resample"]).name.lower(),
            "crop": crop["height"] if isinstance(crop, dict) else crop,
            "mean": config["image_mean"],
            "std": config["image_std"],
        }
        usual = config.get("do_resize", True) and config.get("do_rescale", True) and config.get("do_normalize", True)
        if not usual or "crop_pct" in config or abs(config.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-6:
            raise ValueError("steps other than resize, centre crop, scale by 1/255 and normalise")
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RetrievalError(f"{where}: {path.name} cannot be followed ({error}): write 'native' in the YAML") from None
    return settings


def describing(directory: Path, name: str, *, where: str) -> Path:
    """Return the path of a file that describes a checkpoint.

    Raises:
        RetrievalError: it is not beside the weights.
    """
    path = directory / name
    if not path.is_file():
        raise RetrievalError(
            f"{where}: no {name} beside the weights in {directory}: give 'network', 'settings' and 'native' in the YAML"
        )
    return path
