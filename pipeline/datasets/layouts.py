"""Layouts for one's own images: a folder per class, and ``images/`` with ``list_of_images.txt``."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from fsspec.utils import glob_translate
from PIL import Image

from pipeline.datasets.listing import Listing
from pipeline.frame.places import Place, as_written, asking, place_of
from pipeline.manifest.images import formats
from pipeline.manifest.labels import read_labels
from pipeline.retrieval.errors import RetrievalError, shown, some
from pipeline.retrieval.reading.lists import spelt
from pipeline.retrieval.reading.regular import regular_file

EXCLUDE = "remove or move them, or name them under 'exclude', which takes patterns such as '**/Thumbs.db'"
LISTED = "put the file there or remove the line"
READ, UNREAD, OTHER = "read", "unread", "other"
# Of images that this Pillow may know nothing of: of telephones, of cameras, of newer or drawn formats.
PHOTOGRAPHS = {
    *(".heic", ".heif", ".hif", ".avif", ".jxl", ".svg", ".raw", ".dng", ".arw", ".cr2", ".cr3", ".crw", ".nef"),
    *(".orf", ".pef", ".raf", ".rw2", ".srw", ".jp2", ".webp", ".tif", ".tiff"),
}
DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def read_folder(root: str, exclude: Sequence[str] = (), follow_links: bool = False) -> Listing:
    """Read ``<root>/<class>/**/<image>``: the first folder below the root is the label.

    Files whose name is not that of an image that is read are an error, because silently skipping them
    would change the dataset; hidden files (``.DS_Store``) are passed over.

    Args:
        root: the folder; relative to the top of the project if not absolute (see ``pipeline.frame.places``).
        exclude: paths relative to the root to leave out, such as known corrupt files, or patterns of such
            (see :func:`excluded`).
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the root is missing, or has images but no folders; a file lies beside the class folders, is no
            image by its name or at all, or leaves the root; an excluded path is not there.
    """
    top = existing(root)
    below = Below.of(top, exclude, root=root, follow_links=follow_links)
    refuse_flat(below.kept, where=str(top))
    refuse_strays(
        {
            "beside the class folders": [name for name in below.kept if "/" not in name],
            **strays_by_name([name for name in below.kept if "/" in name]),
        },
        where=str(top),
    )
    names = sorted(below.kept, key=lambda name: name.split("/"))
    for name in names:
        confine(top, name, where=str(top), follow_links=follow_links)
    entries = tuple((name, (name.partition("/")[0],)) for name in names)
    return Listing(as_written(root), entries, passed_over=below.passed_over)


def refuse_flat(names: Sequence[str], *, where: str) -> None:
    """Raise :class:`RetrievalError` if a folder has images and no folders, and so no labels."""
    images = [name for name in names if ending(name) in (READ, UNREAD)]
    if images and not any("/" in name for name in names):
        raise RetrievalError(
            f"{where} has {len(images)} images, but no folders, which are the labels: make a folder for each label, or "
            "give list=<file of path<TAB>label> (kind: list)"
        )


def strays_by_name(names: Sequence[str]) -> dict[str, list[str]]:
    """Return what by its name is no image that is read, by what it is."""
    found = {of: [name for name in names if ending(name) == of] for of in (UNREAD, OTHER)}
    kinds = ", ".join(sorted({Path(name).suffix.lower() for name in found[UNREAD]}))
    unread = f"{len(found[UNREAD])} in formats that are not read, {kinds}: convert to JPEG or PNG"
    return {unread: found[UNREAD], "no image by its name": found[OTHER]}


def ending(name: str) -> str:
    """Return what the end of a file's name says it is: an image that is read, one of another format, something else."""
    suffix = os.path.splitext(name)[1].lower()
    known = Image.registered_extensions().get(suffix)
    if known in formats():
        return READ
    return UNREAD if known or suffix in PHOTOGRAPHS else OTHER


