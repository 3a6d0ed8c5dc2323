"""The files of an encoder's weights, from wherever they are to a folder that DVC keeps, checked by hash."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.checkpoints.checkpoint import kind_of, read_checkpoint, refuse_published
from pipeline.checkpoints.config import NAME as CONFIG
from pipeline.checkpoints.config import write_config
from pipeline.checkpoints.folders import from_package, from_path
from pipeline.checkpoints.found import Weights, usual_names
from pipeline.checkpoints.published import DESCRIBING, described_by, missing, published, read_elsewhere
from pipeline.frame.files import replacing_directory, sha256_of, write_json
from pipeline.retrieval.errors import RetrievalError

ORIGIN, CODE = "origin.json", "code.json"


def fetch(encoder: str, config: Mapping[str, Any], store: Path, path: str | None) -> Weights:
    """Return the files that an encoder needs and where each is now; none where its weights are not from a file.

    Args:
        encoder: its name.
        config: its YAML.
        store: the folder of files fetched by ``url``.
        path: None; or a file, a folder or the URL of a mirror that comes before the hosts of published weights.

    Raises:
        RetrievalError: the YAML does not say where they are; a file is not the one meant, or cannot be had.
    """
    where = f"conf/encoder/{encoder}.yaml"
    kind = kind_of(config, where=where)
    if kind != "none":
        refuse_published(config, where=where)
    if kind != "checkpoint":
        return Weights()
    checkpoint = read_checkpoint(config, where=where)
    describing = described_by(config)
    with in_one_line(where):
        if checkpoint.path is not None:
            usual = usual_names(config.get("source"))
            weights = from_path(checkpoint, checkpoint.path, describing, where=where, usual=usual)
        elif checkpoint.package is not None:
            weights = from_package(checkpoint, where=where)
        else:
            weights = published(config, checkpoint, store, read_elsewhere(path), where=where)
    for name in missing(weights, describing):
        key = DESCRIBING.get(name)
        remedy = f"write '{key}' in the YAML" if key else "take 'text' out of the YAML"
        raise RetrievalError(f"{where}: no {name} beside {weights.checkpoint[0].origin}: {remedy}, or put {name} there")
    return weights


def write_weights(
    encoder: str, config: Mapping[str, Any], weights: Weights, target: Path, *, code: Mapping[str, str]
) -> None:
    """Copy an encoder's files into a folder of its own, with ``origin.json`` and its config; all or nothing.

    Args:
        encoder: its name.
        config: its YAML.
        weights: where its files are now.
        target: the folder.
        code: digests of the code that it alone is made of. Nothing reads them again; but what extracts depends on this
            folder, and so on them.

    Raises:
        RetrievalError: the checkpoint is not a file of tensors only, or changed meanwhile.
    """
    where = f"conf/encoder/{encoder}.yaml"
    names = [found.name for found in weights.files]
    for name in names:
        if name in (ORIGIN, CODE, CONFIG) or names.count(name) > 1:
            raise RetrievalError(f"{where}: a file of weights cannot be called {name} here: rename it")
    with in_one_line(where), replacing_directory(target) as partial:
        described = {}
        for found in weights.files:
            copy = partial / found.name
            shutil.copyfile(found.path, copy)
            sha256 = sha256_of(copy)
            if found.digest is not None and not f"sha256:{sha256}".startswith(found.digest):
                raise RetrievalError(f"{where}: {found.path} changed: run again")
            described[found.name] = {
                "origin": found.origin,
                "sha256": sha256,
                "bytes": copy.stat().st_size,
                "verified": found.digest is not None,
            }
        origin = {"kind": kind_of(config, where=where), "files": described}
        if weights.checkpoint:
            # torch is imported only where there are weights to read.
            from pipeline.checkpoints.tensors import read_tensors

            read_tensors([found.path for found in weights.checkpoint], read_checkpoint(config, where=where))
            origin["checkpoint"] = [found.name for found in weights.checkpoint]
        write_json(partial / ORIGIN, origin)
        write_config(config, partial)
        write_json(partial / CODE, code)


@contextmanager
def in_one_line(where: str) -> Iterator[None]:
    """Turn what the file system refuses into an error that names the file.

    Raises:
        RetrievalError: it refused something.
    """
    try:
        yield
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise RetrievalError(f"{where}: {error.filename}: {problem}: mend its permissions, or the path") from None
