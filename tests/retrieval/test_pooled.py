"""Metrics of the first items of all queries together, against hand-worked values, the definitions and scikit-learn."""

from fractions import Fraction
from functools import partial
from math import ceil

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.measures import POOLED
from pipeline.retrieval.pooled import (
    METRICS,
    answered_micro_average_precision,
    micro_average_precision,
    recall_at_precision,
    thresholded_map,
    without_each,
)
from pipeline.retrieval.uncertainty import of_left_out

Tops = tuple[np.ndarray, np.ndarray, np.ndarray]


def tops(*queries: tuple[int, list[tuple[float, bool]]]) -> Tops:
    """Return scores, hits and positives of queries: how many positives each has, and its first items."""
    longest = max(len(items) for _, items in queries)
    filled = [items + [(np.nan, False)] * (longest - len(items)) for _, items in queries]
    scores, hits = np.array(filled, float).transpose(2, 0, 1)
    return scores, hits.astype(bool), np.array([positives for positives, _ in queries])


def some(rng: np.random.Generator, *, levels: int | None = None) -> Tops:
    """Return random tops: rankings of several lengths, some queries without positives, ties where there are levels."""
    queries, longest = int(rng.integers(1, 9)), 7
    found = []
    for _ in range(queries):
        items = int(rng.integers(0, longest + 1))
        scores = rng.integers(0, levels, items) / 4 if levels else rng.random(items)
        hits = rng.random(items) < rng.choice([0, 0.3, 0.8])
        positives = int(hits.sum() + rng.integers(0, 3) if hits.any() or rng.random() < 0.5 else 0)
        found.append((positives, list(zip(-np.sort(-scores), hits.tolist(), strict=True))))
    found[0] = (found[0][0], found[0][1] + [(np.nan, False)] * (longest - len(found[0][1])))
    return tops(*found)


def pairs_of(tops: Tops, k: int) -> list[tuple[float, bool]]:
    """The predictions: the first k of each query, the best first; a wrong one before a right one of the same score."""
    scores, hits, _ = tops
    pairs = []
    for row, right in zip(scores.tolist(), hits.tolist(), strict=True):
        pairs += [(score, hit) for score, hit in list(zip(row, right, strict=True))[:k] if score == score]
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1]))


def divisor(tops: Tops, k: int) -> int:
    return sum(min(positives, k) for positives in tops[2].tolist())


def naive_micro(tops: Tops, k: int) -> float:
    """The sum over predictions of the gain in recall times the precision there, as isc2021 has it."""
    hits, recall, area = 0, Fraction(0), Fraction(0)
    for place, (_, right) in enumerate(pairs_of(tops, k), start=1):
        hits += right
        area += (Fraction(hits, divisor(tops, k)) - recall) * Fraction(hits, place)
        recall = Fraction(hits, divisor(tops, k))
    return float(area)


def naive_recall(tops: Tops, k: int, precision: Fraction) -> float:
    """The best recall of all thresholds of the score at which all predictions together have that precision."""
    pairs, best = pairs_of(tops, k), Fraction(0)
    for threshold in {score for score, _ in pairs}:
        kept = [right for score, right in pairs if score >= threshold]
        if Fraction(sum(kept), len(kept)) >= precision:
            best = max(best, Fraction(sum(kept), divisor(tops, k)))
    return float(best)


def naive_thresholded(tops: Tops, k: int) -> float:
    """t-mAP as FORB's README and code have it, query by query and threshold by threshold."""
    scores, hits, positives = tops
    strangers = sorted(row[0] for row, count in zip(scores.tolist(), positives, strict=True) if count == 0)
    means = []
    for rate in np.linspace(0, 1, 11):
        threshold = -1.0 if rate == 1 else strangers[ceil((1 - rate) * len(strangers)) - 1]
        values = []
        for row, right, count in zip(scores.tolist(), hits.tolist(), positives.tolist(), strict=True):
            if count:
                kept = [hit for score, hit in zip(row, right, strict=True) if score >= threshold][:k]
                values.append(sum(sum(kept[: n + 1]) / (n + 1) for n, hit in enumerate(kept) if hit) / count)
        means.append(np.mean(values))
    return float(np.mean(means))


# One query has two positives, one has one, one asks for what is not there.
THREE = tops(
    (2, [(0.9, True), (0.5, False), (0.3, True)]),
    (1, [(0.7, False), (0.6, True), (0.2, False)]),
    (0, [(0.8, False), (0.1, False)]),
)


