"""The tensors of a checkpoint file, and nothing else that may be in it."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pipeline.checkpoints.checkpoint import Checkpoint
from pipeline.retrieval.errors import RetrievalError

Tensors = dict[str, Tensor]


def read_tensors(path: Path, checkpoint: Checkpoint) -> Tensors:
    """Read the tensors of a safetensors file, or of a pickle by torch's restricted unpickler.

    Raises:
        RetrievalError: the file is damaged, has anything but tensors in it, or tensors whose names
            do not begin with the prefix.
    """
    found: Any
    try:
        if is_safetensors(path):
            found = load_file(path)
        else:
            with path.open("rb") as file:  # given a name, torch would decide by the name
                found = torch.load(file, "cpu", weights_only=True)
    except SafetensorError as error:
        raise RetrievalError(f"{path} is no safetensors file ({error}): get it again") from None
    except Exception as error:  # unpickling raises whatever a damaged or hostile file leads it to
        problem = " ".join(str(error).split())[:200]
        raise RetrievalError(f"{path} cannot be read as a file of tensors only: {problem}") from None
    if checkpoint.entry is not None:
        if not isinstance(found, dict) or checkpoint.entry not in found:
            raise RetrievalError(f"{path} has no entry '{checkpoint.entry}': mend 'entry' in the encoder's YAML")
        found = found[checkpoint.entry]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise RetrievalError(
            f"{path} is not a dictionary of tensors: name the one inside it with weights: {{entry: ...}}, or "
            "convert it to a plain state dict"
        )
    prefix = checkpoint.prefix
    for name in found:
        if not name.startswith(prefix):
            raise RetrievalError(f"{path}: the tensor '{name}' does not begin with '{prefix}': mend 'prefix'")
    return {name[len(prefix) :]: tensor for name, tensor in found.items()}


def is_safetensors(path: Path) -> bool:
    """Return whether a file begins as safetensors do, whatever it is called: a length, then a JSON object."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"
