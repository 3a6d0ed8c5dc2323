"""``source: open_clip``: the image towers of open_clip's networks with their projection, and their text towers."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from jaxtyping import Float, Int64
from torch import Tensor, nn

from pipeline.encoders.encoder import Encoder, measured
from pipeline.encoders.inputs import NATIVE, Sizes
from pipeline.encoders.loading import described, with_weights
from pipeline.encoders.preprocessing import build_preprocessing
from pipeline.encoders.text import Encode, TextTower, Tokeniser, empty, read_tokeniser, refuse_other_space
from pipeline.encoders.timm_sizes import fit_to as fit_trunk_to
from pipeline.encoders.timm_sizes import patch_of as patch_of_trunk
from pipeline.frame.files import sha256_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call

try:
    import open_clip
    from open_clip.model import resize_pos_embed
    from open_clip.tokenizer import default_bpe, get_clean_fn
    from open_clip.transform import PreprocessCfg, merge_preprocess_dict
except ImportError as error:
    raise RetrievalError(
        f"source 'open_clip' needs open_clip ({error}): pip install 'open-clip-torch>=3', which is the extra open-clip "
        "of pyproject.toml"
    ) from None

CONFIG = "open_clip_config.json"
# In the place of a text tower that nobody asked for: its own may be large, or be described at the hub.
NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 1, "heads": 1, "layers": 1}


@dataclass(frozen=True)
class TextSettings:
    """The key ``text`` of an encoder's YAML.

    Attributes:
        padding: the token that fills up shorter texts, where the tokeniser is a tokenizer.json beside the weights;
            None where open_clip has it.
        end: the token that must end each text; None likewise.
        too_long: see :class:`pipeline.encoders.text.TextSettings`.
    """

    padding: str | None = None
    end: str | None = None
    too_long: Literal["refuse", "cut"] = "refuse"


class Texts(nn.Module):
    """What a network of open_clip gives for texts."""

    def __init__(self, network: nn.Module) -> None:
        """Wrap ``network``, of which only the text tower is left."""
        super().__init__()
        self.network: Any = network

    def forward(self, ids: Int64[Tensor, "text token"]) -> Float[Tensor, "text dim"]:
        """Return the features of texts, not of unit length."""
        features: Tensor = self.network.encode_text(ids)
        return features


def build(
    name: str,
    weights: Any,
    directory: Path,
    repository: str | None = None,
    revision: str | None = None,
    preprocessing: str = "native",
    native: Mapping[str, Any] | None = None,
    dim: int | None = None,
    sizes: Sizes = NATIVE,
    text: bool | Mapping[str, Any] | None = None,
) -> Encoder:
    """Build the image tower of a network of open_clip, and its text tower if asked for.

    A feature is what open_clip's ``encode_image`` or ``encode_text`` gives, not of unit length.

    Args:
        name: open_clip's of the architecture, such as ``PE-Core-B-16``.
        weights: see :func:`pipeline.encoders.loading.with_weights`.
        directory: where its weights are.
        repository: of the checkpoint, ``owner/repository``; read by ``pipeline.weights``.
        revision: its commit, or a branch or tag where no commit is known; read by ``pipeline.weights``.
        preprocessing: see :func:`pipeline.encoders.preprocessing.build_preprocessing`.
        native: the same; None for the repository's open_clip_config.json.
        dim: of a feature, to be checked.
        sizes: of inputs; for another square than its own position embeddings are interpolated by open_clip, or by timm
            where the tower is timm's.
        text: true, or see :class:`TextSettings`, for the text tower too.

    Raises:
        RetrievalError: open_clip has no such architecture; its texts need what is not here.
    """
    where = f"open_clip encoder '{name}'"
    config = architecture(name, where=where)
    asked = read_text(text, config["text_cfg"], where=where)
    network, identity = with_weights(lambda: towers(name, asked is not None), weights, directory, where=where)
    visual: Any = network.visual
    patch = patch_of(visual)
    preprocess = build_preprocessing(
        preprocessing,
        native,
        lambda: declared(directory, config, visual.image_size, where=where),
        where=where,
        sized=sizes.sized,
        patch=patch,
    )
    if sizes.square is not None:
        fit_to(network, sizes.square)
    identity = {**identity, "open_clip": open_clip.__version__}
    encoder = measured(visual, preprocess, identity, dim=dim, where=where, patch=patch, remedy=sizes.remedy)
    return encoder if asked is None else with_text(encoder, network, asked, config["text_cfg"], directory, where=where)


def architecture(name: str, *, where: str) -> dict[str, Any]:
    """Return open_clip's config of an architecture.

    Raises:
        RetrievalError: it has none of this name. A name with ``hf-hub:`` is none: open_clip would go to the network.
    """
    if name not in open_clip.list_models():
        raise RetrievalError(f"{where}: open_clip has no architecture '{name}'; see open_clip.list_models()")
    config: dict[str, Any] = open_clip.get_model_config(name)
    return config


def towers(name: str, texts: bool) -> nn.Module:
    """Return an architecture with initial weights: its two towers and nothing else, or that of images alone."""
    with silence():
        if not texts:
            network = open_clip.create_model(name, pretrained_text=False, text_cfg=NO_TEXT)
            return nn.ModuleDict({"visual": network.visual})
        network = open_clip.create_model(name, pretrained_text=False)
    network.logit_scale = network.logit_bias = None  # of the training loss
    both: nn.Module = network
    return both


@contextmanager
def silence() -> Iterator[None]:
    """Keep open_clip from saying that a network has no weights yet, and from giving the root logger a handler."""
    root, handler, disabled = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(handler)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
        root.removeHandler(handler)


def patch_of(visual: Any) -> int:
    """Return the side of a tower's patches; 1 for one that merges or convolves them further, hence takes any size."""
    if hasattr(visual, "trunk"):
        return patch_of_trunk(visual.trunk)
    side = getattr(visual, "patch_size", 1)
    return side if isinstance(side, int) else int(side[0])


