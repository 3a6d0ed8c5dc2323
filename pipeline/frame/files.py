"""Files that appear whole or not at all: written under a temporary name beside the target, then renamed.

The name is the writer's own, so that two that write the same do not meet: the last to finish stays. What a killed one
left, the next to write the same target removes.
"""

import errno
import hashlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from pipeline.frame.ending import UNFINISHED, discard
from pipeline.retrieval.errors import RetrievalError, shown, some

SHOWN = 40  # characters of a target's name in the temporary one, which must not be too long
OWN = re.compile(r"(\d+)-\d+@(.*)\.partial")  # what follows it: the process, how many it has made, the machine
NUMBERS = count()


@contextmanager
def naming(target: Path, partial: Path) -> Iterator[None]:
    """Let an error of writing name ``target``: on a full disk it is that of an open file, without a name."""
    try:
        yield
    except OSError as error:
        if type(error) is OSError and error.errno is None:  # NumPy's or Pillow's
            raise OSError(errno.EIO, f"cannot be written whole ({error})", str(target)) from None
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EDQUOT):
            error.filename = str(target)
        elif str(partial) in str(error.filename):
            error.filename, error.filename2 = str(error.filename).replace(str(partial), str(target)), None
        raise


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; rename it to ``target`` only if the block succeeds."""
    with unfinished(target) as partial:
        yield partial
        os.replace(partial, target)


@contextmanager
def replacing_directory(target: Path) -> Iterator[Path]:
    """Yield an empty directory beside ``target``; it takes the place of ``target`` only if the block succeeds.

    Raises:
        RetrievalError: the target is a folder that holds the working folder, or other things than what takes its place.
    """
    if target.is_dir() and Path.cwd().is_relative_to(target.resolve()):
        raise RetrievalError(f"{shown(str(target))} is the folder of this process, or above it: name another to write")
    with unfinished(target) as partial, unfinished(target) as before:
        partial.mkdir()
        yield partial
        refuse_other(target, partial)
        while True:
            if target.is_dir():
                with suppress(FileNotFoundError):  # another process is at the same
                    os.replace(target, before)
                discard(before)
            try:
                os.replace(partial, target)
                return
            except OSError as error:  # it was faster
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise


def refuse_other(target: Path, made: Path) -> None:
    """Raise :class:`RetrievalError` if a folder is there that has nothing by a name that ``made`` has: not ours."""
    names: set[str] = set()
    with suppress(FileNotFoundError, NotADirectoryError):
        names = set(os.listdir(target))
    if names and names.isdisjoint(os.listdir(made)):
        raise RetrievalError(
            f"{shown(str(target))} is a folder of other things ({some(sorted(names))}): name another to write, or "
            "remove it"
        )


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target`` for this process alone; what is there afterwards is removed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    start = f".{target.name[:SHOWN]}."
    drop_left(target.parent, start)
    partial = target.with_name(f"{start}{os.getpid()}-{next(NUMBERS)}@{platform.node()}.partial")
    UNFINISHED.add(partial)
    try:
        with naming(target, partial):
            yield partial
    finally:
        discard(partial)
        UNFINISHED.discard(partial)


def drop_left(folder: Path, start: str) -> None:
    """Remove what processes of this machine that are gone have left under names that begin with ``start``."""
    with os.scandir(folder) as entries:
        left = [entry.name for entry in entries if entry.name.startswith(start)]
    for name in left:
        own = OWN.fullmatch(name.removeprefix(start))
        if own and own[2] == platform.node() and not writes(int(own[1]), folder / name):
            discard(folder / name)


def left_in(folder: Path, *, but: Path) -> Iterator[Path]:
    """Yield what processes of this machine that are gone have left below a folder under temporary names, but in one."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            own = OWN.search(name) if name.startswith(".") and name.endswith(".partial") else None
            if own and own[2] == platform.node() and not writes(int(own[1]), Path(place, name)):
                yield Path(place, name)
        folders[:] = [name for name in folders if not name.endswith(".partial") and Path(place, name) != but]


def writes(process: int, partial: Path) -> bool:
    """Return whether a process is there that may be writing a file.

    Not one that began after the file was touched last, nor one that is dead and only waits for its parent to ask.
    """
    from psutil import STATUS_ZOMBIE, NoSuchProcess, Process  # rarely needed, and slow to import

    try:
        there = Process(process)
        return bool(there.status() != STATUS_ZOMBIE and there.create_time() <= partial.stat().st_mtime + 2)
    except (NoSuchProcess, FileNotFoundError):
        return False


def write_text(target: Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with replacing_file(target) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: Path, value: Mapping[str, Any]) -> None:
    """Write ``value`` as indented JSON, whole or not at all; NaN and infinity are refused (ValueError)."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    return digest_of(path, "sha256")


def digest_of(path: Path, kind: str) -> str:
    """Return the digest of a file as hexadecimal digits; ``kind`` is one of hashlib's."""
    digest = hashlib.new(kind)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
