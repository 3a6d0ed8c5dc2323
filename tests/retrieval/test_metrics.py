"""AP, P@k and interpolated precision against hand-worked values, the definition, and other libraries."""

from fractions import Fraction
from functools import partial
from itertools import combinations

import ir_measures
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Rprec, Success, nDCG
from sklearn.metrics import average_precision_score
from torchmetrics.functional.retrieval import (
    retrieval_average_precision,
    retrieval_hit_rate,
    retrieval_normalized_dcg,
    retrieval_precision,
    retrieval_precision_recall_curve,
    retrieval_r_precision,
    retrieval_recall,
    retrieval_reciprocal_rank,
)

from pipeline.retrieval import metrics, ranking
from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.ragged import Ragged
from pipeline.retrieval.relevance import Among, Listed

relevances = st.lists(st.booleans(), min_size=1, max_size=60).filter(any)


def ranks_of(*queries: list[bool]) -> Ragged:
    return Ragged.of([np.flatnonzero(relevance) + 1 for relevance in queries])


def at(*ranks: int) -> Ragged:
    return Ragged.of([np.array(ranks)])


def naive(relevance: list[bool]) -> tuple[Fraction, Fraction, list[Fraction]]:
    """AP by both rules and 11-point precision straight from the definitions, in exact arithmetic."""
    total = sum(relevance)
    hits, points, trapezoid = 0, [], Fraction(0)
    for rank, relevant in enumerate(relevance, start=1):
        if relevant:
            before = Fraction(1) if rank == 1 else Fraction(hits, rank - 1)
            trapezoid += (before + Fraction(hits + 1, rank)) / 2 / total
        hits += relevant
        points.append((Fraction(hits, total), Fraction(hits, rank), relevant))
    ap = sum((precision for _, precision, relevant in points if relevant), Fraction(0)) / total
    curve = [max(precision for recall, precision, _ in points if recall >= Fraction(c, 10)) for c in range(11)]
    return ap, trapezoid, curve


def test_by_hand() -> None:
    # Positives at ranks 1, 3 and 5: precisions 1/1, 2/3, 3/5; AP = (1 + 0.666... + 0.6) / 3 = 0.7555...
    # Trapezoid: (1 + 1)/2, (1/2 + 2/3)/2, (2/4 + 3/5)/2; their mean is (1 + 0.58333 + 0.55) / 3 = 0.7111...
    # Recall 1/3 is reached at rank 1, 2/3 at rank 3, 1 at rank 5. R = 3: two positives are within rank 3.
    ranks = at(1, 3, 5)
    assert metrics.average_precision(ranks)[0] == pytest.approx(34 / 45)
    assert metrics.average_precision(ranks, rule="trapezoid")[0] == pytest.approx(32 / 45)
    assert metrics.map_at_r(ranks)[0] == pytest.approx((1 + 2 / 3) / 3)
    assert metrics.average_precision_at(ranks, k=4)[0] == pytest.approx((1 + 2 / 3) / 3)
    assert metrics.r_precision(ranks)[0] == pytest.approx(2 / 3)
    assert metrics.precision_at(ranks, k=1)[0] == 1
    assert metrics.precision_at(ranks, k=5)[0] == pytest.approx(3 / 5)
    assert metrics.precision_at(ranks, k=10)[0] == pytest.approx(3 / 10)
    assert metrics.landmark_precision_at(ranks, k=10)[0] == pytest.approx(3 / 5)
    assert metrics.recall_at(at(3), k=2)[0] == 0 and metrics.recall_at(at(3), k=3)[0] == 1
    assert metrics.reciprocal_rank(at(4, 5))[0] == 0.25
    # nDCG@3: gains at ranks 1 and 3, 1 + 1/2; the ideal has ranks 1, 2 and 3.
    assert metrics.ndcg_at(ranks, k=3)[0] == pytest.approx(1.5 / (1 + 1 / np.log2(3) + 0.5))
    expected = [1, 1, 1, 1, 2 / 3, 2 / 3, 2 / 3, 3 / 5, 3 / 5, 3 / 5, 3 / 5]
    assert metrics.interpolated_precision(ranks)[0] == pytest.approx(expected)
    assert metrics.interpolated_average_precision(at(2, 3))[0] == pytest.approx(2 / 3)  # 1/2 is lifted to 2/3


