"""What an encoder's YAML says about its weights: random, or which file, with which hash, and what is in it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call

UNVERIFIED = "unverified"


@dataclass(frozen=True)
class Checkpoint:
    """The key ``weights`` of an encoder's YAML where its ``kind`` is ``checkpoint``.

    Attributes:
        sha256: of the file: 64 hexadecimal digits, or the first of them, eight at least; or
            ``unverified`` where nobody has stated it, so that whatever arrives is taken. What was found
            is in the provenance either way.
        bytes: the length of the file, if known.
        file: its name in the repository of a hub.
        url: where it is, if not where the encoder's source keeps it.
        path: a file of one's own instead.
        entry: the key under which the file has the tensors, if it has other things beside them.
        prefix: what the names of all tensors begin with, taken off.
        ignore: beginnings of the names of tensors that the network has no place for, such as a text
            tower; any other tensor too many is an error.
    """

    sha256: str
    bytes: int | None = None
    file: str | None = None
    url: str | None = None
    path: str | None = None
    entry: str | None = None
    prefix: str = ""
    ignore: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the form of the hash."""
        if self.sha256 != UNVERIFIED and not re.fullmatch(r"[0-9a-f]{8,64}", self.sha256):
            raise RetrievalError(
                f"weights: sha256 is '{self.sha256}': give its 64 lower-case hexadecimal digits (in quotes), eight of "
                f"them at least, or say '{UNVERIFIED}'"
            )

    @property
    def digest(self) -> str | None:
        """What the file must have, as in :class:`pipeline.fetching.download.RemoteFile`."""
        return None if self.sha256 == UNVERIFIED else f"sha256:{self.sha256}"


def kind_of(config: Mapping[str, Any], *, where: str) -> str:
    """Return the kind of an encoder's weights: ``none``, ``random`` or ``checkpoint``.

    Raises:
        RetrievalError: another kind.
    """
    weights = config.get("weights", {"kind": "none"})
    if not isinstance(weights, Mapping):
        raise RetrievalError(f"{where}: weights is '{weights}', not keys and values such as {{kind: random, seed: 0}}")
    kind = str(weights.get("kind", ""))
    if kind not in ("none", "random", "checkpoint"):
        raise RetrievalError(f"{where}: unknown weights kind '{kind}'; one of checkpoint, random")
    return kind


def read_checkpoint(config: Mapping[str, Any], *, where: str) -> Checkpoint:
    """Return the checked key ``weights`` of an encoder's YAML."""
    options = {key: value for key, value in config["weights"].items() if key != "kind"}
    return call(Checkpoint, options, where=f"{where}, weights")
