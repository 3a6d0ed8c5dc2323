"""A metric of one query from the ranks of its positives, in machine code: for means that are taken again many times.

The same metrics as those of :mod:`.metrics`, which has their definitions.
"""

from typing import Any

import numpy as np

from .compiled import compiled
from .measures import Measure

# What a compiled function can be told of a metric.
NUMBERS = range(16)
(
    AS_RULED,
    RECTANGLE,
    TRAPEZOID,
    INTERPOLATED,
    MAP_AT_R,
    R_PRECISION,
    RECIPROCAL_RANK,
    NISTER_STEWENIUS,
    HIT,
    PRECISION,
    AP_AT,
    CAPPED_AP,
    MODIFIED_PRECISION,
    LANDMARK_PRECISION,
    FOUND_SHARE,
    NDCG,
) = NUMBERS
# By what metrics are called where they are of a query.
NAMES = {
    "AP": AS_RULED,
    "AP_rectangle": RECTANGLE,
    "AP_trapezoid": TRAPEZOID,
    "AP_interpolated": INTERPOLATED,
    "MAP@R": MAP_AT_R,
    "R-precision": R_PRECISION,
    "RR": RECIPROCAL_RANK,
    "N-S": NISTER_STEWENIUS,
}
NAMES_AT = {
    "recall": HIT,
    "P": PRECISION,
    "AP": AP_AT,
    "capped_AP": CAPPED_AP,
    "MP": MODIFIED_PRECISION,
    "mP": LANDMARK_PRECISION,
    "trec_recall": FOUND_SHARE,
    "nDCG": NDCG,
}


def number_of(measure: Measure) -> int:
    """Return the number of a metric of queries, but for 2AFC, which is not of ranks alone."""
    assert measure.column is not None
    return NAMES[measure.column] if measure.k is None else NAMES_AT[measure.column.partition("@")[0]]


@compiled
def metric_of(metric: int, k: int, ranks: Any, best: Any) -> Any:
    """Return a metric of a query; AP as its protocol's rule has it, ``AS_RULED``, is not among them.

    Args:
        metric: its number.
        k: of the metric.
        ranks: of the positives, one or more, ascending.
        best: of each positive the highest precision there or later.
    """
    found = len(ranks)
    if metric == RECIPROCAL_RANK:
        return 1.0 / ranks[0]
    if metric == HIT:
        return 1.0 if ranks[0] <= k else 0.0
    if metric == INTERPOLATED:
        return best[:found].sum() / found
    limit = k
    if metric in (RECTANGLE, TRAPEZOID):
        limit = ranks[found - 1]
    elif metric in (MAP_AT_R, R_PRECISION):
        limit = found
    elif metric == MODIFIED_PRECISION:
        limit = min(found, k)
    elif metric == NISTER_STEWENIUS:
        limit = 3
    hits, area, gained = 0, 0.0, 0.0
    while hits < found and ranks[hits] <= limit:
        rank = ranks[hits]
        precision = (hits + 1) / rank
        if metric == TRAPEZOID:
            precision = (precision + (hits / (rank - 1) if rank > 1 else 1.0)) / 2
        area += precision
        gained += 1.0 / np.log2(1.0 + rank)
        hits += 1
    if metric in (RECTANGLE, TRAPEZOID, MAP_AT_R, AP_AT):
        return area / found
    if metric == CAPPED_AP:
        return area / min(found, k)
    if metric in (R_PRECISION, FOUND_SHARE):
        return hits / found
    if metric == NISTER_STEWENIUS:
        return 1.0 + hits
    if metric in (PRECISION, MODIFIED_PRECISION):
        return hits / limit
    if metric == LANDMARK_PRECISION:
        return hits / min(k, ranks[found - 1])
    ideal = 0.0
    for place in range(min(found, k)):
        ideal += 1.0 / np.log2(2.0 + place)
    return min(gained / ideal, 1.0)
