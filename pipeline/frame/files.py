"""Files that appear whole or not at all: written under a temporary name beside the target, then renamed."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    with naming(target, partial):
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
    with naming(target, partial):
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
