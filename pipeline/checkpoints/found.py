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
# The same of open_clip: beside its own file a repository may have the same weights under transformers' names.
USUAL_OF_OPEN_CLIP = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True)
class Found:
    """A file of the weights on this machine.

    Attributes:
        path: where it is now.
        name: what to call it among the files of the encoder.
        origin: where it came from: a path; a package; a repository and commit, as huggingface_hub has
            them; or an address, whose file it is by the stated hash or because it was fetched from there.
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
OWN = "it is damaged or another file; state its hash, or mend the path"


class Incomplete(RetrievalError):
    """Some files of a checkpoint are there, and others are not."""


def checked(path: Path, name: str, origin: str, digest: str | None, *, remedy: str | None = None) -> Found:
    """Return a file after a check of its hash, if one is stated.

    Args:
        path: the file.
        name: see :class:`Found`.
        origin: the same.
        digest: what it must have, or None.
        remedy: for the error; None: to get it again from its origin.

    Raises:
        RetrievalError: it has another hash.
    """
    verify(path, RemoteFile(origin, name, digest), remedy=remedy)
    return Found(path, name, origin, digest)


def usual_names(source: object) -> tuple[str, ...]:
    """Return what a checkpoint is called in the repositories of an encoder's source."""
    return USUAL_OF_OPEN_CLIP if source == "open_clip" else USUAL


def collect(
    gets: Sequence[Get],
    checkpoint: Checkpoint,
    describing: Iterable[str],
    *,
    place: str,
    usual: Sequence[str] = USUAL,
) -> Weights | None:
    """Return the files of a checkpoint that has one file or several shards, and those that describe it.

    Args:
        gets: see above; a later one is asked for what none before it has.
        checkpoint: what the YAML says.
        describing: names of the files that describe the network; what is not there is left out.
        place: where they are looked for, for an error.
        usual: names of a checkpoint for which the YAML says none.

    Returns:
        The files; None if there is no checkpoint.

    Raises:
        Incomplete: a shard is not there.
        RetrievalError: the index of shards is damaged; hashes or lengths are stated for other files.
    """
    names: Sequence[str] = usual if checkpoint.file is None else (checkpoint.file,)
    if checkpoint.file is None and not isinstance(checkpoint.sha256, str):
        names = tuple(name for name in usual if name.endswith(INDEX) or name in checkpoint.sha256)

    def find(name: str, digest: str | None) -> Found | None:
        return next((found for found in (get(name, digest) for get in gets) if found), None)

    # Only the shards have tensors, and so hashes that matter.
    digests = {name: None if name.endswith(INDEX) else checkpoint.digest_of(name) for name in names}
    asked = (get(name, digest) for get in gets for name, digest in digests.items())
    first = next((found for found in asked if found), None)
    if first is None:
        return None
    described = tuple(found for found in (find(name, None) for name in describing) if found)
    if not first.name.endswith(INDEX):
        if checkpoint.bytes is not None:
            verify(first.path, RemoteFile(first.origin, first.name, None, checkpoint.bytes), remedy=OWN)
        return Weights((first,), described)
    folder = checkpoint.file.rpartition("/")[0] if checkpoint.file else ""
    shards = [f"{folder}/{shard}" if folder else shard for shard in shards_of(first.path)]
    one_hash = isinstance(checkpoint.sha256, str) and checkpoint.sha256 != UNVERIFIED
    if one_hash or checkpoint.bytes is not None:
        raise RetrievalError(
            f"{place} has the checkpoint in {len(shards)} files: give no bytes, and a sha256 for each, as in weights: "
            f"{{sha256: {{{shards[0]}: ...}}}}"
        )
    parts = [find(shard, checkpoint.digest_of(shard)) for shard in shards]
    for shard, part in zip(shards, parts, strict=True):
        if part is None:
            raise Incomplete(f"{place} has no {shard}, which {first.name} lists: get it again")
    return Weights(tuple(part for part in parts if part), described)


def shards_of(index: Path) -> list[str]:
    """Return the names of the files that an index of shards lists.

    Raises:
        RetrievalError: it lists none, or what is not the name of a file beside it.
    """
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        plain = bool(names) and all(re.fullmatch(r"[\w-][\w.-]*", name) for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        plain = False
    if not plain:
        raise RetrievalError(f"{index} is no index of the files of a checkpoint: get it again")
    return names
