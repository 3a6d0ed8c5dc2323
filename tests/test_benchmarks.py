"""The ways that the benchmark times give the same numbers, and the graph that it times is the real one."""

import pytest

from benchmarks.calibration import Cell, ceiling_rows, row_of, runs_apart
from benchmarks.evaluate import WAYS, by_the_report, clustered_features
from benchmarks.graph import measured


@pytest.mark.parametrize("items", [50, 300])
@pytest.mark.parametrize("way", ["ours", "ours by torch", "stage", "torchmetrics", "scikit-learn"])
def test_all_ways_give_the_same(way: str, items: int) -> None:
    data = clustered_features(items, 16, 5, seed=1)
    assert WAYS[way](data, 5) == pytest.approx(by_the_report(data, 5), abs=1e-6)


def test_the_lock_has_few_lines_a_stage() -> None:
    """DVC reads and writes all of them for every stage."""
    row = measured(".", "2x1", limit=300)
    assert row.stages == row.planned == 17 and row.again is not None
    assert row.lines / row.stages <= 50


def test_a_small_calibration() -> None:
    """The whole one is in docs/uncertainty.md; what so few draws cannot miss is here."""
    row = row_of(Cell("classes", 6, 5), 120)
    assert 0.88 <= float(row["coverage"]) <= 1 and float(row["level"]) <= 0.13
    assert float(row["by queries"]) > 0.2  # what single queries would say of other classes
    for cell in (Cell("images", 5, 8), Cell("queries", 4, 8, "some")):
        assert 0.85 <= float(row_of(cell, 40)["coverage"]) <= 1
    assert [row["queries"] for row in ceiling_rows(200)] == [20, 50, 100, 500]


def test_clearly_different_runs_are_all_told_apart() -> None:
    told, pairs = runs_apart(0, equal=False, runs=12)
    assert told and pairs == 1
