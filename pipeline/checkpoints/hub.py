"""Files of a repository of the Hugging Face hub, through huggingface_hub: its cache, token, mirror and offline mode."""

import re
from functools import cache
from pathlib import Path

from pipeline.checkpoints.found import Found, checked
from pipeline.retrieval.errors import RetrievalError


class NotHad(RetrievalError):
    """A published file is neither on this machine nor to be had from where it is published."""


def from_hub(repository: str, revision: str, name: str, digest: str | None, endpoint: str | None) -> Found | None:
    """Return a file of a repository, from the cache of huggingface_hub or fetched into it; None if it has no such file.

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
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    host = endpoint or constants.ENDPOINT
    file = f"{repository}/{name} at {revision}"
    problem = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else unreachable(host)
    try:
        path = Path(
            hf_hub_download(repository, name, revision=revision, endpoint=endpoint, local_files_only=bool(problem))
        )
    except GatedRepoError:
        raise NotHad(
            f"{file} is gated: accept its terms at {host}/{repository}, then set HF_TOKEN to a token of your account"
        ) from None
    except RepositoryNotFoundError:
        raise NotHad(f"{host} has no repository {repository}, or not for you: mend 'name', or set HF_TOKEN") from None
    except RevisionNotFoundError:
        raise NotHad(f"{host}/{repository} has no revision {revision}: mend 'revision'") from None
    except LocalEntryNotFoundError as error:  # an EntryNotFoundError as well, so it comes before it
        problem = problem or f"{host} does not answer ({one_line(error)})"
        raise NotHad(f"{file} is not in the cache of huggingface_hub, and {problem}") from None
    except EntryNotFoundError:
        return None
    except (HfHubHTTPError, OSError, RuntimeError) as error:
        raise NotHad(f"{file} could not be fetched from {host} ({one_line(error)})") from None
    found = checked(path, f"{host}/{repository}/resolve/{commit_of(path) or revision}/{name}", digest)
    return Found(found.path, name.rpartition("/")[2], found.origin, digest)


@cache
def unreachable(host: str) -> str:
    """Return why a host cannot be reached, or nothing; huggingface_hub itself would try for half a minute."""
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        get_session().head(host, timeout=10)
    except Exception as error:  # of the client that huggingface_hub brings, which changes with its version
        return f"{host} does not answer ({one_line(error)})"
    return ""


def commit_of(path: Path) -> str | None:
    """Return the commit in the path of a file in the cache of huggingface_hub."""
    commits = [part for part in path.parts if re.fullmatch(r"[0-9a-f]{40}", part)]
    return commits[-1] if commits else None


def one_line(error: BaseException) -> str:
    """Return the innermost cause of an error, on one line."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return " ".join(str(error).split())[:200] or type(error).__name__
