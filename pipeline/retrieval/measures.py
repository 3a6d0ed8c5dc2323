"""The names of metrics: of a run, and of the value of each query that it is the mean of."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import RetrievalError

# From the name of a run's metric to that of a query's value.
MEANS = {
    "mAP": "AP",
    "mAP_rectangle": "AP_rectangle",
    "mAP_trapezoid": "AP_trapezoid",
    "mAP_interpolated": "AP_interpolated",
    "MAP@R": "MAP@R",
    "R-precision": "R-precision",
    "MRR": "RR",
    "N-S": "N-S",
    "2AFC": "2AFC",
}
# The same of those that end in @k.
MEANS_AT = {
    "P": "P",
    "mP": "mP",
    "recall": "recall",
    "nDCG": "nDCG",
    "mAP": "AP",
    "capped_mAP": "capped_AP",
    "mMP": "MP",
    "trec_recall": "trec_recall",
}
# The largest value that a query can have, where it is not 1.
MOST = {"N-S": 4.0}
# What is computed only where it is asked for by name.
SPECIAL = ("capped_mAP", "mMP", "trec_recall", "N-S", "2AFC")
# Of all queries together, each with its first k items: there is no value of a query.
POOLED = ("micro_AP", "answered_micro_AP", "recall_at_P90", "t_mAP")
AT = re.compile(r"(?P<name>\w+)@(?P<k>[1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Measure:
    """A metric of a run.

    Attributes:
        name: of the run's, such as ``mAP@10``.
        column: of the query's value, such as ``AP@10``; None of one that is of all queries together.
        k: how many items of each ranking it looks at; None: at all, or at a number that is the query's.
        most: the largest value that it can have.
    """

    name: str
    column: str | None
    k: int | None = None
    most: float = 1.0

    @property
    def special(self) -> bool:
        """Whether it is computed only where it is asked for by name, being of few protocols."""
        return self.column is None or self.name.partition("@")[0] in SPECIAL


def measure_of(name: str) -> Measure:
    """Return the metric of a name.

    Raises:
        RetrievalError: there is none; the message lists those there are.
    """
    if name in MEANS:
        return Measure(name, MEANS[name], most=most_of(MEANS[name]))
    match = AT.fullmatch(name)
    if match and match["name"] in MEANS_AT:
        return Measure(name, f"{MEANS_AT[match['name']]}@{match['k']}", int(match["k"]))
    if match and match["name"] in POOLED:
        return Measure(name, None, int(match["k"]))
    known = [*MEANS, *(f"{name}@k" for name in (*MEANS_AT, *POOLED))]
    raise RetrievalError(f"unknown metric '{name}': one of {', '.join(known)}")


def measures_of(names: Iterable[str]) -> list[Measure]:
    """Return the metrics of names, each once; :class:`RetrievalError` as of :func:`measure_of`."""
    return [measure_of(name) for name in dict.fromkeys(names)]


def with_cutoffs(measures: Iterable[Measure], cutoffs: Iterable[int]) -> list[int]:
    """Return all cutoffs, ascending: those given, and those of metrics that are computed at every cutoff."""
    return sorted({*cutoffs, *(one.k for one in measures if one.k is not None and not one.special)})


def of_query(metric: str) -> str:
    """Return what the metric of a run is called where it is that of a query; what is of no query keeps its name."""
    try:
        return measure_of(metric).column or metric
    except RetrievalError:
        return metric


def most_of(column: str) -> float:
    """Return the largest value that a query can have of a metric that is called so where it is a query's."""
    return MOST.get(column, 1.0)
