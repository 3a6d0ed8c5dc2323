"""What evaluations wrote of the parts of a run: the area under the ROC curve of its similarities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from pipeline.results.breakdown import auc

COUNTS = st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any)


def test_the_area_by_hand() -> None:
    """Positives 0, 1, 3 and negatives 2, 2, 0: 3 are above all 4, 1 is above 2 and among 2, so (3 * 4 + 2 + 1) / 16."""
    assert auc(np.array([0.0, 1, 3]), np.array([2.0, 2, 0])) == 15 / 16
    assert auc(np.array([0.0, 1]), np.array([1.0, 0])) == 1 and auc(np.array([1.0, 0]), np.array([0.0, 1])) == 0
    assert auc(np.array([5.0]), np.array([7.0])) == 0.5  # all alike
    assert np.isnan(auc(np.array([1.0, 2]), np.zeros(2)))


@given(COUNTS, COUNTS)
def test_it_is_that_of_scikit_learn_for_scores_rounded_to_their_interval(
    positives: list[int], negatives: list[int]
) -> None:
    scores = [place for counts in (positives, negatives) for place, count in enumerate(counts) for _ in range(count)]
    expected = roc_auc_score([1] * sum(positives) + [0] * sum(negatives), scores)
    assert auc(np.array(positives, float), np.array(negatives, float)) == pytest.approx(expected)
