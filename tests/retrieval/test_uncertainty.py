"""Intervals, tests and corrections against scipy, exact enumeration, arithmetic by hand and what they promise."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import Evaluation, evaluate, scores_of
from pipeline.retrieval.protocols import by_labels
from pipeline.retrieval.uncertainty import (
    Differences,
    Estimates,
    LeftOut,
    average_of,
    average_of_drawn,
    critical_t,
    df_of,
    distinguishable,
    ends,
    holm,
    of_left_out,
    of_queries,
    populations_of,
    sign_flip_p,
)
from pipeline.retrieval.wanted import Settings

FIRST, SECOND = np.array([0]), np.array([1])
ap_values = st.lists(st.floats(0.01, 1), min_size=3, max_size=30)


def of(means: list[float], variances: list[float], df: float) -> Estimates:
    return Estimates(np.array(means), np.diag(variances), df, 10)


def test_critical_t_is_that_of_scipy() -> None:
    for df in (0.5, 1.0, 7.3, 1e6):
        assert critical_t(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-9)
        assert critical_t(df, level=0.8) == pytest.approx(stats.t.ppf(0.9, df), rel=1e-9)
    assert critical_t(0.0) == critical_t(-1.0) == np.inf


# ---- means of queries


def test_queries_have_the_variance_of_a_mean() -> None:
    values = np.random.default_rng(0).beta(2, 3, (40, 3))
    found = of_queries(values)
    np.testing.assert_allclose(found.means, values.mean(axis=0))
    np.testing.assert_allclose(np.sqrt(found.variances), stats.sem(values, axis=0))
    np.testing.assert_allclose(found.covariance, np.cov(values.T) / 40)
    assert found.df == 39 and found.units == 40


def test_p_values_and_intervals_of_queries_are_those_of_scipy() -> None:
    rng = np.random.default_rng(1)
    values = rng.beta(2, 3, (25, 1)) + rng.normal(0, [0.05, 0.1, 0.2, 0.05], (25, 4))
    values[:, 3] += 0.05
    found = of_queries(values)
    first, second = np.array(list(combinations(range(4), 2))).T
    differences = found.differences(first, second)
    for place, (one, other) in enumerate(zip(first, second, strict=True)):
        theirs = stats.ttest_rel(values[:, one], values[:, other])
        assert differences.p_values()[place] == pytest.approx(theirs.pvalue)
        assert differences.intervals()[:, place].tolist() == pytest.approx(list(theirs.confidence_interval(0.95)))


def test_no_queries_is_an_error() -> None:
    with pytest.raises(RetrievalError, match="no query to draw"):
        of_queries(np.empty((0, 1)))


def test_one_query_says_nothing_of_others() -> None:
    found = of_queries(np.array([[0.5, 0.6, 1.0]]))
    assert found.intervals().tolist() == [[0, 0, 0], [1, 1, 1]]
    differences = found.differences(np.array([0, 1]), np.array([1, 2]))
    assert differences.p_values().tolist() == [1, 1]
    assert differences.intervals().tolist() == [[-1, -1], [1, 1]]


# ---- groups that are left out


def jackknifed(values: np.ndarray, groups: np.ndarray) -> LeftOut:
    """Leave out groups of a plain mean."""
    names = np.unique(groups)
    left = np.column_stack([values[groups != name].mean(axis=0) for name in names])
    return LeftOut(left, np.array([np.mean(groups == name) for name in names]), len(names))


def test_single_values_left_out_of_a_plain_mean_are_the_usual_variance() -> None:
    values = np.random.default_rng(2).random((12, 2))
    left_out = jackknifed(values, np.arange(12))
    found, expected = of_left_out(values.mean(axis=0), left_out), of_queries(values)
    np.testing.assert_allclose(found.covariance, np.cov(values.T) / 12)
    np.testing.assert_allclose(found.variances, values.var(axis=0, ddof=1) / 12)
    assert found.df == pytest.approx(expected.df)
    assert found.parts is not None
    np.testing.assert_allclose(found.parts, values)  # the pseudo-values of a mean are the values


def test_groups_of_one_size_are_a_sample_of_their_means() -> None:
    values, groups = np.random.default_rng(3).random((40, 2)), np.arange(40) % 8
    of_groups = np.stack([values[groups == name].mean(axis=0) for name in range(8)])
    found = of_left_out(values.mean(axis=0), jackknifed(values, groups))
    np.testing.assert_allclose(found.covariance, np.cov(of_groups.T) / 8)
    assert found.df == pytest.approx(7)
    theirs = stats.ttest_rel(*of_groups.T)
    assert found.differences(FIRST, SECOND).p_values()[0] == pytest.approx(theirs.pvalue)


def satterthwaite(shares: np.ndarray) -> float:
    """Return the df by matrices: of the quadratic form y' Q y, y independent, 2 E^2 / Var = tr(QV)^2 / tr(QVQV)."""
    from_mean = np.eye(len(shares)) - np.outer(np.ones(len(shares)), shares)
    form = np.diag(shares**2 / (1 - shares)) @ from_mean @ from_mean.T
    return float(np.trace(form) ** 2 / np.trace(form @ form))


