"""The files of an encoder's weights, and where each of them came from."""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.checkpoints.checkpoint import UNVERIFIED, Checkpoint
from pipeline.fetching.download import RemoteFile, verify
from pipeline.retrieval.errors import RetrievalError

INDEX = ".index.json"  # ends the name of a file that lists the shards of a checkpoint
# What a repository or a folder calls its checkpoint, in the order in which transformers looks for it.
USUAL = ("model.safetensors", f"model.safetensors{INDEX}", "pytorch_model.bin", f"pytorch_model.bin{INDEX}")


@dataclass(frozen=True)
class Found:
    """A file of the weights on this machine.

    Attributes:
        path: where it is now.
        name: what to call it among the files of the encoder.
        origin: where it came from: a path, a package, or the address that it was fetched from, now or
            earlier.
        digest: what was checked, as in :class:`pipeline.fetching.download.RemoteFile`, or None.
    """

    path: Path
    name: str
    origin: str
    digest: str | None = None


@dataclass(frozen=True)
class Weights:
    """The checkpoint, its shards in order where it has several, and the files that describe the network."""

    checkpoint: tuple[Found, ...] = ()
    describing: tuple[Found, ...] = ()

    @property
    def files(self) -> tuple[Found, ...]:
        """All files."""
        return (*self.checkpoint, *self.describing)


# A file of a repository or a folder by its name, given the digest that it must have; None if it is not there.
Get = Callable[[str, str | None], Found | None]


def checked(path: Path, origin: str, digest: str | None, length: int | None = None) -> Found:
    """Return a file after a check of its hash and length, as far as they are stated.

    Raises:
        RetrievalError: they differ.
    """
    verify(path, RemoteFile(origin, path.name, digest, length))
    return Found(path, path.name, origin, digest)


def collect(get: Get, checkpoint: Checkpoint, describing: Iterable[str], *, place: str) -> Weights:
    """Return the files of a checkpoint that has one file or several shards, and those that describe it.

    Args:
        get: see above; it raises what keeps a file from being had.
        checkpoint: what the YAML says.
        describing: names of the files that describe the network.
        place: where they are looked for, for an error.

    Raises:
        RetrievalError: one of them is not there, or the index of the shards is damaged.
    """
    names: Sequence[str] = USUAL if checkpoint.file is None else (checkpoint.file,)
    if checkpoint.file is None and not isinstance(checkpoint.sha256, str):
        names = tuple(name for name in USUAL if name.endswith(INDEX) or name in checkpoint.sha256)
    for name in names:
        # Only the shards have tensors, and so hashes that matter.
        first = get(name, None if name.endswith(INDEX) else checkpoint.digest_of(name))
        if first is not None:
            break
    else:
        raise RetrievalError(f"{place} has no {' or '.join(names)}: name its checkpoint with weights: {{file: ...}}")

    def needed(name: str, digest: str | None) -> Found:
        found = get(name, digest)
        if found is None:
            raise RetrievalError(f"{place} has no {name}, which belongs to {first.name}: get it again")
        return found

    if first.name.endswith(INDEX):
        folder = name.rpartition("/")[0]
        shards = [f"{folder}/{shard}" if folder else shard for shard in shards_of(first.path)]
        if isinstance(checkpoint.sha256, str) and checkpoint.sha256 != UNVERIFIED:
            raise RetrievalError(
                f"{place} has the checkpoint in {len(shards)} files: give a sha256 for each, as in weights: {{sha256: "
                f"{{{shards[0]}: ...}}}}"
            )
        parts = tuple(needed(shard, checkpoint.digest_of(shard)) for shard in shards)
    else:
        if checkpoint.bytes is not None:
            verify(first.path, RemoteFile(first.origin, first.name, None, checkpoint.bytes))
        parts = (first,)
    return Weights(parts, tuple(needed(name, None) for name in describing))


def shards_of(index: Path) -> list[str]:
    """Return the names of the files that an index of shards lists.

    Raises:
        RetrievalError: it lists none, or what is not the name of a file beside it.
    """
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        plain = bool(names) and all(re.fullmatch(r"[\w-][\w.-]*", name) for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        plain = False
    if not plain:
        raise RetrievalError(f"{index} is no index of the files of a checkpoint: get it again")
    return names
