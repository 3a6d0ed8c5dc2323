"""Every metric of every query from the ranks of its positives, and what their means are called."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from . import metrics
from .measures import MEANS_AT, Measure
from .metrics import Rule
from .ragged import Ragged

SPECIAL_AT: Mapping[str, Callable[..., Float[np.ndarray, " query"]]] = {
    "capped_mAP": metrics.capped_average_precision_at,
    "mMP": metrics.modified_precision_at,
    "trec_recall": metrics.found_share_at,
}


def average_precisions(ranks: Ragged, ties: Mapping[str, Ragged], rule: Rule) -> dict[str, Float[np.ndarray, " query"]]:
    """Return the AP of every query by both rules, the one that is asked for first, and in other orders of equal scores.

    Args:
        ranks: of the positives.
        ties: the same if equal scores were ordered ``for`` them and ``against`` them.
        rule: the one that is asked for.
    """
    both: dict[Rule, Float[np.ndarray, " query"]] = {
        "rectangle": metrics.average_precision(ranks),
        "trapezoid": metrics.average_precision(ranks, rule="trapezoid"),
    }
    return {
        "AP": both[rule],
        "AP_rectangle": both["rectangle"],
        "AP_trapezoid": both["trapezoid"],
        **{
            f"AP_ties_{way}": both[rule] if broken is ranks else metrics.average_precision(broken, rule=rule)
            for way, broken in ties.items()
        },
    }


def others_of(
    ranks: Ragged, cutoffs: Sequence[int], *, landmarks: bool = False
) -> dict[str, Float[np.ndarray, " query"]]:
    """Return the metrics of every query that are no AP in full, by their names; with those of ``landmarks`` alone."""
    values = {
        "AP_interpolated": metrics.interpolated_average_precision(ranks),
        "MAP@R": metrics.map_at_r(ranks),
        "R-precision": metrics.r_precision(ranks),
        "RR": metrics.reciprocal_rank(ranks),
    }
    for k in cutoffs:
        values[f"P@{k}"] = metrics.precision_at(ranks, k=k)
        values[f"recall@{k}"] = metrics.recall_at(ranks, k=k)
        values[f"nDCG@{k}"] = metrics.ndcg_at(ranks, k=k)
        values[f"AP@{k}"] = metrics.average_precision_at(ranks, k=k)
        if landmarks:
            values[f"mP@{k}"] = metrics.landmark_precision_at(ranks, k=k)
    return values


def special_of(
    ranks: Ragged, ties: Mapping[str, Ragged], asked: Sequence[Measure]
) -> dict[str, Float[np.ndarray, " query"]]:
    """Return those metrics of every query that are computed only where they are asked for.

    Args:
        ranks: of the positives.
        ties: see :func:`average_precisions`.
        asked: all metrics that are.
    """
    values = {}
    for one in (one for one in asked if one.column is not None and one.special):
        if one.k is not None:
            values[str(one.column)] = SPECIAL_AT[one.name.partition("@")[0]](ranks, k=one.k)
        elif one.name == "2AFC":
            values[one.name] = metrics.two_alternative(ties["for"], ties["against"])
        else:
            values[one.name] = metrics.nister_stewenius(ranks)
    return values


def named_means(means: Mapping[str, float], cutoffs: Sequence[int], asked: Sequence[Measure] = ()) -> dict[str, float]:
    """Return the means of queries' values by the names that they have of a run, but mAP and its chance level."""
    found = {
        "mAP_rectangle": means["AP_rectangle"],
        "mAP_trapezoid": means["AP_trapezoid"],
        "tie_gap": means["AP_ties_for"] - means["AP_ties_against"],
        "mAP_interpolated": means["AP_interpolated"],
        "MAP@R": means["MAP@R"],
        "R-precision": means["R-precision"],
        "MRR": means["RR"],
    }
    for name, column in MEANS_AT.items():
        found |= {f"{name}@{k}": means[f"{column}@{k}"] for k in cutoffs if f"{column}@{k}" in means}
    return found | {one.name: means[one.column] for one in asked if one.column is not None}
