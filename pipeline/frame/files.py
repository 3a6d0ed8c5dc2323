"""Files that appear whole or not at all: written under a temporary name beside the target, then renamed."""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import ELOOP
from pathlib import Path
from typing import Any

from pipeline.retrieval.errors import RetrievalError, shown

# What lies where a file is expected, and is none: to open it can wait for ever, to read it never end.
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; rename it to ``target`` only if the block succeeds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        yield partial
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def replacing_directory(target: Path) -> Iterator[Path]:
    """Yield an empty directory beside ``target``; it takes the place of ``target`` only if the block succeeds.

    What a killed run left under the temporary name is removed first.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        shutil.rmtree(target, ignore_errors=True)
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


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


def regular_file(path: Path) -> None:
    """Check, without opening it, that what a path leads to is a regular file of this machine.

    Raises:
        RetrievalError: it is a folder, a named pipe, a device, a socket, or a link that leads back to itself.
        OSError: it cannot be looked at, as when nothing is there: what opening it would raise.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno != ELOOP:
            raise
        kind = "a link that leads back to itself"
    else:
        if stat.S_ISREG(mode):
            return
        kind = KINDS.get(stat.S_IFMT(mode), "no regular file")
    raise RetrievalError(f"{shown(str(path))} is {kind}, not a file: give a regular file")