def refuse_strays(strays: Mapping[str, Sequence[str]], *, where: str, remedy: str = EXCLUDE) -> None:
    """Raise one :class:`RetrievalError` for all files that are not as a layout has them, by what they are."""
    found = "; ".join(f"{some(names)} ({what})" for what, names in strays.items() if names)
    if found:
        raise RetrievalError(f"{where} has strays: {found}: {remedy}")


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
    images: Literal["files", "none"] = "files",
) -> Listing:
    r"""Read ``<root>/list_of_images.txt``, one line per image: ``relative/path<TAB>label``, UTF-8; or a ``.csv``.

    The paths start at the root (``images/cat/1.jpg``) or, as in lists that leave it out, at
    ``<root>/images``; all lines alike. A CSV can also say several labels, roles and groups, see
    :func:`pipeline.manifest.labels.read_labels`; an image without labels is a distractor, in the gallery only.

    Args:
        root: the folder; relative to the top of the project if not absolute (see ``pipeline.frame.places``).
        list: the list's name in it.
        exclude: paths, as written in the list, to leave out, or patterns of such (see :func:`excluded`).
        follow_links: accept symbolic links that lead out of the root.
        images: ``none`` for a list of items whose features were made elsewhere: no file is looked for.

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
            raise RetrievalError(f"{where}: {shown(name)} stands already in line {first_lines[name]}: remove one")
        first_lines[name] = line
        refuse_outside(name, where=where)
    inner = list_base(top, listed.names) if images == "files" else "."
    left_out = excluded(exclude, listed.names, root=root)
    kept = [number for number, name in enumerate(listed.names) if name not in left_out]
    entries, roles, groups = [], {}, {}
    for place, number in enumerate(kept):
        name, labels = listed.names[number], listed.labels[number]
        where = f"{top / list}:{listed.lines[number]}"
        if images == "files":
            confine(top / inner, name, where=where, follow_links=follow_links, remedy=LISTED)
        entries.append((name, labels))
        role = listed.roles[number] if listed.roles else "both"
        if role != "both" or not labels:
            roles[place] = role if labels else "gallery"
        group = listed.groups[number] if listed.groups else None
        if group is not None:
            groups[place] = group
    base = as_written(root) if inner == "." else as_written(root) / inner  # a URL would keep the dot
    passed_over = {"excluded": len(left_out)}
    return Listing(
        base, tuple(entries), roles=roles, groups=groups, passed_over=passed_over, has_images=images == "files"
    )


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
    path = name.replace("\\", "/")
    if path.startswith("/") or ".." in path.split("/") or DRIVE.match(name):
        raise RetrievalError(f"{where}: {shown(name)} leaves the root: use a path below it, without '..'")


def confine(top: Place, name: str, *, where: str, follow_links: bool, remedy: str = "mend or remove it") -> None:
    """Check that ``name`` is a file below ``top``, links included.

    What is behind a URL has no links, and is found missing when it is read: asking for each file would take hours.

    Raises:
        RetrievalError: it is none, and ``remedy`` says what to do; it leaves the root.
    """
    if not isinstance(top, Path):
        return
    path = top / name
    try:
        regular_file(path)
    except OSError as error:
        problem = "is a link to nothing" if path.is_symlink() else f"is not there ({shown(str(path))})"
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            problem = f"cannot be read ({error.strerror})"
        raise RetrievalError(f"{where}: {shown(name)} {problem}: {remedy}") from None
    if not follow_links and not path.resolve().is_relative_to(top.resolve()):
        raise RetrievalError(
            f"{where}: {shown(name)} leaves the root by a symbolic link: set follow_links: true in the dataset's YAML "
            "if that is meant"
        )


def excluded(exclude: Sequence[str], paths: Iterable[str], *, root: str, key: Callable[[str], str] = str) -> set[str]:
    """Return the paths that stand under ``exclude``, themselves or by their ``key``, or that a pattern there fits.

    In a pattern ``*`` and ``?`` stand for anything but a slash, and ``**`` for any folders, or none:
    ``**/Thumbs.db`` fits files of that name at every depth.

    Raises:
        RetrievalError: an entry is and fits none of them.
    """
    known: dict[str, set[str]] = {}
    for path in paths:
        for name in (path, key(path)):
            known.setdefault(name, set()).add(path)
    found: set[str] = set()
    for entry in exclude:
        those = known.get(spelt(entry)) or set().union(*(known[name] for name in fitting(entry, known)))
        if not those:
            raise RetrievalError(f"{entry!r} under 'exclude' is not in the dataset {root}: remove it there")
        found |= those
    return found


def fitting(pattern: str, names: Iterable[str]) -> set[str]:
    """Return the names that a pattern fits; RetrievalError if it is none."""
    try:
        fits = re.compile(glob_translate(pattern)).match
    except (ValueError, re.error) as error:
        raise RetrievalError(f"{pattern!r} under 'exclude' is no pattern ({error}): mend it there") from None
    return {name for name in names if fits(name)}


@dataclass(frozen=True)
class Below:
    """The files below a folder, by their paths relative to it, sorted.

    Attributes:
        kept: what counts.
        left_out: what is excluded.
        hidden: how many are hidden, or in a folder that is.
    """

    kept: list[str]
    left_out: list[str]
    hidden: int

    @classmethod
    def of(
        cls, top: Place, exclude: Sequence[str], *, root: str, follow_links: bool, key: Callable[[str], str] = str
    ) -> "Below":
        """Look below a folder; ``key`` gives what may stand under ``exclude`` for a path.

        Raises:
            RetrievalError: see :func:`excluded` and :func:`files_below`.
        """
        found = sorted(names_below(top, follow_links=follow_links))
        unwanted = excluded(exclude, found, root=root, key=key)  # hidden files may be named, though they never count
        visible = [name for name in found if not is_hidden(name)]
        kept = [name for name in visible if name not in unwanted]
        left_out = [name for name in visible if name in unwanted]
        return cls(kept, left_out, len(found) - len(visible))

    @property
    def passed_over(self) -> dict[str, int]:
        """How many files do not count, by the reason."""
        return {"hidden": self.hidden, "excluded": len(self.left_out)}


def is_hidden(path: str) -> bool:
    """Return whether a file, or a folder around it, is hidden, as ``.DS_Store`` and ``._1.jpg`` of macOS are."""
    return any(part.startswith(".") for part in path.split("/"))


def names_below(top: Place, *, follow_links: bool) -> list[str]:
    """Return every file below a folder, hidden ones too, relative to it with forward slashes, in no order."""
    if isinstance(top, Path):
        return [path.relative_to(top).as_posix() for path in files_below(top, follow_links=follow_links)]
    with asking(top):
        return [PurePosixPath(path).relative_to(top.path).as_posix() for path in top.fs.find(top.path)]