def test_one_positive_at_rank_two() -> None:
    assert metrics.average_precision(at(2))[0] == 0.5
    assert metrics.average_precision(at(2), rule="trapezoid")[0] == 0.25


def test_recall_levels_are_exact() -> None:
    # R = 3: recall 2/3 is less than 0.7, so that 0.7 needs the third positive; trec_eval takes the second.
    curve = metrics.interpolated_precision(at(1, 2, 100))[0]
    assert curve[6] == 1 and curve[7] == pytest.approx(0.03)
    # R = 10: recall 0.3 is reached by exactly three positives, although 3 / 10 < 0.1 * 3 in floating point.
    curve = metrics.interpolated_precision(at(1, 2, 3, *range(100, 107)))[0]
    assert curve[3] == 1 and curve[4] < 0.1


def test_by_hand_what_has_the_lesser_of_r_and_k() -> None:
    # R = 3, k = 2: rank 1 alone is within 2; 1/1 over 2, the most hits that two items have.
    ranks = at(1, 3, 5)
    assert metrics.capped_average_precision_at(ranks, k=2)[0] == 1 / 2
    # R = 3, k = 4: 1/1 + 2/3 over 3. At k = 100 it is AP: 1/1 + 2/3 + 3/5 over 3.
    assert metrics.capped_average_precision_at(ranks, k=4)[0] == pytest.approx(5 / 9)
    assert metrics.capped_average_precision_at(ranks, k=100)[0] == pytest.approx(34 / 45)
    # Among the first 2, then the first 3, one and two hits; rank 5 is past R and does not count at k = 5.
    assert metrics.modified_precision_at(ranks, k=2)[0] == 1 / 2
    assert metrics.modified_precision_at(ranks, k=5)[0] == pytest.approx(2 / 3)
    assert (metrics.modified_precision_at(at(1, 3), k=5)[0], metrics.precision_at(at(1, 3), k=5)[0]) == (1 / 2, 2 / 5)
    # One, two and three of three positives are found within 1, 4 and 5.
    assert [metrics.found_share_at(ranks, k=k)[0] for k in (1, 4, 5)] == pytest.approx([1 / 3, 2 / 3, 1])


def test_three_metrics_that_are_called_recall_at_1_or_precision_at_1() -> None:
    """With more than one positive P@1 and the hit rate are one number, and the recall of trec_eval is another."""
    ranks = at(1, 3, 5)
    assert metrics.precision_at(ranks, k=1)[0] == metrics.recall_at(ranks, k=1)[0] == 1
    assert metrics.found_share_at(ranks, k=1)[0] == pytest.approx(1 / 3)
    assert metrics.precision_at(ranks, k=5)[0] == pytest.approx(3 / 5) and metrics.recall_at(ranks, k=5)[0] == 1


def test_nister_and_stewenius_by_hand() -> None:
    # The query and two of its object's other three images are among the first four: 1 + 2. All: 4; none: 1.
    assert [metrics.nister_stewenius(at(*ranks))[0] for ranks in ((1, 3, 9), (1, 2, 3), (4, 5, 6))] == [3, 4, 1]
    assert metrics.nister_stewenius(at(1, 2, 3, 4, 5))[0] == 4
    assert np.isnan(metrics.nister_stewenius(ranks_of([False])))[0]


