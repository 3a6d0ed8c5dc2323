"""Layouts for one's own images: a folder per class, and ``images/`` with ``list_of_images.txt``."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from PIL import Image

from pipeline.datasets.listing import Listing
from pipeline.frame.places import Place, as_written, asking, place_of
from pipeline.manifest.labels import read_labels
from pipeline.retrieval.errors import RetrievalError

DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def read_folder(root: str, exclude: Sequence[str] = (), follow_links: bool = False) -> Listing:
    """Read ``<root>/<class>/**/<image>``: the first folder below the root is the label.

    Files whose name Pillow does not know as an image's are an error, because silently skipping them
    would change the dataset; hidden files (``.DS_Store``) are passed over.

    Args:
        root: the folder; relative to the top of the project if not absolute (see ``pipeline.frame.places``).
        exclude: paths relative to the root to leave out, such as known corrupt files.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the root is missing; a file lies beside the class folders, is no image by its
            name, or leaves the root; an excluded path is not there.
    """
    top = existing(root)
    known = Image.registered_extensions()
    entries: list[tuple[str, tuple[str, ...]]] = []
    names = sorted(names_below(top, follow_links=follow_links), key=lambda name: name.split("/"))
    refuse_absent(exclude, names, root=root)
    for name in names:
        if name in exclude:
            continue
        label, inside, _ = name.partition("/")
        if not inside:
            raise RetrievalError(f"{top / name} lies beside the class folders: move it into one, or exclude it")
        if Path(name).suffix.lower() not in known:
            raise RetrievalError(f"{top / name} is no image by its name: remove it, or name it under 'exclude'")
        confine(top, name, where=str(top), follow_links=follow_links)
        entries.append((name, (label,)))
    return Listing(as_written(root), tuple(entries))


def files_below(top: Path, *, follow_links: bool) -> Iterator[Path]:
    """Yield every file below a folder.

    Raises:
        RetrievalError: a folder cannot be listed, is a symbolic link that may not be followed, or leads
            back into a folder around it.
    """

    def refuse(error: OSError) -> None:
        raise RetrievalError(f"{error.filename} cannot be listed ({error.strerror}): mend its permissions")

    for parent, folders, names in os.walk(top, followlinks=follow_links, onerror=refuse):
        for folder in (Path(parent, name) for name in folders if not name.startswith(".")):
            if folder.is_symlink() and not follow_links:
                raise RetrievalError(
                    f"{folder} is a symbolic link: set follow_links: true in the dataset's YAML if that is meant"
                )
            if folder.is_symlink() and Path(parent).resolve().is_relative_to(folder.resolve()):
                raise RetrievalError(f"{folder} leads back into a folder around it: remove the link")
        yield from (Path(parent, name) for name in names)


def read_list(
    root: str,
    list: str = "list_of_images.txt",  # the YAML's key; the builtin is not needed here
    exclude: Sequence[str] = (),
    follow_links: bool = False,
) -> Listing:
    r"""Read ``<root>/list_of_images.txt``, one line per image: ``relative/path<TAB>label``, UTF-8; or a ``.csv``.

    The paths start at the root (``images/cat/1.jpg``) or, as in lists that leave it out, at
    ``<root>/images``; all lines alike. A CSV can also say several labels, roles and groups, see
    :func:`pipeline.manifest.labels.read_labels`; an image without labels is a distractor, in the gallery only.

    Args:
        root: the folder; relative to the top of the project if not absolute (see ``pipeline.frame.places``).
        list: the list's name in it.
        exclude: paths, as written in the list, to leave out.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the root, the list or an image is missing; a line has no label, names a path
            a second time, or one that leaves the root. The line is named.
    """
    top = existing(root)
    listed = read_labels(top / list)
    first_lines: dict[str, int] = {}
    for name, line in zip(listed.names, listed.lines, strict=True):
        where = f"{top / list}:{line}"
        if name in first_lines:
            raise RetrievalError(f"{where}: {name} stands already in line {first_lines[name]}: remove one")
        first_lines[name] = line
        refuse_outside(name, where=where)
    inner = list_base(top, listed.names)
    refuse_absent(exclude, listed.names, root=root)
    kept = [number for number, name in enumerate(listed.names) if name not in exclude]
    entries, roles, groups = [], {}, {}
    for place, number in enumerate(kept):
        name, labels = listed.names[number], listed.labels[number]
        confine(top / inner, name, where=f"{top / list}:{listed.lines[number]}", follow_links=follow_links)
        entries.append((name, labels))
        role = listed.roles[number] if listed.roles else "both"
        if role != "both" or not labels:
            roles[place] = role if labels else "gallery"
        group = listed.groups[number] if listed.groups else None
        if group is not None:
            groups[place] = group
    base = as_written(root) if inner == "." else as_written(root) / inner  # a URL would keep the dot
    return Listing(base, tuple(entries), roles=roles, groups=groups)


def list_base(top: Place, names: Sequence[str]) -> str:
    """Return the folder, relative to the root, that a list's paths start from: ``.`` or ``images``."""
    first = names[:100]
    with asking(top):
        beside = any((top / name).is_file() for name in first)
        return "images" if not beside and any((top / "images" / name).is_file() for name in first) else "."


