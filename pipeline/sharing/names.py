"""What items are called in files that others read."""

from collections import Counter
from collections.abc import Sequence
from urllib.parse import quote

from pipeline.frame.rows import csv_of
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.errors import RetrievalError, shown


def names_of(manifest: Manifest) -> list[str]:
    """Return a name for each item: its path or, where several have it, as the boxes of one image, ``path#number``.

    Raises:
        RetrievalError: a path looks like the name of another item.
    """
    counts = Counter(manifest.paths)
    names = [path if counts[path] == 1 else f"{path}#{number}" for number, path in enumerate(manifest.paths)]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise RetrievalError(f"two items would be called {shown(twice)}: give one of the files another name")
    return names


def safe(name: str) -> str:
    """Return a name without white space, as formats need it whose columns are separated by that.

    White space, what cannot be seen, and the percent sign are written as in URLs, ``%20``;
    :func:`urllib.parse.unquote` undoes it.
    """
    return "".join(quote(one, safe="") if one == "%" or one.isspace() or not one.isprintable() else one for one in name)


def mapping_of(manifest: Manifest, names: Sequence[str]) -> str:
    """Return a CSV of what each item is called, its number in the manifest, and its path."""
    rows = [(name, number, path) for number, (name, path) in enumerate(zip(names, manifest.paths, strict=True))]
    return csv_of([("name", "item", "path"), *rows])