@settings(max_examples=50)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=30))
def test_degrees_of_freedom(sizes: list[int]) -> None:
    shares = np.array(sizes) / sum(sizes)
    assert df_of(shares) == pytest.approx(satterthwaite(shares))
    assert df_of(shares) <= len(sizes) - 1 + 1e-9
    assert df_of(np.append(shares, 0)) == pytest.approx(df_of(shares))  # what has no query counts for nothing
    assert df_of(np.full(len(sizes), 1 / len(sizes))) == pytest.approx(len(sizes) - 1)


def test_a_class_that_has_nearly_all_queries_leaves_few_degrees_of_freedom() -> None:
    assert df_of(np.array([1.0])) == df_of(np.array([1.0, 0.0])) == 0
    assert df_of(np.array([0.9] + [0.01] * 10)) < 1.1
    assert 5 < df_of(np.array([0.2] + [0.08] * 10)) < 9


def test_the_degrees_of_freedom_are_those_of_simulated_variances() -> None:
    """A variance with df degrees of freedom itself varies by 2 / df of its square."""
    shares = np.array([0.4, 0.2, 0.1, 0.1, 0.1, 0.1])
    drawn = np.random.default_rng(0).normal(size=(100_000, 6))
    apart = drawn - (drawn @ shares)[:, None]
    variances = apart**2 @ (shares**2 / (1 - shares))
    assert df_of(shares) == pytest.approx(2 * variances.mean() ** 2 / variances.var(), rel=0.02)


def shared(units: int, groups: int | None = None) -> LeftOut:
    groups = groups or units
    return LeftOut(np.zeros((12, groups)), np.full(groups, 1 / groups), units)


def test_which_populations_there_is_enough_of() -> None:
    assert populations_of({}) == ["queries"]
    assert populations_of({"classes": shared(5), "images": shared(10)}) == ["classes", "images", "queries"]
    assert populations_of({"classes": shared(4), "images": shared(10)}) == ["images", "queries"]
    assert populations_of({"classes": shared(4), "images": shared(9)}) == ["queries"]
    # Many classes, of which one has nearly all queries.
    uneven = LeftOut(np.zeros((12, 10)), np.array([0.91] + [0.01] * 9), 10)
    assert populations_of({"classes": uneven, "images": shared(60, 50)}) == ["images", "queries"]


# ---- intervals


@given(st.sampled_from([0.0, 1.0]) | st.floats(1e-9, 1 - 1e-9), st.floats(0, 0.25), st.floats(0.5, 1e6))
def test_ends_are_in_the_unit_interval_around_the_mean(mean: float, variance: float, df: float) -> None:
    low, high = ends(np.array([mean]), np.array([variance]), df)[:, 0]
    assert 0 <= low <= mean <= high <= 1
    assert ends(np.array([mean]), np.zeros(1), df)[0, 0] <= mean <= ends(np.array([mean]), np.zeros(1), df)[1, 0]


@pytest.mark.parametrize("mean", [0.02, 0.3, 0.5, 0.97])
def test_ends_of_small_variances_are_those_of_t(mean: float) -> None:
    scale = 1e-4 * mean * (1 - mean)
    low, high = ends(np.array([mean]), np.array([scale**2]), 9.0)[:, 0]
    expected = stats.t.interval(0.95, 9, loc=mean, scale=scale)
    assert [low - mean, high - mean] == pytest.approx([end - mean for end in expected], rel=1e-3)


