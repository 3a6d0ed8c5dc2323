"""Images that are in the gallery and relevant to no query: all of a folder, or those of a list."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.datasets.annotations import read_lines
from pipeline.datasets.layouts import Below, confine, existing, refuse_outside, refuse_strays, strays_by_name
from pipeline.datasets.listing import Listing
from pipeline.frame.places import Place, as_written, place_of
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.reading.lists import spelt
from pipeline.retrieval.settings import call, fits


@dataclass(frozen=True)
class Distractors:
    """Where distractors are.

    Attributes:
        root: the folder (see ``pipeline.frame.places``).
        list: the path of a text with the path of an image from there in each line; None: every image below the root.
        ending: what the list leaves out at the end of each path, such as ``.jpg``.
    """

    root: str
    list: str | None = None
    ending: str = ""


def read_distractors(entries: Any, *, where: str) -> list[Distractors]:
    """Return what ``distractors`` in a YAML says: a list of folders, each a path or the keys of :class:`Distractors`.

    Raises:
        RetrievalError: it says something else.
    """
    if not fits(entries, Sequence[str | Mapping[str, Any]]):
        raise RetrievalError(f"{where}: 'distractors' is '{entries}': expected a list of folders")
    return [
        Distractors(entry) if isinstance(entry, str) else call(Distractors, entry, where=f"{where}: distractors")
        for entry in entries
    ]


def with_distractors(listing: Listing, distractors: Sequence[Distractors], *, where: str) -> Listing:
    """Return a listing with distractors appended to its gallery.

    In the order of the entries, and of their lists; where there is no list, of the paths, and hidden files are passed
    over.

    Raises:
        RetrievalError: a folder or a list is missing, or has no image; what is there is no image by its name, or a
            link; a line of a list leaves the folder, or stands there twice.
    """
    if not distractors:
        return listing
    entries, roles, places = list(listing.entries), dict(listing.roles), dict(listing.roots)
    passed_over = Counter(listing.passed_over)
    for one in distractors:
        top, root = existing(one.root), as_written(one.root)
        if one.list is None:
            names, hidden = found_below(top, root=one.root, where=where)
            passed_over.update(hidden)
        else:
            names = listed_in(place_of(one.list), ending=one.ending)
        refuse_strays(strays_by_name(names), where=f"{where}, distractors: {top}", remedy="remove them")
        numbers = range(len(entries), len(entries) + len(names))
        entries += [(name, ()) for name in names]
        roles |= dict.fromkeys(numbers, "gallery")
        places |= dict.fromkeys(numbers, root)
    return replace(listing, entries=tuple(entries), roles=roles, roots=places, passed_over=passed_over)


def found_below(top: Place, *, root: str, where: str) -> tuple[list[str], dict[str, int]]:
    """Return the paths of the files below a folder, and how many are passed over."""
    below = Below.of(top, (), root=root, follow_links=False)
    if not below.kept:
        raise RetrievalError(f"{where}, distractors: no image in {root}: put images there")
    for name in below.kept:
        confine(top, name, where=f"{where}, distractors", follow_links=False)
    return below.kept, below.passed_over


def listed_in(path: Place, *, ending: str) -> list[str]:
    """Return the paths of a list, one a line.

    Whether the files are there is found when they are opened, which all are: asking for a million before would take
    as long as it takes to list them.

    Raises:
        RetrievalError: the list cannot be read or is empty; a line leaves the root, or stands there twice.
    """
    first: dict[str, str] = {}
    for where, line in read_lines(path, remedy="it lists the images, a path a line"):
        name = spelt(line + ending)
        refuse_outside(name, where=where)
        if name in first:
            raise RetrievalError(f"{where}: {shown(name)} stands already at {first[name]}: remove one")
        first[name] = where
    if not first:
        raise RetrievalError(f"{shown(str(path))} lists no image: it has a path a line")
    return list(first)
