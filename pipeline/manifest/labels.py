"""Lists of items and what is known about them: labels, roles, groups."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.frame.places import Place, asking
from pipeline.manifest.items import as_role, split_labels
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Role


@dataclass(frozen=True)
class Labelled:
    """The items in the order of the features' rows.

    Attributes:
        names: of the items, usually paths.
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


def read_labels(path: Place) -> Labelled:
    r"""Read a ``.csv`` with a header, or a text of lines ``path<TAB>label``.

    The columns of a CSV are ``path`` and ``labels`` (joined by ``|``, a ``|`` or ``\`` inside one has a ``\`` before
    it) and, if wanted, ``role`` and ``group``. Empty lines are passed over.

    Raises:
        RetrievalError: the file cannot be read, has no items, or a line is not of this form; it is named.
    """
    try:
        with asking(path), path.open(encoding="utf-8-sig", newline="") as file:
            found = read_csv(file, path) if path.suffix.lower() == ".csv" else read_lines(file, path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RetrievalError(f"{path} cannot be read ({error}): give a list of path<TAB>label, or a .csv") from None
    if not found.names:
        raise RetrievalError(f"{path} lists no item: it has one line per item, path<TAB>label")
    return found


def read_lines(file: Iterable[str], path: Place) -> Labelled:
    """Read lines ``path<TAB>label``."""
    names, labels, lines = [], [], []
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        name, _, label = (part.strip() for part in line.partition("\t"))
        if not name or not label:
            raise RetrievalError(f"{path}:{number}: expected path<TAB>label, got '{line.strip()}'")
        if "\t" in label:
            raise RetrievalError(
                f"{path}:{number}: more than one tab, so that the label is not clear: '{line.strip()}'"
            )
        names.append(name)
        labels.append((label,))
        lines.append(number)
    return Labelled(names, labels, lines=lines)


def read_csv(file: Iterable[str], path: Place) -> Labelled:
    """Read a table with the columns path, labels and perhaps role and group."""
    reader = csv.DictReader(file)
    columns = list(reader.fieldnames or [])
    if set(columns) - {"path", "labels", "role", "group"} or not {"path", "labels"} <= set(columns):
        raise RetrievalError(f"{path}: its columns are {columns}: expected path, labels and perhaps role, group")
    if len(set(columns)) < len(columns):
        raise RetrievalError(f"{path}: its columns are {columns}: each only once")
    names, labels, lines = [], [], []
    roles: list[Role] = []
    groups: list[str | None] = []
    for row in reader:
        where = f"{path}:{reader.line_num}"
        if None in row or None in row.values():
            raise RetrievalError(f"{where}: expected {len(columns)} columns")
        name = row["path"].strip()
        found = tuple(label.strip() for label in split_labels(row["labels"].strip()))
        if not name or not all(found):
            raise RetrievalError(f"{where}: the path or one of the labels '{row['labels']}' is empty")
        try:
            role = as_role((row.get("role") or "").strip() or "both")
        except ValueError as error:
            raise RetrievalError(f"{where}: {error}") from None
        if role == "query" and not found:
            raise RetrievalError(f"{where}: {name} is a query without labels: say what it shows, or drop it")
        names.append(name)
        labels.append(found)
        roles.append(role)
        groups.append((row.get("group") or "").strip() or None)
        lines.append(reader.line_num)
    given = set(columns)
    return Labelled(names, labels, roles if "role" in given else None, groups if "group" in given else None, lines)
