"""Layouts for one's own images: a folder per class, and ``images/`` with ``list_of_images.txt``."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from PIL import Image

from pipeline.datasets.listing import Listing
from pipeline.errors import RetrievalError
from pipeline.raw import located

DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def read_folder(root: str, exclude: Sequence[str] = (), follow_links: bool = False) -> Listing:
    """Read ``<root>/<class>/**/<image>``: the first folder below the root is the label.

    Files whose name Pillow does not know as an image's are an error, because silently skipping them
    would change the dataset; hidden files (``.DS_Store``) are passed over.

    Args:
        root: the folder; relative to the top of the project if not absolute (see ``pipeline.raw``).
        exclude: paths relative to the root to leave out, such as known corrupt files.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the root is missing; a file lies beside the class folders, is no image by its
            name, or leaves the root; an excluded path is not there.
    """
    top = existing(root)
    known = Image.registered_extensions()
    entries: list[tuple[str, tuple[str, ...]]] = []
    for path in sorted(files_below(top, follow_links=follow_links)):
        relative = path.relative_to(top)
        if any(part.startswith(".") for part in relative.parts):
            continue
        name = relative.as_posix()
        if name in exclude:
            entries.append((name, ()))
            continue
        if len(relative.parts) < 2:
            raise RetrievalError(f"{top / name} lies beside the class folders: move it into one, or exclude it")
        if path.suffix.lower() not in known:
            raise RetrievalError(f"{top / name} is no image by its name: remove it, or name it under 'exclude'")
        confine(top, name, where=str(top), follow_links=follow_links)
        entries.append((name, (relative.parts[0],)))
    return leave_out(Listing(Path(root), tuple(entries)), exclude)


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
    """Read ``<root>/list_of_images.txt``, a line an image: ``relative/path<TAB>label``, UTF-8.

    The paths start at the root (``images/cat/1.jpg``) or, as in lists that leave it out, at
    ``<root>/images``; all lines alike. Empty lines are passed over.

    Args:
        root: the folder; relative to the top of the project if not absolute (see ``pipeline.raw``).
        list: the list's name in it.
        exclude: paths, as written in the list, to leave out.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the root, the list or an image is missing; a line has no label, names a path
            a second time, or one that leaves the root. The line is named.
    """
    top = existing(root)
    listed = top / list
    try:
        text = listed.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RetrievalError(
            f"{listed} cannot be read ({error}): it lists the images, a line each: relative/path<TAB>label"
        ) from None
    first_lines: dict[str, int] = {}
    entries = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{listed}:{number}"
        name, _, label = (part.strip() for part in line.partition("\t"))
        if not name or not label:
            raise RetrievalError(f"{where}: expected relative/path<TAB>label, got '{line.strip()}'")
        if "\t" in label:
            raise RetrievalError(f"{where}: more than one tab, so that the label is not clear: '{line.strip()}'")
        if name in first_lines:
            raise RetrievalError(f"{where}: {name} stands already in line {first_lines[name]}: remove one")
        first_lines[name] = number
        refuse_outside(name, where=where)
        entries.append((name, (label,)))
    inner = list_base(top, [name for name, _ in entries])
    for name, _ in entries:
        where = f"{listed}:{first_lines[name]}"
        if name not in exclude:
            confine(top / inner, name, where=where, follow_links=follow_links)
    return leave_out(Listing(Path(root) / inner, tuple(entries)), exclude)


def list_base(top: Path, names: Sequence[str]) -> str:
    """Return the folder, relative to the root, that a list's paths start from: ``.`` or ``images``."""
    first = names[:100]
    beside = any((top / name).is_file() for name in first)
    return "images" if not beside and any((top / "images" / name).is_file() for name in first) else "."


def existing(root: str) -> Path:
    """Return where the root is on this machine after checking that it is a folder."""
    top = located(root)
    if not top.is_dir():
        place = "" if top == Path(root) else f" (looked for at {top})"
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


def confine(top: Path, name: str, *, where: str, follow_links: bool) -> None:
    """Check that ``name`` is a file below ``top``, links included."""
    path = top / name
    if not path.is_file():
        raise RetrievalError(f"{where}: {name} is not there ({path}): put the file there or remove the line")
    if not follow_links and not path.resolve().is_relative_to(top.resolve()):
        raise RetrievalError(
            f"{where}: {name} leaves the root by a symbolic link: set follow_links: true in the dataset's YAML "
            "if that is meant"
        )


def leave_out(listing: Listing, exclude: Sequence[str]) -> Listing:
    """Return the listing without the excluded paths, every one of which must be in it."""
    names = {name for name, _ in listing.entries}
    for name in exclude:
        if name not in names:
            raise RetrievalError(f"'{name}' under 'exclude' is not in the dataset {listing.root}: remove it there")
    return Listing(listing.root, tuple(entry for entry in listing.entries if entry[0] not in set(exclude)))