def test_by_hand() -> None:
    # k = 1: right at 0.9, wrong at 0.8 and at 0.7; of two queries with an answer: (1/1) / 2.
    assert micro_average_precision(*THREE, k=1) == 1 / 2
    # k = 3: 0.9 right, 0.8, 0.7, 0.6 right, 0.5, 0.3 right, 0.2, 0.1; three pairs: (1/1 + 2/4 + 3/6) / 3 = 2/3.
    assert micro_average_precision(*THREE, k=3) == pytest.approx(2 / 3)
    # k = 2: without 0.3 and 0.2, and still three pairs, two of the first query and one of the second: (1 + 2/4) / 3.
    assert micro_average_precision(*THREE, k=2) == pytest.approx(1 / 2)
    # Without the third query: 0.9 right, 0.7: (1/1) / 2; and 0.9 right, 0.7, 0.6 right, 0.5, 0.3 right.
    assert answered_micro_average_precision(*THREE, k=1) == 1 / 2
    assert answered_micro_average_precision(*THREE, k=3) == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    # Precision is 1 at the first place only, and 1/2 again at the sixth, where all three are found.
    assert recall_at_precision(*THREE, k=3) == pytest.approx(1 / 3)
    assert recall_at_precision(*THREE, k=3, precision=0.5) == 1


def test_more_positives_than_k() -> None:
    # Five positives, of which the first two items are two: all that two items can show. isc2021 has 2 / 5.
    full = tops((5, [(0.9, True), (0.8, True)]))
    assert micro_average_precision(*full, k=2) == recall_at_precision(*full, k=2) == 1


def test_precision_is_reached_exactly_at_nine_of_ten() -> None:
    queries = [(1, [(1 - number / 100, number != 3)]) for number in range(10)]
    assert recall_at_precision(*tops(*queries), k=1) == 9 / 10
    # One more wrong one above the last: at best the three before the first wrong one are clean enough.
    queries.append((0, [(0.95, False)]))
    assert recall_at_precision(*tops(*queries), k=1) == 3 / 10


def test_recall_where_precision_dips_and_comes_back() -> None:
    # Right, wrong, then 18 right ones: 1/2 at the second place, 19/20 at the last.
    queries = [(1, [(1 - number / 100, number != 1)]) for number in range(20)]
    assert recall_at_precision(*tops(*queries), k=1) == 19 / 20


def test_no_precision_is_no_recall() -> None:
    assert recall_at_precision(*tops((1, [(0.9, False), (0.8, True)])), k=2) == 0


def test_equal_scores_put_the_wrong_ones_first() -> None:
    # In one tie a right one of one query and wrong ones of two others: (1/3) / 2, in whatever order they ask.
    one, two, three = (1, [(0.5, True)]), (1, [(0.5, False)]), (0, [(0.5, False)])
    for queries in ((one, two, three), (three, two, one), (two, one, three)):
        assert micro_average_precision(*tops(*queries), k=1) == pytest.approx(1 / 3 / 2)
        assert recall_at_precision(*tops(*queries), k=1, precision=1 / 3) == 1 / 2


@pytest.mark.parametrize("levels", [4, None])
@pytest.mark.parametrize("k", [1, 2, 7])
def test_thousands_of_runs_against_the_definitions(k: int, levels: int | None) -> None:
    rng = np.random.default_rng(k)
    empty = strange = 0
    for _ in range(500):
        found = some(rng, levels=levels)
        if divisor(found, k) == 0:
            empty += 1
            assert np.isnan(micro_average_precision(*found, k=k)) and np.isnan(recall_at_precision(*found, k=k))
            continue
        strange += (found[2] == 0).any()
        assert micro_average_precision(*found, k=k) == pytest.approx(naive_micro(found, k), abs=1e-12)
        for percent in (50, 90):
            mine = recall_at_precision(*found, k=k, precision=percent / 100)
            assert mine == pytest.approx(naive_recall(found, k, Fraction(percent, 100)), abs=1e-12)
    assert 5 < empty < 150 and strange > 150


def test_scikit_learn_agrees_without_ties() -> None:
    """Its AP of the list is over the hits in it; times these over ours it is the same."""
    rng = np.random.default_rng(0)
    compared = 0
    for _ in range(300):
        found = some(rng)
        pairs = pairs_of(found, 5)
        if any(right for _, right in pairs):
            scores, right = np.array(pairs).T
            theirs = average_precision_score(right, scores) * right.sum() / divisor(found, 5)
            assert micro_average_precision(*found, k=5) == pytest.approx(theirs, abs=1e-12)
            compared += 1
    assert compared > 200


def test_the_order_of_queries_and_a_rising_map_of_scores_change_nothing() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        scores, hits, positives = some(rng, levels=5)
        order = rng.permutation(len(scores))
        for metric in (micro_average_precision, recall_at_precision, thresholded_map):
            value = metric(scores, hits, positives, k=3)
            shuffled = metric(scores[order], hits[order], positives[order], k=3)
            np.testing.assert_allclose([shuffled, metric(np.exp(scores) - 9, hits, positives, k=3)], value, atol=1e-12)


# t-mAP


