"""Published weights, by the encoder's source: where they are on this machine, or how they come to it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.checkpoints.checkpoint import Checkpoint
from pipeline.checkpoints.folders import Folder
from pipeline.checkpoints.found import OWN, USUAL, Found, Get, Incomplete, Weights, checked, collect, usual_names
from pipeline.checkpoints.hub import NotHad, cached, fetched, is_commit, out_of_reach
from pipeline.checkpoints.timm_names import pretrained_config
from pipeline.fetching.download import NotFetched, RemoteFile, download, verify
from pipeline.frame.places import located
from pipeline.retrieval.errors import RetrievalError

# The key of the YAML that says the same.
DESCRIBING = {"config.json": "settings", "preprocessor_config.json": "native", "open_clip_config.json": "native"}
TOKENISER = "tokenizer.json"  # of a text tower


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


def read_elsewhere(path: object) -> Elsewhere:
    """Return what a ``weights.path`` is.

    Raises:
        RetrievalError: it is nothing of these.
    """
    if path is None:
        return Elsewhere()
    if not isinstance(path, str):
        raise RetrievalError(f"weights.path: {path} is neither a file, a folder nor a URL: mend it, or use null")
    if "://" in path:
        return Elsewhere(mirror=path.rstrip("/"))
    own = located(path)
    if own.is_dir():
        return Elsewhere(folder=own)
    if own.exists():  # what is no regular file is refused where it is checked
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
    return checked(file, file.name, str(file), digest, remedy=OWN)


def from_repository(
    repository: str,
    revision: str,
    checkpoint: Checkpoint,
    describing: tuple[str, ...],
    elsewhere: Elsewhere,
    *,
    where: str,
    usual: Sequence[str] = USUAL,
) -> Weights:
    """Return the weights of a repository: what a folder has, else the cache of huggingface_hub, else the hub.

    Raises:
        RetrievalError: see :mod:`pipeline.checkpoints.hub`; the message says the ways to provide the file.
    """
    refuse_repository(repository, where=where)
    gets: list[Get] = []
    if elsewhere.file is not None:
        one = elsewhere.file
        gets.append(lambda name, digest: None if name in describing else from_file(one, digest, where=where))
    if elsewhere.folder is not None:
        gets.append(Folder(elsewhere.folder, repository, revision).get)
    kept = partial(cached, repository, revision)
    asked = partial(fetched, repository, revision, endpoint=elsewhere.mirror)
    if is_commit(revision):
        gets.append(kept)  # what a branch or tag is by now only the hub knows
    place = f"{where}: {repository} at {revision}"
    try:
        weights = collect(gets, checkpoint, describing, place=place, usual=usual)
    except Incomplete:  # a download that was cut off between two shards
        weights = None
    if weights is None or missing(weights, describing):
        problem = out_of_reach(elsewhere.mirror)
        try:
            weights = collect([*gets, kept if problem else asked], checkpoint, describing, place=place, usual=usual)
        except NotHad as error:
            raise RetrievalError(f"{where}: {error}. {other_ways(repository)}") from None
        if problem and (weights is None or missing(weights, describing)):
            lacking = checkpoint.file or usual[0] if weights is None else missing(weights, describing)[0]
            raise RetrievalError(
                f"{place}: {lacking} is not in the cache of huggingface_hub, and {problem}. {other_ways(repository)}"
            )
    if weights is None:
        names = checkpoint.file or " or ".join(usual)
        raise RetrievalError(f"{place} has no {names}: name its checkpoint with weights: {{file: ...}}")
    return weights


def missing(weights: Weights, describing: Iterable[str]) -> list[str]:
    """Return which of the files that describe a network are not there."""
    return [name for name in describing if name not in {found.name for found in weights.describing}]


def other_ways(repository: str) -> str:
    """Return the ways to weights of the hub where it is not to be had."""
    return (
        f"Other ways: 'hf download {repository}' where there is a network, and its cache here; or weights: "
        f"{{path: ...}} in conf/runtime/default.yaml, a folder with {repository}/<file> or the URL of a mirror"
    )


def refuse_repository(repository: str, *, where: str) -> None:
    """Raise :class:`RetrievalError` for what cannot be the name of a repository."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repository)
    except HFValidationError:
        raise RetrievalError(
            f"{where}: '{repository}' is no name of a repository: give it as owner/repository"
        ) from None


def from_address(remote: RemoteFile, target: Path, elsewhere: Elsewhere, *, where: str) -> Weights:
    """Return the file at an address: at ``target``, in the folder of ``elsewhere``, or fetched to ``target``.

    With a stated hash it is the published file wherever it lies, so that the address is its origin. Without one only
    what was fetched from there is taken, to a ``target`` that is the address's own.

    Raises:
        RetrievalError: it is not the one meant, or cannot be had.
    """
    if elsewhere.file is not None:
        return Weights((from_file(elsewhere.file, remote.digest, where=where),))
    name = plain_name(remote.url)
    if elsewhere.folder is not None and remote.digest and (elsewhere.folder / name).is_file():
        verify(elsewhere.folder / name, remote, remedy=OWN)
        return Weights((Found(elsewhere.folder / name, name, remote.url, remote.digest),))
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
    return Weights((Found(target, name, remote.url if remote.digest else asked.url, remote.digest),))


