"""How large a dataset must be: by hand, by simulation, and as a command on a few results."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pipeline.power import main
from pipeline.results.evaluated import write_per_query
from pipeline.results.planning import (
    Components,
    Plan,
    Wanted,
    components_of,
    least_number,
    multiple,
    needed_classes,
    needed_images,
    plan_of,
    read_pair,
    variance_factors,
)
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import evaluate, scores_of
from pipeline.retrieval.protocols import by_labels
from pipeline.retrieval.settings import call
from pipeline.retrieval.uncertainty import Estimates, LeftOut, Population, of_left_out, of_queries
from pipeline.retrieval.wanted import Settings

WANTED = Wanted(0.05, 0.8)


@pytest.mark.parametrize("df", [3.0, 9.4, 49.0, 1e6])
@pytest.mark.parametrize("power", [0.51, 0.8, 0.999])
def test_standard_errors_by_the_noncentral_t_of_another_library(df: float, power: float) -> None:
    found = multiple(df, power)
    critical = stats.t.ppf(0.975, df)
    assert stats.nct.sf(critical, df, found) == pytest.approx(power, abs=1e-6)
    assert stats.nct.cdf(-critical, df, found) < 1e-4  # significant on the wrong side


def test_standard_errors_by_hand() -> None:
    assert multiple(1e9, 0.8) == pytest.approx(1.95996 + 0.84162, abs=1e-4)
    # G*Power 3.1 for matched pairs: an effect of 0.5 takes 34 at power 0.8.
    assert least_number(Wanted(0.5, 0.8), lambda n: 1 / n, lambda n: n - 1.0, fewest=2, least_df=1) == 34


def test_components_by_hand() -> None:
    # 4 classes of 5 images: (1.2 + 4 / 5) / 4 = 0.5 over classes, 4 / 20 = 0.2 over images.
    found = components_of(0.5, 0.2, classes=4, images=5)
    assert (found.between, found.within) == pytest.approx((1.2, 4.0))
    assert found.variance(4, 5) == pytest.approx(0.5)
    assert components_of(0.1, 0.2, classes=4, images=5).between == 0


def test_interval_of_a_variance_by_tables() -> None:
    # Chi-square with 9 degrees of freedom: 2.70039 and 19.0228.
    assert variance_factors(9.0) == pytest.approx((9 / 19.0228, 9 / 2.70039), rel=1e-4)


def test_least_numbers_are_those_of_trying_all() -> None:
    components = Components(0.01, 0.2)

    def enough(classes: int, images: float, df: float) -> bool:
        ratio = WANTED.difference / math.sqrt((0.01 + 0.2 / images) / classes)
        return bool(stats.nct.sf(stats.t.ppf(0.975, df), df, ratio) >= 0.8 - 1e-7)

    for images in (2, 7.5, 40):
        least = next(k for k in range(5, 10_000) if enough(k, images, min(k, 50) - 1))
        assert needed_classes(WANTED, components, images, df=9.0, classes=10) == least
    least = next(m for m in range(2, 10_000) if enough(60, m, 49))
    assert needed_images(WANTED, components, 60, df=49.0) == least
    assert needed_images(WANTED, components, 30, df=29.0) is None
    assert not enough(30, 10**9, 29)  # endless images
    assert needed_images(WANTED, Components(0.0, 0.0), 30, df=29.0) == 2
    assert needed_classes(WANTED, Components(0.0, 0.0), 5, df=9.0, classes=10) == 5


def test_uneven_groups_count_for_fewer_degrees_of_freedom() -> None:
    even, uneven = (needed_classes(WANTED, Components(0.01, 0.0), 5, df=df, classes=10) for df in (9.0, 4.5))
    assert even < uneven


def drawn(rng: np.random.Generator, classes: int, images: int, *, between: float, within: float) -> np.ndarray:
    """Return differences of AP with these variances, one row a class."""
    apart = rng.normal(0, math.sqrt(between), (classes, 1))
    differences: np.ndarray = 0.05 + apart + rng.normal(0, math.sqrt(within), (classes, images))
    return differences


def without_each(values: np.ndarray) -> np.ndarray:
    """Return the mean of a set without each of its values."""
    return (values.sum() - values) / (len(values) - 1)


def estimates_of(differences: np.ndarray) -> dict[Population, Estimates]:
    """Return what is estimated from differences by leaving out classes, and an image of every class at a time."""
    classes, images = differences.shape
    means = np.array([differences.mean(), 0.0])

    def estimates(parts: np.ndarray, units: int) -> Estimates:
        left_out = without_each(parts)
        shares = np.full(len(parts), 1 / len(parts))
        return of_left_out(means, LeftOut(np.stack([left_out, 0 * left_out]), shares, units))

    flat = differences.reshape(-1)
    return {
        "classes": estimates(differences.mean(axis=1), classes),
        "images": estimates(differences.mean(axis=0), classes * images),
        "queries": of_queries(np.stack([flat, 0 * flat], axis=1)),
    }


def test_simulated_components_are_found() -> None:
    rng = np.random.default_rng(0)
    found = [plan_of(estimates_of(drawn(rng, 40, 8, between=0.01, within=0.04)), WANTED).components for _ in range(60)]
    assert np.mean([one.between for one in found if one]) == pytest.approx(0.01, rel=0.1)
    assert np.mean([one.within for one in found if one]) == pytest.approx(0.04, rel=0.05)


def test_where_classes_differ_no_more_than_their_images_do() -> None:
    differences = drawn(np.random.default_rng(0), 10, 8, between=0.0, within=0.04)
    differences -= differences.mean(axis=1, keepdims=True) - 0.05  # each class has the same mean
    plan = plan_of(estimates_of(differences), WANTED)
    assert plan.components and plan.components.between == 0
    # The images' variance counts for both.
    assert plan.parts["classes"].least / plan.parts["images"].least == pytest.approx(
        multiple(9.0, 0.8) / multiple(7.0, 0.8)
    )
    assert plan.images_needed and plan.images_needed.number and plan.images_needed.low == plan.images_needed.number


def significant(values: np.ndarray) -> float:
    """Return the share of rows whose mean is above 0 by the two-sided t test."""
    p = stats.ttest_1samp(values, 0, axis=1)
    return float(np.mean((p.pvalue < 0.05) & (p.statistic > 0)))


def test_needed_numbers_have_the_power_that_was_asked_for() -> None:
    rng = np.random.default_rng(1)
    few = needed_classes(Wanted(0.2, 0.8), Components(0.01, 0.04), 4, df=9.0, classes=10)
    assert significant(rng.normal(0.2, math.sqrt(0.02), (8000, few))) > 0.8 - 0.01
    assert significant(rng.normal(0.2, math.sqrt(0.02), (8000, few - 1))) < 0.8 + 0.01
    queries = least_number(WANTED, lambda n: 0.04 / n, lambda n: n - 1.0, fewest=2, least_df=1)
    assert significant(rng.normal(0.05, 0.2, (8000, queries))) == pytest.approx(0.8, abs=0.02)


def test_fifty_groups_of_many_classes_have_the_power_that_was_asked_for() -> None:
    # Of more classes 50 groups are made, whose means are tested.
    classes = needed_classes(Wanted(0.02, 0.8), Components(0.01, 0.04), 4, df=9.0, classes=10)
    assert classes > 100
    rng = np.random.default_rng(2)
    groups = rng.normal(0.02, math.sqrt(0.02 * 50 / classes), (8000, 50))
    assert significant(groups) == pytest.approx(0.8, abs=0.02)


def test_the_range_has_the_true_number_in_nineteen_of_twenty_cases() -> None:
    rng = np.random.default_rng(3)
    true = needed_classes(WANTED, Components(0.02, 0.02), 8, df=9.0, classes=10)
    needs = [
        plan_of(estimates_of(drawn(rng, 10, 8, between=0.02, within=0.02)), WANTED).parts["classes"].needed
        for _ in range(300)
    ]
    covered = [one.low is not None and one.high is not None and one.low <= true <= one.high for one in needs]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_more_of_anything_tells_smaller_differences_apart() -> None:
    rng = np.random.default_rng(4)
    least = {
        (classes, images): np.mean(
            [
                plan_of(estimates_of(drawn(rng, classes, images, between=0.01, within=0.1)), WANTED)
                .parts["classes"]
                .least
                for _ in range(20)
            ]
        )
        for classes, images in ((8, 10), (16, 10), (8, 40))
    }
    assert least[16, 10] < least[8, 10] and least[8, 40] < least[8, 10]


def test_more_is_needed_for_smaller_differences_and_more_power() -> None:
    found = estimates_of(drawn(np.random.default_rng(5), 10, 10, between=0.01, within=0.1))

    def numbers(plan: Plan) -> np.ndarray:
        return np.array([part.needed.number for part in plan.parts.values()], float)

    plain = numbers(plan_of(found, WANTED))
    assert (numbers(plan_of(found, Wanted(0.025, 0.8))) > 3.5 * plain).all()
    assert (numbers(plan_of(found, Wanted(0.05, 0.9))) > plain).all()
    sufficient = plan_of(found, Wanted(0.05, 0.8, (5, 10, 20))).sufficient
    assert sufficient and sufficient[5] > sufficient[10] > sufficient[20]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"difference": 0}, "'difference' is 0: expected a number from 0.0001 to 1"),
        ({"difference": -0.1}, "'difference' is -0.1: expected a number from 0.0001 to 1"),
        ({"difference": 1.5}, "'difference' is 1.5: expected a number from 0.0001 to 1"),
        ({"difference": math.nan}, "'difference' is nan: expected finite numbers"),
        ({"power": 0.5}, "'power' is 0.5: expected a number above 0.5 to 0.999"),
        ({"power": 1}, "'power' is 1: expected a number above 0.5 to 0.999"),
        ({"images_per_class": [1]}, r"'images_per_class' is \[1\]: expected a list"),
    ],
)
def test_settings_out_of_range(change: dict[str, Any], match: str) -> None:
    with pytest.raises(RetrievalError, match=rf"^conf/power\.yaml: {match}"):
        call(Wanted, {"difference": 0.01, "power": 0.8, "images_per_class": [5], **change}, where="conf/power.yaml")


def write_run(path: Path, classes: int, images: int, *, noise: float, left_out: bool = True, rows: int = 10**9) -> None:
    """Write the results of features that are the classes' with noise."""
    labels = [(str(item // images),) for item in range(classes * images)][:rows]
    features = np.random.default_rng(int(noise * 10)).standard_normal((len(labels), classes)).astype(np.float32) * noise
    features[np.arange(len(labels)), np.arange(len(labels)) // images] += 1
    options = {"queries_without_positives": "error", "cutoffs": [1], "top": 0, "left_out": left_out}
    settings, protocol = call(Settings, options, where="settings"), by_labels(labels)
    names = [f"{item}.png" for item in range(len(labels))]
    evaluation = evaluate(scores_of(features, protocol, settings), protocol, names=names, settings=settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_per_query(path, evaluation, manifest_sha256="m")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of results: two runs on a dataset of six classes."""
    for name, noise in (("good", 0.4), ("bad", 0.8)):
        write_run(tmp_path / "metrics/per_query/digits" / f"{name}.npz", 6, 5, noise=noise)
    return tmp_path


@pytest.fixture
def power(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """Run the command where the results are, and return what it said and its error."""
    monkeypatch.chdir(results)

    def run(*arguments: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["power", *arguments])
        try:
            main()
        except SystemExit as ended:
            assert ended.code == 2
        said = capsys.readouterr()
        return said.out, said.err

    return run


def test_the_command_says_what_is_needed(power: Callable[..., tuple[str, str]], results: Path) -> None:
    said, error = power("a=good", "b=bad", "dataset=digits", "difference=0.05", "images_per_class=[5,20]", "out=o.json")
    assert error == ""
    lines = said.splitlines()
    assert lines[0] == "good and bad on digits: 6 classes, 30 queries, 5 images per class"
    found = json.loads((results / "o.json").read_text())
    assert found["wanted"] == {"difference": 0.05, "power": 0.8, "images_per_class": [5, 20]}
    assert list(found["parts"]) == ["classes", "images", "queries"]
    needed = found["parts"]["classes"]["needed"]
    assert (
        f"classes: {needed['number']:,} classes of 5 images ({needed['low']:,} to {needed['high']:,})"
        in said.replace("classes, each with its images", "classes")
    )
    # Six classes of five images each are what there is: the table at five has the same number.
    assert found["sufficient"]["5"] == needed["number"] >= found["sufficient"]["20"]
    assert f"{found['parts']['queries']['needed']['number']:,} queries (" in said
    assert lines[-1].startswith("These are estimates from 6 classes, and uncertain themselves")
    # The interval is that of the test: the observed difference is told apart just where 0 is outside.
    part = found["parts"]["queries"]
    aps = [np.load(results / f"metrics/per_query/digits/{run}.npz")["AP"] for run in ("good", "bad")]
    expected = stats.ttest_rel(*aps).confidence_interval(0.95)
    assert (part["low"], part["high"]) == pytest.approx((expected.low, expected.high))
    assert part["least"] == pytest.approx(multiple(29.0, 0.8) * np.std(aps[0] - aps[1], ddof=1) / math.sqrt(30))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("a=good", "b=good"), "a and b both are good: name two runs"),
        (("a=good", "b=none"), "there are no results of none on digits: name one of bad, good, or add it to"),
        (("a=good",), "no value for b: give b=... on the command line"),
        (("a=good", "b=bad", "dataset=copies"), "there are no results on copies in metrics/per_query: run dvc repro"),
        (("a=good", "b=bad", "dataset=cpies"), "unknown dataset 'cpies': did you mean copies"),
        (("a=good", "b=bad", "difference=0"), "conf/power.yaml: 'difference' is 0: expected a number from 0.0001"),
        (("a=good", "b=bad", "power=0.4"), "conf/power.yaml: 'power' is 0.4: expected a number above 0.5"),
        (("a=good", "b=1"), "b is 1, which is no text"),
        (("a=good", "b=less"), "has other queries than good.npz beside it: run dvc repro evaluate@less-digits"),
        (("a=good", "b=same"), "good and same differ by the same on every query of digits: there is no variance"),
        (("a=good", "b=damaged"), "no usable results in metrics/per_query/digits/damaged.npz"),
    ],
)
def test_what_is_wrong_is_one_line(
    power: Callable[..., tuple[str, str]], results: Path, arguments: tuple[str, ...], match: str
) -> None:
    folder = results / "metrics/per_query/digits"
    if "b=less" in arguments:
        write_run(folder / "less.npz", 6, 5, noise=0.5, rows=28)
    elif "b=same" in arguments:
        (folder / "same.npz").write_bytes((folder / "good.npz").read_bytes())
    elif "b=damaged" in arguments:
        (folder / "damaged.npz").write_bytes(b"PK")
    given = arguments if any(one.startswith("dataset=") for one in arguments) else (*arguments, "dataset=digits")
    said, error = power(*given)
    assert said == "" and len(error.splitlines()) == 1
    assert error.startswith("error: ") and match in error


@pytest.mark.parametrize(
    ("classes", "left_out", "parts", "missing"),
    [(3, True, ["images", "queries"], "too few classes,"), (6, False, ["queries"], "too few classes and images,")],
)
def test_without_enough_classes_there_is_only_what_there_is(
    power: Callable[..., tuple[str, str]], results: Path, classes: int, left_out: bool, parts: list[str], missing: str
) -> None:
    for name, noise in (("good", 0.4), ("bad", 0.8)):
        path = results / "metrics/per_query/digits" / f"{name}.npz"
        write_run(path, classes, 6, noise=noise, left_out=left_out)
    said, error = power("a=good", "b=bad", "dataset=digits", "out=o.json")
    assert error == "" and missing in said and "suffice" not in said
    found = json.loads((results / "o.json").read_text())
    assert list(found["parts"]) == parts
    assert found["components"] is None and found["sufficient"] is None


def test_results_that_are_no_fractions_are_refused(results: Path) -> None:
    path = results / "metrics/per_query/digits/bad.npz"
    with np.load(path) as arrays:
        held = dict(arrays)
    np.savez(path, **{**held, "told_apart": held["told_apart"] * np.nan})
    with pytest.raises(
        RetrievalError, match=r"bad.npz \(told_apart has what is no fraction\): run dvc repro evaluate@bad-d"
    ):
        read_pair(results / "metrics/per_query", "digits", "good", "bad")
