"""What other libraries say of the same rankings, on the small examples of their own tests: what is equal, what differs.

scikit-learn, torchmetrics and trec_eval (by ir_measures) are asked; of the others stand here the values that their own
tests expect, each under the name of its test, with the arithmetic. Where a definition differs both values stand here.
"""

from collections.abc import Sequence
from itertools import permutations

import ir_measures
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, Rprec, nDCG
from sklearn.metrics import average_precision_score, ndcg_score
from torchmetrics.functional.retrieval import (
    retrieval_average_precision,
    retrieval_normalized_dcg,
    retrieval_precision,
    retrieval_r_precision,
    retrieval_recall,
    retrieval_reciprocal_rank,
)

from pipeline.retrieval import metrics
from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.evaluation import evaluate
from pipeline.retrieval.protocols import by_landmarks
from pipeline.retrieval.queries import Query
from pipeline.retrieval.ragged import Ragged
from pipeline.retrieval.ranking import Ranking, rank
from pipeline.retrieval.relevance import Listed
from pipeline.retrieval.scoring import score_features
from pipeline.retrieval.wanted import Settings

Relevance = Sequence[int] | Sequence[bool]
# Some items, each with a score and whether it is relevant; of seven items 5,040 orders can be gone through.
untied = st.integers(1, 40).flatmap(
    lambda items: st.tuples(st.permutations(range(items)), st.lists(st.booleans(), min_size=items, max_size=items))
)
tied = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=7)


def at(*ranks: int) -> Ragged:
    return Ragged.of([np.array(ranks)])


def ranking_of(scores: Sequence[float], relevance: Relevance) -> Ranking:
    """Return how the engine ranks items of these scores for one query: products of one dimension are the scores."""
    scorer = similarity_of("dot", np.ones((1, 1)), np.array(scores, np.float64)[:, None])
    [found] = rank(scorer, Listed([np.flatnonzero(relevance)], [np.array([], np.int64)]), top=0)
    return found


def ap_of(ranks: Ragged) -> float:
    return float(metrics.average_precision(ranks)[0])


def every_order(scores: Sequence[float], relevance: Relevance) -> list[Ragged]:
    """Return the ranks of the positives in each order that falls by score."""
    found = set()
    for order in permutations(range(len(scores))):
        if all(scores[first] >= scores[second] for first, second in zip(order, order[1:], strict=False)):
            found.add(tuple(place for place, item in enumerate(order, start=1) if relevance[item]))
    return [at(*ranks) for ranks in found]


# Ties


@given(tied)
def test_ties_for_and_against_are_the_best_and_the_worst_order(items: list[tuple[int, bool]]) -> None:
    scores, relevance = zip(*items, strict=True)
    found = ranking_of(scores, relevance)
    if any(relevance):
        values = [ap_of(ranks) for ranks in every_order(scores, relevance)]
        assert ap_of(found.optimistic) == max(values) and ap_of(found.pessimistic) == min(values)
        assert ap_of(found.ranks) in values


# scikit-learn


@given(untied)
def test_scikit_learn_is_equal_without_ties(items: tuple[list[int], list[bool]]) -> None:
    scores, relevance = items
    if any(relevance):
        expected = average_precision_score(relevance, scores)
        assert ap_of(ranking_of(scores, relevance).ranks) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("relevance", "scores", "theirs", "orders"),
    [
        # Three items with one score, two of them positives: 2 of 3 are. In order: 1, 2 / 1, 3 / 2, 3.
        ([1, 0, 1], [1, 1, 1], 2 / 3, {1, (1 + 2 / 3) / 2, (1 / 2 + 2 / 3) / 2}),
        # Both positives tie with each other only, after a negative: every order is (1/2 + 2/3) / 2.
        ([0, 1, 1], [2, 1, 1], 2 / 3, {(1 / 2 + 2 / 3) / 2}),
        # test_average_precision_score_tied_values in scikit-learn's test_ranking.py: not 1, but that of one order.
        ([0, 1, 1], [0.5, 0.5, 0.6], 1 / 2 + 2 / 3 / 2, {1, (1 + 2 / 3) / 2}),
        # From test_precision_recall_curve_toydata there: a positive and a negative in a tie.
        ([1, 0], [0.5, 0.5], 1 / 2, {1, 1 / 2}),
    ],
)
def test_scikit_learn_takes_equal_scores_as_one_group(
    relevance: list[int], scores: list[float], theirs: float, orders: set[float]
) -> None:
    """To all positives of a group it gives the precision at the end of the group, which may be that of no order."""
    assert average_precision_score(relevance, scores) == pytest.approx(theirs, abs=1e-12)
    found = ranking_of(scores, relevance)
    values = [ap_of(ranks) for ranks in every_order(scores, relevance)]
    assert sorted(values) == pytest.approx(sorted(orders))
    assert (ap_of(found.optimistic), ap_of(found.pessimistic)) == (max(values), min(values))
    # By index: the items of a score in the order in which they stand.
    by_index = sorted(range(len(scores)), key=lambda item: -scores[item])
    assert ap_of(found.ranks) == ap_of(at(*(n for n, item in enumerate(by_index, start=1) if relevance[item])))


