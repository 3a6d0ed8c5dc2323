"""What runs leave for intervals: read again for the population that is asked for, or refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.results.estimates import read_curve, read_estimates, read_left_out
from pipeline.results.evaluated import write_per_query
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import Evaluation, evaluate, scores_of
from pipeline.retrieval.protocols import by_labels
from pipeline.retrieval.wanted import Settings


def evaluated(seed: int = 0, classes: int = 6, **options: Any) -> Evaluation:
    labels = [(str(number % classes),) for number in range(48)]
    features = np.random.default_rng(seed).standard_normal((48, 4)).astype(np.float32)
    settings, protocol = Settings(**options), by_labels(labels)
    return evaluate(scores_of(features, protocol, settings), protocol, names=[], settings=settings)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Evaluation]:
    """Write a run of the dataset ``d``."""

    def written(run: str, **options: Any) -> Evaluation:
        evaluation = evaluated(**options)
        (tmp_path / "d").mkdir(exist_ok=True)
        write_per_query(tmp_path / f"d/{run}.npz", evaluation, manifest_sha256="m")
        return evaluation

    return written


def test_what_is_left_out_is_read_as_it_was(tmp_path: Path, write: Callable[..., Evaluation]) -> None:
    left_out = write("a").left_out
    found = read_left_out(tmp_path / "d/a.npz")
    assert list(found) == list(left_out) == ["classes", "images"]
    for name, one in found.items():
        np.testing.assert_array_equal(one.values, left_out[name].values)
        np.testing.assert_array_equal(one.shares, left_out[name].shares)
        assert one.units == left_out[name].units


@pytest.mark.parametrize("population", ["classes", "images", "queries"])
def test_runs_beside_each_other(tmp_path: Path, write: Callable[..., Evaluation], population: Any) -> None:
    runs = {name: write(name, seed=seed) for seed, name in enumerate(("a", "b", "c"))}
    found, estimates = read_estimates(tmp_path, "d", list(runs), population)
    assert found == population
    for place, one in enumerate(runs.values()):
        alone = one.estimates(population)
        assert estimates.means[place] == pytest.approx(one.ap.mean(), abs=1e-12)
        assert estimates.variances[place] == pytest.approx(alone.variances[0], rel=1e-9)
        assert (estimates.df, estimates.units) == (pytest.approx(alone.df), alone.units)
        np.testing.assert_allclose(estimates.intervals()[:, place], alone.intervals()[:, 0], rtol=1e-9)
    # The variance of a difference is that of left-out differences: by columns, all at once.
    if population != "queries":
        first, second = (runs[name].left_out[population].values[0] for name in ("a", "b"))
        groups = len(first)
        expected = (groups - 1) / groups * np.square(first - second - (first - second).mean()).sum()
        differences = estimates.differences(np.array([0]), np.array([1]))
        assert differences.variances[0] == pytest.approx(expected)


def test_the_widest_that_there_is_enough_of(tmp_path: Path, write: Callable[..., Evaluation]) -> None:
    write("a")
    assert read_estimates(tmp_path, "d", ["a"], "widest")[0] == "classes"
    write("a", classes=4)  # four classes say too little of others
    assert read_estimates(tmp_path, "d", ["a"], "widest")[0] == "images"
    assert read_curve(tmp_path / "d/a.npz", "widest").population == "images"
    message = "population is 'classes', but d has too few of them, .*: there images are the widest .*: set population"
    with pytest.raises(RetrievalError, match=message):
        read_estimates(tmp_path, "d", ["a"], "classes")
    with pytest.raises(RetrievalError, match=message):
        read_curve(tmp_path / "d/a.npz", "classes")
    write("a", left_out=False)
    assert read_estimates(tmp_path, "d", ["a"], "widest")[0] == "queries"
    with pytest.raises(RetrievalError, match="or left_out is false in conf/evaluate.yaml: there queries are"):
        read_estimates(tmp_path, "d", ["a"], "images")


def test_runs_with_other_groups_left_out_are_refused(tmp_path: Path, write: Callable[..., Evaluation]) -> None:
    write("a")
    message = r"b\+r.npz has other groups left out than a.npz beside it: run dvc repro rerank@b-d-r"
    for options in ({"left_out": False}, {"classes": 8}):
        write("b+r", **options)
        with pytest.raises(RetrievalError, match=message):
            read_estimates(tmp_path, "d", ["a", "b+r"], "widest")
    write("b+r", seed=1)
    assert len(read_estimates(tmp_path, "d", ["a", "b+r"], "widest")[1].means) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"classes_values": np.zeros(6)},
        {"classes_values": np.zeros((5, 6))},
        {"classes_values": np.full((12, 6), np.nan)},
        {"classes_values": np.full((12, 6), "a")},
        {"classes_shares": np.zeros(5)},
        {"classes_units": np.array([6])},
        {"classes_shares": None},
        {"images_units": None},
    ],
)
def test_what_is_left_out_of_another_form(
    tmp_path: Path, write: Callable[..., Evaluation], change: dict[str, Any]
) -> None:
    write("a")
    path = tmp_path / "d/a.npz"
    with np.load(path) as arrays:
        changed = {**arrays, **change}
    np.savez(path, **{name: array for name, array in changed.items() if array is not None})
    with pytest.raises(RetrievalError, match="no usable results in .*: run dvc repro evaluate@a-d"):
        read_left_out(path)
