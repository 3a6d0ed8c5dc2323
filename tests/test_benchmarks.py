"""The ways that the benchmark times give the same numbers."""

import pytest

from benchmarks.evaluate import WAYS, by_the_report, clustered_features


@pytest.mark.parametrize("items", [50, 300])
@pytest.mark.parametrize("way", ["ours", "ours by torch", "stage", "torchmetrics", "scikit-learn"])
def test_all_ways_give_the_same(way: str, items: int) -> None:
    data = clustered_features(items, 16, 5, seed=1)
    assert WAYS[way](data, 5) == pytest.approx(by_the_report(data, 5), abs=1e-6)
