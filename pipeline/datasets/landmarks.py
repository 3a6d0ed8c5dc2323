"""Oxford and Paris buildings as their archives hold them: the label is in the file's name."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pipeline.datasets.layouts import EXCLUDE, Below, confine, existing, refuse_strays
from pipeline.datasets.listing import Listing
from pipeline.frame.places import as_written
from pipeline.retrieval.errors import RetrievalError

NAME = re.compile(r"(?:paris_)?(?P<landmark>.+)_[0-9]{6}\.jpg")


def read_landmark_names(root: str, exclude: Sequence[str] = (), follow_links: bool = False) -> Listing:
    """Read every image below the root, in the order of their relative paths.

    The label is the landmark in the name, ``paris_<landmark>_<six digits>.jpg`` or
    ``<landmark>_<six digits>.jpg``: the words of the search that found the image, and no statement that the
    landmark is to be seen. Hidden files (``.DS_Store``) are passed over.

    Args:
        root: the folder (see ``pipeline.frame.places``).
        exclude: names of files, without their folder, to leave out, such as known corrupt ones, or patterns of such.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the root is missing; a file's name is of another form, or leaves the root; an
            excluded name is not there.
    """
    named = named_images(
        root, NAME, form="paris_louvre_000001.jpg or all_souls_000013.jpg", exclude=exclude, follow_links=follow_links
    )
    entries = tuple((name, (match["landmark"],)) for name, match in named.matches.items())
    return Listing(as_written(root), entries, passed_over=named.passed_over)


@dataclass(frozen=True)
class Named:
    """The images below a folder, whose names say what they are.

    Attributes:
        matches: of the pattern and the name, by their paths relative to the folder, in the order of these.
        passed_over: how many files do not count, by the reason.
    """

    matches: dict[str, re.Match[str]]
    passed_over: dict[str, int]


def named_images(
    root: str, pattern: re.Pattern[str], *, form: str, exclude: Sequence[str] | None = None, follow_links: bool
) -> Named:
    """Return the images below a folder, at any depth, with what a pattern finds in the names of their files.

    Args:
        root: the folder (see ``pipeline.frame.places``).
        pattern: what a whole name, without its folder, must fit.
        form: names that do, for the error.
        exclude: names without their folder to leave out, or patterns of such; None: the YAML has no such key.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the folder is missing; a name does not fit, or leaves the root; an excluded name is not there.
    """
    top = existing(root)
    below = Below.of(top, exclude or (), root=root, follow_links=follow_links, key=base_name)
    matches = {name: pattern.fullmatch(base_name(name)) for name in below.kept}
    strays = [name for name, match in matches.items() if match is None]
    remedy = EXCLUDE if exclude is not None else "remove or move them"
    refuse_strays({f"no name like {form}": strays}, where=str(top), remedy=remedy)
    for name in matches:
        confine(top, name, where=str(top), follow_links=follow_links)
    return Named({name: match for name, match in matches.items() if match}, below.passed_over)


def base_name(path: str) -> str:
    """Return a path's last part."""
    return path.rpartition("/")[2]


def by_name(paths: Iterable[str], *, root: str) -> dict[str, str]:
    """Return from the name of each file to its path; RetrievalError if two have the same name."""
    found: dict[str, str] = {}
    for path in sorted(paths):
        name = base_name(path)
        if name in found:
            raise RetrievalError(f"{root}: both {found[name]} and {path} are named {name}: remove one")
        found[name] = path
    return found
