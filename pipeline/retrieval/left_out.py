"""Mean AP, a mean metric and the precision-recall curve again without each group of a partition, in one pass.

A group is gone from queries and gallery both: its queries are not asked, its positives are not there to be found, and
its negatives are in nobody's way. Nothing is approximate.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt64

from .compiled import compiled
from .counting import INTERVALS, SPILL, STRETCH, in_order, intervals, leave_out, pick, sort_keys
from .counting import fill as fill_table
from .measures import Measure
from .metrics import Rule
from .partitions import Partition
from .ragged import Ragged
from .ranking import COLUMNS, ROWS, blas, fill
from .relevance import Judge
from .similarity import Scorer
from .single import AS_RULED, metric_of, number_of
from .uncertainty import LeftOut, Population

# AP, then the interpolated precision at recall 0, 0.1, ..., 1, then the metric that is asked for.
LEVELS = 11
COLUMN_COUNT = 1 + LEVELS + 1
EVERY_GROUP = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True)
class Sums:
    """Sums over some queries, by partition: of group and stratum."""

    sums: Float[np.ndarray, "group stratum column"]
    counts: Int[np.ndarray, "group stratum"]


def leave_out_each(
    scorer: Scorer,
    judge: Judge,
    partitions: Mapping[Population, Partition],
    *,
    full: Float[np.ndarray, "query column"],
    rule: Rule,
    measure: Measure,
    memory: float = 1.0,
    threads: int | None = None,
) -> dict[Population, LeftOut]:
    """Return what the means over queries are without each group of each partition.

    Neither ``memory`` nor ``threads`` changes the results but by the rounding of sums.

    Args:
        scorer: gives the scores of any queries and items.
        judge: gives the positives of a query and what is left out of its ranking.
        partitions: by name.
        full: of each query AP, the interpolated precisions and the metric with nothing left out; NaN without positives.
        rule: by which AP is taken.
        measure: the metric, of queries.
        memory: GiB for scores.
        threads: how many bands of queries are worked on at once; None for one a core.
    """
    if not partitions:
        return {}
    workers = min(threads or cpu_count() or 1, max(1, -(-scorer.queries // ROWS)))
    least = ROWS * min(COLUMNS, max(scorer.items, 1))
    rows = max(int(memory * 2**30 / 8 / workers), least) // max(scorer.items, 1)
    band = max(1, min(rows, ROWS))
    asked = list(partitions.values())
    metric = (number_of(measure), measure.k or 0, measure.most)

    def work(first: int) -> list[Sums]:
        return sums_of(scorer, judge, asked, range(first, min(first + ROWS, scorer.queries)), band, rule, metric)

    total: list[Sums] | None = None
    with blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        for found in pool.map(work, range(0, scorer.queries, ROWS)):
            if total is None:
                total = found
            else:
                for whole, part in zip(total, found, strict=True):
                    whole.sums[:] += part.sums
                    whole.counts[:] += part.counts
    assert total is not None
    return {
        name: left_out_of(partition, sums, full)
        for (name, partition), sums in zip(partitions.items(), total, strict=True)
    }


def sums_of(
    scorer: Scorer,
    judge: Judge,
    partitions: list[Partition],
    queries: range,
    band: int,
    rule: Rule,
    metric: tuple[int, int, float],
) -> list[Sums]:
    """Return the sums over some queries, at most ``ROWS``, of which the scores of ``band`` are in memory at a time."""
    positives, ignored = judge(queries.start, queries.stop)
    made = []
    for partition in partitions:
        strata = int(partition.strata.max(initial=0)) + 1
        made.append(
            Sums(np.zeros((partition.groups, strata, COLUMN_COUNT)), np.zeros((partition.groups, strata), np.int64))
        )
    scores = np.empty((min(band, len(queries)), scorer.items), np.float32)
    for begin in range(0, len(queries), band):
        rows = slice(begin, min(begin + band, len(queries)))
        part = scores[: rows.stop - rows.start]
        fill_rows(scorer, queries, rows, part)
        wanted, unwanted = positives.part(rows), ignored.part(rows)
        leave_out(part, 0, unwanted.starts, unwanted.values)
        picked = np.empty(len(wanted.values), np.float32)
        pick(part, 0, wanted.starts, wanted.values, picked)
        values, items = np.empty_like(picked), np.empty_like(wanted.values)
        in_order(np.sort(sort_keys(picked, wanted.starts)), wanted.starts, picked, wanted.values, values, items)
        gaps = gaps_of(part, wanted.starts, items, values)
        for partition, sums in zip(partitions, made, strict=True):
            here = slice(queries.start + rows.start, queries.start + rows.stop)
            walk(
                gaps,
                wanted.starts,
                items,
                partition.items,
                partition.queries[here],
                partition.strata[here],
                shared_groups(partition, here, Ragged(items, wanted.starts)),
                partition.groups,
                rule == "trapezoid",
                *metric,
                sums.sums,
                sums.counts,
            )
    return made


def fill_rows(scorer: Scorer, queries: range, rows: slice, out: Float32[np.ndarray, "query item"]) -> None:
    """Write all scores of some of the queries, by the products that rank them, so that they are the same to the bit."""
    whole = slice(queries.start, queries.stop)
    if len(out) == len(queries):
        fill(scorer, whole, 0, out)
        return
    products = np.empty((len(queries), COLUMNS), np.float32)
    for start in range(0, scorer.items, COLUMNS):
        part = products[:, : scorer.items - start]
        fill(scorer, whole, start, part)
        out[:, start : start + part.shape[1]] = part[rows]


def shared_groups(partition: Partition, queries: slice, positives: Ragged) -> UInt64[np.ndarray, " positive"]:
    """Return of each positive a mask of the groups by which it is relevant to its query; all where relevance stays."""
    if partition.item_labels is None or partition.query_labels is None or partition.label_groups is None:
        return np.full(len(positives.values), EVERY_GROUP)
    asked = partition.query_labels.part(queries)
    return groups_in_common(
        asked.values,
        asked.starts,
        partition.item_labels.values,
        partition.item_labels.starts,
        positives.values,
        positives.starts,
        partition.label_groups,
    )


@compiled
def groups_in_common(
    query_labels: np.ndarray,
    query_starts: np.ndarray,
    item_labels: np.ndarray,
    item_starts: np.ndarray,
    items: np.ndarray,
    starts: np.ndarray,
    label_groups: np.ndarray,
) -> np.ndarray:
    """Return a mask of the groups of the labels that a query and each of its positives have in common."""
    masks = np.zeros(len(items), np.uint64)
    for query in range(len(starts) - 1):
        for position in range(starts[query], starts[query + 1]):
            item = items[position]
            mine, theirs = query_starts[query], item_starts[item]
            while mine < query_starts[query + 1] and theirs < item_starts[item + 1]:
                if query_labels[mine] == item_labels[theirs]:
                    masks[position] |= label_groups[query_labels[mine]]
                if query_labels[mine] <= item_labels[theirs]:
                    mine += 1
                else:
                    theirs += 1
    return masks


@compiled
def gaps_of(scores: np.ndarray, starts: np.ndarray, positives: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return how many positives of each query rank before each item; -1 of the positives and of what is left out.

    Args:
        scores: float32, one row per query; minus infinity is left out.
        starts: int64, where the positives of each query start in the next arguments.
        positives: items, in the order of the ranking.
        values: their scores.
    """
    gaps = np.empty(scores.shape, np.int32)
    table = np.empty(INTERVALS + 2 + SPILL, np.uint32)
    places = np.empty(STRETCH, np.int32)
    for query in range(len(starts) - 1):
        ordered = values[starts[query] : starts[query + 1]]
        names = positives[starts[query] : starts[query + 1]]
        hits = len(ordered)
        if hits == 0:
            continue
        width = ordered[0] - ordered[hits - 1]
        scale = np.float32(INTERVALS - 1) / width if width > np.float32(1e-25) else np.float32(1e28)
        fill_table(table, ordered, ordered[0], scale)
        row = scores[query]
        for begin in range(0, len(row), STRETCH):
            stretch = row[begin : begin + STRETCH]
            intervals(stretch, ordered[0], scale, np.float32(np.inf), places)
            for column in range(len(stretch)):
                score = stretch[column]
                entry = table[places[column]]
                low = int(np.int64(entry >> np.uint32(1)))
                if entry & np.uint32(1):
                    high, item = hits, begin + column
                    while low < high:
                        middle = (low + high) // 2
                        if ordered[middle] > score or (ordered[middle] == score and names[middle] < item):
                            low = middle + 1
                        else:
                            high = middle
                gaps[query, begin + column] = low if score > np.float32(-np.inf) else -1
        for item in names:
            gaps[query, item] = -1
    return gaps


