"""Metrics of runs as the page loads them: intervals, values of queries, hit rates, and what chance gives."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from pipeline.results.per_query import COUNTS
from pipeline.retrieval.chance import expected, hit_rate
from pipeline.retrieval.measures import most_of
from pipeline.retrieval.uncertainty import of_queries

Metrics = Mapping[str, np.ndarray]  # see pipeline.results.per_query.read_metrics


def names_of(metrics: Metrics) -> list[str]:
    """Return the names of what a run is judged by."""
    return [name for name in metrics if name not in (*COUNTS, "AP_random")]


def measured(runs: Mapping[str, Metrics]) -> dict[str, Any]:
    """Return of each metric of each run the 95 % interval over queries, and what a random ranking is expected to give.

    Names are those of metrics of queries, such as ``RR``.
    """
    first = next(iter(runs.values()))
    if not len(first["positives"]):
        return {"chance": {}, "runs": {run: {} for run in runs}}
    intervals = {}
    for run, metrics in runs.items():
        names = names_of(metrics)
        most = np.array([most_of(name) for name in names])
        ends = most * of_queries(np.column_stack([metrics[name] for name in names]) / most).intervals()
        intervals[run] = dict(zip(names, ends.T.tolist(), strict=True))
    return {"chance": by_chance(first), "runs": intervals}


def by_chance(metrics: Metrics) -> dict[str, float]:
    """Return the mean that a random ranking is expected to give, of the metrics of which it is known."""
    counts = [metrics[name] for name in COUNTS]
    found = {name: expected(name, *counts) for name in names_of(metrics)}
    known = {name: float(values.mean()) for name, values in found.items() if values is not None}
    return known | {"AP": float(metrics["AP_random"].mean())}


def share_of_positives(metrics: Metrics) -> float | None:
    """Return the precision that is expected of a random ranking at any rank; None if there are no queries."""
    shares = metrics["positives"] / metrics["candidates"]
    return float(shares.mean()) if len(shares) else None


def values_of(metrics: Metrics) -> dict[str, list[float | int]]:
    """Return the values of all queries by metric, as they are shown: rounded once; whole ones as whole numbers."""
    return {name: [shown(one) for one in metrics[name].tolist()] for name in names_of(metrics)}


def shown(value: float) -> float | int:
    """Return a value to four digits."""
    return int(value) if value == int(value) else float(f"{value:.4f}")


def hit_rates(runs: Mapping[str, Metrics]) -> dict[str, Any]:
    """Return recall@k at some k up to all candidates: of each run with its interval over queries, and by chance.

    The first positive of a query is at the rank that is one over its reciprocal rank.
    """
    first = next(iter(runs.values()))
    positives, candidates = (first[name] for name in COUNTS)
    if not len(positives):
        return {"k": [], "chance": [], "runs": {run: {"share": [], "low": [], "high": []} for run in runs}}
    cutoffs = steps_to(int(candidates.max()))
    found = {}
    for run, metrics in runs.items():
        hits = np.rint(1 / metrics["RR"])[:, None] <= cutoffs
        low, high = of_queries(hits.astype(float)).intervals().tolist()
        found[run] = {"share": hits.mean(axis=0).tolist(), "low": low, "high": high}
    chance = [float(hit_rate(positives, candidates, k).mean()) for k in cutoffs.tolist()]
    return {"k": cutoffs.tolist(), "chance": chance, "runs": found}


def steps_to(most: int) -> Int[np.ndarray, " k"]:
    """Return 1 to 10, then 20, 50, 100, 200 and so on, and the last one."""
    further: Float[np.ndarray, " k"] = np.outer(10.0 ** np.arange(1, 1 + len(str(most))), [1, 2, 5]).ravel()
    steps = np.unique([*range(1, 11), *further.astype(int).tolist(), most])
    return steps[steps <= most]
