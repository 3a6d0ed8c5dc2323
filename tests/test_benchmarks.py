"""The ways that the benchmark times give the same numbers, and the graph that it times is the real one."""

import pytest

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
    assert row.stages == row.planned == 16 and row.again is not None
    assert row.lines / row.stages <= 50
