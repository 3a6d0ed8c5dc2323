"""What another stage made: one error for all that cannot be used."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.frame.output import joined
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.reading.regular import regular_file

UNUSABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, csv.Error)


@contextmanager
def output_of(stage: str, what: str) -> Iterator[None]:
    """Read what a stage made inside the block: if it is missing or of another form, say what, and to run the stage.

    Raises:
        RetrievalError: the block raised what damaged files lead to.
    """
    try:
        yield
    except UNUSABLE as error:
        raise RetrievalError(f"no usable {what} ({problem_of(error)}): run dvc repro {stage}") from None


def problem_of(error: Exception) -> str:
    """Return what an error says, in one line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}"
    if isinstance(error, KeyError):
        return f"there is no {error}"
    return joined(str(error)) or type(error).__name__


def read_json(path: Path, kind: Any, *, stage: str, what: str) -> Any:
    """Return what a stage wrote as JSON, as it stands there, after a check that it is of a kind.

    Args:
        path: the file.
        kind: a type that pydantic checks. What a TypedDict does not name is not checked.
        stage: that wrote it.
        what: it is, for an error.

    Raises:
        RetrievalError: it is missing or of another kind.
    """
    with output_of(stage, f"{what} in {path}"):
        regular_file(path)
        value = json.loads(path.read_text(encoding="utf-8"))
        TypeAdapter(kind).validate_python(value, strict=True)
        return value
