"""What an encoder's YAML says about its weights: random, or which file, with which hash, and what is in it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call

UNVERIFIED = "unverified"
PLACES = ("package", "path", "url")  # keys that say where the file is, if not where the source keeps it


@dataclass(frozen=True)
class Checkpoint:
    """The key ``weights`` of an encoder's YAML where its ``kind`` is ``checkpoint``.

    Attributes:
        sha256: of the file: 64 hexadecimal digits, or the first of them, eight at least; or
            ``unverified`` where nobody has stated it, so that whatever arrives is taken. What was found
            is in the provenance either way. For a checkpoint in several files, such as the shards of a
            safetensors index, a hash for each file's name.
        bytes: the length of the file, if known.
        file: its name in the repository of a hub or in the folder of ``path``, or its path inside ``package``.
        package: an installed package that has the file.
        path: a file of one's own, or a folder as Hugging Face's ``save_pretrained`` writes it.
        url: where it is on the network, if not where the encoder's source keeps it.
        entry: the key under which the file has the tensors, if it has other things beside them.
        prefix: what the names of all tensors begin with, taken off.
        rename: pairs of a regular expression and what to put in the place of each match in the names of
            tensors, one pair after the other and after ``prefix``: from one implementation's names to another's.
        ignore: beginnings of the names, after ``rename``, of tensors that the network has no place for, such
            as a text tower; any other tensor too many is an error.
    """

    sha256: str | Mapping[str, str]
    bytes: int | None = None
    file: str | None = None
    package: str | None = None
    path: str | None = None
    url: str | None = None
    entry: str | None = None
    prefix: str = ""
    rename: Sequence[Sequence[str]] = ()
    ignore: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the form of the hashes and expressions, and that the file is in one place."""
        for digits in [self.sha256] if isinstance(self.sha256, str) else self.sha256.values():
            if digits != UNVERIFIED and not re.fullmatch(r"[0-9a-f]{8,64}", digits):
                raise RetrievalError(
                    f"weights: sha256 is '{digits}': give its 64 lower-case hexadecimal digits (in quotes), eight of "
                    f"them at least, or say '{UNVERIFIED}'"
                )
        places = [key for key in PLACES if getattr(self, key) is not None]
        if len(places) > 1:
            raise RetrievalError(f"weights: {' and '.join(places)} are two places for one file: leave one")
        if self.url is not None and self.file is not None:
            raise RetrievalError("weights: 'file' does nothing, since 'url' names the file: leave it out")
        if self.package is not None and self.file is None:
            raise RetrievalError(f"weights: missing key 'file': the path inside the package {self.package}")
        for pair in self.rename:
            if len(pair) != 2:
                raise RetrievalError(f"weights: rename: {list(pair)} is no pair: [expression, replacement]")

    def digest_of(self, name: str) -> str | None:
        """Return what a file of the checkpoint must have, as in :class:`pipeline.fetching.download.RemoteFile`.

        Raises:
            RetrievalError: ``sha256`` is of other files.
        """
        if isinstance(self.sha256, str):
            stated: str | None = self.sha256
        else:
            stated = self.sha256.get(name, self.sha256.get(name.rpartition("/")[2]))
        if stated is None:
            raise RetrievalError(f"weights: sha256 has no hash of {name}: add it, or say {name}: {UNVERIFIED}")
        return None if stated == UNVERIFIED else f"sha256:{stated}"


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
    try:
        return call(Checkpoint, options, where=f"{where}, weights")
    except RetrievalError as error:
        raise RetrievalError(str(error) if str(error).startswith(where) else f"{where}, {error}") from None


def refuse_published(config: Mapping[str, Any], *, where: str) -> None:
    """Raise :class:`RetrievalError` for a YAML that names published weights, and others or none as well."""
    weights = config["weights"]
    place = next((f"{key}: ..." for key in PLACES if weights.get(key) is not None), None)
    own = "kind: random" if weights.get("kind") == "random" else place
    # A name of torchvision, timm or open_clip is that of the architecture.
    published = ("name", "revision") if config.get("source") == "huggingface" else ("repository", "revision")
    named = [key for key in published if config.get(key) is not None]
    # Of random weights torchvision's revision can say for which they are prepared.
    prepared = own == "kind: random" and config.get("source") == "torchvision" and config.get("native") is None
    if own is not None and named and not prepared:
        raise RetrievalError(
            f"{where}: {' and '.join(named)} name published weights, and weights: {{{own}}} others: leave one"
        )
