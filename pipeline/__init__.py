"""Evaluation of visual encoders in image retrieval.

``from pipeline import score_features`` scores anybody's embeddings. It is imported when asked for: every stage imports
this package, and no stage but ``check`` depends on this file, which must do nothing that results can depend on.

``python -m pipeline.<command>`` imports it first, before what takes seconds to import: here begins how a command ends
(:mod:`pipeline.frame.ending`), and a stage keeps the lock of DVC (:mod:`pipeline.mending.lock`).
"""

import sys
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


if sys.argv[:1] == ["-m"]:  # while Python looks for the command
    from pipeline.frame import ending
    from pipeline.mending import lock

    ending.guard()
    lock.keep_in_stage()
