"""conf/encoder/<name>.yaml -> an encoder: a network and the preprocessing that belongs to its weights."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from pipeline.encoders.decoding import with_decoder
from pipeline.encoders.encoder import Encoder
from pipeline.encoders.inputs import Sizes, read_input
from pipeline.encoders.precision import in_precision
from pipeline.encoders.sources import SOURCES
from pipeline.encoders.views import read_scales, with_views
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call, choose

# Keys of the YAML that are not the source's: which source, what decodes images, how large inputs are, which views of
# an image are averaged, in which type it computes, and what pipeline.extraction.guards is to let pass.
OTHER_KEYS = ("source", "decoder", "input", "flips", "scales", "precision", "without_guards")


def build_encoder(name: str, config: Mapping[str, Any], directory: Path) -> Encoder:
    """Build the encoder that ``conf/encoder/<name>.yaml`` describes, on the CPU and in eval mode.

    Args:
        name: of the encoder.
        config: the YAML: ``source`` and the options of that source's ``build``.
        directory: what ``pipeline.weights`` wrote for it.

    Raises:
        RetrievalError: an unknown source, name or option; weights that are missing or not the ones
            meant.
    """
    where = f"conf/encoder/{name}.yaml"
    options = {key: value for key, value in config.items() if key not in OTHER_KEYS}
    source = choose(SOURCES, config.get("source", ""), key="source", where=where)
    build: Callable[..., Encoder] = import_module(source).build
    sizes = sizes_of(config, build, where=where)
    encoder = call(build, options, where=where, given={"directory": directory, "sizes": sizes})
    encoder = with_decoder(encoder, config.get("decoder", "pillow"), where=where)
    scales = read_scales(config.get("scales"), where=where)
    encoder = with_views(encoder, config.get("flips", False), scales, sizes, where=where)
    return replace(in_precision(encoder, config.get("precision", "fp32"), where=where), where=where)


def sizes_of(config: Mapping[str, Any], build: Callable[..., Any], *, where: str) -> Sizes:
    """Return of which sizes a YAML wants the inputs of its network to be.

    Args:
        config: the YAML.
        build: of its source.
        where: what to call it in an error.

    Raises:
        RetrievalError: ``input`` or ``scales`` cannot be read; the source has no networks.
    """
    sized = read_input(config.get("input"), where=where)
    sizes = Sizes(sized, scaled=read_scales(config.get("scales"), where=where) is not None)
    if not sizes.native and "sizes" not in signature(build).parameters:
        key = "scales" if sized is None else "input"
        raise RetrievalError(
            f"{where}: source '{config['source']}' has no network whose input has a size: drop '{key}' (a descriptor "
            "has its side in 'settings')"
        )
    return sizes
