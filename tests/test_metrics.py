"""AP, P@k and interpolated precision against hand-worked values, the definition, and other libraries."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score
from torchmetrics.functional.retrieval import (
    retrieval_average_precision,
    retrieval_precision,
    retrieval_precision_recall_curve,
)

from pipeline.errors import RetrievalError
from pipeline.metrics import average_precision, interpolated_precision, precision_at

relevances = st.lists(st.booleans(), min_size=1, max_size=60).filter(any)


def ranks_of(relevance: list[bool]) -> np.ndarray:
    return np.flatnonzero(relevance) + 1


def naive(relevance: list[bool]) -> tuple[Fraction, list[Fraction]]:
    """AP and 11-point precision straight from the definitions, in exact arithmetic."""
    total = sum(relevance)
    hits, points = 0, []
    for rank, relevant in enumerate(relevance, start=1):
        hits += relevant
        points.append((Fraction(hits, total), Fraction(hits, rank), relevant))
    ap = sum((precision for _, precision, relevant in points if relevant), Fraction(0)) / total
    curve = [max(precision for recall, precision, _ in points if recall >= Fraction(c, 10)) for c in range(11)]
    return ap, curve


def test_by_hand() -> None:
    # Positives at ranks 1, 3 and 5: precisions 1/1, 2/3, 3/5; AP = (1 + 0.666... + 0.6) / 3 = 0.7555...
    # Recall 1/3 is reached at rank 1, 2/3 at rank 3, 1 at rank 5.
    ranks = [np.array([1, 3, 5])]
    assert average_precision(ranks)[0] == pytest.approx(34 / 45)
    assert precision_at(ranks, k=1)[0] == 1
    assert precision_at(ranks, k=5)[0] == pytest.approx(3 / 5)
    assert precision_at(ranks, k=10)[0] == pytest.approx(3 / 10)
    expected = [1, 1, 1, 1, 2 / 3, 2 / 3, 2 / 3, 3 / 5, 3 / 5, 3 / 5, 3 / 5]
    assert interpolated_precision(ranks)[0] == pytest.approx(expected)


def test_one_positive_at_rank_two_is_a_half() -> None:
    # The trapezoid rule of the Oxford and Paris benchmarks gives 0.25.
    assert average_precision([np.array([2])])[0] == 0.5


def test_recall_levels_are_exact() -> None:
    # R = 3: recall 2/3 is less than 0.7, so that 0.7 needs the third positive; trec_eval takes the second.
    curve = interpolated_precision([np.array([1, 2, 100])])[0]
    assert curve[6] == 1 and curve[7] == pytest.approx(0.03)
    # R = 10: recall 0.3 is reached by exactly three positives, although 3 / 10 < 0.1 * 3 in floating point.
    curve = interpolated_precision([np.array([1, 2, 3, *range(100, 107)])])[0]
    assert curve[3] == 1 and curve[4] < 0.1


@given(relevances)
def test_the_definition_in_exact_arithmetic(relevance: list[bool]) -> None:
    ap, curve = naive(relevance)
    ranks = [ranks_of(relevance)]
    assert average_precision(ranks)[0] == pytest.approx(float(ap), abs=1e-12)
    assert interpolated_precision(ranks)[0] == pytest.approx([float(value) for value in curve], abs=1e-12)


@given(relevances, st.integers(1, 70))
def test_scikit_learn_and_torchmetrics_agree(relevance: list[bool], k: int) -> None:
    # Positive, falling scores: torchmetrics leaves out positives with a score of zero or less.
    scores = np.linspace(1, 0.1, len(relevance))
    ranks = [ranks_of(relevance)]
    ap = average_precision(ranks)[0]
    assert ap == pytest.approx(average_precision_score(relevance, scores), abs=1e-12)
    preds, target = torch.tensor(scores), torch.tensor(relevance)
    assert ap == pytest.approx(float(retrieval_average_precision(preds, target)), abs=1e-6)
    assert precision_at(ranks, k=k)[0] == pytest.approx(float(retrieval_precision(preds, target, top_k=k)), abs=1e-6)


@given(relevances)
def test_torchmetrics_curve_agrees_once_interpolated(relevance: list[bool]) -> None:
    preds, target = torch.linspace(1, 0.1, len(relevance)), torch.tensor(relevance)
    precision, recall, _ = retrieval_precision_recall_curve(preds, target, max_k=len(relevance))
    curve = interpolated_precision([ranks_of(relevance)])[0]
    for level in range(11):
        reached = recall.double() >= level / 10 - 1e-6  # its recalls are float32
        assert curve[level] == pytest.approx(float(precision[reached].max()), abs=1e-6)


def test_torchmetrics_drops_positives_with_scores_below_zero() -> None:
    """Where its definition departs: half of the positives vanish, and AP with them."""
    preds, target = torch.tensor([0.5, -0.1, -0.2]), torch.tensor([True, False, True])
    assert float(retrieval_average_precision(preds, target)) == pytest.approx(1.0)
    assert average_precision([np.array([1, 3])])[0] == pytest.approx((1 + 2 / 3) / 2)


@given(st.lists(relevances, min_size=1, max_size=8))
def test_queries_do_not_influence_each_other(queries: list[list[bool]]) -> None:
    ranks = [ranks_of(relevance) for relevance in queries]
    for function in (average_precision, interpolated_precision, lambda r: precision_at(r, k=3)):
        together = function(ranks)
        for index, row in enumerate(ranks):
            np.testing.assert_array_equal(together[index], function([row])[0])


@given(relevances)
def test_bounds_and_a_perfect_ranking(relevance: list[bool]) -> None:
    ap = average_precision([ranks_of(relevance)])[0]
    assert 0 < ap <= 1
    perfect = average_precision([np.arange(1, sum(relevance) + 1)])[0]
    assert perfect == pytest.approx(1)
    assert ap <= perfect


@given(relevances, st.data())
def test_moving_a_positive_up_never_lowers_ap(relevance: list[bool], data: st.DataObject) -> None:
    rank = data.draw(st.sampled_from(list(ranks_of(relevance))))
    moved = relevance.copy()
    moved.insert(data.draw(st.integers(0, int(rank) - 1)), moved.pop(int(rank) - 1))
    assert average_precision([ranks_of(moved)])[0] >= average_precision([ranks_of(relevance)])[0] - 1e-12


@given(relevances)
def test_the_curve_falls(relevance: list[bool]) -> None:
    assert (np.diff(interpolated_precision([ranks_of(relevance)])[0]) <= 0).all()


def test_a_query_without_positives_is_an_error() -> None:
    for function in (average_precision, interpolated_precision, lambda r: precision_at(r, k=1)):
        with pytest.raises(RetrievalError, match="query 1 has no positives, as have 1 in all"):
            function([np.array([1]), np.array([], dtype=np.int64)])


def test_precision_at_zero_is_an_error() -> None:
    with pytest.raises(RetrievalError, match="k must be at least 1"):
        precision_at([np.array([1])], k=0)
