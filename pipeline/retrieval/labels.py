"""Labels and groups are texts, each of which can be told from the others by what one sees."""

import re
import reprlib
import unicodedata
from collections.abc import Iterable
from typing import Any

from .errors import RetrievalError

SEVERAL = (tuple, list, set, frozenset)
# Of no width, though Unicode counts them as letters, marks or nothing at all and not, as the others, as formats.
UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)


def as_labels(labels: Iterable[Any]) -> list[tuple[str, ...]]:
    """Return the labels of every item, none, one or several, as a tuple of texts.

    Raises:
        RetrievalError: what is given is no list of items, or a label no text that can be seen: bytes, a number, None,
            a label inside a list inside a list.
    """
    whole = [tuple(entry) if isinstance(entry, SEVERAL) else (entry,) for entry in labels]
    return [tuple(as_text(one, what=f"a label of item {n}") for one in several) for n, several in enumerate(whole)]


def as_groups(groups: Iterable[Any]) -> list[str | None]:
    """Return the group of every item, a text, or None, which alone means that it has none.

    Raises:
        RetrievalError: one is anything else.
    """
    return [None if one is None else as_text(one, what=f"the group of item {n}") for n, one in enumerate(groups)]


def as_text(value: Any, *, what: str) -> str:
    """Return a value that is a text in which there is something to see; :class:`RetrievalError` for any other."""
    if not isinstance(value, str):
        given = f"{reprlib.repr(value)} ({type(value).__name__})"
        none = "None where it has no group" if "group" in what else "() where it has no label"
        raise RetrievalError(f"{what} is {given}, not a text: give text, such as '7' for 7, and {none}")
    if not seen(value):
        raise RetrievalError(f"{what} is {value!r}, in which there is nothing to see: give it a name")
    return str(value)  # NumPy has a kind of its own


def refuse_alike(texts: Iterable[str], *, what: str) -> None:
    """Check that no two different texts look the same.

    Raises:
        RetrievalError: two differ only in normal form, white space or characters of no width; both are named.
    """
    first: dict[str, str] = {}
    for one in dict.fromkeys(texts):
        other = first.setdefault(seen(one), one)
        if other != one:
            raise RetrievalError(
                f"the {what} {ascii(other)} and {ascii(one)} look the same (they differ in white space, "
                "Unicode's normal form or what has no width): write them alike, or, if two are meant, so that it shows"
            )


def seen(text: str) -> str:
    """Return what is to be seen of a text: its normal form C without what has no width, and single spaces."""
    if not (text.isascii() and text.isprintable()):
        kept = (one for one in UNSEEN.sub("", text) if one.isspace() or unicodedata.category(one) not in ("Cc", "Cf"))
        text = unicodedata.normalize("NFC", "".join(kept))
    return " ".join(text.split())