def test_scikit_learn_where_all_scores_are_equal() -> None:
    """As test_average_precision_constant_values in its test_ranking.py: the share of positives, here a quarter."""
    relevance = [int(item % 4 == 0) for item in range(100)]
    assert average_precision_score(relevance, np.ones(100)) == 0.25
    found = ranking_of([1.0] * 100, relevance)
    # By index they are at 1, 5, 9, ...; at the worst at 76, 77, ..., 100.
    assert ap_of(found.ranks) == pytest.approx(np.mean([j / (4 * j - 3) for j in range(1, 26)]))
    assert ap_of(found.pessimistic) == pytest.approx(np.mean([j / (75 + j) for j in range(1, 26)]))
    assert ap_of(found.pessimistic) < 0.25 < ap_of(found.ranks) < ap_of(found.optimistic) == 1


@given(tied)
def test_scikit_learn_with_ties_is_no_less_than_the_worst_order(items: list[tuple[int, bool]]) -> None:
    scores, relevance = zip(*items, strict=True)
    if any(relevance):
        worst = ap_of(ranking_of(scores, relevance).pessimistic)
        assert average_precision_score(relevance, scores) >= worst - 1e-12


# torchmetrics


def test_torchmetrics_divides_ap_at_k_by_the_positives_found() -> None:
    """With positives at ranks 1, 4 and 5 one of three is found at k = 3, and R and k are three: 1 / 3, and 1 there."""
    preds, target = torch.linspace(1, 0.1, 8), torch.tensor([True, False, False, True, True, False, False, False])
    assert float(retrieval_average_precision(preds, target, top_k=3)) == 1
    assert metrics.average_precision_at(at(1, 4, 5), k=3)[0] == pytest.approx(1 / 3)


@given(untied, st.integers(1, 45))
def test_torchmetrics_with_top_k_but_for_the_divisor(items: tuple[list[int], list[bool]], k: int) -> None:
    scores, relevance = items
    if not any(relevance):
        return
    ranks = ranking_of(scores, relevance).ranks
    preds, target = torch.tensor(scores) + 1.0, torch.tensor(relevance)  # of zero or less it drops the positives
    found, positives = int((ranks.values <= k).sum()), int(ranks.counts[0])
    theirs = float(retrieval_average_precision(preds, target, top_k=k))
    assert metrics.average_precision_at(ranks, k=k)[0] == pytest.approx(theirs * found / positives, abs=1e-6)
    # Its recall is the share of the positives, not whether there is one.
    assert float(retrieval_recall(preds, target, top_k=k)) == pytest.approx(found / positives)
    assert metrics.recall_at(ranks, k=k)[0] == (found > 0)