def torchvision_file(config: Mapping[str, Any], checkpoint: Checkpoint, where: str) -> RemoteFile:
    """Return the file that torchvision names; without a stated hash, with the first digits of it that its name has."""
    from torchvision import models

    network, revision = str(config.get("name")), config.get("revision")
    if checkpoint.file is not None:
        raise RetrievalError(f"{where}: weights: 'file' does nothing, since torchvision names the file: leave it out")
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


def from_torchvision(config: Mapping[str, Any], checkpoint: Checkpoint, elsewhere: Elsewhere, *, where: str) -> Weights:
    """Return torchvision's weights of a network: those in the cache of torch.hub, or fetched into it."""
    from torch import hub

    remote = torchvision_file(config, checkpoint, where)
    return from_address(remote, Path(hub.get_dir()) / "checkpoints" / remote.name, elsewhere, where=where)


def from_huggingface(config: Mapping[str, Any], checkpoint: Checkpoint, elsewhere: Elsewhere, *, where: str) -> Weights:
    """Return a repository's checkpoint, and the files that describe it where the YAML does not."""
    repository, revision = config.get("name"), config.get("revision")
    if not repository or not revision:
        raise RetrievalError(f"{where}: a checkpoint of the hub needs 'name: owner/repository' and 'revision'")
    return from_repository(str(repository), str(revision), checkpoint, described_by(config), elsewhere, where=where)


def described_by(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which files describe a network where its YAML does not, and the tokeniser of its texts."""
    if config.get("source") == "open_clip":
        return describing_open_clip(config)
    if config.get("source") != "huggingface":
        return ()
    text = config.get("text")
    towers = [config, text] if isinstance(text, Mapping) else [config]
    needed = {
        "settings": any(tower.get("settings") is None for tower in towers),
        "native": config.get("native") is None,
    }
    described = [name for name in ("config.json", "preprocessor_config.json") if needed[DESCRIBING[name]]]
    return tuple(described if text is None else [*described, TOKENISER])


def describing_open_clip(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the file that says how images are prepared, and the tokeniser where its tokens are named in the YAML."""
    text = config.get("text")
    fetched = isinstance(text, Mapping) and ("padding" in text or "end" in text)
    return (*([] if config.get("native") is not None else ["open_clip_config.json"]), *([TOKENISER] if fetched else []))


def from_open_clip(config: Mapping[str, Any], checkpoint: Checkpoint, elsewhere: Elsewhere, *, where: str) -> Weights:
    """Return a checkpoint of open_clip in a repository, and the files that describe it where the YAML does not."""
    repository, revision = config.get("repository"), config.get("revision")
    if not repository or not revision:
        raise RetrievalError(f"{where}: a checkpoint of the hub needs 'repository: owner/repository' and 'revision'")
    named = (str(repository), str(revision))
    usual = usual_names("open_clip")
    return from_repository(*named, checkpoint, described_by(config), elsewhere, where=where, usual=usual)


def from_timm(config: Mapping[str, Any], checkpoint: Checkpoint, elsewhere: Elsewhere, *, where: str) -> Weights:
    """Return the checkpoint in the repository that timm itself names for a network."""
    repository = pretrained_config(str(config.get("name")), where=where).hf_hub_id
    if repository is None:
        raise RetrievalError(f"{where}: timm names no repository for '{config.get('name')}': give a url or path")
    return from_repository(repository, str(config.get("revision", "main")), checkpoint, (), elsewhere, where=where)


def published(
    config: Mapping[str, Any], checkpoint: Checkpoint, store: Path, elsewhere: Elsewhere, *, where: str
) -> Weights:
    """Return published weights.

    Args:
        config: the encoder's YAML.
        checkpoint: its key ``weights``.
        store: the folder of what is fetched by ``url``.
        elsewhere: where to look in place of the hosts.
        where: what to call the YAML in an error.

    Raises:
        RetrievalError: the YAML does not say where they are; a file is not the one meant, or cannot be had.
    """
    source = str(config.get("source"))
    if checkpoint.url is not None:
        name = plain_name(checkpoint.url)
        remote = RemoteFile(checkpoint.url, name, checkpoint.digest_of(name), checkpoint.bytes)
        return from_address(remote, store / stored_name(checkpoint.url), elsewhere, where=where)
    if source not in SOURCES:
        raise RetrievalError(f"{where}: weights has neither a path, a package nor a url: say where the file is")
    return SOURCES[source](config, checkpoint, elsewhere, where=where)


SOURCES = {
    "torchvision": from_torchvision,
    "huggingface": from_huggingface,
    "timm": from_timm,
    "open_clip": from_open_clip,
}


def stored_name(url: str) -> str:
    """Return what the file at an address is called among those of all: many are a model.safetensors."""
    return re.sub(r"[^\w.]+", "-", url.partition("://")[2])[-160:]


def plain_name(url: str) -> str:
    """Return the last part of an address: what the file is called where it comes from."""
    return url.rpartition("/")[2]
