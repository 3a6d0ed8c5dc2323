"""Smaller features beside the whole ones: what they change, and the smallest that loses nothing seen."""

import numpy as np
import pytest
from scipy import stats

from pipeline.frame.experiment import Experiment
from pipeline.results.cost import MEAN
from pipeline.results.pairs import Design
from pipeline.results.shrinking import least_without_loss, overall, smaller_runs
from pipeline.retrieval.uncertainty import Estimates, average_of, of_queries

EXPERIMENT = Experiment(("a", "b"), ("d", "e"), "a", ("half", "same", "tiny"))
SIZES = {
    "a": 400, "a+half": 200, "a+same": 400, "a+tiny": 10,
    "b": 64, "b+half": 32, "b+same": 64, "b+tiny": 65,
}  # fmt: skip


def of_queries_of(dataset: str, queries: int = 40) -> np.ndarray:
    """AP of the queries by each run: tiny loses on d, half is noise around the whole."""
    rng = np.random.default_rng(len(dataset) + ord(dataset))
    whole = rng.uniform(0.3, 0.7, (queries, 1))
    values = whole + rng.normal(0, 0.01, (queries, len(EXPERIMENT.runs)))
    values[:, EXPERIMENT.runs.index("a+same")] = values[:, 0]
    if dataset == "d":
        values[:, EXPERIMENT.runs.index("a+tiny")] -= 0.2
    return values


@pytest.fixture(scope="module")
def values() -> dict[str, np.ndarray]:
    return {dataset: of_queries_of(dataset) for dataset in EXPERIMENT.datasets}


@pytest.fixture(scope="module")
def found(values: dict[str, np.ndarray]) -> dict[str, Estimates]:
    alone = {dataset: of_queries(table) for dataset, table in values.items()}
    return {**alone, MEAN: average_of(list(alone.values()))}


def test_only_smaller_ones_are_listed_from_the_largest(found: dict[str, Estimates]) -> None:
    listed = smaller_runs(EXPERIMENT, SIZES, found, Design(), most={})
    assert [(one["run"], one["bytes"], one["whole"]) for one in listed] == [
        ("a+half", 200, 400),
        ("a+tiny", 10, 400),
        ("b+half", 32, 64),
    ]
    assert all(list(one["changes"]) == ["d", "e", MEAN] for one in listed)


def test_each_is_tested_against_its_own_encoder_and_corrected_for_its_siblings(
    values: dict[str, np.ndarray], found: dict[str, Estimates]
) -> None:
    listed = {one["run"]: one["changes"] for one in smaller_runs(EXPERIMENT, SIZES, found, Design(), most={})}
    for dataset, table in values.items():
        p = {}
        for run in ("a+half", "a+tiny", "b+half"):
            mine, whole = (table[:, EXPERIMENT.runs.index(name)] for name in (run, run[0]))
            test, change = stats.ttest_rel(mine, whole), listed[run][dataset]
            p[run] = test.pvalue
            assert change["difference"] == pytest.approx(mine.mean() - whole.mean())
            assert change["p"] == pytest.approx(test.pvalue)
            low, high = test.confidence_interval()
            assert (change["low"], change["high"]) == pytest.approx((low, high))
        # Holm by hand: of two, the smaller times 2; the larger is at least that. One alone is not corrected.
        first, second = sorted(("a+half", "a+tiny"), key=lambda run: p[run])
        assert listed[first][dataset]["p_holm"] == pytest.approx(min(1, 2 * p[first]))
        assert listed[second][dataset]["p_holm"] == pytest.approx(max(min(1, 2 * p[first]), p[second]))
        assert listed["b+half"][dataset]["p_holm"] == pytest.approx(p["b+half"])


def test_the_smallest_without_a_loss_that_is_seen_anywhere(found: dict[str, Estimates]) -> None:
    listed = smaller_runs(EXPERIMENT, SIZES, found, Design(), most={})
    tiny = next(one for one in listed if one["run"] == "a+tiny")
    # On e it is as good; on d it is not, and nor is it by the mean.
    assert {name: change["distinguishable"] for name, change in tiny["changes"].items()} == {
        "d": True, "e": False, MEAN: True,
    }  # fmt: skip
    least = {encoder: one and one["run"] for encoder, one in least_without_loss(listed).items()}
    assert least == {"a": "a+half", "b": "b+half"}
    assert least_without_loss([tiny]) == {"a": None}
    assert overall(tiny) is tiny["changes"][MEAN]


def test_differences_are_in_units_of_the_metric(found: dict[str, Estimates]) -> None:
    plain = smaller_runs(EXPERIMENT, SIZES, found, Design(), most={})[0]["changes"]
    scaled = smaller_runs(EXPERIMENT, SIZES, found, Design(), most={"d": 4.0})[0]["changes"]
    for name in ("difference", "low", "high"):
        assert scaled["d"][name] == pytest.approx(4 * plain["d"][name])  # type: ignore[literal-required]
    assert scaled["d"]["p"] == plain["d"]["p"]
    assert scaled["e"] == plain["e"]


def test_one_dataset_stands_for_itself() -> None:
    alone = Experiment(("a",), ("d",), "a", ("half",))
    found = {"d": of_queries(of_queries_of("d")[:, :2])}
    (one,) = smaller_runs(alone, {"a": 8, "a+half": 4}, found, Design(), most={})
    assert overall(one) is one["changes"]["d"]


def test_no_ranking_no_smaller_feature(found: dict[str, Estimates]) -> None:
    none = Experiment(("a", "b"), ("d", "e"), "a")
    assert smaller_runs(none, SIZES, found, Design(), most={}) == []
    assert least_without_loss([]) == {}
