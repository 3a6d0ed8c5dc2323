"""Runs two by two: which pairs are listed, how they are tested and corrected, and the places that are left to a run."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.results.pairs import (
    COLUMNS,
    Compared,
    Design,
    compare_pairs,
    indistinguishable_from_best,
    leaders_of,
    populations_in_words,
)
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call
from pipeline.retrieval.uncertainty import Estimates, average_of, holm, of_queries

RUNS = ("good", "same", "bad")


def drawn(seed: int = 0, count: int = 200) -> Estimates:
    """Return three runs: the first two are nearly as good as each other, the third is far worse."""
    rng = np.random.default_rng(seed)
    base = rng.random(count) / 2
    noise = rng.normal([0, -0.0005, 0], [0.01, 0.01, 0.02], (count, 3))
    return of_queries(base[:, None] + [0.4, 0.4, 0] + noise)


def listed(compared: Compared) -> list[tuple[str, str, str]]:
    return [(str(row.dataset), str(row.a), str(row.b)) for row in compared.pairs.itertuples()]


def test_all_pairs() -> None:
    found = drawn()
    compared = compare_pairs(RUNS, {"d": found}, Design(family="pairs"))
    table = compared.pairs
    assert tuple(table.columns) == COLUMNS
    assert listed(compared) == [("d", "good", "same"), ("d", "good", "bad"), ("d", "same", "bad")]
    assert table["distinguishable"].tolist() == [False, True, True]
    assert table["difference"].tolist()[1] == pytest.approx(0.4, abs=0.01)
    assert table["p_least"].tolist() == [0, 0, 0]
    assert found.parts is not None
    for row in table.itertuples():
        theirs = stats.ttest_rel(*(found.parts[:, RUNS.index(str(run))] for run in (row.a, row.b)))
        assert row.p == pytest.approx(theirs.pvalue)
        assert [row.low, row.high] == pytest.approx(list(theirs.confidence_interval()))
    assert table["p_holm"].tolist() == pytest.approx(holm(table["p"].to_numpy()).tolist())
    assert indistinguishable_from_best(table, {"d": "good"}) == {("same", "d")}
    assert compared.out_of_reach == ""


def test_each_with_the_best_corrected_for_all_pairs() -> None:
    found = drawn()
    # The best one is not the first, so that pairs are turned round.
    turned = Estimates(found.means[[2, 1, 0]], found.covariance[[2, 1, 0]][:, [2, 1, 0]], found.df, found.units)
    names = ("bad", "same", "good")
    best = compare_pairs(names, {"d": turned}, Design())
    assert listed(best) == [("d", "good", "bad"), ("d", "good", "same")]
    of_all = compare_pairs(RUNS, {"d": found}, Design(family="pairs")).pairs.set_index(["a", "b"])
    for row in best.pairs.itertuples():
        same = of_all.loc[(row.a, row.b)]
        for name in ("difference", "low", "high", "p", "p_holm", "distinguishable"):
            assert getattr(row, name) == pytest.approx(same[name])
        assert row.low < row.difference < row.high
    assert best.ranks == {("d", "good"): (1, 2), ("d", "same"): (1, 2), ("d", "bad"): (3, 3)}


def test_each_with_one_that_is_named() -> None:
    found = drawn()
    named = compare_pairs(RUNS, {"d": found}, Design(family="same"))
    assert listed(named) == [("d", "same", "good"), ("d", "same", "bad")]
    assert found.parts is not None
    p_values = [stats.ttest_rel(found.parts[:, 1], found.parts[:, other]).pvalue for other in (0, 2)]
    assert named.pairs["p"].tolist() == pytest.approx(p_values)
    # Two pairs were chosen beforehand, so that p-values are corrected for two and not for three.
    assert named.pairs["p_holm"].tolist() == pytest.approx(holm(np.array(p_values)).tolist())
    assert named.pairs["difference"].tolist()[1] == pytest.approx(0.4, abs=0.01)
    assert named.ranks == {}  # nothing was said of the other pairs


def test_differences_are_in_the_units_of_the_metric() -> None:
    found = drawn()
    plain = compare_pairs(RUNS, {"d": found, "e": found}, Design()).pairs
    scaled = compare_pairs(RUNS, {"d": found, "e": found}, Design(), most={"d": 4.0, "e": 1.0}).pairs
    for name in ("difference", "low", "high"):
        factor = np.where(plain["dataset"] == "d", 4, 1)
        np.testing.assert_allclose(scaled[name], factor * plain[name])
    assert scaled["p"].equals(plain["p"])


def test_a_family_that_names_nothing() -> None:
    with pytest.raises(RetrievalError, match="family is 'goood': best, pairs, or a run of .*: good, same, bad"):
        compare_pairs(RUNS, {"d": drawn()}, Design(family="goood"))


def test_one_run_has_no_pairs() -> None:
    alone = of_queries(np.random.default_rng(0).random((20, 1)))
    for family in ("best", "pairs", "good"):
        compared = compare_pairs(["good"], {"d": alone}, Design(family=family))
        assert compared.pairs.empty and tuple(compared.pairs.columns) == COLUMNS
        assert compared.ranks == {("d", "good"): (1, 1)}


def test_corrected_for_a_dataset_or_for_all() -> None:
    found = {"d": drawn(0), "e": drawn(1), "mean over datasets": average_of([drawn(0), drawn(1)])}
    alone = compare_pairs(RUNS, found, Design(family="pairs")).pairs
    together = compare_pairs(RUNS, found, Design(family="pairs", correction="all")).pairs
    assert alone["dataset"].tolist() == ["d"] * 3 + ["e"] * 3 + ["mean over datasets"] * 3
    pd.testing.assert_frame_equal(alone.iloc[:, :7], together.iloc[:, :7])
    p_values = alone["p"].to_numpy()
    separate = [holm(p_values[place : place + 3]) for place in (0, 3, 6)]
    np.testing.assert_allclose(alone["p_holm"], np.concatenate(separate))
    # The mean over datasets is no seventh dataset: it is corrected for its own pairs either way.
    np.testing.assert_allclose(together["p_holm"], np.concatenate([holm(p_values[:6]), separate[2]]))


def spaced(runs: int, df: float = 9.0) -> Estimates:
    """Return runs a step of 0.02 apart, whose differences all have a standard error of 0.0001."""
    covariance = np.full((runs, runs), 0.01) + np.eye(runs) * 0.0001**2 / 2
    return Estimates(0.05 + 0.02 * np.arange(runs), covariance, df, int(df) + 1)


def test_forty_runs_that_clearly_differ_are_all_told_apart() -> None:
    # With 780 pairs no test by 10 000 random signs could: its least p-value times 780 is 0.078.
    runs = [f"run{number}" for number in range(40)]
    compared = compare_pairs(runs, {"d": spaced(40)}, Design(family="pairs"))
    assert len(compared.pairs) == 780 and compared.pairs["distinguishable"].all()
    assert compared.out_of_reach == ""
    assert compared.ranks == {("d", run): (40 - place, 40 - place) for place, run in enumerate(runs)}
    best = compare_pairs(runs, {"d": spaced(40)}, Design())
    assert len(best.pairs) == 39 and set(best.pairs["a"]) == {"run39"} and best.pairs["distinguishable"].all()


def test_places_by_hand() -> None:
    means = np.array([0.6, 0.7, 0.5, 0.3])
    compared = compare_pairs(list("abcd"), {"d": Estimates(means, np.eye(4) * 0.05**2, 30.0, 31)}, Design())
    # The standard error of each difference is 0.0707. 0.4 and 0.3 have p below 0.001; 0.2, of b and c and of c and d,
    # has t = 2.83, p = 0.0082, and times 4 is 0.033; 0.1, of a and b and of a and c, has p = 0.17.
    assert compared.ranks == {("d", "a"): (1, 3), ("d", "b"): (1, 2), ("d", "c"): (2, 3), ("d", "d"): (4, 4)}


def test_signs_are_flipped_on_demand() -> None:
    found = drawn(count=12)
    by_signs = compare_pairs(RUNS, {"d": found}, Design(family="pairs", test="signs"))
    by_t = compare_pairs(RUNS, {"d": found}, Design(family="pairs"))
    pd.testing.assert_frame_equal(by_signs.pairs.iloc[:, :6], by_t.pairs.iloc[:, :6])
    # All twelve differences have one sign, so that of all 4096 only two are as far from 0.
    assert by_signs.pairs["p"].tolist()[1] == 2 / 2**12
    assert by_signs.pairs["p_least"].tolist() == [2 / 2**12] * 3
    assert by_signs.out_of_reach == ""


def test_signs_that_are_too_few_are_said_to_be() -> None:
    # Of 5 parts the least p-value is 2 / 32 = 0.0625; of 6 it is 2 / 64, which times three pairs is 0.094.
    for count in (5, 6):
        found = {"d": drawn(count=count), "e": drawn(count=40)}
        compared = compare_pairs(RUNS, found, Design(test="signs"))
        assert compared.out_of_reach.startswith("No difference on d could be told from chance: signs are too few")
        assert "family to a run in conf/compare.yaml" in compared.out_of_reach
        assert not compared.pairs.set_index("dataset").loc["d", "distinguishable"].any()
    # What is named beforehand is two pairs: 2 / 64 times 2 is 0.0625, and of 8 parts 0.0156.
    assert "on d" in compare_pairs(RUNS, {"d": drawn(count=6)}, Design(test="signs", family="good")).out_of_reach
    assert compare_pairs(RUNS, {"d": drawn(count=8)}, Design(test="signs", family="good")).out_of_reach == ""


def test_random_signs_that_are_too_few_for_all_pairs() -> None:
    runs = [f"run{number}" for number in range(40)]
    values = np.random.default_rng(0).random((30, 1)) / 4 + np.arange(40) / 80
    few = compare_pairs(runs, {"d": of_queries(values)}, Design(test="signs", resamples=10_000))
    assert "more resamples" in few.out_of_reach and not few.pairs["distinguishable"].any()
    enough = compare_pairs(runs, {"d": of_queries(values)}, Design(test="signs", resamples=20_000))
    assert enough.out_of_reach == "" and enough.pairs["distinguishable"].all()
    assert compare_pairs(runs, {"d": of_queries(values)}, Design(resamples=100)).out_of_reach == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"population": "class"}, "'population' is 'class': expected widest or classes or images or queries"),
        ({"correction": "none"}, "'correction' is 'none': expected dataset or all"),
        ({"test": "bootstrap"}, "'test' is 'bootstrap': expected t or signs"),
        ({"resamples": 99}, "'resamples' is 99: expected an integer from 100 to 1000000"),
        ({"family": 3}, "'family' is 3: expected a string"),
        ({"familly": "best"}, "unknown key 'familly'"),
    ],
)
def test_wrong_designs(change: dict[str, object], said: str) -> None:
    with pytest.raises(RetrievalError, match=f"conf/compare.yaml: {said}"):
        call(Design, change, where="conf/compare.yaml")


def test_who_leads_and_who_is_as_good() -> None:
    table = pd.DataFrame(
        [("a", "d", 0.5), ("b", "d", 0.5), ("a", "e", 0.1), ("b", "e", 0.2)], columns=["encoder", "dataset", "value"]
    )
    assert leaders_of(table) == {"d": "a", "e": "b"}
    pairs = pd.DataFrame(
        [("d", "a", "b", False), ("e", "b", "a", True), ("d", "b", "c", False)],
        columns=["dataset", "a", "b", "distinguishable"],
    )
    assert indistinguishable_from_best(pairs, leaders_of(table)) == {("b", "d")}


def test_populations_in_words() -> None:
    assert populations_in_words({"d": "queries", "e": "queries"}) == (
        "Intervals and tests are about other queries like these, against this very gallery."
    )
    text = populations_in_words({"d": "classes", "e": "images", "f": "classes"})
    assert "classes like these, each with its images (d, f)" in text and text.endswith("of these classes (e).")
