"""``source: precomputed``: no encoder at all, since its features were made elsewhere."""

from typing import Any, NoReturn

from pipeline.retrieval.errors import RetrievalError

NAME = "precomputed"


def build(datasets: Any) -> NoReturn:
    """Refuse to be an encoder, as the other sources are.

    Raises:
        RetrievalError: always.
    """
    raise RetrievalError("precomputed features come without their network, so that no other image can be encoded")
