"""Intervals, tests and corrections against scipy, exact enumeration and what they promise."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from pipeline.results.pairs import compare_pairs, indistinguishable_from_best
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.uncertainty import (
    bootstrap_means,
    holm,
    interval,
    label_clusters,
    linked_clusters,
    randomisation_p,
)


def test_scipy_gives_nearly_the_same_interval() -> None:
    values = np.random.default_rng(0).beta(2, 3, 300)
    low, high = interval(bootstrap_means(values[:, None], resamples=20000, seed=1))[:, 0]
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", rng=2).confidence_interval
    width = theirs.high - theirs.low
    assert low == pytest.approx(theirs.low, abs=0.03 * width)
    assert high == pytest.approx(theirs.high, abs=0.03 * width)


def test_whole_clusters_are_drawn() -> None:
    # Three clusters of equal values and unequal sizes: every mean is one of the 27 draws of clusters.
    values, clusters = np.array([0.0, 0.0, 0.3, 0.9, 0.9, 0.9]), np.array([7, 7, 1, 4, 4, 4])
    sums, amounts = {7: 0.0, 1: 0.3, 4: 2.7}, {7: 2, 1: 1, 4: 3}
    possible = {
        round(sum(sums[c] for c in draw) / sum(amounts[c] for c in draw), 12) for draw in product((7, 1, 4), repeat=3)
    }
    means = bootstrap_means(values[:, None], resamples=500, seed=0, clusters=clusters)
    assert {round(float(mean), 12) for mean in means[:, 0]} == possible


def test_the_same_draws_for_every_column_and_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((50, 1))
    means = bootstrap_means(np.hstack([values, values + 1]), resamples=300, seed=3)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 1)
    monkeypatch.setattr("pipeline.retrieval.uncertainty.DRAWN", 500)
    batched = bootstrap_means(np.hstack([values, values + 1]), resamples=300, seed=3)
    assert len(set(batched[:, 0].tolist())) > 250  # batches do not repeat each other
    monkeypatch.setattr("pipeline.retrieval.uncertainty.cpu_count", lambda: 1)
    np.testing.assert_array_equal(bootstrap_means(np.hstack([values, values + 1]), resamples=300, seed=3), batched)


def test_the_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    samples = [rng.random(60) for _ in range(400)]
    ends = [interval(bootstrap_means(sample[:, None], resamples=400, seed=i))[:, 0] for i, sample in enumerate(samples)]
    covered = np.mean([low <= 0.5 <= high for low, high in ends])
    assert 0.90 < covered < 0.98


def test_p_values_are_those_of_all_sign_flips() -> None:
    differences = np.random.default_rng(1).normal(0.3, 1, (10, 2))
    exact = [
        np.mean([abs(np.dot(signs, column)) >= abs(column.sum()) - 1e-12 for signs in product((-1, 1), repeat=10)])
        for column in differences.T
    ]
    found = randomisation_p(differences, resamples=40000, seed=0)
    assert found == pytest.approx(exact, abs=0.01)


def test_equal_encoders_have_p_one_and_different_ones_the_least() -> None:
    assert randomisation_p(np.zeros((20, 1)), resamples=99, seed=0)[0] == 1
    assert randomisation_p(np.full((60, 1), 0.5), resamples=99, seed=0)[0] == pytest.approx(0.01)


def test_p_values_are_uniform_where_there_is_no_difference() -> None:
    differences = np.random.default_rng(2).normal(0, 1, (40, 500))
    p_values = randomisation_p(differences, resamples=999, seed=0)
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_holm_by_hand() -> None:
    # 0.01 x 4, 0.02 x 3, max(0.06, 0.03 x 2), max(0.06, 0.5)
    assert holm(np.array([0.02, 0.5, 0.01, 0.03])) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm(np.array([0.6, 0.9])).tolist() == [1, 1]


def test_clusters() -> None:
    assert label_clusters([("a",), ("b", "a"), ("a", "b"), ("a",)]).tolist() == [0, 1, 1, 0]
    found = linked_clusters([np.array(row, np.int64) for row in ([1, 9], [2, 3], [3, 4], [], [4, 1, 9])])
    assert found[1] == found[2] and found[0] == found[4] and len(set(found.tolist())) == 3


def test_no_queries_is_an_error() -> None:
    with pytest.raises(RetrievalError, match="no query to draw"):
        bootstrap_means(np.empty((0, 1)), resamples=100, seed=0)
    with pytest.raises(RetrievalError, match="no query in common"):
        randomisation_p(np.empty((0, 1)), resamples=100, seed=0)


def test_pairs() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(200)
    aps = {"good": base + 0.5, "same": base + 0.5 + rng.normal(0, 0.01, 200), "bad": base}
    table = compare_pairs("d", aps, resamples=999, seed=0)
    assert table[["a", "b"]].to_numpy().tolist() == [["good", "same"], ["good", "bad"], ["same", "bad"]]
    assert table["distinguishable"].tolist() == [False, True, True]
    assert table["difference"].tolist()[1] == pytest.approx(0.5)
    assert (table["p_holm"] >= table["p"]).all()
    assert indistinguishable_from_best(table, {"d": "good"}) == {("same", "d")}
    assert compare_pairs("d", {"good": base}, resamples=99, seed=0).empty