@compiled
def walk(
    gaps: np.ndarray,
    starts: np.ndarray,
    positives: np.ndarray,
    items: np.ndarray,
    queries: np.ndarray,
    strata: np.ndarray,
    shared: np.ndarray,
    groups: int,
    trapezoid: bool,
    metric: int,
    k: int,
    most: float,
    sums: np.ndarray,
    counts: np.ndarray,
) -> None:
    """Add the AP, the curve and the metric of each query without each group to the sums of its stratum.

    Args:
        gaps: see :func:`gaps_of`.
        starts: int64, where the positives of each query start in ``positives``.
        positives: items, in the order of the ranking.
        items: of every item a mask of its groups.
        queries: of these queries the same.
        strata: of these queries.
        shared: of each positive a mask of the groups by which it is relevant.
        groups: how many there are.
        trapezoid: whether AP is taken by the trapezoid rule.
        metric: its number, see :mod:`.single`.
        k: of the metric.
        most: the largest value that it can have, by which it is divided.
        sums: group x stratum x column.
        counts: queries of each group and stratum that have positives.
    """
    single = np.full(len(items), -1, np.int32)
    for item in range(len(items)):
        mask = items[item]
        if mask != np.uint64(0) and mask & (mask - np.uint64(1)) == np.uint64(0):
            group = 0
            while mask >> np.uint64(group) != np.uint64(1):
                group += 1
            single[item] = group
    longest = 0
    for query in range(len(starts) - 1):
        longest = max(longest, starts[query + 1] - starts[query])
    # Negatives between two positives: of all, and those that go with a group.
    totals = np.empty(longest + 1, np.int64)
    gone = np.empty((groups, longest + 1), np.int32)
    precisions = np.empty(longest, np.float64)
    ranks = np.empty(longest, np.int64)
    for query in range(len(starts) - 1):
        start, hits = starts[query], starts[query + 1] - starts[query]
        if hits == 0:
            continue
        totals[: hits + 1] = 0
        gone[:, : hits + 1] = 0
        for item in range(gaps.shape[1]):
            gap = gaps[query, item]
            if gap >= 0:
                totals[gap] += 1
                if single[item] >= 0:
                    gone[single[item], gap] += 1
        for group in range(groups):
            bit = np.uint64(1) << np.uint64(group)
            if queries[query] == bit:
                continue
            found, negatives, area = 0, 0, 0.0
            for place in range(hits):
                negatives += totals[place] - gone[group, place]
                if items[positives[start + place]] == bit:
                    continue
                if shared[start + place] == bit:
                    negatives += 1
                    continue
                found += 1
                rank = found + negatives
                precision = found / rank
                precisions[found - 1] = precision
                ranks[found - 1] = rank
                if trapezoid:
                    before = (found - 1) / (rank - 1) if rank > 1 else 1.0
                    area += (before + precision) / 2
                else:
                    area += precision
            if found == 0:
                continue
            for place in range(found - 2, -1, -1):
                precisions[place] = max(precisions[place], precisions[place + 1])
            stratum = strata[query]
            counts[group, stratum] += 1
            sums[group, stratum, 0] += area / found
            value = area / found if metric == AS_RULED else metric_of(metric, k, ranks[:found], precisions)
            sums[group, stratum, 1 + LEVELS] += value / most
            for level in range(LEVELS):
                needed = max((level * found + LEVELS - 2) // (LEVELS - 1), 1)
                sums[group, stratum, 1 + level] += precisions[needed - 1]


def left_out_of(partition: Partition, sums: Sums, full: Float[np.ndarray, "query column"]) -> LeftOut:
    """Return the means without each group from their sums."""
    asked = ~np.isnan(full[:, 0])
    shares = shares_of(partition, asked)
    if sums.counts.shape[1] == 1:
        counts = np.maximum(sums.counts[:, 0], 1)
        means = sums.sums[:, 0] / counts[:, None]
        means[sums.counts[:, 0] == 0] = full[asked].mean(axis=0)  # nothing is left to ask for: it says nothing
        return LeftOut(np.ascontiguousarray(means.T), shares, partition.units)
    strata = sums.counts.shape[1]
    weights = np.bincount(partition.strata[asked], minlength=strata) / max(int(asked.sum()), 1)
    touched = touched_by(partition, asked, strata)
    moved = np.zeros((partition.groups, full.shape[1]))
    for stratum in np.flatnonzero(weights):
        counted = sums.counts[:, stratum] > 0
        factor = weights[stratum] * spread_of(partition.groups, int(touched[:, stratum].sum()))
        means = sums.sums[:, stratum] / np.maximum(sums.counts[:, stratum], 1)[:, None]
        for those in (counted & touched[:, stratum], counted & ~touched[:, stratum]):
            if those.sum() > 1:
                # Groups without anything of the stratum change it by other images alone.
                apart = means[those] - means[those].mean(axis=0)
                moved[those] += factor * apart
    return LeftOut(np.ascontiguousarray((full[asked].mean(axis=0) + moved).T), shares, partition.units)


def spread_of(groups: int, touched: int) -> float:
    """Return what to multiply changes of a stratum with that only some of the groups have a part in.

    The jackknife's factor is that of all groups, (G - 1) / G; of a stratum in g of them it is (g - 1) / g.
    """
    return float(np.sqrt((touched - 1) / touched * groups / (groups - 1))) if touched > 1 else 1.0


def shares_of(partition: Partition, asked: Bool[np.ndarray, " query"]) -> Float[np.ndarray, " group"]:
    """Return the share of queries that go with each group."""
    bits = (partition.queries[asked, None] >> np.arange(partition.groups, dtype=np.uint64)) & np.uint64(1)
    parts = bits / np.maximum(bits.sum(axis=1, keepdims=True), 1)
    shares: Float[np.ndarray, " group"] = parts.sum(axis=0) / max(int(asked.sum()), 1)
    return shares


def touched_by(
    partition: Partition, asked: Bool[np.ndarray, " query"], strata: int
) -> Bool[np.ndarray, "group stratum"]:
    """Return whether each group has queries of each stratum."""
    touched = np.zeros((partition.groups, strata), bool)
    group = np.log2(np.maximum(partition.queries, np.uint64(1)).astype(float)).astype(np.int64)
    touched[group[asked], partition.strata[asked]] = True
    return touched
