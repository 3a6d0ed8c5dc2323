"""Runs two by two on the same queries: by how much they differ, and whether that can be told from chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from pipeline.results.cost import MEAN
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import Draws, Seed
from pipeline.retrieval.uncertainty import ALPHA, Estimates, Population, distinguishable, holm, sign_flip_p

COLUMNS = ("dataset", "a", "b", "difference", "low", "high", "p", "p_holm", "distinguishable", "p_least")


@dataclass(frozen=True)
class Design:
    """What is compared with what, and what that is to say; conf/compare.yaml.

    Attributes:
        population: ``classes``, ``images`` or ``queries``, which others could have been drawn (see
            :mod:`pipeline.retrieval.uncertainty`); ``widest``: of each dataset the first that there is enough of.
        datasets: ``fixed``, whose mean is of these very datasets, or ``drawn``, others could have been.
        family: the pairs that are listed: ``best``, each run with the best one; ``pairs``, all; or the name of a run,
            each of the others with it.
        correction: for how many pairs p-values are corrected, ``dataset`` or ``all`` of them together.
        test: ``t``, or ``signs`` to flip the signs of classes, groups of images or queries.
        resamples: of random signs, where they are too many to try all.
        seed: of these.
    """

    population: Literal["widest", "classes", "images", "queries"] = "widest"
    datasets: Literal["fixed", "drawn"] = "fixed"
    family: str = "best"
    correction: Literal["dataset", "all"] = "dataset"
    test: Literal["t", "signs"] = "t"
    resamples: Draws = 100_000
    seed: Seed = 0


@dataclass(frozen=True)
class Compared:
    """What came of all comparisons.

    Attributes:
        pairs: one row per pair of the family and dataset, and of the means over datasets, where there are several.
        ranks: by dataset and run, the first and the last place that the tests leave it.
        out_of_reach: in words, where no difference could be distinguishable, whatever it is; else empty.
    """

    pairs: pd.DataFrame
    ranks: Mapping[tuple[str, str], tuple[int, int]]
    out_of_reach: str


@dataclass(frozen=True)
class Tests:
    """The tests of the pairs of runs on one dataset, before they are corrected."""

    first: Int[np.ndarray, " pair"]
    second: Int[np.ndarray, " pair"]
    values: Float[np.ndarray, " pair"]
    ends: Float[np.ndarray, "2 pair"]
    p_values: Float[np.ndarray, " pair"]
    least: float


def compare_pairs(
    runs: Sequence[str], found: Mapping[str, Estimates], design: Design, *, most: Mapping[str, float] | None = None
) -> Compared:
    """Compare runs on every dataset, and by the mean over datasets.

    A row has the mean of ``a`` minus that of ``b``, ``low`` and ``high`` the ends of its 95 % interval, ``p`` its
    p-value, ``p_holm`` the same corrected for the number of pairs, ``distinguishable``: whether that is below 0.05, and
    ``p_least`` the least p-value that the test can give, however large the difference: 0 of t tests.
    Where each run is compared with the best one, p-values are still corrected for all pairs: which one is the best is
    taken from the same data, so that any pair could have been listed.

    Args:
        runs: their names.
        found: by dataset, and under ``mean over datasets``, their means.
        design: what is compared.
        most: of each dataset the largest value of its metric, by which its means are divided; None: 1 of all.

    Raises:
        RetrievalError: the family names a run that there is none of.
    """
    if design.family not in ("best", "pairs", *runs):
        raise RetrievalError(
            f"conf/compare.yaml: family is '{design.family}': best, pairs, or a run of params.yaml: {', '.join(runs)}"
        )
    named = runs.index(design.family) if design.family in runs else None
    chosen = [(i, j) for i, j in combinations(range(len(runs)), 2) if named is None or named in (i, j)]
    if not chosen:
        return Compared(
            pd.DataFrame(columns=list(COLUMNS)), {(name, run): (1, 1) for name in found for run in runs}, ""
        )
    if named is not None:
        chosen = [(named, i + j - named) for i, j in chosen]
    tests = {name: tested(estimates, chosen, design) for name, estimates in found.items()}
    corrected = corrected_of(tests, design.correction)
    rows: list[tuple[object, ...]] = []
    ranks: dict[tuple[str, str], tuple[int, int]] = {}
    for name, test in tests.items():
        apart = distinguishable(corrected[name])
        if named is None:
            ranks |= {(name, run): place for run, place in zip(runs, places(test, apart, len(runs)), strict=True)}
        best = int(np.argmax(found[name].means))
        for place, pair in enumerate(chosen):
            if design.family == "best" and best not in pair:
                continue
            scale = (most or {}).get(name, 1.0)
            sign = -1 if design.family == "best" and pair[1] == best else 1  # the best stands first
            low, high = scale * sign * test.ends[::sign, place]
            p_values = (test.p_values[place], corrected[name][place], apart[place], test.least)
            difference = scale * sign * test.values[place]
            rows.append((name, *(runs[run] for run in pair[::sign]), difference, low, high, *p_values))
    return Compared(pd.DataFrame(rows, columns=list(COLUMNS)), ranks, out_of_reach(tests, corrected, design))


def tested(estimates: Estimates, pairs: Sequence[tuple[int, int]], design: Design) -> Tests:
    """Test pairs of runs on one dataset."""
    first, second = np.array(pairs, np.int64).T
    differences = estimates.differences(first, second)
    p_values, least = differences.p_values(), 0.0
    if design.test == "signs":
        assert estimates.parts is not None
        parts = estimates.parts[:, first] - estimates.parts[:, second]
        p_values, least = sign_flip_p(parts, resamples=design.resamples, seed=design.seed)
    return Tests(first, second, differences.values, differences.intervals(), p_values, least)


def corrected_of(tests: Mapping[str, Tests], correction: str) -> dict[str, Float[np.ndarray, " pair"]]:
    """Return the p-values of each dataset corrected for its own pairs, or for those of all; the mean is on its own."""
    alone = {name: holm(test.p_values) for name, test in tests.items()}
    names = [name for name in tests if name != MEAN]
    if correction == "all":
        together = np.split(holm(np.concatenate([tests[name].p_values for name in names])), len(names))
        alone |= dict(zip(names, together, strict=True))
    return alone


def places(test: Tests, apart: Bool[np.ndarray, " pair"], runs: int) -> list[tuple[int, int]]:
    """Return the first and the last place of each run: behind those that are better, before those that are worse.

    They hold for all runs together, as the corrected tests do (M. Mogstad et al., "Inference for ranks with
    applications to mobility across neighbourhoods and academic achievement across countries", 2024).
    """
    better, worse = np.zeros((2, runs), np.int64)
    ahead = np.where(test.values > 0, test.first, test.second)[apart]
    behind = np.where(test.values > 0, test.second, test.first)[apart]
    np.add.at(better, behind, 1)
    np.add.at(worse, ahead, 1)
    return [(1 + int(above), runs - int(below)) for above, below in zip(better, worse, strict=True)]


def out_of_reach(
    tests: Mapping[str, Tests], corrected: Mapping[str, Float[np.ndarray, " pair"]], design: Design
) -> str:
    """Return on which datasets the least possible p-value is too large, once corrected; empty if on none."""
    count = sum(len(one) for name, one in corrected.items() if name != MEAN)
    names = [
        name
        for name, test in tests.items()
        if test.least * (count if design.correction == "all" and name != MEAN else len(test.values)) >= ALPHA
    ]
    if not names:
        return ""
    return (
        f"No difference on {', '.join(names)} could be told from chance: signs are too few there for so many pairs. "
        "Set test: t, more resamples, or family to a run in conf/compare.yaml."
    )


def leaders_of(table: pd.DataFrame) -> dict[str, str]:
    """Return the encoder with the highest value on each dataset, the first of equals; a row of ``table`` is a run."""
    best = table.loc[table.groupby("dataset", sort=False)["value"].idxmax()]
    return dict(zip(best["dataset"], best["encoder"], strict=True))


def indistinguishable_from_best(pairs: pd.DataFrame, best: Mapping[str, str]) -> set[tuple[str, str]]:
    """Return the (encoder, dataset) that cannot be told from the best encoder of that dataset."""
    found = set()
    for row in pairs[~pairs["distinguishable"].astype(bool)].itertuples():
        names = {str(row.a), str(row.b)}
        leader = best.get(str(row.dataset))
        if leader in names:
            found |= {(name, str(row.dataset)) for name in names - {leader}}
    return found


def populations_in_words(populations: Mapping[str, Population]) -> str:
    """Return in one sentence what intervals and tests generalise to, by dataset."""
    words = {
        "classes": "other classes like these, each with its images",
        "images": "other images of these classes",
        "queries": "other queries like these, against this very gallery",
    }
    datasets: dict[Population, list[str]] = {}
    for dataset, population in populations.items():
        datasets.setdefault(population, []).append(dataset)
    if len(datasets) == 1:
        return f"Intervals and tests are about {words[next(iter(datasets))]}."
    parts = [f"{words[population]} ({', '.join(names)})" for population, names in datasets.items()]
    return f"Intervals and tests are about {'; '.join(parts)}."
