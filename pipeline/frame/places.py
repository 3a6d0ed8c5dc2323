"""Where raw data lies: the place that a YAML writes, and where that is on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
from upath import UPath

from pipeline.frame.home import expanded
from pipeline.retrieval.errors import RetrievalError

# A folder of this machine, or one behind a URL that fsspec opens.
Place = Path | UPath

RAW = Path("data/raw")
ELSEWHERE = "RETRIEVAL_RAW"  # the environment variable that names the folder to use instead of data/raw


def as_written(root: str) -> Place:
    """Return a folder as a YAML or a manifest writes it: a path, or a URL such as ``s3://bucket/folder``."""
    return UPath(root) if "://" in root else Path(root)


def place_of(root: str | Place) -> Place:
    """Return where images are: what a URL names, else what :func:`located` says.

    Raises:
        RetrievalError: see :func:`located`; fsspec does not know the URL's kind, or lacks the package for it.
    """
    if "://" not in str(root):
        return located(str(root))
    try:
        fsspec.get_filesystem_class(str(root).partition("://")[0])
    except (ImportError, ValueError) as error:
        raise RetrievalError(f"{root} cannot be opened ({error}): install what is missing, or mend the URL") from None
    return UPath(root)


@contextmanager
def asking(place: Place) -> Iterator[None]:
    """Turn what the client of a URL raises, which may be anything, into one line.

    Raises:
        RetrievalError: it raised something.
    """
    try:
        yield
    except RetrievalError:
        raise
    except Exception as error:
        if isinstance(place, Path):
            raise
        problem = " ".join(f"{type(error).__name__}: {error}".split())
        raise RetrievalError(f"{place} cannot be opened ({problem}): mend the URL or the access to it") from None


def located(root: str | Path) -> Path:
    """Return where ``root``, as a dataset's YAML writes it, is on this machine.

    ``~`` is expanded. A relative root that starts with ``data/raw`` is looked for below the folder that the
    environment variable RETRIEVAL_RAW names, where that is set: for data kept elsewhere, and for runs in a
    temporary copy of the project, which has none. Everything else stays as it is.

    A manifest keeps the root as written, so that it is the same on every machine; whoever opens images asks
    here.

    Raises:
        RetrievalError: nobody knows the home folder that ``~`` stands for.
    """
    elsewhere = os.environ.get(ELSEWHERE)
    path = expanded(root)
    if elsewhere and path.is_relative_to(RAW):
        return expanded(elsewhere, where=ELSEWHERE) / path.relative_to(RAW)
    return path
