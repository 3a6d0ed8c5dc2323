"""The config of an encoder, handed on with its weights: ``extract`` depends on their folder, not on the YAML."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.frame.files import write_json
from pipeline.frame.upstream import output_of

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
    with output_of(f"-f -s weights@{directory.name}", f"config in {path}"):
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return config
