"""Evaluation in image retrieval, exact over the full ranking of every query: features in, metrics out.

It is a room of its own: in the checkout ``pipeline.retrieval``, and installed ``retrieval_bench``, without the rest.
What ``__all__`` names is imported when asked for, by a name that is put together here: whoever imports one module of
this package neither waits for the others nor, as a stage of DVC, depends on them. ``__init__.pyi`` tells type checkers.
"""

from importlib import import_module
from typing import Any

HOMES = {
    "AccuracyCalculator": "accuracy",
    "Query": "queries",
    "RetrievalError": "errors",
    "RetrievalMetrics": "monitor",
    "Settings": "wanted",
    "compare_features": "comparing",
    "compare_several": "comparing",
    "score_features": "scoring",
    "score_run": "runs",
}
__all__ = sorted(HOMES)  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    """Import what ``__all__`` names."""
    if name in HOMES:
        return getattr(import_module(f".{HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return what can be imported."""
    return list(__all__)
