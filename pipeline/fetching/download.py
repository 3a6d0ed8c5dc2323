"""One file from the network to a place on disk: resumed when cut off, verified, there whole or not at all."""

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import requests
from filelock import FileLock
from tqdm import tqdm

from pipeline.frame.files import digest_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.reading.mistaken import mistaken_at
from pipeline.retrieval.reading.regular import regular_file

ATTEMPTS = 4  # without progress; every one goes on where the last was cut off
TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of the answer
PIECE = 1 << 16  # bytes; what has not come as a whole piece is asked for again
# What can be sent back as it came (RFC 9110, 8.8), ASCII or not; a weak one (W/) does not promise equal bytes.
VALIDATOR = re.compile(r"(?!W/)[\x20-\x7e\x80-\xff]+")


@dataclass(frozen=True)
class RemoteFile:
    """A file that others publish.

    Attributes:
        url: where it is.
        name: what to call it on disk.
        digest: ``sha256:<64 hexadecimal digits>`` or the first of them, eight at least, as in the names
            of torchvision's checkpoints; ``md5:<32 digits>``; None where nobody has stated one.
        bytes: its length, or None.
    """

    url: str
    name: str
    digest: str | None = None
    bytes: int | None = None

    def describe(self) -> str:
        """Return its name, length and hash, as far as they are known, for an error."""
        length = "of unknown length" if self.bytes is None else f"{self.bytes:,} bytes"
        return f"{self.name} ({length}, {(self.digest or 'hash unknown').replace(':', ' ')})"


class NotFetched(RetrievalError):
    """The file could not be had from where it is published."""


class Interrupted(Exception):
    """The connection failed or broke off; what has arrived is kept, and the next attempt goes on from there."""


def download(remote: RemoteFile, target: Path) -> None:
    """Fetch ``remote`` to ``target`` unless the right file is there.

    The bytes gather in ``.<name>.partial`` beside the target, with the server's validator (ETag or
    Last-Modified) in ``.<name>.partial.tag``: a later call goes on from them if the server still has that
    very file, and starts again if not. Two processes that want the same file take turns.

    Raises:
        NotFetched: the file cannot be had; a part that can be gone on with stays.
        RetrievalError: it is not the one meant; what was fetched is removed, what was there is left.
    """
    with FileLock(lock_of(target)):
        if target.is_file():
            verify(target, remote)
            return
        partial = target.with_name(f".{target.name}.partial")
        fetch(remote, partial)
        try:
            verify(partial, remote)
        except RetrievalError:
            discard(partial)
            raise
        os.replace(partial, target)
        discard(partial)


def fetch(remote: RemoteFile, partial: Path) -> None:
    """Fetch all bytes of ``remote`` to ``partial``, as many attempts as make progress."""
    failures = 0
    while True:
        before = length_of(partial)
        try:
            fetch_rest(remote, partial)
            return
        except Interrupted as error:
            failures = 0 if length_of(partial) > before else failures + 1
            # No connection at all will not come about by asking again at once.
            if failures >= ATTEMPTS or (failures and isinstance(error.__cause__, requests.ConnectionError)):
                raise NotFetched(f"{remote.describe()} could not be fetched from {remote.url} ({error})") from None