@pytest.mark.parametrize(("right", "wrong", "score"), [(0.9, 0.1, 1), (0.1, 0.9, 0), (0.5, 0.5, 0.5)])
def test_a_choice_of_two(right: float, wrong: float, score: float) -> None:
    """As score_nights_dataset in DreamSim's evaluation/score.py, with distances instead of similarities."""
    for features, place in (([right, wrong], 0), ([wrong, right], 1)):  # a tie is none of who stands first
        scorer = similarity_of("dot", np.ones((1, 1)), np.array(features)[:, None])
        [found] = ranking.rank(scorer, Among([np.array([place])], [np.array([1 - place])], 2), top=0)
        assert metrics.two_alternative(found.optimistic, found.pessimistic).tolist() == [score]


def by_definition(relevance: list[bool], k: int) -> dict[str, Fraction]:
    """Each metric of one ranking from its paper, item by item."""
    total = sum(relevance)
    hits, gained = 0, Fraction(0)
    for rank, relevant in enumerate(relevance[:k], start=1):
        hits += relevant
        gained += Fraction(hits, rank) if relevant else 0
    few = min(total, k)
    return {
        "capped": gained / few,
        "modified": Fraction(sum(relevance[:few]), few),
        "found": Fraction(hits, total),
        "N-S": Fraction(sum([True, *relevance][:4])),
    }


@pytest.mark.parametrize("k", [1, 2, 5, 30])
def test_thousands_of_rankings_with_ties_and_junk_and_without_positives(k: int) -> None:
    """Against the definitions read item by item in a list that is sorted here."""
    rng = np.random.default_rng(k)
    count, items = 2000, 25
    scores = rng.integers(0, 8, (count, items)).astype(np.float32)
    relevant = rng.random((count, items)) < rng.choice([0, 0.05, 0.3, 1], (count, 1))
    junk = rng.random((count, items)) < rng.choice([0, 0.3], (count, 1))
    lists = [[np.flatnonzero(row) for row in which] for which in (relevant & ~junk, junk)]
    ranks = whole(
        [found.ranks for found in ranking.rank(similarity_of("dot", scores, np.eye(items)), Listed(*lists), top=0)]
    )
    ours = {
        "capped": metrics.capped_average_precision_at(ranks, k=k),
        "modified": metrics.modified_precision_at(ranks, k=k),
        "found": metrics.found_share_at(ranks, k=k),
        "N-S": metrics.nister_stewenius(ranks),
    }
    empty = 0
    for query in range(count):
        order = sorted((item for item in range(items) if not junk[query, item]), key=lambda i: (-scores[query, i], i))
        listed = [bool(relevant[query, item]) for item in order]
        if any(listed):
            expected = by_definition(listed, k)
            assert {name: values[query] for name, values in ours.items()} == pytest.approx(
                {name: float(value) for name, value in expected.items()}, abs=1e-12
            )
        else:
            empty += 1
            assert all(np.isnan(values[query]) for values in ours.values())
    assert 300 < empty < count / 2


def whole(parts: list[Ragged]) -> Ragged:
    return Ragged.of([row for part in parts for row in part.rows()])


@given(relevances)
def test_the_definition_in_exact_arithmetic(relevance: list[bool]) -> None:
    ap, trapezoid, curve = naive(relevance)
    ranks = ranks_of(relevance)
    assert metrics.average_precision(ranks)[0] == pytest.approx(float(ap), abs=1e-12)
    assert metrics.average_precision(ranks, rule="trapezoid")[0] == pytest.approx(float(trapezoid), abs=1e-12)
    assert metrics.interpolated_precision(ranks)[0] == pytest.approx([float(value) for value in curve], abs=1e-12)


