"""YAML as DVC, Hydra and this project agree on it: UTF-8, no key twice, and an end."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from pipeline.frame.output import joined
from pipeline.retrieval.errors import RetrievalError

MOST = 1_000_000  # values in a file, those behind an alias counted as often as it stands there


class Loader(yaml.SafeLoader):
    """PyYAML's, which takes the last of two equal keys, with an error instead."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return a mapping; ConstructorError for a key that it has twice."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"the key '{key.value}' twice", key.start_mark)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def read_yaml(path: Path, *, name: str) -> Any:
    """Return what a YAML file holds.

    Args:
        path: the file.
        name: what to call it in an error.

    Raises:
        RetrievalError: it cannot be read, is not UTF-8 or not YAML, has a key twice, or nests without an end.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        value = yaml.load(text, Loader)  # noqa: S506, it is a SafeLoader
    except OSError as error:
        raise RetrievalError(f"{name} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise RetrievalError(f"{name}, line {line}: not UTF-8 ({error.reason}): save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        there = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        problem = error.problem or error.context
        raise RetrievalError(f"{name}{there}: {problem}: mend the YAML there, or quote the text") from None
    except yaml.YAMLError as error:
        raise RetrievalError(f"{name} is not YAML ({joined(str(error))}): mend it") from None
    except RecursionError:
        raise RetrievalError(f"{name} nests too deep: write it flatter") from None
    refuse_endless(value, name=name)
    return value


def refuse_endless(value: object, *, name: str) -> None:
    """Raise :class:`RetrievalError` for a nest that holds itself, or which aliases make too large."""
    waiting, seen = [value], 0
    while waiting:
        inner = waiting.pop()
        entries = list(inner.values()) if isinstance(inner, dict) else inner if isinstance(inner, list) else ()
        seen += len(entries)
        if seen > MOST:
            raise RetrievalError(f"{name}: its aliases ('*') stand for more than {MOST} values: write them out")
        waiting.extend(entries)
