"""What a command line says of a dataset or an encoder: the keys of its YAML, nested by dots."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.frame.mistakes import unreadable
from pipeline.frame.yamls import Loader
from pipeline.retrieval.errors import RetrievalError, shown

GROUPS = ("dataset", "encoder")
NESTING = ("[", "{", '"', "'")  # begin what is read as YAML; any other text is one value, whatever is in it


@dataclass(frozen=True)
class Entry:
    """A YAML to be.

    Attributes:
        group: ``dataset`` or ``encoder``.
        name: of the file, without its end.
        values: what it says.
    """

    group: str
    name: str
    values: dict[str, Any]

    @property
    def where(self) -> str:
        """What the YAML is called in an error."""
        return f"conf/{self.group}/{self.name}.yaml"


def read_entry(given: Sequence[str]) -> Entry:
    """Return what arguments ``key=value`` say; one is ``dataset=<name>`` or ``encoder=<name>``.

    Raises:
        RetrievalError: none or both of the two are there; an argument is none, is there twice or cannot be read.
    """
    pairs: dict[str, str] = {}
    for one in given:
        key, equals, text = one.partition("=")
        if not equals:
            raise RetrievalError(unreadable(one))
        if key in pairs:
            raise RetrievalError(f"{shown(key)} is given twice: leave one")
        pairs[key] = text
    groups = [group for group in GROUPS if group in pairs]
    if len(groups) != 1:
        raise RetrievalError("give dataset=<its name> root=<its folder>, or encoder=<its name> and keys of its YAML")
    name = pairs.pop(groups[0])
    values: dict[str, Any] = {}
    for key, text in pairs.items():
        put(values, key, value_of(key, text))
    return Entry(groups[0], name, values)


def put(values: dict[str, Any], key: str, value: Any) -> None:
    """Put a value under a key, whose dots lead into mappings.

    Raises:
        RetrievalError: something else stands there, or on the way.
    """
    *way, last = key.split(".")
    for part in way:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise RetrievalError(f"{shown(key)}: '{shown(part)}' is given as one value too: leave one of the two")
    if last in values:
        raise RetrievalError(f"{shown(key)}: '{shown(last)}' is given by its parts too: leave one of the two")
    values[last] = value


def value_of(key: str, text: str) -> Any:
    """Return what a text is in a YAML: a list, keys and values, a number, true, null; or itself.

    Raises:
        RetrievalError: it begins like a list, keys and values or a text in quotes, and is none.
    """
    try:
        loader = Loader(text if text.startswith(NESTING) else "")
        if text.startswith(NESTING):
            return loader.get_single_data()
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return loader.construct_object(yaml.ScalarNode(tag, text))
    except (yaml.YAMLError, ValueError, RecursionError):
        quoted = shlex.quote(f"{key}={json.dumps(text, ensure_ascii=False)}")
        raise RetrievalError(f"{shown(key)}={shown(text)} cannot be read as YAML: as a text it is {quoted}") from None