@given(relevances, st.integers(1, 70))
def test_scikit_learn_and_torchmetrics_agree(relevance: list[bool], k: int) -> None:
    # Positive, falling scores: torchmetrics leaves out positives with a score of zero or less.
    scores = np.linspace(1, 0.1, len(relevance))
    ranks = ranks_of(relevance)
    ap = metrics.average_precision(ranks)[0]
    assert ap == pytest.approx(average_precision_score(relevance, scores), abs=1e-12)
    preds, target = torch.tensor(scores), torch.tensor(relevance)
    assert ap == pytest.approx(float(retrieval_average_precision(preds, target)), abs=1e-6)
    theirs = {
        metrics.precision_at: retrieval_precision,
        metrics.recall_at: retrieval_hit_rate,
        metrics.found_share_at: retrieval_recall,
        metrics.ndcg_at: retrieval_normalized_dcg,
    }
    for ours, function in theirs.items():
        assert ours(ranks, k=k)[0] == pytest.approx(float(function(preds, target, top_k=k)), abs=1e-5)
    assert metrics.r_precision(ranks)[0] == pytest.approx(float(retrieval_r_precision(preds, target)), abs=1e-6)
    assert metrics.reciprocal_rank(ranks)[0] == pytest.approx(float(retrieval_reciprocal_rank(preds, target)), abs=1e-6)


def test_trec_eval_agrees() -> None:
    """ir_measures calls trec_eval: thousands of random rankings at once, with several relevant densities."""
    rng = np.random.default_rng(0)
    queries = [rng.random(int(rng.integers(1, 80))) < rng.random() for _ in range(3000)]
    queries = [list(map(bool, relevance)) for relevance in queries if relevance.any()]
    assert len(queries) > 2000
    qrels, run = [], []
    for number, relevance in enumerate(queries):
        for place, relevant in enumerate(relevance):
            qrels.append(ir_measures.Qrel(str(number), f"{place:03d}", int(relevant)))
            run.append(ir_measures.ScoredDoc(str(number), f"{place:03d}", 1000.0 - place))
    ranks = ranks_of(*queries)
    ours = {
        AP: metrics.average_precision(ranks),
        AP @ 10: metrics.average_precision_at(ranks, k=10),
        Rprec: metrics.r_precision(ranks),
        P @ 5: metrics.precision_at(ranks, k=5),
        Success @ 5: metrics.recall_at(ranks, k=5),
        R @ 5: metrics.found_share_at(ranks, k=5),
        nDCG @ 10: metrics.ndcg_at(ranks, k=10),
        RR: metrics.reciprocal_rank(ranks),
    }
    for found in ir_measures.iter_calc(list(ours), qrels, run):
        assert found.value == pytest.approx(ours[found.measure][int(found.query_id)], abs=1e-9), found


def test_others_divide_ap_at_k_by_the_lesser_of_r_and_k() -> None:
    """With two of four positives in front, Google Landmarks' mAP@2 is 1; trec_eval's and ours is a half."""
    assert metrics.average_precision_at(at(1, 2, 9, 10), k=2)[0] == 0.5
    assert metrics.capped_average_precision_at(at(1, 2, 9, 10), k=2)[0] == 1


@given(relevances)
def test_torchmetrics_curve_agrees_once_interpolated(relevance: list[bool]) -> None:
    preds, target = torch.linspace(1, 0.1, len(relevance)), torch.tensor(relevance)
    precision, recall, _ = retrieval_precision_recall_curve(preds, target, max_k=len(relevance))
    curve = metrics.interpolated_precision(ranks_of(relevance))[0]
    for level in range(11):
        reached = recall.double() >= level / 10 - 1e-6  # its recalls are float32
        assert curve[level] == pytest.approx(float(precision[reached].max()), abs=1e-6)


def test_torchmetrics_drops_positives_with_scores_below_zero() -> None:
    """Where its definition departs: half of the positives vanish, and AP with them."""
    preds, target = torch.tensor([0.5, -0.1, -0.2]), torch.tensor([True, False, True])
    assert float(retrieval_average_precision(preds, target)) == pytest.approx(1.0)
    assert metrics.average_precision(at(1, 3))[0] == pytest.approx((1 + 2 / 3) / 2)