@pytest.mark.parametrize("shift", [0.0, -0.3, -0.4, -0.9, -1.0])
def test_a_shift_of_all_scores_changes_nothing(shift: float) -> None:
    """The example of its test_score_shift.py, on which torchmetrics up to 1.9 passes only without a shift."""
    scores, relevance = [0.9, 0.5, 0.3, 0.1], [1, 0, 1, 0]
    ranks = ranking_of([score + shift for score in scores], relevance).ranks
    ours = [
        metrics.average_precision(ranks)[0],
        metrics.reciprocal_rank(ranks)[0],
        metrics.precision_at(ranks, k=2)[0],
        metrics.r_precision(ranks)[0],
    ]
    assert ours == pytest.approx([(1 + 2 / 3) / 2, 1, 1 / 2, 1 / 2])
    if shift == 0:
        preds, target = torch.tensor(scores), torch.tensor(relevance)
        theirs = [
            retrieval_average_precision(preds, target),
            retrieval_reciprocal_rank(preds, target),
            retrieval_precision(preds, target, top_k=2),
            retrieval_r_precision(preds, target),
        ]
        assert [float(value) for value in theirs] == pytest.approx(ours, abs=1e-6)


@given(tied)
def test_torchmetrics_orders_ties_in_some_way(items: list[tuple[int, bool]]) -> None:
    """Which, it does not say (torch.topk): so its AP is that of an order between the worst and the best."""
    scores, relevance = zip(*items, strict=True)
    if any(relevance):
        found = ranking_of(scores, relevance)
        theirs = float(retrieval_average_precision(torch.tensor(scores) + 1.0, torch.tensor(relevance)))
        assert ap_of(found.pessimistic) - 1e-6 <= theirs <= ap_of(found.optimistic) + 1e-6


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=6), st.integers(1, 6))
def test_ndcg_of_torchmetrics_and_scikit_learn_is_the_mean_over_the_orders_of_ties(
    items: list[tuple[int, bool]], k: int
) -> None:
    """F. McSherry and M. Najork, "Computing information retrieval performance measures efficiently in the presence of
    tied scores", ECIR 2008.
    """
    scores, relevance = zip(*items, strict=True)
    if not any(relevance):
        return
    orders = [
        at(*(place for place, item in enumerate(order, start=1) if relevance[item]))
        for order in permutations(range(len(scores)))
        if sorted(scores, reverse=True) == [scores[item] for item in order]
    ]
    mean = np.mean([metrics.ndcg_at(ranks, k=k)[0] for ranks in orders])
    theirs = retrieval_normalized_dcg(torch.tensor(scores, dtype=torch.float64), torch.tensor(relevance), top_k=k)
    assert float(theirs) == pytest.approx(mean, abs=1e-5)
    assert ndcg_score([np.array(relevance, int)], [scores], k=k) == pytest.approx(mean, abs=1e-9)


# trec_eval, by ir_measures


def trec_eval(
    scores: Sequence[float], relevance: Relevance, names: Sequence[str], measures: list[ir_measures.measures.Measure]
) -> list[float]:
    qrels = [ir_measures.Qrel("q", name, int(value)) for name, value in zip(names, relevance, strict=True)]
    run = [ir_measures.ScoredDoc("q", name, float(score)) for name, score in zip(names, scores, strict=True)]
    found = {metric.measure: metric.value for metric in ir_measures.iter_calc(measures, qrels, run)}
    return [found[measure] for measure in measures]


MEASURES = [AP, AP @ 3, Rprec, P @ 3, RR, nDCG @ 3]


def the_same(ranks: Ragged) -> list[float]:
    values = [
        metrics.average_precision(ranks),
        metrics.average_precision_at(ranks, k=3),
        metrics.r_precision(ranks),
        metrics.precision_at(ranks, k=3),
        metrics.reciprocal_rank(ranks),
        metrics.ndcg_at(ranks, k=3),
    ]
    return [float(value[0]) for value in values]


@settings(max_examples=50)
@given(tied)
def test_trec_eval_orders_ties_by_name_the_last_first(items: list[tuple[int, bool]]) -> None:
    """Equal where names fall along the gallery; where they rise, it has the order of the gallery turned round."""
    scores, relevance = zip(*items, strict=True)
    if any(relevance):
        rising = [f"d{item}" for item in range(len(items))]
        falling = rising[::-1]
        ours = the_same(ranking_of(scores, relevance).ranks)
        assert trec_eval(scores, relevance, falling, MEASURES) == pytest.approx(ours, abs=1e-9)
        turned = the_same(ranking_of(scores[::-1], relevance[::-1]).ranks)
        assert trec_eval(scores, relevance, rising, MEASURES) == pytest.approx(turned, abs=1e-9)


