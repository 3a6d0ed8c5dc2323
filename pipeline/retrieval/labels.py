"""Labels and groups are texts, or integers; each can be told from the others by what one sees."""

import re
import reprlib
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np

from .arrays import as_array, missing
from .errors import RetrievalError

SEVERAL = (tuple, list, set, frozenset)
# Of no width, though Unicode counts them as letters, marks or nothing at all and not, as the others, as formats.
UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)


def as_labels(labels: Iterable[Any]) -> list[tuple[str, ...]]:
    """Return the labels of every item, none, one or several, as a tuple of texts (see :func:`as_text`).

    Several are a tuple, list, set or array; a tensor without a dimension is one.

    Raises:
        RetrievalError: a label is none that can be told from others: missing, true or false, a fraction, a text with
            nothing to see, a label inside a list inside a list; or an integer where another item has it as text.
    """
    texts = Texts()
    found = []
    for number, entry in enumerate(labels):
        if not isinstance(entry, str | int):  # nearly all are
            array = as_array(entry, what=f"the label of item {number}")
            entry = entry if array is None or isinstance(entry, np.generic) else array.tolist()
        several = entry if isinstance(entry, SEVERAL) else (entry,)
        found.append(tuple(texts.take(one, what=f"a label of item {number}") for one in several))
    return found


def as_groups(groups: Iterable[Any]) -> list[str | None]:
    """Return the group of every item as text; None, or what pandas has for a missing value: it has none.

    Raises:
        RetrievalError: one cannot be told from others, see :func:`as_labels`.
    """
    texts = Texts()
    return [
        None if missing(one) else texts.take(one, what=f"the group of item {number}")
        for number, one in enumerate(groups)
    ]


class Texts:
    """Labels of one kind, or groups, as text; that of an integer is not also that of a text, such as 7 and '7'."""

    def __init__(self) -> None:
        """Begin without any."""
        self._kinds: dict[str, type] = {}

    def take(self, value: Any, *, what: str) -> str:
        """Return the text of a value (see :func:`as_text`)."""
        text = as_text(value, what=what)
        kind = int if isinstance(value, int | np.integer) else str
        if self._kinds.setdefault(text, kind) is not kind:
            raise RetrievalError(
                f"{what} is {text} as a number where another has it as text, or the other way: give one kind, such as "
                "texts for all"
            )
        return text


def as_text(value: Any, *, what: str) -> str:
    """Return a label or a group as text: a text itself, an integer in decimal digits, bytes as UTF-8.

    Raises:
        RetrievalError: it is anything else, or has nothing to see.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return str(int(value))
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            raise RetrievalError(f"{what} is {value!r}, which is no UTF-8: decode it, and give text") from None
    if not isinstance(value, str):
        given = "missing" if missing(value) else f"{reprlib.repr(value)} ({type(value).__name__})"
        none = "None where it has no group" if "group" in what else "() where it has no label"
        raise RetrievalError(f"{what} is {given}, no text and no integer: give one, and {none}")
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
