"""What timm knows of the networks it names."""

from typing import Any

from pipeline.retrieval.errors import RetrievalError


def pretrained_config(name: str, *, where: str) -> Any:
    """Return timm's declaration of a network's weights: their repository and preprocessing.

    Raises:
        RetrievalError: timm has no such network, or no such tag of it.
    """
    import timm  # takes two seconds, for encoders of other sources in vain

    try:
        found = timm.get_pretrained_cfg(name)
    except RuntimeError:
        found = None
    if found is None:
        raise RetrievalError(f"{where}: timm has no weights '{name}'; see timm.list_models(pretrained=True)")
    return found