EVERY = [
    metrics.average_precision,
    partial(metrics.average_precision, rule="trapezoid"),
    metrics.map_at_r,
    metrics.r_precision,
    metrics.reciprocal_rank,
    metrics.interpolated_average_precision,
    metrics.interpolated_precision,
    partial(metrics.average_precision_at, k=3),
    partial(metrics.precision_at, k=3),
    partial(metrics.landmark_precision_at, k=3),
    partial(metrics.recall_at, k=3),
    partial(metrics.ndcg_at, k=3),
    partial(metrics.capped_average_precision_at, k=3),
    partial(metrics.modified_precision_at, k=3),
    partial(metrics.found_share_at, k=3),
]


@given(st.lists(st.lists(st.booleans(), max_size=60), min_size=1, max_size=8))
def test_queries_do_not_influence_each_other(queries: list[list[bool]]) -> None:
    ranks = ranks_of(*queries)
    for function in EVERY:
        together = function(ranks)
        for index, relevance in enumerate(queries):
            alone = function(ranks_of(relevance))[0]
            np.testing.assert_array_equal(together[index], alone)
            assert np.isnan(alone).all() == (not any(relevance))  # no positives, no value


@given(relevances)
def test_bounds_and_a_perfect_ranking(relevance: list[bool]) -> None:
    perfect = ranks_of([True] * sum(relevance))
    for function in EVERY:
        value = function(ranks_of(relevance))[0]
        assert (value >= 0).all() and (value <= 1 + 1e-12).all()
    for function in EVERY[:7]:
        assert function(perfect)[0] == pytest.approx(1)


@given(relevances, st.data())
def test_moving_a_positive_up_never_lowers_ap(relevance: list[bool], data: st.DataObject) -> None:
    rank = data.draw(st.sampled_from(list(np.flatnonzero(relevance) + 1)))
    moved = relevance.copy()
    moved.insert(data.draw(st.integers(0, int(rank) - 1)), moved.pop(int(rank) - 1))
    for function in EVERY[:6]:
        assert function(ranks_of(moved))[0] >= function(ranks_of(relevance))[0] - 1e-12


@given(relevances)
def test_the_curve_falls(relevance: list[bool]) -> None:
    assert (np.diff(metrics.interpolated_precision(ranks_of(relevance), steps=100)[0]) <= 0).all()


@pytest.mark.parametrize("rule", ["rectangle", "trapezoid"])
@pytest.mark.parametrize(("positives", "items"), [(1, 1), (1, 5), (2, 5), (3, 7), (6, 6)])
def test_the_expectation_is_the_mean_over_all_orders(positives: int, items: int, rule: metrics.Rule) -> None:
    orders = [Ragged.of([np.array(chosen)]) for chosen in combinations(range(1, items + 1), positives)]
    mean = np.mean([metrics.average_precision(order, rule=rule)[0] for order in orders])
    expected = metrics.expected_average_precision(np.array([positives]), np.array([items]), rule=rule)
    assert expected[0] == pytest.approx(mean, abs=1e-12)


@pytest.mark.parametrize(("positives", "items"), [(1, 1), (1, 5), (2, 5), (3, 7), (6, 6)])
def test_so_is_that_of_the_first_k(positives: int, items: int) -> None:
    for k in range(1, items + 1):
        orders = list(combinations(range(1, items + 1), positives))
        sums = [sum(Fraction(j, rank) for j, rank in enumerate(order, 1) if rank <= k) for order in orders]
        mean = sum(sums) / positives / len(orders)
        expected = metrics.expected_average_precision_at(np.array([positives]), np.array([items]), np.array([k]))
        assert expected[0] == pytest.approx(float(mean), abs=1e-12)
    whole = metrics.expected_average_precision(np.array([positives, 0]), np.array([items, items]))
    assert whole[0] == expected[0] and np.isnan(whole[1])


def test_zero_is_no_cutoff() -> None:
    for function in EVERY[7:]:
        with pytest.raises(RetrievalError, match="it must be at least 1"):
            function.func(at(1), k=0)