def test_trec_eval_and_a_tie_at_the_top() -> None:
    for relevance, theirs in (([1, 0], 0.5), ([0, 1], 1.0)):
        assert trec_eval([1, 1], relevance, ["a", "b"], [AP]) == [theirs]
        assert ap_of(ranking_of([1, 1], relevance).ranks) == 1.5 - theirs


def test_trec_eval_divides_ap_at_k_by_all_positives() -> None:
    names, relevance = [f"d{item}" for item in range(8)], [1, 0, 0, 1, 1, 0, 0, 0]
    theirs = trec_eval([8, 7, 6, 5, 4, 3, 2, 1], relevance, names, [AP @ 3, AP])
    assert theirs == pytest.approx([1 / 3, (1 + 2 / 4 + 3 / 5) / 3])
    assert theirs == pytest.approx([metrics.average_precision_at(at(1, 4, 5), k=3)[0], ap_of(at(1, 4, 5))])


@pytest.mark.parametrize(
    ("scores", "k", "expected"),
    [((1, 0, 1.5), 3, 0.5), ((1, 2, 1.5), 3, 1), ((4, 2, 1.5), 3, 0.6309297535714575), ((1, 0, 1.5), 2, 0)],
)
def test_ndcg_of_one_positive(scores: tuple[float, ...], k: int, expected: float) -> None:
    """test_ndcg and test_ndcg_cut of pytrec_eval: at rank 3, 1, 2, and at rank 3 with two counted."""
    ranks = ranking_of(scores, [0, 1, 0]).ranks
    assert metrics.ndcg_at(ranks, k=k)[0] == pytest.approx(expected)
    assert trec_eval(scores, [0, 1, 0], ["d1", "d2", "d3"], [nDCG @ k]) == pytest.approx([expected])


# pytorch-metric-learning 2.9, tests/utils/test_calculate_accuracies.py

FAR = range(1000, 1010)  # where the positives are that its lists of five no longer have


@pytest.mark.parametrize(
    ("found", "positives", "neighbours", "expected"),
    [
        # The queries are in the gallery, or not: each row has AP over the list, MAP@R, R-precision, RR, P@1.
        (
            [(2, 3), (1, 3, 4), (5,), (1, 3, 5), (3,), ()],
            [3, 3, 5, 4, 5, 2],
            5,
            [
                ((1 / 2 + 2 / 3) / 3, (1 / 2 + 2 / 3) / 3, 2 / 3, 1 / 2, 0),
                ((1 + 2 / 3 + 3 / 4) / 3, (1 + 2 / 3) / 3, 2 / 3, 1, 1),
                (1 / 5 / 5, 1 / 5 / 5, 1 / 5, 1 / 5, 0),
                ((1 + 2 / 3 + 3 / 5) / 4, (1 + 2 / 3) / 4, 2 / 4, 1, 1),
                (1 / 3 / 5, 1 / 3 / 5, 1 / 5, 1 / 3, 0),
                (0, 0, 0, 0, 0),
            ],
        ),
        (
            [(1, 2), (2, 3), (4,), (2, 4), (2,), ()],
            [2, 2, 4, 3, 4, 1],
            4,
            [
                (1, 1, 1, 1, 1),
                ((1 / 2 + 2 / 3) / 2, 1 / 2 / 2, 1 / 2, 1 / 2, 0),
                (1 / 4 / 4, 1 / 4 / 4, 1 / 4, 1 / 4, 0),
                ((1 / 2 + 2 / 4) / 3, 1 / 2 / 3, 1 / 3, 1 / 2, 0),
                (1 / 2 / 4, 1 / 2 / 4, 1 / 4, 1 / 2, 0),
                (0, 0, 0, 0, 0),
            ],
        ),
    ],
)
def test_accuracy_calculator(
    found: list[tuple[int, ...]], positives: list[int], neighbours: int, expected: list[tuple[float, ...]]
) -> None:
    """Its test_accuracy_calculator. Where no neighbour is relevant its RR is 0; here the whole gallery is ranked."""
    ranks = Ragged.of(
        [np.array([*near, *FAR[: count - len(near)]]) for near, count in zip(found, positives, strict=True)]
    )
    ours = [
        metrics.average_precision_at(ranks, k=neighbours),
        metrics.map_at_r(ranks),
        metrics.r_precision(ranks),
        metrics.reciprocal_rank(ranks),
        metrics.precision_at(ranks, k=1),
    ]
    ours[3] = np.where([len(near) > 0 for near in found], ours[3], 0)
    np.testing.assert_allclose(np.stack(ours, axis=1), expected, atol=1e-12)