def test_ends_by_hand() -> None:
    # log(0.8 / 0.2) = log 4; the deviation there is 0.04 / (0.8 x 0.2) = 1 / 4; t of 10 degrees is 2.228139.
    low, high = ends(np.array([0.8]), np.array([0.04**2]), 10.0)[:, 0]
    odds = 4 * np.exp(np.array([-2.228139, 2.228139]) / 4)
    assert [low, high] == pytest.approx((odds / (1 + odds)).tolist(), abs=1e-6)
    # Longer towards the middle.
    assert 0.8 - low > high - 0.8


def test_where_all_are_one_or_zero_ends_are_wilsons() -> None:
    low, high = ends(np.array([0.0, 1.0]), np.zeros(2), 99.0).T
    # (0 + t^2 / 2 +- t sqrt(t^2 / 4)) / (n + t^2) of n = 100 draws, t in place of the normal's quantile.
    t = stats.t.ppf(0.975, 99)
    assert low.tolist() == pytest.approx([0, t**2 / (100 + t**2)])
    assert high.tolist() == pytest.approx([1 - t**2 / (100 + t**2), 1])
    # scipy's has the normal's quantile, which t's is near for many draws.
    theirs = stats.binomtest(2000, 2000).proportion_ci(method="wilson")
    assert ends(np.array([1.0]), np.zeros(1), 1999.0)[0, 0] == pytest.approx(theirs.low, rel=1e-5)


@given(ap_values, st.floats(-0.5, 0.5), st.integers(0, 99))
def test_the_interval_of_a_difference_excludes_zero_just_where_p_is_below_five_percent(
    first: list[float], shift: float, seed: int
) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.1, len(first))
    found = of_queries(np.column_stack([first, np.array(first) + shift + noise])).differences(FIRST, SECOND)
    [low], [high] = found.intervals()
    [p] = found.p_values()
    assert 0 <= p <= 1
    if abs(p - 0.05) > 1e-9:
        assert (low > 0 or high < 0) == (p < 0.05) == bool(distinguishable(found.p_values())[0])


@given(ap_values)
def test_identical_columns_cannot_be_told_apart(values: list[float]) -> None:
    found = of_queries(np.column_stack([values, values])).differences(FIRST, SECOND)
    assert found.values.tolist() == [0] and found.p_values().tolist() == [1]
    assert found.intervals().ravel().tolist() == [0, 0]


@given(st.lists(st.integers(0, 64), min_size=3, max_size=30))
def test_the_same_difference_everywhere_is_no_chance(values: list[int]) -> None:
    first = np.array(values) / 128  # so that differences are exact
    found = of_queries(np.column_stack([first + 0.25, first])).differences(FIRST, SECOND)
    assert found.values[0] == pytest.approx(0.25) and found.p_values().tolist() == [0]
    assert found.intervals().ravel().tolist() == pytest.approx([0.25, 0.25])
    left_out = jackknifed(np.column_stack([first + 0.25, first]), np.arange(len(first)))
    again = of_left_out(np.array([first.mean() + 0.25, first.mean()]), left_out).differences(FIRST, SECOND)
    assert again.p_values()[0] < 1e-6


def test_differences_of_several_pairs_by_hand() -> None:
    covariance = np.array([[0.04, 0.01, 0.0], [0.01, 0.02, 0.0], [0.0, 0.0, 0.05]])
    found = Estimates(np.array([0.5, 0.4, 0.1]), covariance, 8.0, 9).differences(np.array([0, 2]), np.array([1, 0]))
    np.testing.assert_allclose(found.values, [0.1, -0.4])
    np.testing.assert_allclose(found.variances, [0.04, 0.09])  # 0.04 + 0.02 - 2 x 0.01, 0.05 + 0.04 - 0
    half = stats.t.ppf(0.975, 8) * np.array([0.2, 0.3])
    np.testing.assert_allclose(found.intervals(), [[0.1, -0.4] - half, [0.1, -0.4] + half])
    np.testing.assert_allclose(found.p_values(), 2 * stats.t.sf([0.5, 4 / 3], 8))
    assert isinstance(found, Differences)


# ---- means over sets


