"""``source: huggingface``: vision networks of transformers."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import transformers
from torch import Tensor, nn

from pipeline.checkpoints.checkpoint import Checkpoint
from pipeline.checkpoints.tensors import Tensors
from pipeline.encoders.batch_norm import with_batch_norm
from pipeline.encoders.encoder import Encoder, measured
from pipeline.encoders.image_processors import read_image_processor
from pipeline.encoders.inputs import NATIVE, Sizes
from pipeline.encoders.layers import Anatomy
from pipeline.encoders.loading import described, misfit, with_weights
from pipeline.encoders.pooling import Pooled, read_pooling
from pipeline.encoders.preprocessing import build_preprocessing
from pipeline.encoders.text import PooledText, TextSettings, TextTower, Tokeniser, read_tokeniser, refuse_other_space
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call

# Features that networks of transformers make themselves: fields of their output.
OWN: Mapping[str, Callable[[Any], Tensor]] = {
    "projection": lambda output: output.image_embeds,
    "pooler": lambda output: output.pooler_output.flatten(1),
}
# What the names of a text tower's tensors begin with in the checkpoint that it shares with the image tower.
OF_TEXT = ("text_model.", "text_projection.")


@dataclass(frozen=True)
class Family:
    """Where a family of vision transformers has its tokens.

    Attributes:
        prefix: how many tokens come before the patches, but for register tokens, whose number its config has.
        norm: what the last layer norm is called; empty for a hierarchy of stages, whose last norm fits the last only.
        normed: whether the network's tokens have been through it.
    """

    prefix: int
    norm: str = ""
    normed: bool = True


# By their config's model_type. Feature maps need no entry.
FAMILIES: Mapping[str, Family] = {
    "clip_vision_model": Family(1, "post_layernorm", normed=False),
    "deit": Family(2, "layernorm"),  # the second is the distillation token
    "dinov2": Family(1, "layernorm"),
    "dinov2_with_registers": Family(1, "layernorm"),
    "dinov3_vit": Family(1, "norm"),
    "siglip_vision_model": Family(0, "post_layernorm"),
    "swin": Family(0),
    "swinv2": Family(0),
    "vit": Family(1, "layernorm"),
}

messages: Any = transformers.utils.logging


def build(
    pooling: str | Mapping[str, Any],
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
    sizes: Sizes = NATIVE,
    text: Mapping[str, Any] | None = None,
) -> Encoder:
    """Build a vision network of transformers.

    Args:
        pooling: ``projection``, the image's embedding in a space shared with text; ``pooler``, what the
            network itself makes of its tokens; or see :func:`pipeline.encoders.pooling.read_pooling`, of tokens
            after the last layer norm, or of the last feature map.
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
        sizes: of inputs; for other sizes than its own a network's position embeddings are interpolated by its own code.
        text: the text tower of the same checkpoint, see :class:`pipeline.encoders.text.TextSettings`; None for none.

    Raises:
        RetrievalError: transformers has no such class, its config no such setting, its output no such
            feature.
    """
    where = f"huggingface encoder '{name or network}'"
    poolings = read_pooling(pooling, where=where, own=OWN)
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
        fit=lambda tensors, checkpoint, _: joined(fitted_towers(towers, tensors, checkpoint)),
    )
    built, *others = both if isinstance(both, nn.ModuleList) else [both]
    patch = patch_of(built)
    preprocess = build_preprocessing(
        preprocessing, native, lambda: declared(directory, where=where), where=where, sized=sizes.sized, patch=patch
    )
    try:
        pooled: nn.Module = Pooled(built, anatomy_of(built), poolings, where=where)
        if not sizes.native:
            interpolate_positions(built)
        pooled = with_batch_norm(pooled.eval(), batch_norm, where=where)
        encoder = measured(pooled, preprocess, identity, dim=dim, where=where, patch=patch, remedy=sizes.remedy)
    except AttributeError as error:
        raise RetrievalError(f"{where}: no feature by pooling '{pooling}' ({error}): choose another") from None
    return encoder if asked is None else with_text(encoder, others[0], asked, directory, where=where)


def with_text(encoder: Encoder, network: nn.Module, asked: TextSettings, directory: Path, *, where: str) -> Encoder:
    """Return an encoder with a text network, and the tokeniser that came with its weights."""
    path, sha256 = described(directory, "tokenizer.json", where=where)
    clean = str.lower if asked.lowercase else None
    encode, padding = read_tokeniser(path, asked.padding, asked.end, clean, where=where)
    tokenise = Tokeniser(encode, asked.tokens, padding, asked.too_long, where)
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


def patch_of(network: Any) -> int:
    """Return the side of a network's patches; 1 for one that merges or convolves them further, hence takes any size."""
    config = getattr(network.config, "vision_config", network.config)
    side = 1 if hasattr(config, "depths") else getattr(config, "patch_size", 1)
    return side if isinstance(side, int) else int(side[0])


def interpolate_positions(network: nn.Module) -> None:
    """Have a network interpolate its position embeddings by its own code, where it does so only on demand."""

    def on_demand(network: nn.Module, arguments: Any, keywords: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return arguments, {**keywords, "interpolate_pos_encoding": True}

    # transformers hides the signature of some networks behind decorators, and inspect finds it there.
    if "interpolate_pos_encoding" in inspect.signature(network.forward).parameters:
        network.register_forward_pre_hook(on_demand, with_kwargs=True)


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


def fitted(network_class: Any, config: Any, tensors: Mapping[str, Tensor], checkpoint: Checkpoint) -> nn.Module:
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


def anatomy_of(network: nn.Module) -> Anatomy:
    """Return where a network of transformers has what is pooled, as far as its family is known."""
    config: Any = network.config
    family = FAMILIES.get(config.model_type)
    if family is None:
        return Anatomy(run=seen, last=last_hidden_state)
    names = dict(network.named_modules())
    norm = next((name for name in names if family.norm and name.rpartition(".")[2] == family.norm), "")
    prefix = family.prefix + getattr(config, "num_register_tokens", 0)
    blocks = blocks_of(names, config.num_hidden_layers) if norm else ()
    return Anatomy(seen, last_hidden_state, prefix=prefix, blocks=blocks, norm=norm, normed=family.normed)


def blocks_of(modules: Mapping[str, nn.Module], depth: int) -> Sequence[str]:
    """Return the names of a transformer's blocks: those in the outermost list of so many modules."""
    lists = (name for name, module in modules.items() if isinstance(module, nn.ModuleList) and len(module) == depth)
    outermost = next(lists, None)
    return [] if outermost is None else [f"{outermost}.{place}" for place in range(depth)]


def seen(network: nn.Module, pixels: Tensor) -> Any:
    """Return what a network of transformers gives for pixels."""
    return network(pixel_values=pixels)


def last_hidden_state(output: Any) -> Tensor:
    """Return the tokens, or the feature map, of a network's output."""
    tokens: Tensor = output.last_hidden_state
    return tokens


def declared(directory: Path, *, where: str) -> dict[str, Any]:
    """Return the preprocessing that a repository's preprocessor_config.json declares.

    Raises:
        RetrievalError: see :func:`pipeline.encoders.image_processors.read_image_processor`.
    """
    path = describing(directory, "preprocessor_config.json", where=where)
    try:
        return read_image_processor(json.loads(path.read_text(encoding="utf-8")))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise RetrievalError(f"{where}: {path.name} cannot be followed ({error}): write 'native' in the YAML") from None


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