def fetch_rest(remote: RemoteFile, partial: Path) -> None:
    """Fetch what ``partial`` lacks of ``remote``, or all of it if the server has another file by now.

    Raises:
        Interrupted: the connection failed or broke off.
        NotFetched: the server refuses.
    """
    done = length_of(partial)
    tag = usable_validator(tag_of(partial).read_text(encoding="latin-1")) if done and tag_of(partial).is_file() else ""
    # The bytes as they are in the file: a length and a range of compressed ones would mean another thing.
    headers = {"Accept-Encoding": "identity"}
    if tag:
        headers |= {"Range": f"bytes={done}-", "If-Range": tag}
    try:
        with requests.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == 416:  # the part is no shorter than the file
                discard(partial)
                raise Interrupted("the server has no more bytes than had arrived")
            if answer.status_code not in (200, 206):
                raise NotFetched(
                    f"{remote.describe()} could not be fetched from {remote.url} "
                    f"(the server says {answer.status_code} {answer.reason})"
                )
            resumed = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
            if answer.status_code == 206 and not resumed:
                discard(partial)
                raise Interrupted("the server sent another part than the one asked for")
            if not resumed:
                done = 0
                validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
                partial.parent.mkdir(parents=True, exist_ok=True)
                tag_of(partial).write_text(usable_validator(validator), encoding="latin-1")
            announced = announced_length(answer.headers)
            total = None if announced is None else done + announced
            with (
                partial.open("ab" if resumed else "wb") as file,
                tqdm(total=total, initial=done, desc=remote.name, unit="B", unit_scale=True) as progress,
            ):
                for piece in answer.iter_content(PIECE):
                    file.write(piece)
                    progress.update(len(piece))
    except (RetrievalError, Interrupted):
        raise
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise Interrupted(reason(error)) from error
    except Exception as error:  # what a server sends leads the client to more than it lists
        if isinstance(error, OSError) and not isinstance(error, requests.RequestException):  # of this machine's disk
            raise
        raise NotFetched(f"{remote.describe()} could not be fetched from {remote.url} ({reason(error)})") from None
    if total is not None and length_of(partial) != total:
        raise Interrupted(f"{length_of(partial):,} of {total:,} bytes arrived")


def usable_validator(text: str) -> str:
    """Return an ETag or a date to ask by whether a file is still the same; empty if it cannot be."""
    return text if VALIDATOR.fullmatch(text) else ""


def announced_length(headers: Mapping[str, str]) -> int | None:
    """Return the bytes that an answer announces; None if it does not; ValueError if that is no number."""
    text = headers.get("Content-Length")
    if text is not None and not re.fullmatch("[0-9]+", text):
        raise ValueError(f"the server announces {text!r} bytes")
    return None if text is None else int(text)


def verify(path: Path, remote: RemoteFile, *, remedy: str | None = None) -> None:
    """Check the length and hash of a file, as far as ``remote`` states them.

    Args:
        path: the file.
        remote: what it must be.
        remedy: for the error; None: to get it again.

    Raises:
        RetrievalError: they differ, or it is no regular file.
    """
    remedy = remedy or again(remote)
    regular_file(path)
    if remote.bytes is not None and length_of(path) != remote.bytes:
        raise RetrievalError(f"{path} has {length_of(path):,} bytes, not {remote.bytes:,}: {instead(path)}{remedy}")
    if remote.digest is not None:
        kind, _, expected = remote.digest.partition(":")
        found = digest_of(path, kind)
        if not found.startswith(expected.lower()):
            raise RetrievalError(f"{path} has the {kind} {found}, not {expected}: {instead(path)}{remedy}")


def instead(path: Path) -> str:
    """Return what plainly stands in the place of a file, to begin a remedy; or nothing."""
    what = mistaken_at(path)
    return f"it is {what}; " if what else ""


def again(remote: RemoteFile) -> str:
    """Return the remedy for a file that is not the one meant."""
    return f"it is damaged or another file; remove it and get {remote.name} again from {remote.url}"


def length_of(path: Path) -> int:
    """Return the bytes of a file; 0 if there is none."""
    return path.stat().st_size if path.is_file() else 0


def lock_of(target: Path) -> Path:
    """Return the lock of a target: outside its folder, where a failed download leaves nothing."""
    name = hashlib.sha256(os.fsencode(target.absolute())).hexdigest()
    return Path(tempfile.gettempdir()) / f"download-{name[:32]}.lock"


def tag_of(partial: Path) -> Path:
    """Return where the validator of a part is kept."""
    return partial.with_name(f"{partial.name}.tag")


def discard(partial: Path) -> None:
    """Remove a part and its validator."""
    partial.unlink(missing_ok=True)
    tag_of(partial).unlink(missing_ok=True)


def reason(error: Exception) -> str:
    """Return an error of a client as one line: its innermost cause, without the objects' addresses."""
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    text = " ".join(str(cause).split())
    return text.split(">: ")[-1] or type(cause).__name__
