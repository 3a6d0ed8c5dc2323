"""Published weights, by the encoder's source: where they are on this machine, or how they come to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.checkpoints.checkpoint import Checkpoint
from pipeline.checkpoints.folders import Folder
from pipeline.checkpoints.found import Found, Weights, checked, collect
from pipeline.checkpoints.hub import NotHad, from_hub
from pipeline.checkpoints.timm_names import pretrained_config
from pipeline.fetching.download import NotFetched, RemoteFile, download
from pipeline.frame.places import located
from pipeline.retrieval.errors import RetrievalError


@dataclass(frozen=True)
class Elsewhere:
    """What ``weights.path`` of the runtime's YAML names, in place of the hosts; all None where it is null.

    Attributes:
        folder: may have files of any repository, see :class:`pipeline.checkpoints.folders.Folder`.
        file: one file, which is whose the hash in the encoder's YAML says.
        mirror: the base of a URL.
    """

    folder: Path | None = None
    file: Path | None = None
    mirror: str | None = None


def read_elsewhere(path: str | None) -> Elsewhere:
    """Return what a ``weights.path`` is.

    Raises:
        RetrievalError: it is nothing of these.
    """
    if path is None:
        return Elsewhere()
    if "://" in path:
        return Elsewhere(mirror=path.rstrip("/"))
    own = located(path)
    if own.is_dir():
        return Elsewhere(folder=own)
    if own.is_file():
        return Elsewhere(file=own)
    raise RetrievalError(f"weights.path: {path} is neither a file, a folder nor a URL: mend it, or use null")


def from_file(file: Path, digest: str | None, *, where: str) -> Found:
    """Return the one file that the runtime's YAML names.

    Raises:
        RetrievalError: it is another encoder's, or nobody can tell.
    """
    if digest is None:
        raise RetrievalError(
            f"{where}: the file {file} may be any encoder's, since sha256 is unverified: state its hash, or name it "
            "with weights: {path: ...} in this YAML"
        )
    return checked(file, str(file), digest)


def from_repository(
    repository: str,
    revision: str,
    checkpoint: Checkpoint,
    describing: tuple[str, ...],
    store: Path,
    elsewhere: Elsewhere,
    *,
    where: str,
) -> Weights:
    """Return the weights of a repository of the hub: what folders have, else what :func:`from_hub` gives.

    Raises:
        RetrievalError: see there; for :class:`NotHad` the message says the ways to provide the file.
    """
    refuse_repository(repository, where=where)
    folders = [Folder(path, repository, revision) for path in (elsewhere.folder, store) if path is not None]

    def get(name: str, digest: str | None) -> Found | None:
        if elsewhere.file is not None and name not in describing:
            return from_file(elsewhere.file, digest, where=where)
        here = next(filter(None, (folder.get(name, digest) for folder in folders)), None)
        return here or from_hub(repository, revision, name, digest, elsewhere.mirror)

    try:
        return collect(get, checkpoint, describing, place=f"{where}: {repository} at {revision}")
    except NotHad as error:
        raise RetrievalError(
            f"{where}: {error}. Other ways: 'hf download {repository}' where there is a network, and its cache here; "
            "or weights: {path: ...} in conf/runtime/default.yaml, a folder with "
            f"{repository}/{checkpoint.file or 'model.safetensors'} or the URL of a mirror"
        ) from None


def refuse_repository(repository: str, *, where: str) -> None:
    """Raise :class:`RetrievalError` for what cannot be the name of a repository."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repository)
    except HFValidationError:
        raise RetrievalError(
            f"{where}: '{repository}' is no name of a repository: mend 'name: owner/repository'"
        ) from None


def from_address(remote: RemoteFile, target: Path, elsewhere: Elsewhere, *, where: str) -> Weights:
    """Return the file at an address: at ``target``, in the folder of ``elsewhere``, or fetched to ``target``.

    With a stated hash it is the published file wherever it lies, and the address is its origin.

    Raises:
        RetrievalError: it is not the one meant, or cannot be had.
    """
    if elsewhere.file is not None:
        return Weights((from_file(elsewhere.file, remote.digest, where=where),))
    for path in (target, *([] if elsewhere.folder is None else [elsewhere.folder / remote.name])):
        if path.is_file():
            origin = remote.url if remote.digest else str(path)
            return Weights((checked(path, origin, remote.digest, remote.bytes),))
    asked = remote
    if elsewhere.mirror is not None:
        asked = replace(remote, url=elsewhere.mirror + urlsplit(remote.url).path)
    try:
        download(asked, target)
    except NotFetched as error:
        raise RetrievalError(
            f"{where}: {error}. Three ways: connect to the network and run again; put the file at {target}; or set "
            "weights: {path: ...} in conf/runtime/default.yaml to the file, a folder that has it, or a mirror's URL"
        ) from None
    return Weights((Found(target, remote.name, remote.url if remote.digest else asked.url, remote.digest),))


