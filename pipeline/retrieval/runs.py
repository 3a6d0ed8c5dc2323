"""Runs and relevance judgements, as of trec_eval -> the same metrics as from features. Dictionaries in, metrics out.

A run has, for each query, some items with scores; what it has not got is not retrieved, and the rank of a positive that
is not retrieved is infinite. Items rank by score, descending; equal scores by name, the last first, as trec_eval ranks
them (which first rounds scores to single precision; here they stay as they are).
"""

import reprlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from . import metrics
from .errors import RetrievalError, shown, some
from .measures import Measure, measures_of, with_cutoffs
from .ragged import Ragged
from .settings import Cutoff, call
from .uncertainty import of_queries
from .values import average_precisions, named_means, others_of, special_of
from .wanted import refuse_cutoffs

# By query and item; that they are numbers is checked.
Run = Mapping[str, Mapping[str, Any]]
Judgements = Mapping[str, Mapping[str, Any]]

LARGEST = sys.float_info.max


@dataclass(frozen=True)
class RunSettings:
    """How runs are scored.

    Attributes:
        ap: ``rectangle``, as trec_eval, or ``trapezoid``; ``protocol``: the first.
        cutoffs: the k of P@k, recall@k, nDCG@k and mAP@k.
        more_metrics: others at a k by name, such as ``capped_mAP@100``.
        queries_without_positives: that are judged, but nothing is relevant: ``error``, or ``skip`` to leave them out of
            every mean.
        queries_without_judgements: that are in the run alone: ``error``, or ``skip``, as trec_eval does.
        queries_without_ranking: that have positives, and the run has nothing for: ``error``; ``skip``, as trec_eval
            does; or ``zero``, as it does with ``-c``: nothing was found.
    """

    ap: Literal["protocol", "rectangle", "trapezoid"] = "protocol"
    cutoffs: Sequence[Cutoff] = (1, 5, 10)
    more_metrics: Sequence[str] = ()
    queries_without_positives: Literal["error", "skip"] = "error"
    queries_without_judgements: Literal["error", "skip"] = "error"
    queries_without_ranking: Literal["error", "skip", "zero"] = "error"

    def __post_init__(self) -> None:
        """Raise :class:`RetrievalError` naming a setting that is out of range."""
        refuse_cutoffs(self.cutoffs)
        for one in self.asked:
            if one.k is None or one.column is None or one.name.startswith("mP@"):
                raise RetrievalError(f"'{one.name}' is no metric of a run: name others at a k, such as capped_mAP@100")

    @property
    def asked(self) -> list[Measure]:
        """The metrics that are asked for by name."""
        return measures_of(self.more_metrics)

    @property
    def ks(self) -> list[int]:
        """All cutoffs, ascending."""
        return with_cutoffs(self.asked, self.cutoffs)


@dataclass(frozen=True)
class Ranked:
    """The ranks of the positives of one query, from 1; infinite where they are not retrieved.

    Attributes:
        ranks: ascending.
        optimistic: the same if equal scores were ordered positives first.
        pessimistic: the same if they were ordered positives last.
    """

    ranks: Float[np.ndarray, " positive"]
    optimistic: Float[np.ndarray, " positive"]
    pessimistic: Float[np.ndarray, " positive"]


def score_run(run: Run, judgements: Judgements, *, per_query: bool = False, **settings: Any) -> dict[str, Any]:
    """Return the metrics of a run.

    >>> score_run({"q1": {"a": 0.9, "b": 0.4}}, {"q1": {"b": 1}})["mAP"]
    0.5

    Args:
        run: of each query the items that were found, each with its score; the higher the better.
        judgements: of each query what is known of items: positive numbers, of any grade, are positives; 0 and what is
            not listed are negatives; what is negative is left out of the ranking, as junk is. trec_eval keeps the
            last as negatives.
        per_query: whether to return what every query has too.
        settings: see :class:`RunSettings`.

    Returns:
        ``mAP`` and the other means, fractions in [0, 1], with the 95 % interval over queries, and counts:
        ``not_retrieved`` of the ``positives``. Under ``per_query`` the names of ``queries``, how many ``positives``
        each has and how many were ``retrieved``, and its metrics.

    Raises:
        RetrievalError: a score is no finite number; a judgement is no integer; a query lacks what the settings ask for.
    """
    chosen = call(RunSettings, settings, where="settings")
    check_run(run)
    check_judgements(judgements)
    queries, left_out = chosen_queries(run, judgements, chosen)
    ranked = [ranked_of(run.get(query, {}), judgements[query]) for query in queries]
    ranks = joined([one.ranks for one in ranked])
    ties = {"for": joined([one.optimistic for one in ranked]), "against": joined([one.pessimistic for one in ranked])}
    rule: metrics.Rule = "rectangle" if chosen.ap == "protocol" else chosen.ap
    values = {**average_precisions(ranks, ties, rule), **others_of(ranks, chosen.ks)}
    values |= special_of(ranks, ties, chosen.asked)
    curves = metrics.interpolated_precision(ranks)
    [[low, high]] = of_queries(values["AP"][:, None]).intervals().T
    means = {name: float(column.mean()) for name, column in values.items()}
    retrieved = joined([one.ranks[np.isfinite(one.ranks)] for one in ranked]).counts
    summary = {
        "protocol": "run",
        "ap": rule,
        "mAP": means["AP"],
        "mAP_low": float(low),
        "mAP_high": float(high),
        "population": "queries",
        **named_means(means, chosen.ks, chosen.asked),
        "queries": len(queries),
        **left_out,
        "positives": len(ranks.values),
        "not_retrieved": len(ranks.values) - int(retrieved.sum()),
        "interpolated_precision": curves.mean(axis=0).tolist(),
    }
    each = {"queries": np.array(queries, str), "positives": ranks.counts, "retrieved": retrieved, **values}
    return {**summary, "per_query": each} if per_query else summary


