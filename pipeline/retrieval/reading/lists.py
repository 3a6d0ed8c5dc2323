"""Lists of items and what is known about them: labels, roles, groups."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import RetrievalError, shown
from ..queries import Role, as_role
from .regular import regular_file

# A path without empty parts and parts that begin with a dot: nearly all, and told in a fraction of the time.
SPELT = re.compile(r"[^./][^/]*(?:/[^./][^/]*)*")
REMEDY = "give a list of path<TAB>label, or a .csv"
IMAGE = r"\.(?:jpe?g|png|gif|bmp|tiff?|webp|avif|hei[cf]|jp2|p[gnp]m)"
# A path of an image, whatever follows it; or a file's name and something more.
PATH = re.compile(rf"[/\\].*{IMAGE}\b|{IMAGE}[\s,;]", re.IGNORECASE)


@dataclass(frozen=True)
class Labelled:
    """The items in the order of the features' rows.

    Attributes:
        names: of the items, usually paths; of labels alone ``row 0``, ``row 1``, ...
        labels: what is in each; none: a distractor.
        roles: ``both``, ``query`` or ``gallery`` of each; None: both.
        groups: the group of each, None for none; None: there are no groups.
        lines: the line or row of the file that each stands in, from 1.
    """

    names: Sequence[str]
    labels: Sequence[tuple[str, ...]]
    roles: Sequence[Role] | None = None
    groups: Sequence[str | None] | None = None
    lines: Sequence[int] = ()


def read_listed(path: Path) -> Labelled:
    """Read a list of items or of labels alone, see :func:`parsed`.

    Raises:
        RetrievalError: see :func:`read_text` and :func:`parsed`.
    """
    return parsed(read_text(path, remedy=REMEDY), str(path), alone=True)


def read_text(path: Path, *, remedy: str) -> str:
    """Return a text in UTF-8, with or without a byte order mark, its line ends as they are.

    Raises:
        RetrievalError: it cannot be read, or is no regular file.
    """
    try:
        regular_file(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise RetrievalError(f"{shown(str(path))} cannot be read ({error}): {remedy}") from None


def refuse_count(rows: int, items: int, *, features: object, listed: object) -> None:
    """Raise :class:`RetrievalError` if features have not a row for each item of their list; both are named."""
    if rows != items:
        raise RetrievalError(f"{features} has {rows} rows, but {listed} lists {items} items")


def parsed(text: str, where: str, *, alone: bool = False) -> Labelled:
    r"""Read the text of a ``.csv`` with a header, or of lines ``path<TAB>label``; of which, the name of its file says.

    The columns of a CSV are ``path`` and ``labels`` (joined by ``|``, a ``|`` or ``\`` inside one has a ``\`` before
    it) and, if wanted, ``role`` and ``group``; an empty group is none. Empty lines are passed over. Paths come in one
    spelling (see :func:`spelt`); all else is as it is written, white space included.

    Args:
        text: of the file.
        where: its name.
        alone: whether lines may be labels alone, where nobody asks for paths: no line has a tab then.

    Raises:
        RetrievalError: it has no items, or a line is not of this form; it is named.
    """
    try:
        if where.lower().endswith(".csv"):
            found = read_csv(text, where)
        else:
            found = read_alone(text, where) if alone and "\t" not in text else read_lines(text, where, alone=alone)
    except csv.Error as error:
        raise RetrievalError(f"{where} cannot be read ({error}): {REMEDY}") from None
    if not found.names:
        raise RetrievalError(f"{where} lists no item: it has one line per item, path<TAB>label")
    return found


def spelt(path: str) -> str:
    """Return a path as all lists have it, without ``./`` and ``//``; ``..`` stays, and so does a URL."""
    if "://" in path or SPELT.fullmatch(path):
        return path
    return PurePosixPath(path).as_posix()


