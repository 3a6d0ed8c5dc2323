"""What is wrong with a command line, in one line: Hydra says where its grammar ended, not what was meant."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from yaml import YAMLError

from pipeline.frame.output import joined
from pipeline.frame.yamls import read_yaml
from pipeline.retrieval.errors import RetrievalError


def explained(error: Exception, conf: Path, name: str, overrides: Sequence[str]) -> str:
    """Return in words what is wrong with a config that could not be composed.

    Args:
        error: what was raised.
        conf: the folder of the configs.
        name: of the one asked for.
        overrides: what the command line gave.
    """
    said = joined(str(error))
    if isinstance(error, OverrideParseException):
        return unreadable(str(error.override))
    if isinstance(error, (YAMLError, UnicodeError, RecursionError)):
        return unread(conf, name) or said
    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file is not None:
        group, _, wanted = error.missing_cfg_file.rpartition("/")
        return unknown(group, wanted, error.options, where=f"conf/{group}")
    missing = re.search("You must specify '(.+?)'", said)
    if missing:
        group = missing.group(1)
        return f"no {group}: give {group}=... with a name in conf/{group}: {', '.join(names_in(conf / group))}"
    for override in overrides:
        key, _, value = override.partition("=")
        if re.search(f"^Ambiguous .*'{re.escape(override)}'|^Sweep .*'{re.escape(override)}'", said):
            a_list = shlex.quote(f"{key}=[...]")
            return f"{override} names several: {quoted(key, value)} is one text, {a_list} a list, and -m takes each"
        if "group override must be" in said and (conf / key).is_dir() and not isinstance(value_of(override), str):
            return unknown(key, value, names_in(conf / key), where=f"conf/{key}")
    wrong = re.search("Could not (?:override|delete from config.) '(.+?)'", said)
    if wrong:
        group = wrong.group(1).partition(".")[0]
        where = f"conf/{group}" if (conf / group).is_dir() else f"conf/{name}.yaml"
        return unknown("key", wrong.group(1), sorted(set(keys_of(conf, name, overrides))), where=where)
    return said


def unknown(what: str, wanted: str, known: Sequence[str], *, where: str) -> str:
    """Return that there is no such name, and those that are nearest."""
    near = get_close_matches(wanted, known, cutoff=0.65)
    meant = f"did you mean {' or '.join(near)}?" if near else f"one of {', '.join(known)}"
    return f"unknown {what} '{wanted}': {meant} (all are in {where})"


def unreadable(override: str) -> str:
    """Return what to write instead of an option that is none."""
    key, equals, value = override.partition("=")
    if not equals:
        return f"'{override}' is no option: write key=value"
    return f"'{override}' cannot be read: as text it is {quoted(key, value)}; a list is {shlex.quote(f'{key}=[a,b]')}"


def quoted(key: str, value: str) -> str:
    """Return an option, to be typed in a shell, whose value is this text to the letter."""
    return shlex.quote(f"{key}={literal(value)}")


def literal(value: str) -> str:
    """Return a text as Hydra's grammar has it in quotes: it is read as this text, whatever is in it."""
    inside = re.sub(r'(\\+)(?="|$)', r"\1\1", value).replace('"', '\\"')
    return f'"{inside}"'


def value_of(override: str) -> Any:
    """Return the value of an option as Hydra reads it."""
    return OverridesParser.create().parse_override(override).value()


def names_in(folder: Path) -> list[str]:
    """Return the names of the YAMLs in a folder."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def keys_of(conf: Path, name: str, overrides: Sequence[str]) -> Iterator[str]:
    """Yield the keys that a command line can set, as far as the names that it chooses are right."""
    yield from (folder.name for folder in conf.iterdir() if folder.is_dir())
    choices = [override for override in overrides if (conf / override.partition("=")[0]).is_dir()]
    for chosen in (choices, []):
        try:
            with hydra.initialize_config_dir(str(conf), version_base="1.3"):
                config = hydra.compose(name, chosen)
        except (HydraException, ValueError):
            continue
        yield from paths_of(OmegaConf.to_container(config))
        return
    yield from paths_of(read_yaml(conf / f"{name}.yaml", name=f"conf/{name}.yaml"))


def paths_of(value: object, above: str = "") -> Iterator[str]:
    """Yield the keys of a nest of mappings, those inside with a dot."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"{above}{key}"
            yield from paths_of(inner, f"{above}{key}.")


def unread(conf: Path, name: str) -> str | None:
    """Return what is wrong with the first YAML that cannot be read, of a command's own or of what it may choose."""
    for path in (conf / f"{name}.yaml", conf / "base.yaml", *sorted(conf.glob("*/*.yaml"))):
        try:
            read_yaml(path, name=f"conf/{path.relative_to(conf).as_posix()}")
        except RetrievalError as error:
            return str(error)
    return None