def check_run(run: Run) -> None:
    """Raise :class:`RetrievalError` for a score that is no finite number."""
    for query, items in run.items():
        for item, score in items.items():
            number = isinstance(score, int | float | np.number) and not isinstance(score, bool)
            if not number or not abs(score) <= LARGEST:  # nor is NaN
                raise RetrievalError(
                    f"query {shown(query)}: the score of {shown(item)} is {reprlib.repr(score)}: give a finite number"
                )


def check_judgements(judgements: Judgements) -> None:
    """Raise :class:`RetrievalError` for a relevance that is no integer."""
    for query, items in judgements.items():
        for item, relevance in items.items():
            if isinstance(relevance, bool) or not isinstance(relevance, int | np.integer):
                raise RetrievalError(
                    f"query {shown(query)}: the relevance of {shown(item)} is {reprlib.repr(relevance)}: give an "
                    "integer, positive for what is relevant, negative for what is left out"
                )


def chosen_queries(run: Run, judgements: Judgements, settings: RunSettings) -> tuple[list[str], dict[str, int]]:
    """Return the queries that count, in the order of the judgements, and how many there are of each kind that may not.

    Raises:
        RetrievalError: the settings say that such a query is an error, or none is left.
    """
    unjudged = [query for query in run if query not in judgements]
    asked = [query for query, items in judgements.items() if any(relevance > 0 for relevance in items.values())]
    without = [query for query, items in judgements.items() if not any(relevance > 0 for relevance in items.values())]
    unranked = [query for query in asked if query not in run]
    kinds = {
        "queries_without_judgements": (unjudged, "in the run, but not in the judgements"),
        "queries_without_positives": (without, "judged, but have nothing that is relevant"),
        "queries_without_ranking": (unranked, "in the judgements, but not in the run"),
    }
    for name, (found, what) in kinds.items():
        if found and getattr(settings, name) == "error":
            choices = "skip (leave them out) or zero (nothing was found)" if found is unranked else "skip"
            raise RetrievalError(f"{len(found)} queries are {what} ({some(found)}): mend them, or set {name}={choices}")
    if settings.queries_without_ranking == "skip":
        asked = [query for query in asked if query in run]
    if not asked:
        raise RetrievalError("no query has a ranking and a positive: are run and judgements of one dataset?")
    return asked, {name: len(found) for name, (found, _) in kinds.items()}


def ranked_of(scores: Mapping[str, Any], relevance: Mapping[str, Any]) -> Ranked:
    """Return the ranks of the positives of a query, once junk is left out."""
    kept = [(score, item) for item, score in scores.items() if relevance.get(item, 0) >= 0]
    kept.sort(reverse=True)
    hits = np.array([relevance.get(item, 0) > 0 for _, item in kept], bool)
    level = np.array([-score for score, _ in kept], float)
    missing = sum(value > 0 for value in relevance.values()) - int(hits.sum())
    first, last = np.lexsort((~hits, level)), np.lexsort((hits, level))
    return Ranked(*(with_missing(order, missing) for order in (hits, hits[first], hits[last])))


def with_missing(hits: Bool[np.ndarray, " item"], missing: int) -> Float[np.ndarray, " positive"]:
    """Return the ranks of the hits in a ranking, and infinity for each positive that it has not got."""
    return np.concatenate([np.flatnonzero(hits) + 1.0, np.full(missing, np.inf)])


def joined(rows: Sequence[Float[np.ndarray, " _"]]) -> Ragged:
    """Return ranks one after the other."""
    starts = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=starts[1:])
    return Ragged(np.concatenate(rows), starts)
