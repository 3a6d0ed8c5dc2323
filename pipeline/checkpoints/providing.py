"""The files of an encoder's weights, from wherever they are to a folder that DVC keeps, checked by hash."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.checkpoints.checkpoint import kind_of, read_checkpoint, refuse_published
from pipeline.checkpoints.config import write_config
from pipeline.checkpoints.folders import from_package, from_path
from pipeline.checkpoints.found import Weights
from pipeline.checkpoints.published import described_by, published, read_elsewhere
from pipeline.frame.files import replacing_directory, sha256_of, write_json


def fetch(encoder: str, config: Mapping[str, Any], store: Path, path: str | None) -> Weights:
    """Return the files that an encoder needs and where each is now; none where its weights are not from a file.

    Args:
        encoder: its name.
        config: its YAML.
        store: the folder of files fetched by ``url``, or put there by hand.
        path: None; or a file, a folder or the URL of a mirror that comes before the hosts of published weights.

    Raises:
        RetrievalError: the YAML does not say where they are; a file is not the one meant, or cannot be had.
    """
    where = f"conf/encoder/{encoder}.yaml"
    if kind_of(config, where=where) != "checkpoint":
        return Weights()
    checkpoint = read_checkpoint(config, where=where)
    refuse_published(config, where=where)
    if checkpoint.path is not None:
        return from_path(checkpoint, checkpoint.path, described_by(config), where=where)
    if checkpoint.package is not None:
        return from_package(checkpoint, where=where)
    return published(config, checkpoint, store, read_elsewhere(path), where=where)


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
        RetrievalError: the checkpoint is not a file of tensors only.
    """
    where = f"conf/encoder/{encoder}.yaml"
    with replacing_directory(target) as partial:
        described = {}
        for found in weights.files:
            shutil.copyfile(found.path, partial / found.name)
            described[found.name] = {
                "origin": found.origin,
                "sha256": sha256_of(partial / found.name),
                "bytes": (partial / found.name).stat().st_size,
                "verified": found.digest is not None,
            }
        origin = {"kind": kind_of(config, where=where), "files": described}
        if weights.checkpoint:
            # torch is imported only where there are weights to read.
            from pipeline.checkpoints.tensors import read_tensors

            read_tensors([found.path for found in weights.checkpoint], read_checkpoint(config, where=where))
            origin["checkpoint"] = [found.name for found in weights.checkpoint]
        write_json(partial / "origin.json", origin)
        write_config(config, partial)
        write_json(partial / "code.json", code)