def existing(root: str) -> Place:
    """Return where the root is after checking that it is a folder.

    Raises:
        RetrievalError: it is none, or its URL cannot be opened.
    """
    top = place_of(root)
    with asking(top):
        there = top.is_dir()
    if not there:
        place = "" if top == as_written(root) else f" (looked for at {top})"
        raise RetrievalError(
            f"{root} is not a folder{place}: put the images there or mend 'root' in the dataset's YAML; "
            "python -m pipeline.fetch dataset=<its name> gets them or says how"
        )
    return top


def refuse_outside(name: str, *, where: str) -> None:
    """Raise :class:`RetrievalError` for a path that is absolute or climbs with ``..``."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or DRIVE.match(name):
        raise RetrievalError(f"{where}: {name} leaves the root: use a path below it")


def confine(top: Place, name: str, *, where: str, follow_links: bool) -> None:
    """Check that ``name`` is a file below ``top``, links included.

    What is behind a URL has no links, and is found missing when it is read: asking for each file would take hours.
    """
    if not isinstance(top, Path):
        return
    path = top / name
    if not path.is_file():
        raise RetrievalError(f"{where}: {name} is not there ({path}): put the file there or remove the line")
    if not follow_links and not path.resolve().is_relative_to(top.resolve()):
        raise RetrievalError(
            f"{where}: {name} leaves the root by a symbolic link: set follow_links: true in the dataset's YAML "
            "if that is meant"
        )


def refuse_absent(exclude: Sequence[str], names: Iterable[str], *, root: str) -> None:
    """Raise :class:`RetrievalError` for an excluded path that is not in the dataset."""
    absent = set(exclude) - set(names)
    if absent:
        raise RetrievalError(f"'{min(absent)}' under 'exclude' is not in the dataset {root}: remove it there")


def with_distractors(listing: Listing, roots: Sequence[str], *, where: str) -> Listing:
    """Return a listing with every image below some folders appended to its gallery, relevant to no query.

    In the order of the folders, and of their relative paths; hidden files are passed over.

    Raises:
        RetrievalError: a folder is missing or has no image; a file in it is no image by its name, or a link.
    """
    known = Image.registered_extensions()
    entries, roles, places = list(listing.entries), dict(listing.roles), dict(listing.roots)
    for root in roots:
        before = len(entries)
        top = existing(root)
        for name in sorted(names_below(top, follow_links=False)):
            if Path(name).suffix.lower() not in known:
                raise RetrievalError(f"{where}, distractors: {top / name} is no image by its name: remove it")
            confine(top, name, where=f"{where}, distractors", follow_links=False)
            roles[len(entries)], places[len(entries)] = "gallery", as_written(root)
            entries.append((name, ()))
        if len(entries) == before:
            raise RetrievalError(f"{where}, distractors: no image in {root}: put images there")
    return replace(listing, entries=tuple(entries), roles=roles, roots=places)


def names_below(top: Place, *, follow_links: bool) -> list[str]:
    """Return every file below a folder but hidden ones, relative to it with forward slashes, in no order."""
    if isinstance(top, Path):
        names = [path.relative_to(top).as_posix() for path in files_below(top, follow_links=follow_links)]
    else:
        with asking(top):
            names = [PurePosixPath(path).relative_to(top.path).as_posix() for path in top.fs.find(top.path)]
    return [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
