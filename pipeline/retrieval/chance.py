"""What a ranking in random order is expected to give, by metric."""

import re

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from .metrics import NEIGHBOURS, Rule, expected_average_precision, expected_average_precision_at

Counts = Int[np.ndarray, " query"]
Values = Float[np.ndarray, " query"]
RULES: dict[str, Rule] = {"AP_rectangle": "rectangle", "AP_trapezoid": "trapezoid"}
AT = re.compile(r"(P|MP|recall|trec_recall|nDCG|AP|capped_AP)@(\d+)")


def expected(metric: str, positives: Counts, candidates: Counts) -> Values | None:
    """Return what is expected of each query; None of a metric that no formula is here for.

    Where every order of its candidates is as likely as any other. Definitions are those of
    :mod:`.metrics`; of AP, by the rectangle rule.

    Args:
        metric: as the per-query results call it, such as ``P@5``.
        positives: of each query, at least one.
        candidates: how many items are ranked for each.
    """
    if metric in RULES:
        return expected_average_precision(positives, candidates, rule=RULES[metric])
    share = positives / candidates
    if metric in ("R-precision", "2AFC"):
        return np.asarray(share)
    if metric == "N-S":
        return np.asarray(1 + share * np.minimum(NEIGHBOURS, candidates))
    if metric == "MAP@R":
        return expected_average_precision_at(positives, candidates, positives)
    found = AT.fullmatch(metric)
    if found is None:
        return None
    name, k = found[1], int(found[2])
    seen = np.minimum(k, candidates)
    if name == "P":
        return np.asarray(share * seen / k)
    if name == "MP":
        return np.asarray(share)  # of min(R, k) items, of which there are no fewer
    if name == "trec_recall":
        return np.asarray(seen / candidates)
    if name == "recall":
        return hit_rate(positives, candidates, k)
    if name == "nDCG":
        return np.asarray(share * discounts(seen) / discounts(np.minimum(k, positives)))
    ap = expected_average_precision_at(positives, candidates, seen)
    return ap if name == "AP" else np.asarray(ap * positives / np.minimum(positives, k))


def hit_rate(positives: Counts, candidates: Counts, k: int) -> Values:
    """Return the probability that a positive is among the first k: one less that of drawing k negatives in a row."""
    negatives, drawn = candidates - positives, np.minimum(k, candidates)
    left = np.maximum(negatives - drawn, 0)
    log = special.gammaln([negatives + 1, left + 1, candidates + 1, candidates - drawn + 1])
    none = np.exp(log[0] - log[1] - log[2] + log[3])
    return np.asarray(1 - np.where(negatives >= drawn, none, 0))


def discounts(count: Counts) -> Values:
    """Return the sum of 1 / log2(1 + i) over ranks up to a count."""
    sums = np.cumsum(1 / np.log2(np.arange(2, 2 + int(count.max(initial=1)))))
    return np.asarray(sums[count - 1])
