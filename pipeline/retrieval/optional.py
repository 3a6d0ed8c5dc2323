"""Libraries that few need, imported where they are used."""

from typing import Any

from .errors import RetrievalError


def faiss_for(what: str) -> Any:
    """Return faiss, which ``what`` needs; :class:`RetrievalError` if it is not installed."""
    try:
        import faiss
    except ImportError:
        raise RetrievalError(f"{what} needs faiss: pip install faiss-cpu") from None
    return faiss
