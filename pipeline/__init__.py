"""Evaluation of visual encoders in image retrieval.

``from pipeline import score_features`` scores anybody's embeddings, as all that :mod:`pipeline.retrieval` offers. It is
imported when asked for: every stage imports this package, and no stage but ``check`` depends on this file, which must
do nothing that results can depend on.

``python -m pipeline.<command>`` imports it first, before what takes seconds to import: here begins how a command ends
(:mod:`pipeline.frame.ending`), and a stage keeps the lock of DVC (:mod:`pipeline.mending.lock`).
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.retrieval import AccuracyCalculator as AccuracyCalculator
    from pipeline.retrieval import Query as Query
    from pipeline.retrieval import RetrievalError as RetrievalError
    from pipeline.retrieval import RetrievalMetrics as RetrievalMetrics
    from pipeline.retrieval import Settings as Settings
    from pipeline.retrieval import compare_features as compare_features
    from pipeline.retrieval import compare_several as compare_several
    from pipeline.retrieval import score_features as score_features
    from pipeline.retrieval import score_run as score_run


def __getattr__(name: str) -> Any:
    """Import what the room ``retrieval`` offers."""
    retrieval = import_module("pipeline.retrieval")
    if name in retrieval.__all__:
        return getattr(retrieval, name)
    raise AttributeError(f"module 'pipeline' has no attribute '{name}'")


if sys.argv[:1] == ["-m"]:  # while Python looks for the command
    from pipeline.frame import ending
    from pipeline.mending import lock

    ending.guard()
    lock.keep_in_stage()
