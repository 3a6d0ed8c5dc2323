"""Where encoders come from: the module of each source, imported when asked for, since some take seconds."""

from collections.abc import Mapping
from typing import Any

SOURCES = {
    "handcrafted": "pipeline.encoders.handcrafted",
    "torchvision": "pipeline.encoders.torchvision_models",
    "huggingface": "pipeline.encoders.huggingface",
    "timm": "pipeline.encoders.timm_models",
    "python": "pipeline.encoders.python_factory",
    "precomputed": "pipeline.extraction.precomputed",
}


def modules_of(config: Mapping[str, Any]) -> list[str]:
    """Return the modules that an encoder's YAML names: its source's, and its factory's, wherever that lies.

    What the YAML says wrong is said by what builds the encoder.
    """
    named = [SOURCES.get(str(config.get("source"))), str(config.get("factory", "")).partition(":")[0]]
    return [module for module in named if module]
