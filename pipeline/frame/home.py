"""Paths that a user gives, with ``~`` for the home folder."""

from pathlib import Path

from pipeline.retrieval.errors import RetrievalError


def expanded(path: str | Path, *, where: str = "") -> Path:
    """Return a path with ``~`` or ``~name`` expanded.

    Raises:
        RetrievalError: nobody knows that home folder; the error says ``where`` the path was given.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise RetrievalError(f"{where or path}: {error} Write the path without '~'") from None
