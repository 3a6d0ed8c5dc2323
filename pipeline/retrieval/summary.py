"""What an evaluation comes to: means over queries, with intervals, and counts; by one protocol or more."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from . import chance
from .errors import RetrievalError
from .evaluation import Evaluation, Rank, evaluate
from .protocols import Protocol
from .relevance import Without
from .similarity import Scorer
from .uncertainty import Population, of_left_out
from .values import named_means
from .wanted import Settings

Intervals = dict[Population, dict[str, float]]


def report(
    scorer: Scorer,
    protocols: Sequence[Protocol],
    *,
    labels: Sequence[tuple[str, ...]],
    contents: Sequence[str],
    names: Sequence[str],
    settings: Settings,
    rank: Rank | None = None,
    ranks: bool = False,
) -> tuple[Evaluation, dict[str, Any]]:
    """Evaluate scores by one protocol or more; return the first one's results, and the summary of all.

    Args:
        scorer: see :func:`.evaluation.evaluate`.
        protocols: of the same queries and gallery; the first one's metrics are at the top of the summary, the
            others' under their names.
        labels: of the items; empty where there are none.
        contents: a text an item, equal for exact duplicates.
        names: of the items, for errors.
        settings: see :class:`.wanted.Settings`.
        rank: see :func:`.evaluation.evaluate`.
        ranks: the same.

    Raises:
        RetrievalError: no ranking has anything but positives, as where all items have one label; see also
            :func:`.evaluation.evaluate`.
    """
    first, *others = protocols
    evaluation = evaluate(scorer, first, names=names, settings=settings, rank=rank, ranks=ranks)
    if np.array_equal(evaluation.positives, evaluation.candidates):
        raise RetrievalError(
            "whatever is ranked for a query is relevant to it, so that every ranking of any features is perfect: "
            "give labels that tell items apart (one label for all: is 'root' or the column the one meant?)"
        )
    summary: dict[str, Any] = {"protocol": first.name, "ap": settings.rule(first)}
    summary |= {"similarity": settings.similarity, "device": settings.device}
    summary |= summarise(evaluation, settings)
    classes = per_class(evaluation, labels)
    if classes:
        summary["macro_mAP"] = float(np.mean([ap for _, ap in classes.values()]))
    summary["exact_duplicates"] = len(contents) - len(set(contents))
    distinct = ignoring_duplicates(first, contents)
    if distinct is not None:
        # There may be more without positives, and it is for mAP alone.
        apart = replace(settings, queries_without_positives="skip", left_out=False, metric="mAP", more_metrics=())
        again = evaluate(scorer, distinct, names=names, settings=apart, rank=rank)
        # As queries the later copies go too.
        kept = ~np.isin(again.queries, first.gallery[later_copies(contents, first.gallery)])
        summary["mAP_without_duplicates"] = float(again.ap[kept].mean()) if kept.any() else None
    for other in others:
        under = evaluate(scorer, other, names=names, settings=settings, rank=rank)
        summary[other.name] = summarise(under, settings)
    return evaluation, summary


def summarise(evaluation: Evaluation, settings: Settings) -> dict[str, Any]:
    """Return the means over queries, fractions in [0, 1], with their 95 % intervals, and the counts."""
    values = evaluation.values
    means = {name: float(column.mean()) for name, column in values.items()}
    intervals, own = intervals_of(evaluation)
    population = evaluation.populations[0]
    summary: dict[str, Any] = {
        "mAP": means["AP"],
        "mAP_low": intervals[population]["low"],
        "mAP_high": intervals[population]["high"],
        "population": population,
        "intervals": intervals,
        "headline": {
            "metric": evaluation.measure.name,
            "value": evaluation.value,
            "chance": by_chance(evaluation),
            "intervals": own,
        },
        "mAP_random": means["AP_random"],
        **named_means(means, settings.ks, settings.asked),
        **evaluation.pooled,
    }
    return summary | {
        "queries": len(evaluation.queries),
        "queries_without_positives": len(evaluation.skipped),
        "positives": int(evaluation.positives.sum()),
        "gallery": evaluation.gallery,
        "interpolated_precision": np.ascontiguousarray(evaluation.interpolated.T).mean(axis=1).tolist(),
    }


def intervals_of(evaluation: Evaluation) -> tuple[Intervals, Intervals]:
    """Return the ends of the 95 % interval for each population that there is enough of: of mAP, and of the metric."""
    found = {population: evaluation.estimates(population).intervals() for population in evaluation.populations}
    of_map: Intervals = {population: low_and_high(ends[:, 0]) for population, ends in found.items()}
    of_metric: Intervals
    if evaluation.pooled_left_out is not None:
        alone = of_left_out(np.array([evaluation.value]), evaluation.pooled_left_out)
        of_metric = {"queries": low_and_high(alone.intervals()[:, 0])}
    else:
        most = evaluation.measure.most
        of_metric = {population: low_and_high(most * ends[:, -1]) for population, ends in found.items()}
    return of_map, of_metric


def low_and_high(ends: Float[np.ndarray, " 2"]) -> dict[str, float]:
    """Return the ends of an interval by name."""
    return {"low": float(ends[0]), "high": float(ends[1])}


def by_chance(evaluation: Evaluation) -> float | None:
    """Return what a random ranking is expected to give of the metric; None where no formula is here for it."""
    column = evaluation.measure.column
    if column == "AP":
        return float(evaluation.values["AP_random"].mean())
    known = None if column is None else chance.expected(column, evaluation.positives, evaluation.candidates)
    return None if known is None else float(known.mean())


def per_class(evaluation: Evaluation, labels: Sequence[tuple[str, ...]]) -> dict[str, tuple[int, float]]:
    """Return for each label the number of its queries and the mean of their AP; by name.

    A query with several labels counts for each. Empty if the queries have no labels.
    """
    found: dict[str, list[float]] = {}
    for item, ap in zip(evaluation.queries.tolist(), evaluation.ap.tolist(), strict=True):
        for label in set(labels[item]):
            found.setdefault(label, []).append(ap)
    return {label: (len(found[label]), float(np.mean(found[label]))) for label in sorted(found)}


def ignoring_duplicates(protocol: Protocol, contents: Sequence[str]) -> Protocol | None:
    """Return the protocol that leaves later copies out of every ranking; None if the gallery has none.

    Of the items of the gallery with the same content the first counts, with its own labels.
    """
    later = later_copies(contents, protocol.gallery)
    return replace(protocol, judge=Without(protocol.judge, later)) if len(later) else None


def later_copies(contents: Sequence[str], gallery: Int[np.ndarray, " member"]) -> Int[np.ndarray, " place"]:
    """Return the gallery's places whose content stands earlier in the gallery too."""
    seen: set[str] = set()
    later = []
    for place, item in enumerate(gallery.tolist()):
        if contents[item] in seen:
            later.append(place)
        seen.add(contents[item])
    return np.array(later, np.int64)