def test_thresholds_by_hand() -> None:
    # Two strangers, 0.4 and 0.8. ceil((1 - i/10) 2) is 2 for i = 0, ..., 4 and 1 for i = 5, ..., 9: the threshold is
    # 0.8 five times, 0.4 five times, and once there is none. One query, R = 2, hits at 0.9 and, third, at 0.3; AP@3 is
    # (1/1) / 2 at 0.8 and at 0.4, where the second hit is left out, and (1/1 + 2/3) / 2 without a threshold.
    found = tops((2, [(0.9, True), (0.5, False), (0.3, True)]), (0, [(0.4, False)]), (0, [(0.8, False)]))
    assert thresholded_map(*found, k=3) == pytest.approx((5 * 1 / 2 + 5 * 1 / 2 + 5 / 6) / 11)
    # A hit at the very threshold counts, and what is below it does not: (5 x 0 + 6 x 1) / 11.
    found = tops((1, [(0.4, True)]), (0, [(0.4, False)]), (0, [(0.8, False)]))
    assert thresholded_map(*found, k=1) == pytest.approx(6 / 11)


def test_it_needs_queries_of_both_kinds() -> None:
    assert np.isnan(thresholded_map(*tops((1, [(0.4, True)])), k=1))
    assert np.isnan(thresholded_map(*tops((0, [(0.4, False)])), k=1))


@pytest.mark.parametrize("k", [1, 5])
def test_thousands_of_runs_against_forb(k: int) -> None:
    rng = np.random.default_rng(2)
    compared = 0
    for _ in range(1000):
        scores, hits, positives = found = some(rng, levels=5)
        if (positives == 0).any() and (positives > 0).any() and not np.isnan(scores[positives == 0, 0]).any():
            compared += 1
            assert thresholded_map(scores, hits, positives, k=k) == pytest.approx(
                naive_thresholded(found, k), abs=1e-12
            )
    assert compared > 150


# Names, errors


def test_every_name_is_of_a_metric() -> None:
    assert list(METRICS) == list(POOLED)
    # The second is at a precision of 0.9: of ten places nine are hits.
    found = tops(*((1, [(1 - number / 100, number != 3)]) for number in range(10)))
    assert METRICS["recall_at_P90"](*found, k=1) == 9 / 10


@pytest.mark.parametrize("metric", METRICS.values())
def test_what_cannot_be_computed(metric: partial[float]) -> None:
    with pytest.raises(RetrievalError, match="must be at least 1"):
        metric(*THREE, k=0)
    with pytest.raises(RetrievalError, match="needs the first 4 items of each ranking, and 3 are kept: set top to 4"):
        metric(*THREE, k=4)


# Intervals


def drawn(rng: np.random.Generator, count: int) -> Tops:
    """Return queries of a population: three of four have an answer, and right ones score higher."""
    answered = np.arange(count) % 4 > 0
    right = answered & (rng.random(count) < 0.7)
    scores = rng.normal(size=count) + 1.2 * right
    return scores[:, None], right[:, None], answered.astype(int)


def test_each_query_left_out_once_where_there_are_few() -> None:
    found = drawn(np.random.default_rng(0), 20)
    gap = partial(micro_average_precision, k=1)
    left = without_each(gap, *found)
    expected = [gap(*(np.delete(part, query, axis=0) for part in found)) for query in range(20)]
    assert sorted(left.values[0]) == pytest.approx(sorted(expected))
    assert left.shares.tolist() == [1 / 20] * 20 and left.units == 20


def test_groups_are_of_one_mixture_and_seeded() -> None:
    scores, hits, positives = drawn(np.random.default_rng(0), 1000)
    counted: list[tuple[int, int]] = []

    def count(_: np.ndarray, __: np.ndarray, kept: np.ndarray) -> float:
        counted.append((len(kept), int(kept.sum())))
        return float(kept @ np.arange(1, len(kept) + 1) % 97)

    left = without_each(count, scores, hits, positives, seed=1)
    # 1,000 queries, 750 with an answer, in 50 groups: 20 go each time, 15 of them with an answer.
    assert set(counted[:50]) == {(980, 735)} and left.shares.tolist() == [0.02] * 50
    np.testing.assert_array_equal(without_each(count, scores, hits, positives, seed=1).values, left.values)
    assert (without_each(count, scores, hits, positives, seed=2).values != left.values).any()


def test_a_group_without_which_nothing_is_defined_changes_nothing() -> None:
    found = tops((1, [(0.9, True)]), (0, [(0.8, False)]), (0, [(0.95, False)]))
    left = without_each(partial(micro_average_precision, k=1), *found)
    # 0.95 wrong, 0.9 right, 0.8 wrong: 1/2; without the first 1, without the third 1/2, without the second none.
    assert sorted(left.values[0].tolist()) == [0.5, 0.5, 1]


def test_intervals_cover() -> None:
    """Of draws from one population the 95 % interval holds the value of all of it about that often."""
    rng = np.random.default_rng(3)
    gap = partial(micro_average_precision, k=1)
    truth = gap(*drawn(rng, 200_000))
    covered = 0
    for seed in range(100):
        found = drawn(rng, 120)
        left = without_each(gap, *found, seed=seed)
        low, high = of_left_out(np.array([gap(*found)]), left).intervals()[:, 0]
        covered += low <= truth <= high
    assert 89 <= covered <= 99
