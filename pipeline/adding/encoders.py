"""A new encoder: built as ``extract`` would where its weights are on this machine, else its YAML is checked alone."""

from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.adding.entry import Entry
from pipeline.checkpoints.checkpoint import UNVERIFIED, kind_of, read_checkpoint, refuse_published
from pipeline.checkpoints.providing import fetch, write_weights
from pipeline.encoders.building import OTHER_KEYS, build_encoder, sizes_of
from pipeline.encoders.precomputed import NAME as PRECOMPUTED
from pipeline.encoders.sources import SOURCES
from pipeline.extraction.guards import refuse_unknown
from pipeline.extraction.precomputed import files_of
from pipeline.frame.files import sha256_of
from pipeline.frame.places import located
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.reading.regular import regular_file
from pipeline.retrieval.settings import call, choose


def with_source(values: dict[str, Any], *, where: str) -> dict[str, Any]:
    """Return the keys of a YAML with its source, its weights written out, and the hashes of files that are here.

    Raises:
        RetrievalError: the source does not follow from the other keys; a file is missing.
    """
    values = {"source": source_of(values, where=where), **values}
    if isinstance(values.get("weights"), str):
        values["weights"] = weights_of(values["weights"], where=where)
    if values["source"] == PRECOMPUTED and isinstance(values.get("datasets"), dict):
        values["datasets"] = {name: hashed(files, where=where) for name, files in values["datasets"].items()}
    return values


def source_of(values: Mapping[str, Any], *, where: str) -> Any:
    """Return the source that is given, or the one that other keys are of."""
    if "source" in values:
        return values["source"]
    if "factory" in values:
        return "python"
    if "datasets" in values:
        return PRECOMPUTED
    if "repository" in values:
        return "open_clip"
    weights = values.get("weights")
    if "/" in str(values.get("name")) or isinstance(weights, str) and located(weights).is_dir():
        return "huggingface"
    raise RetrievalError(f"{where}: which library is it of? give source=, one of {', '.join(sorted(SOURCES))}")


def weights_of(text: str, *, where: str) -> dict[str, Any]:
    """Return the weights that are named by a word, an address or a path."""
    if text == "random":
        return {"kind": "random", "seed": 0}
    if text == "published":
        return {"kind": "checkpoint", "sha256": UNVERIFIED}
    if "://" in text:
        return {"kind": "checkpoint", "url": text, "sha256": UNVERIFIED}
    path = located(text)
    if path.is_dir():
        return {"kind": "checkpoint", "path": text, "sha256": UNVERIFIED}
    return {"kind": "checkpoint", "path": text, "sha256": hash_of(text, where=where, other="published, random, a URL")}


def hashed(files: Any, *, where: str) -> Any:
    """Return the files of precomputed features with the hashes that are not stated."""
    if not isinstance(files, dict):
        return files
    keys = [key for key in ("features", "labels") if isinstance(files.get(key), str)]
    return {f"{key}_sha256": hash_of(files[key], where=where) for key in keys} | files


def hash_of(text: str, *, where: str, other: str = "") -> str:
    """Return the SHA-256 of a file; RetrievalError if there is none."""
    path = located(text)
    try:
        regular_file(path)
    except (FileNotFoundError, NotADirectoryError):
        remedy = f"mend the path{f', or give {other}' if other else ''}"
        raise RetrievalError(f"{where}: {shown(text)} is not there: {remedy}") from None
    return sha256_of(path)


def check_encoder(entry: Entry, config: dict[str, Any], folder: Path) -> tuple[str, list[str]]:
    """Return in a line what an encoder is, and what makes one doubt it: nothing. Nothing is fetched.

    Args:
        entry: to be added.
        config: its YAML.
        folder: for its weights, where they are here.

    Raises:
        RetrievalError: its YAML has unknown, missing or wrong keys; its files are not here or not the ones meant; its
            network cannot be built.
    """
    where = entry.where
    refuse_unknown(config.get("without_guards", []), where=where)
    source = choose(SOURCES, config.get("source", ""), key="source", where=where)
    if config["source"] == PRECOMPUTED:
        return f"{entry.name}: features of {', '.join(files_of(config, where=where))}, made elsewhere", []
    if to_be_fetched(config, where=where):
        options = {key: value for key, value in config.items() if key not in OTHER_KEYS}
        build = import_module(source).build
        sizes = sizes_of(config, build, where=where)
        call(uncalled(build), options, where=where, given={"directory": folder, "sizes": sizes})
        return f"{entry.name}: of {config['source']}; dvc repro fetches its weights, and builds it then", []
    weights = folder / "weights"
    write_weights(entry.name, config, fetch(entry.name, config, folder, None), weights, code={})
    dim = build_encoder(entry.name, config, weights).dim
    return f"{entry.name}: of {config['source']}, features of {dim} dimensions", []


def to_be_fetched(config: Mapping[str, Any], *, where: str) -> bool:
    """Return whether weights are at a host; RetrievalError if what the YAML says of them is wrong."""
    kind = kind_of(config, where=where)
    if kind != "none":
        refuse_published(config, where=where)
    if kind != "checkpoint":
        return False
    checkpoint = read_checkpoint(config, where=where)
    return checkpoint.path is None and checkpoint.package is None


def uncalled(function: Callable[..., Any]) -> Callable[..., None]:
    """Return a function that takes the same arguments, and does nothing."""

    @wraps(function)
    def nothing(**_: Any) -> None:
        pass

    return nothing
