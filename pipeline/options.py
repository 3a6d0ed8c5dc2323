"""From a YAML's ``kind: name`` and its other keys to a call, with errors that name the YAML."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pipeline.errors import RetrievalError

Result = TypeVar("Result")


def choose(kinds: Mapping[str, Result], kind: str, *, key: str, where: str) -> Result:
    """Return ``kinds[kind]``.

    Raises:
        RetrievalError: there is no such kind; the message lists those there are.
    """
    if kind not in kinds:
        raise RetrievalError(f"{where}: unknown {key} '{kind}'; one of {', '.join(sorted(kinds))}")
    return kinds[kind]


def call(function: Callable[..., Result], options: Any, *, where: str) -> Result:
    """Call ``function(**options)`` after checking the names of the options against its signature.

    Raises:
        RetrievalError: ``options`` is no mapping; an option is missing or unknown. A misspelt key would
            otherwise be a setting that silently does nothing.
    """
    if not isinstance(options, Mapping):
        raise RetrievalError(f"{where}: expected keys and values, got '{options}'")
    parameters = inspect.signature(function).parameters.values()
    known = [p.name for p in parameters]
    required = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    unknown = [name for name in options if name not in known]
    missing = [name for name in required if name not in options]
    if unknown or missing:
        wrong = [f"unknown key '{name}'" for name in unknown] + [f"missing key '{name}'" for name in missing]
        raise RetrievalError(f"{where}: {', '.join(wrong)}; its keys are {', '.join(known)}")
    return function(**options)
