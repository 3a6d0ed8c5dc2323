"""The tensors of a checkpoint file, and nothing else that may be in it."""

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pipeline.checkpoints.checkpoint import Checkpoint
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.reading.mistaken import mistaken_at

# In torch's errors: a class or function that its restricted unpickler does not know.
REFUSED = re.compile(r"GLOBAL (\S{1,200})")


class Tensors(dict[str, Tensor]):
    """Tensors by name.

    Attributes:
        versions: of the modules that had them, by name, as far as the file has them. Some modules of torch and
            torchvision load the tensors of each version in another way, and MNASNet none without.
    """

    def __init__(self, tensors: Mapping[str, Tensor], versions: Mapping[str, int]) -> None:
        """Take tensors and versions."""
        super().__init__(tensors)
        self.versions = versions

    @property
    def _metadata(self) -> dict[str, dict[str, int]]:
        # Where and as torch's load_state_dict looks for versions.
        return {module: {"version": version} for module, version in self.versions.items()}


def read_tensors(paths: Sequence[Path], checkpoint: Checkpoint) -> Tensors:
    """Read the tensors of a checkpoint, from one file or from several.

    Args:
        paths: its files, each in the format of safetensors or a pickle, which torch's restricted unpickler reads.
        checkpoint: what the YAML says of them.

    Returns:
        The tensors by the names that the network knows: without ``prefix``, and after ``rename``. The latter takes
            versions off, since they are those of another implementation's modules.

    Raises:
        RetrievalError: a file is damaged, or has anything but tensors in it; names do not begin with the
            prefix; a pair of ``rename`` fits no name; or two tensors have one name.
    """
    tensors: dict[str, Tensor] = {}
    versions: dict[str, int] = {}
    for path in paths:
        found = read_file(path, checkpoint.entry)
        for name, tensor in found.items():
            if not name.startswith(checkpoint.prefix):
                raise RetrievalError(
                    f"{path}: the tensor '{name}' does not begin with '{checkpoint.prefix}': mend 'prefix'"
                )
            if name in tensors:
                raise RetrievalError(f"{path}: the tensor '{name}' is in another file of the checkpoint too")
            tensors[name] = tensor
        versions |= found.versions
    prefix = len(checkpoint.prefix)
    names = renamed([name[prefix:] for name in tensors], checkpoint.rename, where=str(paths[0]))
    kept = {} if checkpoint.rename else unprefixed(versions, checkpoint.prefix)
    return Tensors(dict(zip(names, tensors.values(), strict=True)), kept)


def unprefixed(versions: Mapping[str, int], prefix: str) -> dict[str, int]:
    """Return the versions of modules by their names without a prefix, such as ``module.``; the module itself is ""."""
    return {
        f"{module}."[len(prefix) :].removesuffix("."): version
        for module, version in versions.items()
        if f"{module}.".startswith(prefix)
    }


def renamed(names: Sequence[str], pairs: Sequence[Sequence[str]], *, where: str) -> list[str]:
    """Return names after one replacement of regular expressions after the other.

    Raises:
        RetrievalError: an expression is none, or is in none of the names, and so does nothing; two names became one.
    """
    new = list(names)
    for expression, replacement in pairs:
        try:
            found = any(re.search(expression, name) for name in new)
            new = [re.sub(expression, replacement, name) for name in new]
        except (re.error, IndexError) as error:
            raise RetrievalError(
                f"rename: ['{expression}', '{replacement}'] is no regular expression and what replaces it ({error})"
            ) from None
        if not found:
            raise RetrievalError(f"{where}: no tensor has '{expression}' in its name: mend or remove it in 'rename'")
    first: dict[str, str] = {}
    for old, name in zip(names, new, strict=True):
        if first.setdefault(name, old) != old:
            raise RetrievalError(f"{where}: '{first[name]}' and '{old}' both become '{name}': mend 'rename'")
    return new


def read_file(path: Path, entry: str | None) -> Tensors:
    """Read the tensors of one file, or of an entry of it.

    Raises:
        RetrievalError: it is damaged, or has anything but tensors in it.
    """
    found: Any
    if what := mistaken_at(path):
        raise RetrievalError(f"{path} is {what}: get the checkpoint again")
    try:
        if is_safetensors(path):
            found = load_file(path)
        else:
            with path.open("rb") as file, warnings.catch_warnings():  # given a name, torch would decide by the name
                warnings.simplefilter("ignore")  # before the error that says the same
                found = torch.load(file, "cpu", weights_only=True)
    except SafetensorError as error:
        raise RetrievalError(f"{path} is no safetensors file ({error}): get it again") from None
    except Exception as error:  # unpickling raises whatever a damaged or hostile file leads it to
        # Of torch's own words no more than a name: they go on to say how to read the file without protection.
        named, problem = REFUSED.search(str(error)), type(error).__name__
        if named is not None:
            problem = f"it names {shown(named[1])}, and what names code can run it"
        elif "TorchScript" in str(error):
            problem = "it is a TorchScript archive, a program"
        raise RetrievalError(
            f"{path} cannot be read as a file of tensors only ({problem}): save the network's state_dict() alone, or "
            "get it again"
        ) from None
    if entry is not None:
        if not isinstance(found, dict) or entry not in found:
            raise RetrievalError(f"{path} has no entry '{entry}': mend 'entry' in the encoder's YAML")
        found = found[entry]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise RetrievalError(
            f"{path} is not a dictionary of tensors: name the one inside it with weights: {{entry: ...}}, or "
            "convert it to a plain state dict"
        )
    for name in found:
        if not isinstance(name, str):
            raise RetrievalError(f"{path} has a tensor under a key of type {type(name).__name__}: name all by strings")
    return Tensors(found, versions_in(found))


def versions_in(found: Any) -> dict[str, int]:
    """Return the versions of modules in what ``state_dict()`` returned, or in anything else that a file may have."""
    metadata = getattr(found, "_metadata", None)
    if not isinstance(metadata, dict):
        return {}
    versions = {module: entry.get("version") for module, entry in metadata.items() if isinstance(entry, dict)}
    return {
        module: version for module, version in versions.items() if isinstance(module, str) and isinstance(version, int)
    }


def is_safetensors(path: Path) -> bool:
    """Return whether a file begins as safetensors do, whatever it is called: a length, then a JSON object."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"