def read_lines(text: str, where: str, *, alone: bool) -> Labelled:
    """Read lines ``path<TAB>label``; an error says where they might be labels ``alone``."""
    rule = " (or no tab in any line, for labels alone)" if alone else ""
    names, labels, lines = [], [], []
    for number, line in enumerate(io.StringIO(text, newline=None), start=1):
        line = line.removesuffix("\n")
        if not line.strip():
            continue
        name, _, label = line.partition("\t")
        if not name.strip() or not label.strip():
            raise RetrievalError(f"{where}:{number}: expected path<TAB>label{rule}, got {line!r}")
        if "\t" in label:
            raise RetrievalError(f"{where}:{number}: more than one tab, so that the label is not clear: {line!r}")
        names.append(spelt(name))
        labels.append((label,))
        lines.append(number)
    return Labelled(names, labels, lines=lines)


def read_alone(text: str, where: str) -> Labelled:
    """Read lines that are a label each, in the order of the features' rows; an empty one would move those after it."""
    labels = [line.removesuffix("\n") for line in io.StringIO(text, newline=None)] if text.strip() else []
    for number, label in enumerate(labels, start=1):
        if not label.strip():
            raise RetrievalError(f"{where}:{number}: an empty line among labels alone: remove it, or give a label")
        if PATH.search(label):
            raise RetrievalError(f"{where}:{number}: {label!r} is a path without a label: give path<TAB>label")
    names = [f"row {number}" for number in range(len(labels))]
    return Labelled(names, [(label,) for label in labels], lines=range(1, len(labels) + 1))


def read_csv(text: str, where: str) -> Labelled:
    """Read a table with the columns path, labels and perhaps role and group."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)  # a quote that nothing ends is an error
    columns = list(reader.fieldnames or [])
    if set(columns) - {"path", "labels", "role", "group"} or not {"path", "labels"} <= set(columns):
        raise RetrievalError(f"{where}: its columns are {columns}: expected path, labels and perhaps role, group")
    if len(set(columns)) < len(columns):
        raise RetrievalError(f"{where}: its columns are {columns}: each only once")
    names, labels, lines = [], [], []
    roles: list[Role] = []
    groups: list[str | None] = []
    for row in reader:
        here = f"{where}:{reader.line_num}"
        if None in row or None in row.values():
            raise RetrievalError(f"{here}: expected {len(columns)} columns")
        try:
            found = split_labels(row["labels"])
            role = as_role((row.get("role") or "").strip() or "both")
        except ValueError as error:
            raise RetrievalError(f"{here}: {error}") from None
        name, group = row["path"], row.get("group") or None
        if not all(part.strip() for part in (name, *found, group or "none")):
            raise RetrievalError(f"{here}: the path, the group or one of the labels {row['labels']!r} is empty")
        if role == "query" and not found:
            raise RetrievalError(f"{here}: {shown(name)} is a query without labels: say what it shows, or drop it")
        names.append(spelt(name))
        labels.append(found)
        roles.append(role)
        groups.append(group)
        lines.append(reader.line_num)
    given = set(columns)
    return Labelled(names, labels, roles if "role" in given else None, groups if "group" in given else None, lines)


def join_labels(labels: tuple[str, ...]) -> str:
    r"""Join labels with ``|``; a ``|`` or ``\`` inside a label gets a ``\`` before it."""
    return "|".join(re.sub(r"([\\|])", r"\\\1", label) for label in labels)


def split_labels(text: str) -> tuple[str, ...]:
    r"""Undo :func:`join_labels`; ValueError for a ``\`` before anything but a ``|`` or ``\``, which it never writes."""
    if not text:
        return ()
    if "|" not in text and "\\" not in text:
        return (text,)  # nearly all of them; a large manifest is read in a fraction of the time
    if not re.fullmatch(r"(?:[^\\]|\\[\\|])*", text, flags=re.DOTALL):
        raise ValueError(f"in {text!r} a \\ stands before neither | nor \\: write it twice")
    parts = re.findall(r"(?:^|\|)((?:[^\\|]|\\.)*)", text, flags=re.DOTALL)
    return tuple(re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in parts)