def test_a_mean_over_datasets_by_hand() -> None:
    first = Estimates(np.array([0.6, 0.4]), np.array([[0.04, 0.01], [0.01, 0.09]]), 9.0, 10)
    second = Estimates(np.array([0.8, 0.2]), np.array([[0.02, 0.0], [0.0, 0.01]]), 19.0, 20)
    found = average_of([first, second])
    np.testing.assert_allclose(found.means, [0.7, 0.3])
    np.testing.assert_allclose(found.covariance, np.array([[0.06, 0.01], [0.01, 0.10]]) / 4)
    # B. Welch: 0.06^2 / (0.04^2 / 9 + 0.02^2 / 19) = 18.1, and 0.1^2 / (0.09^2 / 9 + 0.01^2 / 19) = 11.05.
    assert found.df == pytest.approx(0.1**2 / (0.09**2 / 9 + 0.01**2 / 19))
    assert found.units == 10 and found.parts is None


def test_datasets_that_could_have_been_others_against_a_t_test() -> None:
    means = np.array([[0.6, 0.4], [0.8, 0.2], [0.7, 0.6], [0.9, 0.3]])
    several = [Estimates(row, np.eye(2) * 1e-4, 99.0, 100) for row in means]
    found = average_of_drawn(several)
    np.testing.assert_allclose(found.means, [0.75, 0.375])
    pair = stats.ttest_rel(means[:, 0], means[:, 1])
    differences = found.differences(np.array([0]), np.array([1]))
    assert differences.p_values()[0] == pytest.approx(pair.pvalue)
    np.testing.assert_allclose(differences.intervals()[:, 0], pair.confidence_interval())
    narrow = average_of(several).differences(np.array([0]), np.array([1]))  # of these very datasets
    assert np.diff(narrow.intervals()[:, 0]) < np.diff(differences.intervals()[:, 0])


def test_the_degrees_of_freedom_are_those_of_welchs_test() -> None:
    rng = np.random.default_rng(4)
    one, other = rng.normal(0.5, 0.1, (8, 1)), rng.normal(0.5, 0.3, (30, 1))
    # The variance of a mean of two is that of their difference, over 4.
    found = average_of([of_queries(one), of_queries(other)])
    assert found.df == pytest.approx(stats.ttest_ind(one[:, 0], other[:, 0], equal_var=False).df)
    assert found.parts is not None and len(found.parts) == 38
    np.testing.assert_allclose(found.parts.mean(axis=0), found.means)


def test_the_mean_over_one_set_is_that_set() -> None:
    alone = of_queries(np.random.default_rng(5).random((20, 3)))
    found = average_of([alone])
    np.testing.assert_allclose(found.covariance, alone.covariance)
    assert found.df == pytest.approx(alone.df) and found.units == 20
    np.testing.assert_allclose(found.intervals(), alone.intervals())


def test_where_nothing_varies_the_degrees_of_freedom_are_the_fewest() -> None:
    found = average_of([of([1.0], [0.0], 9.0), of([1.0], [0.0], 19.0)])
    assert found.df == 9
    assert 0 < found.intervals()[0, 0] < 1 and found.intervals()[1, 0] == 1


# ---- signs


def enumerated(parts: np.ndarray) -> float:
    """Return how many of all signs give a sum as far from 0, from the definition."""
    signs = product((-1, 1), repeat=len(parts))
    return float(np.mean([abs(np.dot(one, parts)) >= abs(parts.sum()) - 1e-12 for one in signs]))


@pytest.mark.parametrize("count", [1, 2, 5, 10, 13])
def test_sign_flips_are_all_tried_where_they_are_few(count: int) -> None:
    parts = np.random.default_rng(count).normal(0.3, 1, (count, 3))
    found, least = sign_flip_p(parts, resamples=100, seed=0)
    assert found.tolist() == pytest.approx([enumerated(column) for column in parts.T])
    assert least == 2 / 2**count


def test_random_signs_are_near_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = np.random.default_rng(1).normal(0.3, 1, (12, 2))
    exact = [enumerated(column) for column in parts.T]
    monkeypatch.setattr("pipeline.retrieval.uncertainty.ENUMERATED", 8)
    found, least = sign_flip_p(parts, resamples=40_000, seed=0)
    assert found == pytest.approx(exact, abs=0.01)
    assert least == 1 / 40_001
    np.testing.assert_array_equal(sign_flip_p(parts, resamples=40_000, seed=0)[0], found)
    assert not np.array_equal(sign_flip_p(parts, resamples=40_000, seed=1)[0], found)


