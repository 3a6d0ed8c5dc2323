"""``source: precomputed``: no encoder at all, since its features were made elsewhere."""

from typing import Any, NoReturn

from pipeline.retrieval.errors import RetrievalError

NAME = "precomputed"


def without_images(encoder: str, dataset: str) -> RetrievalError:
    """Return the error for any other encoder on a dataset that has no images."""
    return RetrievalError(
        f"encoder '{encoder}' takes images, and dataset '{dataset}' has none (images: none in its YAML): drop one of "
        "the two from params.yaml, or give features of it by an encoder with source: precomputed"
    )


def build(datasets: Any) -> NoReturn:
    """Refuse to be an encoder, as the other sources are.

    Raises:
        RetrievalError: always.
    """
    raise RetrievalError("precomputed features come without their network, so that no other image can be encoded")