def fit_to(network: Any, side: int) -> None:
    """Change the size of a network's images to another square, if it can; its position embeddings are interpolated."""
    visual = network.visual
    if hasattr(visual, "trunk"):
        fit_trunk_to(visual.trunk, side)
    elif hasattr(visual, "grid_size"):
        visual.image_size = (side, side)
        visual.grid_size = tuple(side // patch for patch in visual.patch_size)
        tensors = {"visual.positional_embedding": visual.positional_embedding.detach()}
        with silence():
            resize_pos_embed(tensors, network)
        visual.positional_embedding = nn.Parameter(tensors["visual.positional_embedding"])


def declared(directory: Path, config: Mapping[str, Any], extent: int | Sequence[int], *, where: str) -> dict[str, Any]:
    """Return the preprocessing of a repository's open_clip_config.json; what it does not say is open_clip's default.

    Args:
        directory: where the weights are.
        config: of the architecture.
        extent: pixels of the image tower's input.
        where: what to call the encoder in an error.

    Raises:
        RetrievalError: the file is not there, or is of another network; it asks for what ``native`` has no words for.
    """
    if not (directory / CONFIG).is_file():
        raise RetrievalError(f"{where}: no {CONFIG} beside the weights in {directory}: write 'native' in the YAML")
    path, _ = described(directory, CONFIG, where=where)
    height, width = (extent, extent) if isinstance(extent, int) else extent
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        told = merge_preprocess_dict(PreprocessCfg(), said.get("preprocess_cfg", {}))
        mode, interpolation = told["resize_mode"], told["interpolation"]
        usual = mode == "squash" or (mode == "shortest" and height == width)
        if not usual or told["mode"] != "RGB":
            raise ValueError(f"resize_mode '{mode}' to {height} x {width} in {told['mode']}")
        gelu = bool(said.get("model_cfg", {}).get("quick_gelu", False))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RetrievalError(f"{where}: {CONFIG} cannot be followed ({error}): write 'native' in the YAML") from None
    if gelu != bool(config.get("quick_gelu", False)):
        raise RetrievalError(
            f"{where}: {CONFIG} says quick_gelu: {str(gelu).lower()}, which no tensor shows, and this architecture has "
            f"the other: take the one {'with' if gelu else 'without'} '-quickgelu' in its name"
        )
    return {
        "resize": [height, width] if mode == "squash" else height,
        # Of `random`, which training draws from, open_clip takes bicubic to encode.
        "interpolation": "bicubic" if interpolation == "random" else interpolation,
        "crop": None if mode == "squash" else height,
        "mean": told["mean"],
        "std": told["std"],
    }


def read_text(text: bool | Mapping[str, Any] | None, config: Mapping[str, Any], *, where: str) -> TextSettings | None:
    """Return what ``text`` in a YAML says; None where there are to be no texts.

    Args:
        text: what it says.
        config: of the architecture's text tower.
        where: what to call the encoder in an error.

    Raises:
        RetrievalError: a key is unknown, or does not fit the architecture's tokeniser; the tower or the tokeniser is of
            a kind that cannot be had.
    """
    if text is None or text is False:
        return None
    asked = call(TextSettings, {} if text is True else text, where=f"{where}, text")
    if config.get("hf_model_name"):
        raise RetrievalError(
            f"{where}: its text tower is described at the hub only ({config['hf_model_name']}), and that is not "
            "offered: take 'text' out of the YAML"
        )
    others = sorted(set(config.get("tokenizer_kwargs") or {}) - {"clean"})
    if config.get("tokenizer_mode") or others:
        raise RetrievalError(
            f"{where}: its tokeniser has {' and '.join(others) or 'a mode'}, which is not offered: take 'text' out of "
            "the YAML"
        )
    named, hub = (asked.padding, asked.end), config.get("hf_tokenizer_name")
    if hub and None in named:
        raise RetrievalError(
            f"{where}: its tokeniser is that of {hub}, which open_clip does not have: say 'padding' and 'end' under "
            "'text', two tokens of the tokenizer.json beside the weights"
        )
    if not hub and named != (None, None):
        raise RetrievalError(f"{where}: open_clip has its tokeniser: drop 'padding' and 'end' under 'text'")
    return asked


def with_text(
    encoder: Encoder,
    network: Any,
    asked: TextSettings,
    config: Mapping[str, Any],
    directory: Path,
    *,
    where: str,
) -> Encoder:
    """Return an encoder with a text tower and its tokeniser.

    Args:
        encoder: of images.
        network: both towers; that of images is taken out of it.
        asked: see :class:`TextSettings`.
        config: of the text tower.
        directory: where the weights are.
        where: what to call the encoder in an error.
    """
    network.visual = None
    clean = (config.get("tokenizer_kwargs") or {}).get("clean")
    if asked.padding is not None and asked.end is not None:
        path, sha256 = described(directory, "tokenizer.json", where=where)
        cleaning = get_clean_fn(clean or "whitespace")
        encode, padding = read_tokeniser(path, asked.padding, asked.end, cleaning, where=where)
    else:
        encode, padding, sha256 = bundled(clean or "lower"), 0, sha256_of(Path(default_bpe()))
    tokenise = Tokeniser(encode, network.context_length, padding, asked.too_long, where)
    tower = TextTower(Texts(network).eval(), tokenise)
    refuse_other_space(tower, encoder.dim, where=where)
    return replace(encoder, text=tower, weights={**encoder.weights, "tokenizer_sha256": sha256})


def bundled(clean: str) -> Encode:
    """Return the tokeniser that comes with open_clip, CLIP's; ``clean`` is what it does to a text first."""
    return partial(between_marks, open_clip.SimpleTokenizer(clean=clean))


def between_marks(tokeniser: Any, text: str) -> list[int]:
    """Return the ids of the tokens of a text.

    Raises:
        RetrievalError: there are none.
    """
    ids: list[int] = tokeniser.encode(text)
    if not ids:
        raise empty(text)
    return [tokeniser.sot_token_id, *ids, tokeniser.eot_token_id]
