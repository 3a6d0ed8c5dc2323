"""Lists of items, on this machine or behind a URL."""

from pathlib import Path

from pipeline.frame.places import Place, asking
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.reading.lists import REMEDY, Labelled, parsed, read_text


def read_labels(path: Place, *, alone: bool = False) -> Labelled:
    """Read a list of items, or where it may be one, of labels alone (:func:`pipeline.retrieval.reading.lists.parsed`).

    Raises:
        RetrievalError: the file cannot be read, has no items, or a line is of another form; it is named.
    """
    return parsed(read_list_text(path, remedy=REMEDY), str(path), alone=alone)


def read_list_text(path: Place, *, remedy: str) -> str:
    """Return the text of a list, in UTF-8, with or without a byte order mark, its line ends as they are.

    Raises:
        RetrievalError: it cannot be read, or is no regular file.
    """
    if isinstance(path, Path):
        return read_text(path, remedy=remedy)
    try:
        with asking(path), path.open(encoding="utf-8-sig", newline="") as file:
            text: str = file.read()
            return text
    except (OSError, UnicodeDecodeError) as error:
        raise RetrievalError(f"{shown(str(path))} cannot be read ({error}): {remedy}") from None
