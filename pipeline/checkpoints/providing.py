"""The files of an encoder's weights: the user's own, those in the store, or fetched into it; all checked by hash."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.checkpoints.addresses import files_of, plain_name
from pipeline.checkpoints.checkpoint import kind_of, read_checkpoint
from pipeline.checkpoints.config import write_config
from pipeline.fetching.download import NotFetched, RemoteFile, download, verify
from pipeline.frame.files import replacing_directory, sha256_of, write_json
from pipeline.frame.places import located
from pipeline.retrieval.errors import RetrievalError


def provide(remote: RemoteFile, store: Path, path: str | None) -> Path:
    """Return a verified file: the user's own, the one in the store, or one fetched into the store.

    Args:
        remote: the file.
        store: the folder of files fetched, or put there by hand.
        path: None, a file, a folder that may have the file under its name in the store or at its
            origin, or the URL of a mirror, in place of the origin's scheme and host.

    Raises:
        RetrievalError: the file is not the one meant, or cannot be had; the message then says the ways
            to provide it.
    """
    if "://" not in remote.url:
        return provided(remote, Path(remote.url).expanduser(), f"{remote.url} is not there: put the weights there")
    if path is not None and "://" not in path:
        own = located(path)
        for candidate in (own, own / remote.name, own / plain_name(remote.url)):
            if candidate.is_file():
                return provided(remote, candidate, "")
        if not own.is_dir():
            raise RetrievalError(f"weights.path: {path} is neither a file, a folder nor a URL: mend it, or use null")
    elif path is not None:
        remote = replace(remote, url=path.rstrip("/") + urlsplit(remote.url).path)
    target = store / remote.name
    try:
        download(remote, target)
    except NotFetched as error:
        raise RetrievalError(
            f"{error}. Three ways: connect to the network and run again; put the file at {target}; or set "
            "weights: {path: ...} in conf/runtime/default.yaml to the file, a folder that has it, or a mirror's URL"
        ) from None
    return target


def provided(remote: RemoteFile, path: Path, problem: str) -> Path:
    """Return a file of the user's after checking it."""
    if not path.is_file():
        raise RetrievalError(problem)
    verify(path, remote)
    return path


def fetch(encoder: str, config: Mapping[str, Any], store: Path, path: str | None) -> dict[RemoteFile, Path]:
    """Return the files that an encoder needs and where each is now, all of them checked."""
    where = f"conf/encoder/{encoder}.yaml"
    return {remote: provide(remote, store, path) for remote in files_of(config, where=where)}


def write_weights(
    encoder: str, config: Mapping[str, Any], files: Mapping[RemoteFile, Path], target: Path, *, code: Mapping[str, str]
) -> None:
    """Copy an encoder's files into a folder of its own, with ``origin.json`` and its config; all or nothing.

    Args:
        encoder: its name.
        config: its YAML.
        files: where each of its files is now.
        target: the folder.
        code: digests of the code that it alone is made of. Nothing reads them again; but what extracts depends on this
            folder, and so on them.

    Raises:
        RetrievalError: the checkpoint is not a file of tensors only.
    """
    where = f"conf/encoder/{encoder}.yaml"
    with replacing_directory(target) as partial:
        described = {}
        for remote, source in files.items():
            name = plain_name(remote.url)
            shutil.copyfile(source, partial / name)
            described[name] = {
                "url": remote.url,
                "sha256": sha256_of(partial / name),
                "bytes": source.stat().st_size,
                "verified": remote.digest is not None,
            }
        origin = {"kind": kind_of(config, where=where), "files": described}
        if files:
            # torch is imported only where there are weights to read.
            from pipeline.checkpoints.tensors import read_tensors

            read_tensors(next(iter(files.values())), read_checkpoint(config, where=where))
            origin["checkpoint"] = next(iter(described))
        write_json(partial / "origin.json", origin)
        write_config(config, partial)
        write_json(partial / "code.json", code)
