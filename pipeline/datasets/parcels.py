"""A dataset's archives, from where they are published to data/raw."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.fetching.archives import extract_archive, is_archive
from pipeline.fetching.download import RemoteFile, download
from pipeline.frame.files import replacing_directory
from pipeline.frame.places import RAW, located
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call

DIGITS = {"md5": 32, "sha256": 64}
MAX_FILES = 200_000  # an archive; VOC 2012 has 17,125 images and as many annotations


@dataclass(frozen=True)
class Parcel:
    """Files that together make a folder.

    Attributes:
        into: the folder, as the YAML writes it (see ``pipeline.frame.places``).
        files: archives, which are extracted into it, and other files, which are copied.
        max_bytes: the most that the folder may come to hold.
    """

    into: str
    files: tuple[RemoteFile, ...]
    max_bytes: int


def read_parcels(name: str, config: Mapping[str, Any]) -> list[Parcel]:
    """Return what ``fetch`` in a dataset's YAML lists: one parcel, or several.

    Raises:
        RetrievalError: it lists none, but says in words how to get the images, or nothing; a key is
            missing, unknown or wrong; a file has neither a hash nor ``unverified: true``; two files have
            the same name.
    """
    where = f"conf/dataset/{name}.yaml"
    fetch = config.get("fetch")
    if fetch is None:
        place = f"put the images at {config['root']}" if "root" in config else "its images are made by prepare"
        raise RetrievalError(f"{where} has no 'fetch', so that there is nothing to download: {place}")
    if isinstance(fetch, str):
        raise RetrievalError(f"{name} cannot be downloaded: {fetch}")
    entries = fetch if isinstance(fetch, list) else [fetch]
    parcels = [call(read_parcel, entry, where=f"{where}: fetch") for entry in entries]
    names = [file.name for parcel in parcels for file in parcel.files]
    for file in names:
        if names.count(file) > 1:
            raise RetrievalError(f"{where}: two files under 'fetch' are named {file}, and are kept under that name")
    return parcels


def read_parcel(into: str, files: list[dict[str, Any]], max_gigabytes: int | float) -> Parcel:
    """Return a parcel (see :func:`read_parcels`)."""
    if not files:
        raise RetrievalError(f"fetch into {into}: 'files' names none: list them, each with its url")
    remotes = tuple(call(read_file, file, where=f"fetch into {into}") for file in files)
    return Parcel(into, remotes, int(max_gigabytes * 10**9))


def read_file(url: str, md5: str | None = None, sha256: str | None = None, unverified: bool = False) -> RemoteFile:
    """Return a file to download: its address, and the hash that its publisher states.

    Raises:
        RetrievalError: no hash is given although ``unverified: true`` does not say that there is none, or
            more than one of these is; a hash has not the right number of digits; the address names no file.
    """
    given = {kind: digits for kind, digits in (("md5", md5), ("sha256", sha256)) if digits is not None}
    if len(given) + unverified != 1:
        raise RetrievalError(f"{url}: give its md5 or sha256, or unverified: true where its publisher states neither")
    for kind, digits in given.items():
        if not re.fullmatch(rf"[0-9a-fA-F]{{{DIGITS[kind]}}}", str(digits)):
            raise RetrievalError(f"{url}: {kind} must be {DIGITS[kind]} hexadecimal digits, quoted, not '{digits}'")
    parts = urlsplit(url)
    name = parts.path.rpartition("/")[2]
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"\w[\w.-]*", name):
        raise RetrievalError(f"{url}: expected http:// or https:// and a path that ends in the name of a file")
    return RemoteFile(url=url, name=name, digest=next((f"{kind}:{digits}" for kind, digits in given.items()), None))


def fetch(parcel: Parcel) -> None:
    """Download the files of a parcel and make its folder from them, whole or not at all.

    A folder that is there already is left alone, whatever it holds. Downloads stay in
    ``data/raw/downloads`` and are not made again.

    Raises:
        RetrievalError: a file cannot be had, or is not the one meant; an archive is refused.
    """
    into = located(parcel.into)
    if into.exists():
        print(f"{into} is there already and is left as it is: remove it to have it made anew")
        return
    downloads = located(RAW / "downloads")
    downloads.mkdir(parents=True, exist_ok=True)
    for remote in parcel.files:
        if remote.digest is None:
            print(f"{remote.name}: nobody states its hash, so that it cannot be checked")
        download(remote, downloads / remote.name)
    with replacing_directory(into) as partial:
        unpack([downloads / remote.name for remote in parcel.files], partial, max_bytes=parcel.max_bytes)
    print(f"{into} is ready; the downloads in {downloads} may be removed")


def unpack(files: list[Path], target: Path, *, max_bytes: int) -> None:
    """Extract the archives among ``files`` into ``target`` and copy the others there.

    Raises:
        RetrievalError: an archive is refused (see :func:`pipeline.fetching.archives.extract_archive`).
    """
    for file in files:
        if is_archive(file.name):
            print(f"extracting {file}")
            max_bytes -= extract_archive(file, target, max_bytes=max_bytes, max_files=MAX_FILES)
        else:
            shutil.copyfile(file, target / file.name)
