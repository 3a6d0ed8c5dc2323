"""Two or more encoders by their features of the same items: by how much they differ, and whether by chance."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Literal

import numpy as np

from .errors import RetrievalError
from .evaluation import Evaluation
from .postprocessing import read_steps
from .scoring import evaluated, known_of, parts_of, settings_of
from .uncertainty import Estimates, LeftOut, Population, chosen_of_runs, distinguishable, holm


def compare_features(a: Any, b: Any, labels: Any = None, **options: Any) -> dict[str, Any]:
    """Return by how much features differ from others of the same items: that of ``a`` minus that of ``b``.

    >>> compare_features(dino, clip, ["cat", "dog", ...])["difference"]

    Args:
        a: features, see :func:`.scoring.score_features`; where queries and gallery come apart, a pair of both.
        b: the same by another encoder, which may have other dimensions.
        labels: of the items, the same for both.
        options: see :func:`compare_several`.

    Returns:
        ``a``, ``b`` and ``difference``: means over queries, fractions in [0, 1]; ``low`` and ``high``, the ends of the
        paired 95 % interval of the difference; ``p``, two-sided, by t; ``distinguishable``, whether that is below 0.05;
        ``metric``, ``population``, what interval and test are about, and ``units``, how many of it there are.

    Raises:
        RetrievalError: see :func:`compare_several`.
    """
    found = compare_several({"a": a, "b": b}, labels, **options)
    pair = found["pairs"][0]
    values = {name: pair[name] for name in ("difference", "low", "high", "p", "distinguishable")}
    return {**found["means"], **values, **{name: found[name] for name in ("metric", "population", "units")}}


def compare_several(
    features: Mapping[str, Any],
    labels: Any = None,
    *,
    metric: str = "mAP",
    population: Literal["widest", "classes", "images", "queries"] = "widest",
    steps: Any = (),
    query_labels: Any = None,
    gallery_labels: Any = None,
    ground_truth: Any = None,
    names: Any = None,
    roles: Any = None,
    groups: Any = None,
    **settings: Any,
) -> dict[str, Any]:
    """Return the differences of all pairs of encoders, with p-values corrected for their number by Holm.

    Args:
        features: of each encoder by its name, see :func:`compare_features`.
        labels: of the items, the same for all.
        metric: ``mAP``, or another mean that :func:`.scoring.score_features` returns, such as ``P@1``.
        population: what interval and tests are about, ``classes``, ``images`` or ``queries`` like these; ``widest``:
            the first that there is enough of.
        steps: see :func:`.scoring.score_features`, as of all that follows.
        query_labels: the same.
        gallery_labels: the same.
        ground_truth: the same.
        names: the same.
        roles: the same.
        groups: the same.
        settings: see :class:`.wanted.Settings`.

    Returns:
        ``means`` by name; ``pairs``, for each a mapping with ``a`` and ``b``, their names, ``difference``, ``low``,
        ``high``, ``p``, ``p_holm`` and ``distinguishable``, whether that is below 0.05; ``metric``, ``population`` and
        ``units``.

    Raises:
        RetrievalError: there are fewer than two; one has other items; a metric or a population is not there; see also
            :func:`.scoring.score_features`.
    """
    if len(features) < 2:
        raise RetrievalError(f"{len(features)} features: a comparison takes those of two encoders or more")
    chosen = settings_of({**settings, "metric": metric}, per_query=False)
    made = read_steps(steps, where="steps")
    counts, known, found = None, None, {}
    for name, given in features.items():
        try:
            pair = given if isinstance(given, tuple) and len(given) == 2 else None
            parts, _ = parts_of(None if pair else given, *(pair or (None, None)))
            if known is None:
                counts = [len(part) for part in parts]
                known = known_of(
                    counts,
                    labels=labels,
                    query_labels=query_labels,
                    gallery_labels=gallery_labels,
                    ground_truth=ground_truth,
                    names=names,
                    roles=roles,
                    groups=groups,
                    settings=chosen,
                )
                known = replace(known, protocols=known.protocols[:1])  # the others are not compared
            if [len(part) for part in parts] != counts:
                raise RetrievalError("other items than the first has: give the same, in the same order")
            found[str(name)], _ = evaluated(parts, known, chosen, steps=made)
        except RetrievalError as error:
            raise RetrievalError(f"{name}: {error}") from None
    evaluations, most = list(found.values()), chosen.measure.most
    about, estimates = joint(evaluations, population)
    return {
        "metric": metric,
        "population": about,
        "units": estimates.units,
        "means": dict(zip(found, (most * estimates.means).tolist(), strict=True)),
        "pairs": pairs_of(list(found), estimates, most),
    }


def joint(evaluations: Sequence[Evaluation], population: str) -> tuple[Population, Estimates]:
    """Return what the metric is about, and how that of several evaluations of the same queries varies together.

    Raises:
        RetrievalError: there is too little of the population.
    """
    left_out: list[Mapping[Population, LeftOut]] = []
    columns, remedy = [], "there are too few of them"
    for one in evaluations:
        if one.pooled_left_out is None:
            left_out.append(one.left_out)
            columns.append(one.columns[:, -1])
        else:
            left_out.append({"queries": one.pooled_left_out})
            columns.append(np.array([one.value]))
            remedy = f"of {one.measure.name} only queries are known"
    return chosen_of_runs(np.column_stack(columns), left_out, population, remedy=remedy)


def pairs_of(names: list[str], estimates: Estimates, most: float) -> list[dict[str, Any]]:
    """Return the tests of all pairs, in the order of the names; ``most`` is the largest value of the metric."""
    pairs = list(combinations(range(len(names)), 2))
    first, second = np.array(pairs, np.int64).T
    differences = estimates.differences(first, second)
    low, high = differences.intervals()
    p_values = differences.p_values()
    corrected = holm(p_values)
    columns = (most * differences.values, most * low, most * high, p_values, corrected, distinguishable(corrected))
    keys = ("difference", "low", "high", "p", "p_holm", "distinguishable")
    return [
        {"a": names[i], "b": names[j], **dict(zip(keys, row, strict=True))}
        for (i, j), *row in zip(pairs, *(column.tolist() for column in columns), strict=True)
    ]
