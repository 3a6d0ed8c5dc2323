"""Weights into a network: seeded random ones, or a checkpoint's tensors. Never one in place of the other."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import TypedDict

from pipeline.checkpoints.checkpoint import Checkpoint, kind_of, read_checkpoint
from pipeline.checkpoints.tensors import Tensors, read_tensors
from pipeline.frame.files import sha256_of
from pipeline.frame.upstream import output_of, read_json
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import Seed, call


class File(TypedDict):
    """A file as origin.json describes it."""

    sha256: str


class Files(TypedDict):
    """What is read of origin.json: the files of a folder of weights."""

    files: dict[str, File]


class Origin(Files):
    """The same, and which of them are the checkpoint."""

    checkpoint: Annotated[list[str], Field(min_length=1)]


def with_weights(
    build: Callable[[], nn.Module],
    weights: Any,
    directory: Path,
    *,
    where: str,
    fit: Callable[[Tensors, Checkpoint, Mapping[str, Any]], nn.Module] | None = None,
) -> tuple[nn.Module, dict[str, Any]]:
    """Build a network in eval mode and give it the weights that a YAML asks for.

    Args:
        build: makes the network with whatever initial weights its library gives it.
        weights: ``{kind: random, seed: ...}``, or ``{kind: checkpoint, ...}`` with the keys of
            :class:`pipeline.checkpoints.checkpoint.Checkpoint`.
        directory: what ``pipeline.weights`` wrote for the encoder.
        where: what to call the YAML in an error.
        fit: makes the network from tensors, what the YAML says of them, and their identity; :func:`fit_strictly`
            unless given.

    Returns:
        The network, and the weights' identity for the provenance.

    Raises:
        RetrievalError: an unknown kind or key; for a checkpoint, a file that is missing or changed,
            or tensors that are not those of the network.
    """
    kind = kind_of({"weights": weights}, where=where)
    if kind == "checkpoint":
        checkpoint = read_checkpoint({"weights": weights}, where=where)
        paths, identity = locate(directory)
        tensors = read_tensors(paths, checkpoint)
        with torch.random.fork_rng(devices=[]):
            network = (
                fit(tensors, checkpoint, {"kind": kind, **identity})
                if fit
                else fit_strictly(build, tensors, checkpoint)
            )
    else:
        options = {key: value for key, value in weights.items() if key != "kind"}
        network, identity = call(random, options, where=f"{where}, weights", given={"build": build})
    return network.eval(), {"kind": kind, **identity}


def random(build: Callable[[], nn.Module], seed: Seed) -> tuple[nn.Module, dict[str, Any]]:
    """Build the network with the random initial weights of its library, from a seed of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build()
    return network, {"seed": seed, "sha256": sha256_of_tensors(network.state_dict())}


def locate(directory: Path) -> tuple[list[Path], dict[str, Any]]:
    """Return the files of the checkpoint that ``pipeline.weights`` put into ``directory``, and their identity.

    Raises:
        RetrievalError: one is not there, or not what it was.
    """
    again = f"run dvc repro -f -s weights@{directory.name}"
    stage = f"-f -s weights@{directory.name}"
    origin = read_json(directory / "origin.json", Origin, stage=stage, what="weights")
    with output_of(stage, f"weights in {directory}"):
        files: dict[str, dict[str, Any]] = {name: origin["files"][name] for name in origin["checkpoint"]}
    hashes = {name: described["sha256"] for name, described in files.items()}
    for name, sha256 in hashes.items():
        path = directory / name
        if not path.is_file() or sha256_of(path) != sha256:
            raise RetrievalError(f"{path} is missing or not the file that origin.json describes: {again}")
    paths = [directory / name for name in files]
    if len(files) == 1:
        return paths, {"file": paths[0].name, **files[paths[0].name]}
    # As `sha256sum` prints them, so that one value stands for all.
    listed = "".join(f"{sha256}  {name}\n" for name, sha256 in hashes.items())
    return paths, {"files": files, "sha256": hashlib.sha256(listed.encode()).hexdigest()}


def described(directory: Path, name: str, *, where: str) -> tuple[Path, str]:
    """Return a file that ``pipeline.weights`` put beside the checkpoint, and its SHA-256.

    Raises:
        RetrievalError: it is not there, or not what it was.
    """
    stage = f"-f -s weights@{directory.name}"
    origin = read_json(directory / "origin.json", Files, stage=stage, what="weights")
    path = directory / name
    if name not in origin["files"] or not path.is_file():
        raise RetrievalError(
            f"{where}: no {name} beside the weights in {directory}: it comes with a checkpoint; run dvc repro {stage}"
        )
    sha256: str = origin["files"][name]["sha256"]
    if sha256_of(path) != sha256:
        raise RetrievalError(f"{path} is not the file that origin.json describes: run dvc repro {stage}")
    return path, sha256


def fit_strictly(build: Callable[[], nn.Module], tensors: Tensors, checkpoint: Checkpoint) -> nn.Module:
    """Build a network and load tensors into it, every tensor of both accounted for."""
    network = build()
    try:
        network.load_state_dict(without_ignored(tensors, checkpoint), strict=True)
    except RuntimeError as error:
        raise misfit(str(error)) from None
    except ValueError as error:  # MNASNet's
        raise RetrievalError(
            f"the checkpoint does not say what the network needs to load it ({error}): save what its state_dict() "
            "returns by torch.save, as it is, and drop 'rename'"
        ) from None
    return network


def without_ignored(tensors: Tensors, checkpoint: Checkpoint) -> Tensors:
    """Return the tensors that the YAML does not say to leave."""
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(tuple(checkpoint.ignore))}
    return Tensors(kept, tensors.versions)


def misfit(problem: str) -> RetrievalError:
    """Return the error for tensors that are not the network's."""
    return RetrievalError(
        f"the checkpoint does not fit the network of the encoder's YAML: {' '.join(problem.split())[:300]}; use the "
        "network it was made for, or name tensors to leave under weights: {ignore: [...]}"
    )


def sha256_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return a SHA-256 over the names, types, shapes and values of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(
            tensor.view(-1).view(torch.uint8).numpy().tobytes() if tensor.dim() else str(tensor.item()).encode()
        )
    return digest.hexdigest()
