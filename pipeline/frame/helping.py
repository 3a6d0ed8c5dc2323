"""What ``--help`` prints of a command: what it is for, and its settings with their comments."""

import re
from pathlib import Path
from typing import Any

from pipeline.frame.yamls import read_yaml


def help_of(conf: Path, name: str, purpose: str) -> str:
    """Return the help of the command that composes ``<conf>/<name>.yaml``.

    Args:
        conf: the folder of the configs.
        name: of the command's.
        purpose: what is said of it where its YAML has no help of its own; in one that has, ``$CONFIG`` is the settings.
    """
    path = conf / f"{name}.yaml"
    config = read_yaml(path, name=f"conf/{path.name}")
    template = config.get("hydra", {}).get("help", {}).get("template")
    if template is not None:
        return str(template).replace("$CONFIG", f"{settings_in(path)}\n").rstrip()
    chosen = chosen_by(config)
    names = f"Names of YAMLs in conf/: {', '.join(chosen)}\n" if chosen else ""
    head = f"{purpose.strip()}\n\n{names}Settings (conf/{path.name}) and their defaults; ??? must be given:"
    return f"{head}\n\n{settings_in(path)}"


def chosen_by(config: dict[str, Any]) -> list[str]:
    """Return what a command line chooses by its name, with the default: ``encoder=???``."""
    pairs = [pair for one in config.get("defaults", []) if isinstance(one, dict) for pair in one.items()]
    return [f"{group}={name}" for group, name in pairs if not group.startswith("override ")]


def settings_in(path: Path) -> str:
    """Return the lines of a config that are settings, as they are written: all but what is Hydra's, and names."""
    text = path.read_text(encoding="utf-8")
    config = read_yaml(path, name=f"conf/{path.name}")
    left_out = "|".join(["hydra", *(one.partition("=")[0] for one in chosen_by(config))])
    after = text.partition("\ndefaults:\n")[2] or text
    blocks = re.split(r"^(?=\w)", re.sub(r"\A(?:[ -].*\n)+", "", after), flags=re.MULTILINE)
    named = re.compile(rf"(?:{left_out}):|\w+: .*\$\{{(?:hydra|run_name):")
    return "".join(block for block in blocks if not named.match(block)).strip()
