"""A new YAML in conf/ and its name in params.yaml, of which all else stays as it is: both, or neither."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from pipeline.adding.entry import Entry
from pipeline.frame.app import plain
from pipeline.frame.experiment import Experiment, names_under
from pipeline.frame.files import replacing_file
from pipeline.frame.tracked import refuse_untracked
from pipeline.frame.yamls import Loader, read_yaml
from pipeline.retrieval.errors import RetrievalError

HEAD = "# docs/{group}s.md says which keys there are.\n"


def draft(entry: Entry, folder: Path) -> dict[str, Any]:
    """Write the YAML of an entry into a folder like ``conf``, and return it as the stages will read it.

    Raises:
        RetrievalError: see :func:`pipeline.frame.tracked.refuse_untracked`.
    """
    path = folder / entry.group / f"{entry.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text_of(entry), encoding="utf-8")
    return composed(path)


def composed(path: Path) -> dict[str, Any]:
    """Return a YAML as Hydra composes it; see :func:`pipeline.frame.tracked.refuse_untracked`."""
    refuse_untracked(path)
    return plain(OmegaConf.load(path))


def text_of(entry: Entry) -> str:
    """Return the YAML of an entry: a line a key, if its value is not nested deep."""
    return HEAD.format(group=entry.group) + "".join(line_of(key, value) for key, value in entry.values.items())


def line_of(key: str, value: Any) -> str:
    """Return the lines of a key; what has no list or mapping inside stands in one line."""
    style = None if isinstance(value, dict | list) else False
    text: str = yaml.safe_dump(
        {key: value}, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=style
    )
    return text


def refuse_other(entry: Entry, config: Mapping[str, Any], target: Path) -> None:
    """Raise :class:`RetrievalError` if the YAML of an entry is there and says something else."""
    if target.exists() and composed(target) != config:
        raise RetrievalError(f"{entry.where} is there and says something else: edit it, or take another name")


def naming(entry: Entry, experiment: Experiment, params: Path) -> str:
    """Return params.yaml with the name of an entry at the end of its list, and all else to the letter.

    Raises:
        RetrievalError: it is no name, or there already; the list is not written out, but an alias.
    """
    key = f"{entry.group}s"
    before = experiment.datasets if entry.group == "dataset" else experiment.encoders
    if entry.name in before:
        raise RetrievalError(
            f"{params} has '{entry.name}' under '{key}' already: edit {entry.where}, or remove it there"
        )
    names = names_under(key, {key: [*before, entry.name]}, params)
    text = params.read_bytes().decode("utf-8-sig")
    changed = inserted(text, key, entry.name)
    if yaml.load(changed, Loader) != {**read_yaml(params, name=str(params)), key: list(names)}:  # noqa: S506
        raise RetrievalError(f"{params}: '{key}' is written in a way that only you can add to: add {entry.name} there")
    return changed


def inserted(text: str, key: str, name: str) -> str:
    """Return a YAML with a name at the end of the list under a key, which has one at least."""
    whole = yaml.compose(text, Loader)
    assert isinstance(whole, yaml.MappingNode)  # it was read before
    found = {one.value: several for one, several in whole.value}[key]
    last = found.value[-1]
    if found.flow_style:
        return f"{text[: last.end_mark.index]}, {name}{text[last.end_mark.index :]}"
    start = text.rfind("\n", 0, last.start_mark.index) + 1
    end = text.find("\n", last.end_mark.index)
    end = len(text) if end < 0 else end
    line = f"{text[start : last.start_mark.index]}{name}"
    if text[end - 1 : end] == "\r":
        return f"{text[: end - 1]}\r\n{line}{text[end - 1 :]}"
    return f"{text[:end]}\n{line}{text[end:]}"


def write_both(target: Path, text: str, params: Path, changed: str) -> None:
    """Write a YAML, unless it is there already, and params.yaml: both, or neither."""
    there = target.exists()
    try:
        with replacing_file(params) as named:  # the last to take its place
            named.write_text(changed, encoding="utf-8", newline="")
            if not there:
                with replacing_file(target) as described:
                    described.write_text(text, encoding="utf-8", newline="\n")
    except BaseException:
        if not there:
            target.unlink(missing_ok=True)
        raise
