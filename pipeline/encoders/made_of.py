"""Which code an encoder alone is made of."""

from collections.abc import Mapping
from typing import Any

from pipeline.encoders.sources import SOURCES
from pipeline.frame.code import Code


def code_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the modules of this project that an encoder alone is made of: its source's and its factory's.

    Each with a digest of its code, see :class:`pipeline.frame.code.Code`. A factory elsewhere is not among them. What
    the YAML says wrong is said by what builds the encoder.

    Args:
        config: the encoder's YAML.
    """
    code = Code()
    named = (SOURCES.get(str(config.get("source")), ""), str(config.get("factory", "")).partition(":")[0])
    return code.behind([module for module in named if code.has(module)])