def torchvision_file(config: Mapping[str, Any], checkpoint: Checkpoint, where: str) -> RemoteFile:
    """Return the file that torchvision names; without a stated hash, with the first digits of it that its name has."""
    from torchvision import models

    network, revision = str(config.get("name")), config.get("revision")
    try:
        url = models.get_model_weights(network)[revision].url
    except (KeyError, ValueError):
        raise RetrievalError(
            f"{where}: torchvision has no weights '{revision}' of '{network}': "
            "see torchvision.models.list_models() and get_model_weights(name)"
        ) from None
    digest = checkpoint.digest_of(plain_name(url))
    named = re.search(r"-([0-9a-f]{8,})\.\w+$", url)
    if digest is None and named is not None:
        digest = f"sha256:{named[1]}"
    return RemoteFile(url, plain_name(url), digest, checkpoint.bytes)


def from_torchvision(
    config: Mapping[str, Any], checkpoint: Checkpoint, store: Path, elsewhere: Elsewhere, *, where: str
) -> Weights:
    """Return torchvision's weights of a network: those in the cache of torch.hub, or fetched into it."""
    from torch import hub

    remote = torchvision_file(config, checkpoint, where)
    kept = store / remote.name
    target = kept if kept.is_file() else Path(hub.get_dir()) / "checkpoints" / remote.name
    return from_address(remote, target, elsewhere, where=where)


def from_huggingface(
    config: Mapping[str, Any], checkpoint: Checkpoint, store: Path, elsewhere: Elsewhere, *, where: str
) -> Weights:
    """Return a repository's checkpoint, and the files that describe it where the YAML does not."""
    repository, revision = config.get("name"), config.get("revision")
    if not repository or not revision:
        raise RetrievalError(f"{where}: a checkpoint of the hub needs 'name: owner/repository' and 'revision'")
    return from_repository(
        str(repository), str(revision), checkpoint, described_by(config), store, elsewhere, where=where
    )


def described_by(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which files describe a network of transformers, where its YAML does not."""
    if config.get("source") != "huggingface":
        return ()
    names = {"settings": "config.json", "native": "preprocessor_config.json"}
    return tuple(name for key, name in names.items() if config.get(key) is None)


def from_timm(
    config: Mapping[str, Any], checkpoint: Checkpoint, store: Path, elsewhere: Elsewhere, *, where: str
) -> Weights:
    """Return the checkpoint in the repository that timm itself names for a network."""
    repository = pretrained_config(str(config.get("name")), where=where).hf_hub_id
    if repository is None:
        raise RetrievalError(f"{where}: timm names no repository for '{config.get('name')}': give a url or path")
    revision = str(config.get("revision", "main"))
    return from_repository(repository, revision, checkpoint, (), store, elsewhere, where=where)


def published(
    config: Mapping[str, Any], checkpoint: Checkpoint, store: Path, elsewhere: Elsewhere, *, where: str
) -> Weights:
    """Return published weights.

    Args:
        config: the encoder's YAML.
        checkpoint: its key ``weights``.
        store: the folder of what is fetched by ``url``, and of files put there by hand.
        elsewhere: where to look in place of the hosts.
        where: what to call the YAML in an error.

    Raises:
        RetrievalError: the YAML does not say where they are; a file is not the one meant, or cannot be had.
    """
    source = str(config.get("source"))
    if checkpoint.url is not None:
        name = plain_name(checkpoint.url)
        remote = RemoteFile(checkpoint.url, name, checkpoint.digest_of(name), checkpoint.bytes)
        return from_address(remote, store / name, elsewhere, where=where)
    if source not in SOURCES:
        raise RetrievalError(f"{where}: weights has neither a path, a package nor a url: say where the file is")
    return SOURCES[source](config, checkpoint, store, elsewhere, where=where)


SOURCES = {"torchvision": from_torchvision, "huggingface": from_huggingface, "timm": from_timm}


def plain_name(url: str) -> str:
    """Return the last part of an address: what the file is called where it comes from."""
    return url.rpartition("/")[2]
