"""Files of a repository of the Hugging Face hub, through huggingface_hub: its cache, token, mirror and offline mode."""

import re
from functools import cache
from pathlib import Path

from pipeline.checkpoints.found import Found, checked
from pipeline.fetching.download import reason
from pipeline.retrieval.errors import RetrievalError


class NotHad(RetrievalError):
    """A published file is neither on this machine nor to be had from where it is published."""


def cached(repository: str, revision: str, name: str, digest: str | None) -> Found | None:
    """Return a file in the cache of huggingface_hub; None if it is not there.

    Raises:
        RetrievalError: it is not the one meant.
    """
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repository, name, revision=revision)
    return found_at(Path(path), repository, name, digest) if isinstance(path, str) else None


def fetched(repository: str, revision: str, name: str, digest: str | None, endpoint: str | None) -> Found | None:
    """Return a file of a repository, fetched into the cache of huggingface_hub if it is not there; None if it has none.

    Args:
        repository: ``owner/repository``.
        revision: a commit, branch or tag.
        name: of the file.
        digest: what it must have.
        endpoint: of a mirror; None for what HF_ENDPOINT says, or the hub itself.

    Raises:
        NotHad: the file cannot be had.
        RetrievalError: it is not the one meant.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    host = endpoint or constants.ENDPOINT
    file = f"{repository}/{name} at {revision}"
    try:
        path = hf_hub_download(repository, name, revision=revision, endpoint=endpoint)
    except GatedRepoError:
        raise NotHad(
            f"{file} is gated: accept its terms at {host}/{repository}, then set HF_TOKEN to a token of your account"
        ) from None
    except RepositoryNotFoundError:
        raise NotHad(f"{host} has no repository {repository}, or not for you: mend its name, or set HF_TOKEN") from None
    except RevisionNotFoundError:
        raise NotHad(f"{host}/{repository} has no revision {revision}: mend 'revision'") from None
    except LocalEntryNotFoundError as error:  # an EntryNotFoundError as well, so it comes before it
        raise NotHad(f"{file} is not on this machine, and {host} does not answer ({reason(error)})") from None
    except EntryNotFoundError:
        return None
    except Exception as error:  # of its client, and what that makes of an answer
        raise NotHad(f"{file} could not be fetched from {host} ({reason(error)})") from None
    return found_at(Path(path), repository, name, digest)


def found_at(path: Path, repository: str, name: str, digest: str | None) -> Found:
    """Return a file in the cache of huggingface_hub, which says of which repository and commit it is, not by what way.

    Raises:
        RetrievalError: it is not the one meant.
    """
    origin = f"huggingface_hub: {repository}@{commit_of(path)}/{name}"
    # The path in the cache is a link to the file.
    return checked(path.resolve(), name.rpartition("/")[2], origin, digest)


def out_of_reach(endpoint: str | None) -> str:
    """Return why the hub, or a mirror of it, is not to be asked; empty if it is."""
    from huggingface_hub import constants

    return "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else unreachable(endpoint or constants.ENDPOINT)


def is_commit(revision: str) -> bool:
    """Return whether a revision is a commit, whose files never change."""
    return re.fullmatch(r"[0-9a-f]{40}", revision) is not None


@cache
def unreachable(host: str) -> str:
    """Return why a host cannot be reached, or nothing; huggingface_hub itself would try for half a minute."""
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        get_session().head(host, timeout=10)
    except Exception as error:  # of the client that huggingface_hub brings, which changes with its version
        return f"{host} does not answer ({reason(error)})"
    return ""


def commit_of(path: Path) -> str:
    """Return the commit in the path of a file in the cache of huggingface_hub."""
    return [part for part in path.parts if is_commit(part)][-1]
