"""Oxford and Paris buildings as their archives hold them: the label is in the file's name."""

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.datasets.layouts import confine, existing, files_below
from pipeline.datasets.listing import Listing
from pipeline.errors import RetrievalError

NAME = re.compile(r"(?:paris_)?(?P<landmark>.+)_[0-9]{6}\.jpg")


def read_landmark_names(root: str, exclude: Sequence[str] = (), follow_links: bool = False) -> Listing:
    """Read every image below the root, in the order of their relative paths.

    The label is the landmark in the name, ``paris_<landmark>_<six digits>.jpg`` or
    ``<landmark>_<six digits>.jpg``: the words of the search that found the image, and no statement that the
    landmark is to be seen. Hidden files (``.DS_Store``) are passed over.

    Args:
        root: the folder (see ``pipeline.raw``).
        exclude: names of files, without their folder, to leave out, such as known corrupt ones.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the root is missing; a file's name is of another form, or leaves the root; an
            excluded name is not there.
    """
    top = existing(root)
    entries = []
    absent = set(exclude)
    for name in sorted(names_below(top, follow_links=follow_links)):
        base = name.rpartition("/")[2]
        if base in exclude:
            absent.discard(base)
            continue
        match = NAME.fullmatch(base)
        if match is None:
            raise RetrievalError(
                f"{top / name} has no name like paris_louvre_000001.jpg or all_souls_000013.jpg: "
                "remove it, or name it under 'exclude'"
            )
        confine(top, name, where=str(top), follow_links=follow_links)
        entries.append((name, (match["landmark"],)))
    if absent:
        raise RetrievalError(f"'{min(absent)}' under 'exclude' is not in the dataset {root}: remove it there")
    return Listing(Path(root), tuple(entries))


def names_below(top: Path, *, follow_links: bool) -> list[str]:
    """Return every file below a folder but hidden ones, relative to it with forward slashes, in no order."""
    paths = (path.relative_to(top) for path in files_below(top, follow_links=follow_links))
    return [path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts)]
