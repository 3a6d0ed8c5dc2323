"""The config of an encoder, handed on with its weights: ``extract`` depends on their folder, not on the YAML."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.frame.files import write_json
from pipeline.frame.upstream import read_json

NAME = "encoder.json"  # a repository's own file may be called config.json


def write_config(config: Mapping[str, Any], directory: Path) -> None:
    """Write the config of an encoder, its YAML as Hydra composed it, into the folder of its weights."""
    write_json(directory / NAME, config)


def read_config(directory: Path) -> dict[str, Any]:
    """Undo :func:`write_config`.

    Raises:
        RetrievalError: it is missing or damaged.
    """
    path = directory / NAME
    stage = f"-f -s weights@{directory.name}"
    config: dict[str, Any] = read_json(path, dict[str, Any], stage=stage, what="config")
    return config
