"""Weights: seeded random ones, or a checkpoint file whose hash is checked. Never one in place of the other."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pipeline.errors import RetrievalError
from pipeline.files import sha256_of
from pipeline.options import call, choose


def with_weights(build: Callable[[], nn.Module], weights: Any, *, where: str) -> tuple[nn.Module, dict[str, Any]]:
    """Build a network in eval mode and give it the weights that a YAML asks for.

    Args:
        build: makes the network with whatever initial weights its library gives it.
        weights: ``{kind: random, seed: ...}`` or
            ``{kind: checkpoint, path: ..., sha256: ..., origin: ...}``.
        where: what to call the YAML in an error.

    Returns:
        The network, and the weights' identity for the provenance.

    Raises:
        RetrievalError: an unknown kind or key; for a checkpoint see :func:`read_checkpoint`; also
            where its tensors are not those of the network.
    """
    if not isinstance(weights, Mapping):
        raise RetrievalError(f"{where}: weights is '{weights}', not keys and values such as {{kind: random, seed: 0}}")
    options = {key: value for key, value in weights.items() if key != "kind"}
    kinds: Mapping[str, Callable[..., tuple[nn.Module, dict[str, Any]]]]
    kinds = {"random": random, "checkpoint": checkpoint}
    build_with = choose(kinds, weights.get("kind", ""), key="weights kind", where=where)
    network, identity = call(build_with, {"build": build, **options}, where=f"{where}, weights")
    return network.eval(), {"kind": weights["kind"], **options, **identity}


def random(build: Callable[[], nn.Module], seed: int) -> tuple[nn.Module, dict[str, Any]]:
    """Build the network with the random initial weights of its library, from a seed of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build()
    return network, {"sha256": sha256_of_tensors(network.state_dict())}


def checkpoint(build: Callable[[], nn.Module], path: str, sha256: str, origin: str) -> tuple[nn.Module, dict[str, Any]]:
    """Build the network and load a checkpoint into it, every tensor of both accounted for."""
    tensors = read_checkpoint(Path(path), sha256=sha256, origin=origin)
    with torch.random.fork_rng(devices=[]):
        network = build()
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        problem = " ".join(str(error).split())[:300]
        raise RetrievalError(f"{path} does not fit the network of the encoder's YAML: {problem}") from None
    return network, {}


def read_checkpoint(path: Path, *, sha256: str, origin: str) -> dict[str, Tensor]:
    """Read the tensors of a ``.safetensors`` file, or of a ``.pth`` by torch's restricted unpickler.

    Raises:
        RetrievalError: the file is missing (the message says where it comes from), is not the one
            meant, or has anything but tensors in it.
    """
    if not path.is_file():
        raise RetrievalError(
            f"no weights at {path}: get them from {origin} (sha256 {sha256}) and put them there, or use an "
            "encoder whose YAML says weights: {kind: random}"
        )
    found = sha256_of(path)
    if found != sha256:
        raise RetrievalError(
            f"{path} has the SHA-256 {found}, not {sha256}: it is damaged or another checkpoint; get it again "
            f"from {origin}"
        )
    if path.suffix == ".safetensors":
        return load_file(path)
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling raises whatever a damaged or hostile file leads it to
        problem = " ".join(str(error).split())[:200]
        raise RetrievalError(f"{path} cannot be read as a file of tensors only: {problem}") from None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise RetrievalError(f"{path} is not a dictionary of tensors: convert it to a plain state dict")
    return dict(tensors)


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
