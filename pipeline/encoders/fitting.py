"""Whether an encoder and a dataset go together, by what their YAMLs say."""

from collections.abc import Mapping
from typing import Any

from pipeline.encoders.precomputed import NAME as PRECOMPUTED
from pipeline.encoders.precomputed import without_images
from pipeline.retrieval.errors import RetrievalError


def misfit(
    encoder: str, config: Mapping[str, Any], dataset: str, described: Mapping[str, Any]
) -> RetrievalError | None:
    """Return the error of an encoder that has no features of a dataset, and will not make any; None if it does.

    Args:
        encoder: its name.
        config: its YAML.
        dataset: its name.
        described: its YAML.
    """
    if config.get("source") != PRECOMPUTED:
        if described.get("images") == "none":
            return without_images(encoder, dataset)
        return asked_by_text(encoder, dataset) if by_text(described) and not takes_text(config) else None
    datasets = config.get("datasets")
    if isinstance(datasets, Mapping) and dataset in datasets:
        return None
    return RetrievalError(
        f"encoder '{encoder}' has no features of '{dataset}': add them under 'datasets' in its YAML, or drop one of "
        "the two from params.yaml"
    )


def without_text(encoder: str) -> RetrievalError:
    """Return the error for an encoder that cannot take a text."""
    return RetrievalError(
        f"encoder '{encoder}' has no text tower: use one with 'text' in its YAML, or ask with an image"
    )


def asked_by_text(encoder: str, dataset: str) -> RetrievalError:
    """Return the error for an encoder without a text tower on a dataset whose queries are texts."""
    return RetrievalError(
        f"encoder '{encoder}' has no text tower, and dataset '{dataset}' asks by texts: drop one of the two from "
        "params.yaml"
    )


def by_text(described: Mapping[str, Any]) -> bool:
    """Return whether the queries of a dataset are texts, by its YAML."""
    return described.get("text_queries") is not None or described.get("queries") == "text"


def takes_text(config: Mapping[str, Any]) -> bool:
    """Return whether an encoder has a text tower, by its YAML."""
    return config.get("text") not in (None, False)
