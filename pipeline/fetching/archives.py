"""Archives that others made -> files on disk, nothing but files, and nowhere but where they were meant."""

import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.reading.mistaken import mistaken_at
from pipeline.retrieval.reading.regular import regular_file

TARS = (".tar", ".tar.gz", ".tgz")
ZIPS = (".zip",)
PIECE = 1 << 20
DRIVE = re.compile(r"[A-Za-z]:")
METADATA = 1 << 20  # bytes of a tar's headers for one member: tarfile reads them at once, however far they are packed
LONG_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)


@dataclass(frozen=True)
class Member:
    """What an archive holds under a name.

    Attributes:
        name: as the archive has it.
        kind: ``file``, ``folder``, or what else it is, which is refused.
        open: gives the bytes of a file; None for what has none.
    """

    name: str
    kind: str
    open: Callable[[], IO[bytes] | None]


def is_archive(name: str) -> bool:
    """Return whether :func:`extract_archive` takes a file of that name."""
    return name.lower().endswith((*TARS, *ZIPS))


def extract_archive(archive: Path, target: Path, *, max_bytes: int, max_files: int) -> int:
    """Extract a tar, plain or gzipped, or a zip into ``target`` and return how many bytes were written.

    Only files and folders, made anew with the permissions that this process gives: modes, owners and times
    are not taken over. On an error ``target`` holds what came before: it should be a temporary folder.

    Args:
        archive: its name tells the format (``.tar``, ``.tar.gz``, ``.tgz``, ``.zip``).
        target: an existing folder. A file that is there already must have the same content.
        max_bytes: the most to write, counted as written: an archive can claim anything.
        max_files: the most files and folders.

    Raises:
        RetrievalError: the archive is damaged, of another format, or larger than allowed; a member is a
            link or device, has a name that leads out of ``target``, or comes twice with different content.
    """
    written = 0
    try:
        regular_file(archive)
        if what := mistaken_at(archive):
            raise RetrievalError(f"{archive} is {what}: remove it and fetch it again")
        with closing(members_of(archive)) as members:
            for number, member in enumerate(members, start=1):
                where = f"{archive}: member {member.name!r}"
                if number > max_files:
                    raise RetrievalError(f"{where} is one more than the {max_files} allowed: do not use this archive")
                path = target / checked_name(member.name, where=where)
                if member.kind == "folder":
                    path.mkdir(parents=True, exist_ok=True)
                elif member.kind == "file":
                    written += extract_file(member, path, room=max_bytes - written, where=where)
                else:
                    raise RetrievalError(f"{where} is a {member.kind}, not a file or folder: do not use this archive")
    except RetrievalError:
        raise
    except Exception as error:  # tarfile, zipfile and what unpacks for them raise nearly every type on damaged ones
        if isinstance(error, OSError) and error.errno is not None:  # of this machine, not of the archive
            raise RetrievalError(f"{archive} cannot be extracted ({error}): mend that or remove the archive") from None
        problem = " ".join(str(error).split()) or type(error).__name__
        raise RetrievalError(f"{archive} cannot be read ({problem}): remove it and fetch it again") from None
    return written


def checked_name(name: str, *, where: str) -> PurePosixPath:
    """Return a member's name as a path that stays below the folder it is put in, here and on other systems.

    Raises:
        RetrievalError: it does not.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or DRIVE.match(name) or not name.isprintable():
        raise RetrievalError(f"{where} has a name that is unfit or leads out of its folder: do not use this archive")
    return path


def extract_file(member: Member, path: Path, *, room: int, where: str) -> int:
    """Write a file and return its bytes; one that is there already is compared, and nothing written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opened = member.open()
    assert opened is not None
    with opened as source:
        if path.exists():
            if not path.is_file() or not same_content(source.read, path):
                raise RetrievalError(f"{where} comes twice with different content: do not use this archive")
            return 0
        written = 0
        with path.open("xb") as file:
            while piece := source.read(PIECE):
                written += len(piece)
                if written > room:
                    raise RetrievalError(f"{where} goes past the limit of bytes to extract: raise max_gigabytes")
                file.write(piece)
        return written


def same_content(read: Callable[[int], bytes], path: Path) -> bool:
    """Return whether what is left to ``read`` is what a file holds."""
    with path.open("rb") as file:
        while True:
            piece = read(PIECE)
            if piece != file.read(PIECE):
                return False
            if not piece:
                return True


def members_of(archive: Path) -> Generator[Member, None, None]:
    """Yield the members of an archive, in its order.

    Raises:
        RetrievalError: its name is of no known format.
    """
    name = archive.name.lower()
    if name.endswith(TARS):
        return tar_members(archive)
    if name.endswith(ZIPS):
        return zip_members(archive)
    raise RetrievalError(f"{archive} is no archive by its name: one of {', '.join((*TARS, *ZIPS))}")


def tar_members(archive: Path) -> Generator[Member, None, None]:
    """Yield the members of a tar; tarfile.ReadError or an error of gzip if it is damaged."""
    with tarfile.open(archive, "r:*", tarinfo=StrictTarInfo) as tar:
        for info in tar:
            yield Member(info.name, kind_in_tar(info), partial(tar.extractfile, info))
        assert tar.fileobj is not None
        while tar.fileobj.read(PIECE):  # gzip compares its checksum at its very end, where tarfile does not look
            pass


class StrictTarInfo(tarfile.TarInfo):
    """A header that must be one: tarfile takes a damaged header, and a missing one, for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "StrictTarInfo":
        """Read a header, or raise tarfile's own error for the zeros that end an archive.

        Raises:
            tarfile.ReadError: it is damaged or missing, or announces a length that cannot be.
        """
        try:
            info = super().frombuf(buf, encoding, errors)
            if info.size < 0 or (info.type in LONG_HEADERS and info.size > METADATA):
                raise tarfile.ReadError(f"a header announces {info.size} bytes")
            return info
        except tarfile.HeaderError as error:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                raise
            raise tarfile.ReadError(f"a header is damaged or missing: {error}") from None


def kind_in_tar(info: tarfile.TarInfo) -> str:
    """Return what a member of a tar is."""
    kinds = [(info.isreg(), "file"), (info.isdir(), "folder"), (info.issym() or info.islnk(), "link")]
    return next((kind for matches, kind in kinds if matches), "device")


def zip_members(archive: Path) -> Generator[Member, None, None]:
    """Yield the members of a zip."""
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            yield Member(info.filename, kind_in_zip(info), partial(file.open, info))


def kind_in_zip(info: zipfile.ZipInfo) -> str:
    """Return what a member of a zip is, by the mode that Unix's archivers keep."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "link" if kind == stat.S_IFLNK else "device"
    return "folder" if info.is_dir() else "file"
