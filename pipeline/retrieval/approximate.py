"""What an index finds, judged: recall against the exact ranking, and the mAP@k that its users see.

A search is asked for as many items more than k as are left out of the ranking of any query, itself among them, so that
k remain. What is found has the scores of the exact ranking: items that score alike are equally right.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from .indices import Index, Rows
from .metrics import average_precision_at
from .ragged import Ragged
from .ranking import COLUMNS, ROWS, blas, fill, rank
from .relevance import Judge
from .runs import joined, with_missing
from .similarity import Scorer
from .twins import twins_of

# So many items more an exact index is asked for: faiss rounds otherwise, and may change the places of two at the end.
# All copies of an item are asked for too, as rounding may put them in any order.
SPARE = 16


@dataclass(frozen=True)
class Exact:
    """What the exact ranking finds.

    Attributes:
        k: how many items of each ranking are looked at.
        places: of these in the gallery, best first; -1 past the end of a ranking.
        left_out: the most items that are left out of a ranking.
        ap: AP@k of each query; NaN without positives.
    """

    k: int
    places: Int[np.ndarray, "query exact"]
    left_out: int
    ap: Float[np.ndarray, " query"]

    @property
    def queries(self) -> int:
        """How many queries have positives."""
        return int((~np.isnan(self.ap)).sum())

    @property
    def longest(self) -> int:
        """How many of the first k items the longest ranking has."""
        return int((self.places >= 0).sum(axis=1).max())

    @property
    def mean_ap(self) -> float:
        """Mean AP@k of the queries that have positives."""
        return mean_of(self.ap)


@dataclass(frozen=True)
class Judged:
    """What the searches of one setting find.

    Attributes:
        recalls: by cutoff: the share of the first items of the exact ranking that are found, over queries that have
            positives.
        mean_ap: mean AP@k of the same queries.
    """

    recalls: dict[int, float]
    mean_ap: float


def exact(scorer: Scorer, judge: Judge, *, k: int, memory: float = 1.0) -> Exact:
    """Rank the gallery for every query (see :func:`.ranking.rank`)."""
    parts = list(rank(scorer, judge, top=min(k, scorer.items), memory=memory))
    left_out = max(scorer.items - int(part.candidates.min()) for part in parts)
    aps = [average_precision_at(part.ranks, k=k) for part in parts]
    return Exact(k, np.concatenate([part.top_items for part in parts]), left_out, np.concatenate(aps))


def asked_of(index: Index, rows: Rows, known: Exact) -> int:
    """Return how many items a search is asked for, so that k remain of every ranking."""
    spare = SPARE + twins_of(rows.items).most - 1 if index.kind.exact else 0
    return min(known.k + known.left_out + spare, len(rows.items))


def found_by(index: Index, rows: Rows, known: Exact) -> list[Int[np.ndarray, "query asked"]]:
    """Return the places of what is found for all queries with each setting, best first; -1 past the end."""
    asked = asked_of(index, rows, known)
    return [index.search(rows.queries, asked, setting) for setting in index.settings]


def judged(
    found: Sequence[Int[np.ndarray, "query asked"]],
    scorer: Scorer,
    judge: Judge,
    known: Exact,
    *,
    cutoffs: Sequence[int],
    whole: bool,
) -> list[Judged]:
    """Return how good each of several results of all queries is.

    Args:
        found: of each setting the places in the gallery, best first; -1 past the end.
        scorer: of the exact ranking. Scores are computed once more, and looked up.
        judge: what is relevant, and what is left out.
        known: the exact ranking of the same scorer and judge.
        cutoffs: of recall, at most k.
        whole: whether an index that keeps features as they are found them: then they are in the order of their scores,
            ties by index, as rounding alone makes another. Else they stay as they were found.
    """
    firsts = range(0, scorer.queries, ROWS)

    def of_block(first: int) -> list[Float[np.ndarray, "query value"]]:
        rows = slice(first, min(first + ROWS, scorer.queries))
        positives, ignored = judge(rows.start, rows.stop)
        kept = [without(one[rows], ignored, scorer.items) for one in found]
        reference = known.places[rows]
        scores, bars = scores_at(scorer, rows, kept), scores_at(scorer, rows, [reference])[0]
        values = []
        for places, marks in zip(kept, scores, strict=True):
            order = np.lexsort((places, -marks)) if whole else np.argsort(places < 0, axis=1, kind="stable")
            best, top = (np.take_along_axis(one, order, axis=1)[:, : known.k] for one in (places, marks))
            recalls = [recall_of(top, reference, bars, cutoff) for cutoff in cutoffs]
            values.append(np.column_stack([*recalls, ap_of(best, positives, known.k, scorer.items)]))
        return values

    with blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(cpu_count()) as pool:
        blocks = list(pool.map(of_block, firsts))
    return [summary_of(np.concatenate(parts), cutoffs) for parts in zip(*blocks, strict=True)]


def summary_of(values: Float[np.ndarray, "query value"], cutoffs: Sequence[int]) -> Judged:
    """Return the means over queries that have positives, which the last column tells."""
    means = [mean_of(np.where(np.isnan(values[:, -1]), np.nan, column)) for column in values.T]
    return Judged(dict(zip(cutoffs, means[:-1], strict=True)), means[-1])


def without(places: Int[np.ndarray, "query asked"], ignored: Ragged, items: int) -> Int[np.ndarray, "query asked"]:
    """Return places in the gallery with -1 for what is left out of a query's ranking."""
    return np.where(among(places, ignored, items), -1, places)