@pytest.mark.parametrize("count", [16, 60])
def test_equal_ones_have_p_one_and_different_ones_the_least(count: int) -> None:
    assert sign_flip_p(np.zeros((count, 1)), resamples=99, seed=0)[0] == 1
    found, least = sign_flip_p(np.full((count, 1), 0.5), resamples=99, seed=0)
    assert found[0] == pytest.approx(least) and least == (2 / 2**16 if count == 16 else 0.01)


def test_p_values_by_signs_are_uniform_where_there_is_no_difference() -> None:
    differences = np.random.default_rng(2).normal(0, 1, (40, 500))
    p_values, _ = sign_flip_p(differences, resamples=999, seed=0)
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


# ---- several tests


def test_holm_by_hand() -> None:
    # 0.01 x 4, 0.02 x 3, max(0.06, 0.03 x 2), max(0.06, 0.5)
    assert holm(np.array([0.02, 0.5, 0.01, 0.03])) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    assert holm(np.array([0.6, 0.9])).tolist() == [1, 1]
    assert distinguishable(np.array([0.0499, 0.0501, 0.5])).tolist() == [True, False, False]


# ---- how often they are right

CLASSES, IMAGES, SETS = 8, 6, 200


def drawn(rng: np.random.Generator) -> tuple[Evaluation, Evaluation]:
    """Draw classes and their images, as two encoders that are as good as each other see them."""
    labels = [(str(number),) for number in range(CLASSES) for _ in range(IMAGES)]
    chosen = Settings("euclidean", cutoffs=(1,), top=0)
    protocol = by_labels(labels)
    # Some classes are harder than others, for each encoder others.
    return tuple(  # type: ignore[return-value]
        evaluate(
            scores_of(
                np.repeat(rng.normal(size=(CLASSES, 3)), IMAGES, axis=0) + rng.normal(0, 0.4, (len(labels), 3)),
                protocol,
                chosen,
            ),
            protocol,
            names=[],
            settings=chosen,
        )
        for _ in range(2)
    )


@pytest.fixture(scope="module")
def simulated() -> list[tuple[Evaluation, Evaluation]]:
    rng = np.random.default_rng(0)
    return [drawn(rng) for _ in range(SETS)]


def test_intervals_over_classes_cover_as_often_as_they_say(simulated: list[tuple[Evaluation, Evaluation]]) -> None:
    single = [one for both in simulated for one in both]
    true = np.mean([one.ap.mean() for one in single])  # of 400 sets, known 20 times as exactly as by one of them
    covered = {
        population: np.mean([low <= true <= high for low, high in ends_of(single, population)])
        for population in ("classes", "queries")
    }
    assert 0.90 < covered["classes"] < 0.99
    assert covered["queries"] < 0.80  # these are about this very gallery, and other classes are another


def ends_of(evaluations: list[Evaluation], population: str) -> list[np.ndarray]:
    return [one.estimates(population).intervals()[:, 0] for one in evaluations]  # type: ignore[arg-type]


def test_encoders_that_are_as_good_are_told_apart_as_seldom_as_the_level_says(
    simulated: list[tuple[Evaluation, Evaluation]],
) -> None:
    p_values: dict[str, list[float]] = {"classes": [], "queries": []}
    for one, other in simulated:
        means = np.array([one.ap.mean(), other.ap.mean()])
        left = [both.left_out["classes"] for both in (one, other)]
        together = LeftOut(np.stack([part.values[0] for part in left]), left[0].shares, left[0].units)
        by_classes = of_left_out(means, together)
        by_queries = of_queries(np.column_stack([one.ap, other.ap]))
        for name, found in (("classes", by_classes), ("queries", by_queries)):
            p_values[name] += found.differences(FIRST, SECOND).p_values().tolist()
    rejected = {name: np.mean(np.array(values) < 0.05) for name, values in p_values.items()}
    assert 0.01 < rejected["classes"] < 0.09
    assert rejected["queries"] > 0.2  # what happens where queries of a class are taken for as many votes
