"""What a random ranking is expected to give, against the mean over all orders there are."""

from fractions import Fraction
from itertools import combinations
from math import comb, log2

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.retrieval.chance import expected, hit_rate


def average_precision(ranks: tuple[int, ...], seen: int) -> Fraction:
    return sum((Fraction(j, rank) for j, rank in enumerate(ranks, 1) if rank <= seen), Fraction(0)) / len(ranks)


def ndcg(ranks: tuple[int, ...], k: int) -> float:
    ideal = sum(1 / log2(1 + rank) for rank in range(1, min(k, len(ranks)) + 1))
    return sum(1 / log2(1 + rank) for rank in ranks if rank <= k) / ideal


def naive(metric: str, ranks: tuple[int, ...]) -> float:
    """A metric of one query from the ranks of its positives, from its definition in docs/metrics.md."""
    if metric == "R-precision":
        return sum(rank <= len(ranks) for rank in ranks) / len(ranks)
    if metric == "N-S":
        return 1 + sum(rank <= 3 for rank in ranks)
    if metric == "2AFC":
        return float(ranks[0] == 1)
    if metric == "MAP@R":
        return float(average_precision(ranks, len(ranks)))
    name, k = metric.split("@")
    if name == "P":
        return sum(rank <= int(k) for rank in ranks) / int(k)
    if name == "recall":
        return float(ranks[0] <= int(k))
    if name == "trec_recall":
        return sum(rank <= int(k) for rank in ranks) / len(ranks)
    few = min(len(ranks), int(k))
    if name == "MP":
        return sum(rank <= few for rank in ranks) / few
    if name == "capped_AP":
        return float(average_precision(ranks, int(k)) * len(ranks) / few)
    return ndcg(ranks, int(k)) if name == "nDCG" else float(average_precision(ranks, int(k)))


NAMES_AT = ("P", "MP", "recall", "trec_recall", "nDCG", "AP", "capped_AP")
METRICS = ("R-precision", "MAP@R", "N-S", "2AFC", *(f"{name}@{k}" for name in NAMES_AT for k in (1, 3, 5, 12)))


@pytest.mark.parametrize("metric", METRICS)
def test_the_mean_over_all_orders(metric: str) -> None:
    sizes = [(1, 1), (1, 2), (2, 2), (1, 7), (3, 7), (6, 7), (2, 9), (4, 11)]
    found = expected(metric, np.array([one for one, _ in sizes]), np.array([all_ for _, all_ in sizes]))
    assert found is not None
    for value, (positives, candidates) in zip(found, sizes, strict=True):
        orders = list(combinations(range(1, candidates + 1), positives))
        assert value == pytest.approx(np.mean([naive(metric, ranks) for ranks in orders]), abs=1e-9)


def test_one_of_two_worked_by_hand() -> None:
    # A positive among two candidates is first or second: AP@5 (1 + 1/2) / 2, P@5 1/5, recall@1 1/2.
    # MP@5 looks at the first only, trec_recall@5 has found it, and 2AFC is a coin's. N-S is 1 for the query and 1 for
    # it, which is always within the first 3 of two.
    worked = {"AP@5": 0.75, "P@5": 0.2, "recall@1": 0.5, "MAP@R": 0.5}
    worked |= {"AP_rectangle": 0.75, "AP_trapezoid": 0.625}  # by the trapezoid rule 1/4 if it is second
    worked |= {"capped_AP@5": 0.75, "MP@5": 0.5, "trec_recall@5": 1, "2AFC": 0.5, "N-S": 2}
    for metric, value in worked.items():
        assert expected(metric, np.array([1]), np.array([2])) == pytest.approx([value])


@pytest.mark.parametrize("metric", ["RR", "AP_interpolated", "mP@5", "macro_mAP"])
def test_what_no_formula_is_here_for(metric: str) -> None:
    assert expected(metric, np.array([1]), np.array([2])) is None


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n), st.integers(1, 70))))
def test_hit_rates_are_hypergeometric(sizes: tuple[int, int, int]) -> None:
    positives, candidates, k = sizes
    drawn = min(k, candidates)
    exact = 1 - comb(candidates - positives, drawn) / comb(candidates, drawn)
    assert hit_rate(np.array([positives]), np.array([candidates]), k) == pytest.approx([exact], abs=1e-9)


def test_a_million_candidates() -> None:
    assert hit_rate(np.array([1]), np.array([10**6]), 1000) == pytest.approx([0.001], abs=1e-7)
