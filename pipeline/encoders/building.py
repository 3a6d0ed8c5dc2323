"""conf/encoder/<name>.yaml -> an encoder: a network and the preprocessing that belongs to its weights."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.encoders.decoding import with_decoder
from pipeline.encoders.encoder import Encoder
from pipeline.encoders.precision import in_precision
from pipeline.encoders.sources import SOURCES
from pipeline.retrieval.settings import call, choose

# Keys of the YAML that are not the source's: which source, what decodes images, in which type it computes, and what
# pipeline.extraction.guards is to let pass.
OTHER_KEYS = ("source", "decoder", "precision", "without_guards")


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
    encoder = call(build, options, where=where, given={"directory": directory})
    encoder = with_decoder(encoder, config.get("decoder", "pillow"), where=where)
    return in_precision(encoder, config.get("precision", "fp32"), where=where)
