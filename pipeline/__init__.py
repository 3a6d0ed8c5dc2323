"""Evaluation of visual encoders in image retrieval.

``from pipeline import score_features`` scores anybody's embeddings. It is imported when asked for: every stage imports
this package, and no stage but ``check`` depends on this file, which must do nothing else.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.retrieval.scoring import score_features as score_features

__all__ = ["score_features"]


def __getattr__(name: str) -> Any:
    """Import what ``__all__`` names."""
    if name in __all__:
        from pipeline.retrieval import scoring

        return getattr(scoring, name)
    raise AttributeError(f"module 'pipeline' has no attribute '{name}'")
