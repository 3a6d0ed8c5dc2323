"""What timm, an optional extra, knows of the networks it names."""

from types import ModuleType
from typing import Any

from pipeline.retrieval.errors import RetrievalError


def timm_module(*, where: str) -> ModuleType:
    """Return the module timm.

    Raises:
        RetrievalError: it is not installed.
    """
    try:
        import timm
    except ImportError:
        raise RetrievalError(f"{where}: timm is not installed: pip install timm, or choose another source") from None
    return timm


def pretrained_config(name: str, *, where: str) -> Any:
    """Return timm's declaration of a network's weights: their repository and preprocessing.

    Raises:
        RetrievalError: timm is not installed, has no such network, or no such tag of it.
    """
    try:
        found = timm_module(where=where).get_pretrained_cfg(name)
    except RuntimeError:
        found = None
    if found is None:
        raise RetrievalError(f"{where}: timm has no weights '{name}'; see timm.list_models(pretrained=True)")
    return found
