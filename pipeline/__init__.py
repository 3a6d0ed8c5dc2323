"""Evaluation of visual encoders in image retrieval.

``from pipeline import score_features`` scores anybody's embeddings, as all that :mod:`pipeline.retrieval` offers. It is
imported when asked for: every stage imports this package, and no stage but ``check`` depends on this file, which must
do nothing that results can depend on.

``python -m pipeline.<command>`` imports it first, before what takes seconds to import: here begins how a command ends
(:mod:`pipeline.frame.ending`), without a package that it needs too, and a stage keeps the lock of DVC
(:mod:`pipeline.mending.lock`).
"""

import sys
from importlib import import_module
from types import TracebackType
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


def say_missing(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say of a package that is not installed, in one line, who imports it; of all else that ends a command, as ever."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if not name or name == __name__:
        return sys.__excepthook__(kind, error, trace)
    importer = __name__
    while trace:
        spec = trace.tb_frame.f_globals.get("__spec__")  # that of __main__ has the command's name
        if spec and spec.name.partition(".")[0] == __name__:  # not a package that another one needs
            importer = spec.name
        trace = trace.tb_next
    remedy = "source .venv/bin/activate (after make setup)"
    print(f"error: no package '{name}' here, which {importer} imports: {remedy}", file=sys.stderr)
    raise SystemExit(2)


if sys.argv[:1] == ["-m"]:  # while Python looks for the command
    sys.excepthook = say_missing
    from pipeline.frame import ending
    from pipeline.mending import lock

    ending.guard()
    lock.keep_in_stage()
