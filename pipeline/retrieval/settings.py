"""From a YAML's ``kind: name`` and its other keys to a call, with errors that name the YAML."""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from .errors import RetrievalError

Result = TypeVar("Result")

ENDLESS = 10**18  # what counts with 64 bits has room to spare
STRICT = ConfigDict(strict=True, arbitrary_types_allowed=True)
# What a YAML holds beside plain values, and what a list of it may stand for.
HELD = (Mapping, Sequence, AbstractSet)
ENDS = {"ge": "from", "gt": "above", "le": "to"}
READABLE = {int: "an integer", float: "a number", str: "a string", bool: "true or false", NoneType: "null"}
# What settings may be: no number is without a bound, since what is made of it takes memory and time.
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Cutoff = Annotated[int, Field(ge=1, le=1_000_000_000)]
Draws = Annotated[int, Field(ge=100, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Side = Annotated[int, Field(ge=1, le=16_384)]  # pixels


def choose(kinds: Mapping[str, Result], kind: object, *, key: str, where: str) -> Result:
    """Return ``kinds[kind]``.

    Raises:
        RetrievalError: there is no such kind; the message lists those there are.
    """
    if not isinstance(kind, str) or kind not in kinds:
        raise RetrievalError(f"{where}: unknown {key} '{kind}'; one of {', '.join(sorted(kinds))}")
    return kinds[kind]


def call(
    function: Callable[..., Result], options: Any, *, where: str, given: Mapping[str, Any] | None = None
) -> Result:
    """Call ``function(**options)`` after checking the options against its signature.

    ``given`` are arguments that are not the YAML's to set; they are passed if the function takes them.

    Raises:
        RetrievalError: ``options`` is no mapping; an option is missing or unknown, as a misspelt key would
            otherwise be a setting that silently does nothing; a value is not of the annotated type.
    """
    if not isinstance(options, Mapping):
        raise RetrievalError(f"{where}: expected keys and values, got '{options}'")
    signature = inspect.signature(function).parameters
    inner = {name: value for name, value in (given or {}).items() if name in signature}
    parameters = [p for p in signature.values() if p.name not in inner]
    known = [p.name for p in parameters]
    required = [p.name for p in parameters if p.default is inspect.Parameter.empty]
    unknown = [name for name in options if name not in known]
    missing = [name for name in required if name not in options]
    if unknown or missing:
        wrong = [f"unknown key '{name}'" for name in unknown] + [f"missing key '{name}'" for name in missing]
        raise RetrievalError(f"{where}: {', '.join(wrong)}; its keys are {', '.join(known)}")
    for name, value in options.items():
        if any(isinstance(one, int | float) and not abs(one) < ENDLESS for one in inside(value)):
            raise RetrievalError(f"{where}: '{name}' is {value!r}: expected finite numbers of at most 18 digits")
        annotation = signature[name].annotation
        if not fits(value, annotation):
            raise RetrievalError(f"{where}: '{name}' is {value!r}: expected {readable(annotation)}")
    return function(**options, **inner)


def inside(value: Any) -> Iterator[Any]:
    """Yield what is in a nest of mappings and lists, at every depth."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from inside(inner)
    else:
        yield value


def fits(value: Any, annotation: Any) -> bool:
    """Return whether a value from a YAML, and all that it holds, is of an annotated type.

    By pydantic's strict rules: an integer is a number, true and false are not, and a string is no list; a list is a
    tuple or a set too. Types that no YAML has, such as paths and callables, are not checked.
    """
    kind = get_origin(annotation) or annotation
    special = kind in (Any, Union, UnionType, Literal, Annotated)
    if isinstance(annotation, str) or not (special or kind in READABLE or issubclass_of(kind, HELD)):
        return True
    try:
        adapter = TypeAdapter(annotation, config=STRICT)
        if isinstance(value, list) and issubclass_of(kind, (tuple, AbstractSet)):
            adapter.validate_json(json.dumps(value), strict=True)
        else:
            adapter.validate_python(value)
    except ValidationError:
        return False
    except PydanticUserError:  # of a type that it cannot check
        return True
    return True


def issubclass_of(kind: Any, bases: tuple[type, ...]) -> bool:
    """Return whether something is a class, and one of these."""
    return isinstance(kind, type) and issubclass(kind, bases)


def readable(annotation: Any) -> str:
    """Return an annotated type in the words of a YAML."""
    kind, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if kind in (Union, UnionType):
        return " or ".join(readable(argument) for argument in arguments)
    if kind is Annotated:
        ends = [f"{ENDS[name]} {end}" for bound in arguments[1].metadata for name, end in asdict(bound).items()]
        return " ".join([readable(arguments[0]), *ends])
    if kind is Literal:
        return " or ".join(str(choice) for choice in arguments)
    if kind in READABLE:
        return READABLE[kind]
    if issubclass_of(kind, (Mapping,)):
        return "keys and values"
    if issubclass_of(kind, (Sequence, AbstractSet)):
        return f"a list, each entry {readable(arguments[0])}" if len(arguments) == 1 else "a list"
    return str(kind)
