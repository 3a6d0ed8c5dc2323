"""The two ways that the benchmark times give the same numbers."""

import numpy as np
import pytest

from benchmarks.evaluate import by_the_report, by_this_project, clustered_features


@pytest.mark.parametrize("items", [50, 300])
def test_both_ways_give_the_same(items: int) -> None:
    data = clustered_features(items, 16, 5, seed=1)
    theirs, their_curve = by_the_report(*data)
    ours, our_curve = by_this_project(*data)
    assert ours == pytest.approx(theirs, abs=1e-6)
    np.testing.assert_allclose(our_curve, their_curve, atol=1e-6)
