"""Ranks and tops against a full sort written from the definition, with and without ties."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from pipeline import ranking
from pipeline.errors import RetrievalError
from pipeline.metrics import average_precision
from pipeline.ranking import Ranking, rank_by_cosine, unit_rows
from pipeline.relevance import SharedLabel


def naive(similarity: np.ndarray, positives: list[list[int]], top: int) -> tuple[list[list[int]], list[list[int]]]:
    """Ranks of positives and top items by one sort of every row: score descending, then index."""
    all_ranks, all_tops = [], []
    for query, row in enumerate(similarity):
        order = sorted((item for item in range(len(row)) if item != query), key=lambda item: (-row[item], item))
        all_ranks.append(sorted(order.index(item) + 1 for item in positives[query] if item != query))
        all_tops.append(order[:top])
    return all_ranks, all_tops


def random_case(seed: int, *, tied: bool) -> tuple[np.ndarray, list[tuple[str, ...]]]:
    rng = np.random.default_rng(seed)
    items = int(rng.integers(2, 40))
    # Signs in four dimensions: all norms are 2, all products exact, and few different scores.
    features = rng.choice([-1.0, 1.0], (items, 4)) if tied else rng.standard_normal((items, 8))
    return features.astype(np.float32), [(str(label),) for label in rng.integers(0, 4, items)]


def check(features: np.ndarray, labels: list[tuple[str, ...]], top: int = 5) -> Ranking:
    similarity = unit_rows(features) @ unit_rows(features).T
    positives = [[j for j, other in enumerate(labels) if set(label) & set(other)] for label in labels]
    ranks, tops = naive(similarity, positives, top)
    found = rank_by_cosine(features, SharedLabel(labels), top=top)
    assert [list(row) for row in found.ranks] == ranks
    assert [[item for item in row if item >= 0] for row in found.top_items.tolist()] == tops
    for query, row in enumerate(found.top_items):
        assert found.top_scores[query][row >= 0] == pytest.approx(similarity[query][row[row >= 0]], abs=1e-6)
        assert np.isnan(found.top_scores[query][row < 0]).all()
    return found


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", range(100))
def test_a_full_sort_gives_the_same(seed: int, tied: bool) -> None:
    check(*random_case(seed, tied=tied))


def test_several_labels_share_any() -> None:
    features, _ = random_case(1, tied=False)
    pool = [("a",), ("b",), ("a", "b"), ("c",), ("c", "b")]
    check(features, [pool[i % 5] for i in range(len(features))])


def test_scikit_learn_agrees_on_the_scores_themselves() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((120, 16)).astype(np.float32), rng.integers(0, 5, 120)
    found = rank_by_cosine(features, SharedLabel([(str(label),) for label in labels]), top=1)
    similarity = unit_rows(features) @ unit_rows(features).T
    for query in range(120):
        others = np.arange(120) != query
        expected = average_precision_score(labels[others] == labels[query], similarity[query][others])
        assert average_precision([found.ranks[query]])[0] == pytest.approx(expected, abs=1e-12)


def test_the_query_is_left_out_by_identity_not_by_rank() -> None:
    # Items 0 and 2 are the same picture: for query 2 the duplicate, with the smaller index, ranks first.
    features = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    found = rank_by_cosine(features, SharedLabel([("a",), ("b",), ("a",)]), top=2)
    assert [list(row) for row in found.ranks] == [[1], [], [1]]
    assert found.top_items.tolist() == [[2, 1], [0, 2], [0, 1]]


def test_all_scores_tied_rank_by_index() -> None:
    found = rank_by_cosine(np.ones((4, 3), np.float32), SharedLabel([("a",), ("b",), ("b",), ("a",)]), top=3)
    assert [list(row) for row in found.ranks] == [[3], [2], [2], [1]]
    assert found.top_items.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


def test_one_item() -> None:
    found = rank_by_cosine(np.ones((1, 3), np.float32), SharedLabel([("a",)]), top=2)
    assert [list(row) for row in found.ranks] == [[]]
    assert found.top_items.tolist() == [[-1, -1]]


@pytest.mark.parametrize("tile", [1, 3, 7, 1000])
@pytest.mark.parametrize("tied", [False, True])
def test_tiles_change_nothing(tile: int, tied: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = random_case(7, tied=tied)
    before = rank_by_cosine(features, SharedLabel(labels), top=4)
    monkeypatch.setattr(ranking, "TILE", tile)
    after = rank_by_cosine(features, SharedLabel(labels), top=4)
    for old, new in zip(before.ranks, after.ranks, strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(before.top_items, after.top_items)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.25, 2.0, 1024.0]))
def test_positive_scaling_changes_nothing(seed: int, factor: float) -> None:
    features, labels = random_case(seed, tied=True)
    scale = np.where(np.arange(len(features)) % 2, factor, 1.0)[:, None]
    old = rank_by_cosine(features, SharedLabel(labels), top=3)
    new = rank_by_cosine((features * scale).astype(np.float32), SharedLabel(labels), top=3)
    for before, after in zip(old.ranks, new.ranks, strict=True):
        np.testing.assert_array_equal(before, after)


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_the_items_changes_nothing_without_ties(seed: int) -> None:
    features, labels = random_case(seed, tied=False)
    order = np.random.default_rng(seed).permutation(len(features))
    old = rank_by_cosine(features, SharedLabel(labels), top=1)
    new = rank_by_cosine(features[order], SharedLabel([labels[i] for i in order]), top=1)
    for position, item in enumerate(order):
        np.testing.assert_array_equal(new.ranks[position], old.ranks[item])


def test_inputs_are_not_modified() -> None:
    features, labels = random_case(3, tied=False)
    copy = features.copy()
    relevant = SharedLabel(labels)
    rank_by_cosine(features, relevant, top=3)
    np.testing.assert_array_equal(features, copy)


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_a_row_without_direction_is_an_error(bad: float) -> None:
    features = np.ones((4, 3), np.float32)
    features[2] = bad
    with pytest.raises(RetrievalError, match="row 2 of the features has no direction"):
        rank_by_cosine(features, SharedLabel([("a",)] * 4), top=1)


def test_shared_label_includes_the_item_itself_and_is_sorted() -> None:
    relevant = SharedLabel([("a", "b"), ("b",), ("a",), ("c",)])
    assert [relevant(i).tolist() for i in range(4)] == [[0, 1, 2], [0, 1], [0, 2], [3]]
