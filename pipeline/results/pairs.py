"""Runs two by two on the same queries: by how much they differ, and whether that can be told from chance."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from pipeline.frame.runs import stage_of
from pipeline.results.per_query import read_results
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.uncertainty import bootstrap_means, distinguishable, holm, interval, randomisation_p

COLUMNS = ("dataset", "a", "b", "difference", "low", "high", "p", "p_holm", "distinguishable")


def compare_pairs(
    dataset: str, aps: Mapping[str, Float[np.ndarray, " query"]], *, resamples: int, seed: int
) -> pd.DataFrame:
    """Return one row per pair of encoders, in the order of ``aps``.

    ``difference`` is the mAP of ``a`` minus that of ``b``, ``low`` and ``high`` its 95 % interval by a paired
    bootstrap over queries, ``p`` the p-value of a paired randomisation test, ``p_holm`` the same corrected for the
    number of pairs on this dataset, and ``distinguishable`` whether that is below 0.05.

    Args:
        dataset: its name.
        aps: by encoder, the AP of the same queries in the same order.
        resamples: draws for the interval and coin tosses for the test.
        seed: of both.
    """
    pairs = list(combinations(aps, 2))
    if not pairs:
        return pd.DataFrame(columns=list(COLUMNS))
    differences = np.stack([aps[a] - aps[b] for a, b in pairs], axis=1)
    low, high = interval(bootstrap_means(differences, resamples=resamples, seed=seed))
    p_values = randomisation_p(differences, resamples=resamples, seed=seed)
    corrected = holm(p_values)
    columns = (differences.mean(axis=0), low, high, p_values, corrected, distinguishable(corrected))
    rows = [(dataset, *pair, *values) for pair, *values in zip(pairs, *columns, strict=True)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def read_aps(per_query: Path, dataset: str, runs: Sequence[str]) -> dict[str, Float[np.ndarray, " query"]]:
    """Return the AP of every query of a dataset, by run.

    Raises:
        RetrievalError: a file is missing or damaged; two runs were evaluated on different queries.
    """
    found: dict[str, Float[np.ndarray, " query"]] = {}
    first: Int[np.ndarray, " query"] | None = None
    for run in runs:
        path = per_query / dataset / f"{run}.npz"
        results = read_results(path, "queries", "AP")
        queries, found[run] = results["queries"], results["AP"]
        first = queries if first is None else first
        if not np.array_equal(queries, first):
            again = f"run dvc repro {stage_of(run, dataset)}"
            raise RetrievalError(f"{path} has other queries than {runs[0]}.npz beside it: {again}")
    return found


def leaders_of(table: pd.DataFrame) -> dict[str, str]:
    """Return the encoder with the highest mAP on each dataset, the first of equal ones; a row of ``table`` is a run."""
    best = table.loc[table.groupby("dataset", sort=False)["mAP"].idxmax()]
    return dict(zip(best["dataset"], best["encoder"], strict=True))


def indistinguishable_from_best(pairs: pd.DataFrame, best: Mapping[str, str]) -> set[tuple[str, str]]:
    """Return the (encoder, dataset) that cannot be told from the best encoder of that dataset."""
    found = set()
    for row in pairs[~pairs["distinguishable"].astype(bool)].itertuples():
        names = {str(row.a), str(row.b)}
        leader = best[str(row.dataset)]
        if leader in names:
            found |= {(name, str(row.dataset)) for name in names - {leader}}
    return found
