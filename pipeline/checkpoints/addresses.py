"""Where the files of an encoder's weights are published, by the encoder's source."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.checkpoints.checkpoint import Checkpoint, kind_of, read_checkpoint
from pipeline.checkpoints.timm_names import pretrained_config
from pipeline.fetching.download import RemoteFile
from pipeline.retrieval.errors import RetrievalError

HUB = "https://huggingface.co"


def files_of(config: Mapping[str, Any], *, where: str) -> list[RemoteFile]:
    """Return the files that an encoder needs, the checkpoint first; none if its weights are not from a file.

    Args:
        config: the encoder's YAML.
        where: what to call it in an error.

    Raises:
        RetrievalError: the YAML does not say where the file is.
    """
    if kind_of(config, where=where) != "checkpoint":
        return []
    checkpoint = read_checkpoint(config, where=where)
    if checkpoint.path is not None:
        return [RemoteFile(checkpoint.path, plain_name(checkpoint.path), checkpoint.digest, checkpoint.bytes)]
    source = str(config.get("source"))
    if checkpoint.url is not None:
        urls = [checkpoint.url]
    elif source in ADDRESSES:
        urls = ADDRESSES[source](config, checkpoint, where)
    else:
        raise RetrievalError(f"{where}: weights has neither a path nor a url: say where the file is")
    first, *others = urls
    return [
        RemoteFile(first, stored_name(first), checkpoint.digest, checkpoint.bytes),
        # The small files that describe a network have no stated hash; a revision that is a commit pins them.
        *(RemoteFile(url, stored_name(url)) for url in others),
    ]


def torchvision_addresses(config: Mapping[str, Any], checkpoint: Checkpoint, where: str) -> list[str]:
    """Return the address that torchvision gives for a network's weights."""
    from torchvision import models

    network, revision = str(config.get("name")), config.get("revision")
    try:
        return [models.get_model_weights(network)[revision].url]
    except (KeyError, ValueError):
        raise RetrievalError(
            f"{where}: torchvision has no weights '{revision}' of '{network}': "
            "see torchvision.models.list_models() and get_model_weights(name)"
        ) from None


def hub_addresses(config: Mapping[str, Any], checkpoint: Checkpoint, where: str) -> list[str]:
    """Return the addresses of a checkpoint in a repository of the hub, and of what describes it."""
    repository, revision = config.get("name"), config.get("revision")
    if not repository or not revision:
        raise RetrievalError(f"{where}: a checkpoint of the hub needs 'name: owner/repository' and 'revision'")
    names = [checkpoint.file or "model.safetensors"]
    names += [] if config.get("settings") is not None else ["config.json"]
    names += [] if config.get("native") is not None else ["preprocessor_config.json"]
    return [f"{HUB}/{repository}/resolve/{revision}/{name}" for name in names]


def timm_addresses(config: Mapping[str, Any], checkpoint: Checkpoint, where: str) -> list[str]:
    """Return the address of the checkpoint that timm itself names for a network."""
    repository = pretrained_config(str(config.get("name")), where=where).hf_hub_id
    if repository is None:
        raise RetrievalError(f"{where}: timm names no repository for '{config.get('name')}': give a url or path")
    return [f"{HUB}/{repository}/resolve/{config.get('revision', 'main')}/{checkpoint.file or 'model.safetensors'}"]


ADDRESSES: Mapping[str, Callable[[Mapping[str, Any], Checkpoint, str], list[str]]] = {
    "torchvision": torchvision_addresses,
    "huggingface": hub_addresses,
    "timm": timm_addresses,
}


def stored_name(url: str) -> str:
    """Return what a file is called among those of all encoders: many repositories have a model.safetensors."""
    if not url.startswith(HUB):
        return plain_name(url)
    repository, _, rest = url.removeprefix(f"{HUB}/").partition("/resolve/")
    revision, _, name = rest.partition("/")
    return "--".join((*repository.split("/"), revision[:8].replace("/", "-"), name.replace("/", "-")))


def plain_name(url: str) -> str:
    """Return the last part of an address: what the file is called where it comes from."""
    return url.rpartition("/")[2]