def test_accuracy_calculator_and_faiss() -> None:
    """Its test of that name: points on a line, the first of them zero, and one query of a class with others."""
    # Nearest to 1 among the halves 0, 0.5, ..., 9.5: 0.5 and 1.5, 0 and 2, 2.5, 3, 3.5, ...; relevant are those with a
    # half: so they are at ranks 1, 2, 5, 7, 9 among the first ten.
    points = np.arange(20, dtype=np.float32)[:, None] / 2
    labels = [str(item // 2) if item % 2 == 0 else "1" for item in range(20)]
    roles = ["both" if item == 2 else "gallery" for item in range(20)]
    found = score_features(points, labels, roles=roles, similarity="euclidean")
    assert (found["P@1"], found["R-precision"]) == (1, 0.5)
    assert found["MAP@R"] == pytest.approx((1 + 2 / 2 + 3 / 5 + 4 / 7 + 5 / 9) / 10)
    assert found["tie_gap"] == 0  # 0.5 ties with 1.5, and 0 with 2, but no positive with a negative


def test_accuracy_calculator_and_faiss_avg_of_avgs() -> None:
    """Its test of that name: nine queries whose nearest are all relevant, one whose only positive is the farthest."""
    queries, gallery = np.arange(10.0), np.arange(10.0)
    queries[-1], gallery[0] = 100, -100
    features = np.concatenate([queries, gallery])[:, None].astype(np.float32)
    labels = [*"0" * 9, "1", "1", *"0" * 9]
    found = score_features(features, labels, roles=["query"] * 10 + ["gallery"] * 10, similarity="euclidean")
    assert [found[name] for name in ("P@1", "R-precision", "MAP@R")] == pytest.approx([0.9] * 3)
    # Over the whole gallery the last query's positive counts, 1/10 at rank 10. Its avg_of_avgs is the macro mean.
    assert [found[name] for name in ("mAP", "MRR", "macro_mAP")] == pytest.approx([0.91, 0.91, (1 + 0.1) / 2])


# open-metric-learning 4.0, the exact case of its test_retrieval_metrics.py

OML = Ragged.of([np.array(ranks) for ranks in ((1, 2, 4), (1, 4, 5), (2, 3, 5), (3, 4, 5), (1,), (4,))])
OML_MAP = {
    1: [1, 1, 0, 0, 1, 0],
    2: [1, 1, 1 / 2, 0, 1, 0],
    3: [1, 1, 7 / 12, 1 / 3, 1, 0],
    4: [11 / 12, 3 / 4, 7 / 12, 5 / 12, 1, 1 / 4],
    5: [11 / 12, 21 / 30, 53 / 90, 43 / 90, 1, 1 / 4],
    10: [11 / 12, 21 / 30, 53 / 90, 43 / 90, 1, 1 / 4],
}
OML_PRECISION = {
    1: [1, 1, 0, 0, 1, 0],
    2: [1, 1 / 2, 1 / 2, 0, 1, 0],
    3: [2 / 3, 1 / 3, 2 / 3, 1 / 3, 1, 0],
    4: [1, 2 / 3, 2 / 3, 2 / 3, 1, 1],
    5: [1, 1, 1, 1, 1, 1],
    10: [1, 1, 1, 1, 1, 1],
}
OML_CMC = {1: [1, 1, 0, 0, 1, 0], 2: [1, 1, 1, 0, 1, 0], 3: [1, 1, 1, 1, 1, 0], 4: [1] * 6, 5: [1] * 6, 10: [1] * 6}


@pytest.mark.parametrize("k", sorted(OML_MAP))
def test_open_metric_learning_divides_by_other_numbers(k: int) -> None:
    """calc_map by the positives found, calc_precision by the lesser of R and k; calc_cmc is the hit rate."""
    positives = OML.counts
    found = np.array([(row <= k).sum() for row in OML.rows()])
    ap = metrics.average_precision_at(OML, k=k)
    np.testing.assert_allclose(ap * positives / np.maximum(found, 1), OML_MAP[k], atol=1e-12)
    np.testing.assert_allclose(metrics.precision_at(OML, k=k) * k / np.minimum(positives, k), OML_PRECISION[k])
    np.testing.assert_array_equal(metrics.recall_at(OML, k=k), OML_CMC[k])
    # Over the whole gallery all are found, and AP is the same.
    np.testing.assert_allclose(metrics.average_precision(OML), OML_MAP[10])


def test_where_the_divisors_of_ap_at_k_differ() -> None:
    """By R, as here, trec_eval and pytorch-metric-learning; by the lesser of R and k; by the positives found."""
    cases = {
        (1, 4, 5): (3, (1 / 3, 1 / 3, 1)),  # more than here although R is no more than k
        (1, 2, 9, 10): (2, (2 / 4, 1, 1)),  # Google Landmarks' mAP@k has the second
        (2, 3, 5): (2, (1 / 6, 1 / 4, 1 / 2)),  # open-metric-learning's tests had 1/4 before they had 1/2
        (1, 2): (5, (1, 1, 1)),  # all found
        (7,): (5, (0, 0, 0)),  # none found
    }
    for ranks, (k, expected) in cases.items():
        found = sum(value <= k for value in ranks)
        area = metrics.average_precision_at(at(*ranks), k=k)[0] * len(ranks)
        assert [area / by for by in (len(ranks), min(len(ranks), k), max(found, 1))] == pytest.approx(expected)


# The code of Revisited Oxford and Paris, and DINO's


@pytest.mark.parametrize(
    ("order", "positives", "junk", "ap", "precisions"),
    [
        # Without junk 0, 2, 1, 3: positives at 1 and 4. The last one bounds the k of a precision.
        ([4, 0, 2, 1, 5, 3], (0, 3), (4, 5), (1 + (1 / 3 + 2 / 4) / 2) / 2, (1, 2 / 4, 2 / 4)),
        ([0, 1, 2, 3, 4, 5], (1, 2, 5), (0,), (1 + 1 + (2 / 4 + 3 / 5) / 2) / 3, (1, 3 / 5, 3 / 5)),
        ([4, 0, 2, 1, 5, 3], (0, 3), (), ((0 + 1 / 2) / 2 + (1 / 5 + 2 / 6) / 2) / 2, (0, 1 / 5, 2 / 6)),
    ],
)
def test_compute_map_of_revisitop(
    order: list[int], positives: tuple[int, ...], junk: tuple[int, ...], ap: float, precisions: tuple[float, ...]
) -> None:
    """Values of compute_map in its evaluate.py, which takes the trapezoid rule; it has no tests of its own."""
    scores = np.empty((7, 1), np.float32)
    scores[order, 0] = np.arange(6, 0, -1)
    scores[6] = 1
    protocol = by_landmarks([Query(6, positives, (), junk)], 7, difficulty="easy")
    scorer = similarity_of("dot", scores[6:], scores[:6])
    found = evaluate(scorer, protocol, names=[], settings=Settings(cutoffs=[1, 5, 10]))
    assert found.ap[0] == pytest.approx(ap, abs=1e-12)
    assert [found.values[f"mP@{k}"][0] for k in (1, 5, 10)] == pytest.approx(precisions)


def test_copy_detection_of_dino_ends_at_rank_20() -> None:
    """Its eval_copy_detection.py takes the trapezoid rule on the first 20 items, and divides by all positives."""
    trapezoids = {1: 1.0, 25: (1 / 24 + 2 / 25) / 2}
    theirs = sum(height for rank, height in trapezoids.items() if rank <= 20) / 2
    ours = metrics.average_precision(at(*trapezoids), rule="trapezoid")[0]
    assert (theirs, ours) == pytest.approx((1 / 2, sum(trapezoids.values()) / 2))