def among(places: Int[np.ndarray, "query asked"], lists: Ragged, items: int) -> Bool[np.ndarray, "query asked"]:
    """Return which places are in the list of their query."""
    keys = np.arange(len(places))[:, None] * items + places
    inside: Bool[np.ndarray, "query asked"] = np.isin(keys, lists.owners * items + lists.values) & (places >= 0)
    return inside


def scores_at(
    scorer: Scorer, rows: slice, lists: Sequence[Int[np.ndarray, "query _"]]
) -> list[Float32[np.ndarray, "query _"]]:
    """Return the scores of some queries at places in the gallery, as the exact ranking has them; -inf at -1."""
    places = np.concatenate(lists, axis=1)
    found = np.full(places.shape, -np.inf, np.float32)
    buffer = np.empty((rows.stop - rows.start, min(COLUMNS, scorer.items)), np.float32)
    for start in range(0, scorer.items, COLUMNS):
        part = buffer[:, : min(COLUMNS, scorer.items - start)]
        owners, columns = np.nonzero((places >= start) & (places < start + part.shape[1]))
        if len(owners):
            fill(scorer, rows, start, part)
            found[owners, columns] = part[owners, places[owners, columns] - start]
    return np.split(found, np.cumsum([one.shape[1] for one in lists])[:-1], axis=1)


def recall_of(
    top: Float32[np.ndarray, "query k"],
    reference: Int[np.ndarray, "query exact"],
    bars: Float32[np.ndarray, "query exact"],
    cutoff: int,
) -> Float[np.ndarray, " query"]:
    """Return the share of the first items of the exact ranking that are among the first found.

    In place of one that scores as the last of them any other with this score counts, as the order of the gallery alone
    says which comes first.

    Args:
        top: the scores of what is found, in its order; -inf past the end.
        reference: the exact ranking; -1 past the end.
        bars: its scores.
        cutoff: how many items; fewer where a ranking has fewer.
    """
    there = np.minimum((reference >= 0).sum(axis=1), cutoff)
    lowest = np.take_along_axis(bars, np.maximum(there - 1, 0)[:, None], axis=1)
    found, asked = top[:, :cutoff], bars[:, :cutoff]
    better = (found > lowest).sum(axis=1)
    alike = np.minimum((found == lowest).sum(axis=1), (asked == lowest).sum(axis=1))
    return np.where(there > 0, (better + alike) / np.maximum(there, 1), np.nan)


def ap_of(places: Int[np.ndarray, "query k"], positives: Ragged, k: int, items: int) -> Float[np.ndarray, " query"]:
    """Return AP@k of what is found (see :func:`.metrics.average_precision_at`); NaN without positives."""
    hits = among(places, positives, items)
    ranks = [
        with_missing(row, count - int(row.sum())) for row, count in zip(hits, positives.counts.tolist(), strict=True)
    ]
    return average_precision_at(joined(ranks), k=k)


def mean_of(values: Float[np.ndarray, " query"]) -> float:
    """Return the mean of what is a number."""
    return float(values[~np.isnan(values)].mean())
