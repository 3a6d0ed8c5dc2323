"""The means of runs over the queries of a dataset, and how they vary together, from what ``evaluate`` leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pipeline.frame.runs import stage_of
from pipeline.results.per_query import LEFT_OUT, POOLED, read_results, usable
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.levels import RECALL_LEVELS
from pipeline.retrieval.uncertainty import (
    POPULATIONS,
    Estimates,
    LeftOut,
    Population,
    choose,
    chosen_of_runs,
    of_left_out,
    of_queries,
)


def read_estimates(per_query: Path, dataset: str, runs: Sequence[str], population: str) -> tuple[Population, Estimates]:
    """Return the means by which runs on a dataset are told apart, how they vary together, and what this is about.

    That is mAP, or the metric that the dataset's YAML names, divided by the largest value that it can have.

    Args:
        per_query: the folder of all results.
        dataset: its name.
        runs: their names.
        population: one of :data:`pipeline.retrieval.uncertainty.POPULATIONS`, or ``widest``.

    Raises:
        RetrievalError: a file is missing or damaged; two runs were evaluated on different queries, or with other groups
            left out; the dataset has too little of the population.
    """
    columns: list[np.ndarray] = []
    left: list[dict[Population, LeftOut]] = []
    first: Mapping[str, np.ndarray] = {}
    for run in runs:
        path = per_query / dataset / f"{run}.npz"
        results = read_results(path, "metric", "queries", "told_apart", "value")
        first = first or results
        again = f"run dvc repro {stage_of(run, dataset)}"
        for name, what in (("queries", "other queries"), ("metric", "another metric")):
            if not np.array_equal(results[name], first[name]):
                raise RetrievalError(f"{path} has {what} than {runs[0]}.npz beside it: {again}")
        pooled = read_pooled(path)
        columns.append(results["told_apart"] if pooled is None else results["value"][None])
        left.append(read_left_out(path) if pooled is None else {"queries": pooled})
        if not alike(left[0], left[-1]):
            raise RetrievalError(f"{path} has other groups left out than {runs[0]}.npz beside it: {again}")
    known, metric = "queries" in left[0], str(first["metric"])
    remedy = f"of {metric} on {dataset} only queries are known" if known else too_few(dataset)
    return chosen_of_runs(np.column_stack(columns), left, population, remedy=remedy)


def read_pooled(path: Path) -> LeftOut | None:
    """Return the metric of a run without groups of queries where it is of all of them together; else None.

    Raises:
        RetrievalError: the file is missing or damaged.
    """
    with usable(path) as arrays:
        names = [f"{POOLED}_{name}" for name in LEFT_OUT]
        return left_out_in(arrays, names, rows=1) if names[0] in arrays else None


def left_out_in(arrays: Mapping[str, np.ndarray], names: Sequence[str], *, rows: int) -> LeftOut:
    """Return means without groups from the arrays of these names; ValueError if they have another form."""
    values, shares, units = (arrays[name] for name in names)
    form = (rows, *shares.shape)
    if shares.ndim != 1 or values.shape != form or units.ndim or not np.isfinite(values).all():
        raise ValueError(f"{names[0]} is {values.dtype} of shape {values.shape}, for shares of {shares.shape}")
    return LeftOut(values.astype(float), shares.astype(float), int(units))


def read_left_out(path: Path) -> dict[Population, LeftOut]:
    """Return the means of a run without groups of what could have been others, by population.

    Raises:
        RetrievalError: the file is missing or damaged.
    """
    found: dict[Population, LeftOut] = {}
    with usable(path) as arrays:
        for population in POPULATIONS:
            names = [f"{population}_{name}" for name in LEFT_OUT]
            if names[0] in arrays:
                found[population] = left_out_in(arrays, names, rows=1 + len(RECALL_LEVELS) + 1)
    return found


def too_few(dataset: str) -> str:
    """Return what an error says of a dataset that has too little of a population."""
    return f"{dataset} has too few of them, or left_out is false in conf/evaluate.yaml"


def alike(one: dict[Population, LeftOut], other: dict[Population, LeftOut]) -> bool:
    """Return whether the same groups were left out."""
    return one.keys() == other.keys() and all(
        one[name].units == other[name].units and np.array_equal(one[name].shares, other[name].shares) for name in one
    )


@dataclass(frozen=True)
class Curve:
    """The interpolated precision of a run at recall 0, 0.1, ..., 1.

    Attributes:
        mean: over queries.
        low: the lower end of the 95 % interval of the mean.
        high: the upper end.
        population: what the interval is about.
    """

    mean: Float[np.ndarray, " 11"]
    low: Float[np.ndarray, " 11"]
    high: Float[np.ndarray, " 11"]
    population: Population


def read_curve(path: Path, population: str) -> Curve:
    """Return the curve of one run.

    Raises:
        RetrievalError: the file is missing or damaged; the dataset has too little of the population.
    """
    interpolated: Float[np.ndarray, "query 11"] = read_results(path, "interpolated")["interpolated"]
    left_out = read_left_out(path)
    chosen = choose(left_out, population, remedy=too_few(path.parent.name))
    mean = np.ascontiguousarray(interpolated.T).mean(axis=1)
    if chosen == "queries":
        estimates = of_queries(interpolated)
    else:
        whole = left_out[chosen]
        estimates = of_left_out(mean, replace(whole, values=whole.values[1:-1]))
    low, high = estimates.intervals()
    return Curve(mean, low, high, chosen)
