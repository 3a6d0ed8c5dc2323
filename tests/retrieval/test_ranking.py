"""Ranks and tops against a full sort written from the definition, with ties, left-out items and small memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.retrieval import ranking
from pipeline.retrieval.counting import POSITION_BITS
from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.ragged import Ragged
from pipeline.retrieval.ranking import Ranking, rank
from pipeline.retrieval.relevance import Listed, SharedLabel, Unjudged
from pipeline.retrieval.similarity import Kind, unit_rows

COSINE: Kind = "cosine"


def together(rankings: list[Ranking]) -> dict[str, list[list[float]]]:
    """The rankings of all queries as plain lists."""
    names = ("ranks", "optimistic", "pessimistic")
    found = {name: [row.tolist() for part in rankings for row in getattr(part, name).rows()] for name in names}
    for name in ("candidates", "top_items", "top_scores"):
        found[name] = [row.tolist() for part in rankings for row in getattr(part, name)]
    return found


def naive(scores: np.ndarray, positives: list[list[int]], ignored: list[list[int]], top: int) -> dict[str, list]:
    """The same by sorting every row three times: ties by index, positives first, positives last."""
    found: dict[str, list] = {
        name: [] for name in ("ranks", "optimistic", "pessimistic", "candidates", "top_items", "top_scores")
    }
    for row, wanted, unwanted in zip(scores, positives, ignored, strict=True):
        left = [item for item in range(len(row)) if item not in unwanted]
        by = {
            "ranks": sorted(left, key=lambda item: (-row[item], item)),
            "optimistic": sorted(left, key=lambda item: (-row[item], item not in wanted)),
            "pessimistic": sorted(left, key=lambda item: (-row[item], item in wanted)),
        }
        for name, order in by.items():
            found[name].append([rank for rank, item in enumerate(order, start=1) if item in wanted])
        found["candidates"].append(len(left))
        first = by["ranks"][:top]
        found["top_items"].append([*first, *[-1] * (top - len(first))])
        found["top_scores"].append([*[float(row[item]) for item in first], *[np.nan] * (top - len(first))])
    return found


def same(found: dict[str, list], expected: dict[str, list]) -> None:
    for name, rows in expected.items():
        if name == "top_scores":
            np.testing.assert_allclose(np.array(found[name]), np.array(rows), rtol=1e-5, atol=1e-6)
        else:
            assert found[name] == rows, name


def random_case(seed: int, *, tied: bool) -> tuple[np.ndarray, list[list[int]], list[list[int]]]:
    """Features of queries and gallery at once, and for each query disjoint positives and left-out items."""
    rng = np.random.default_rng(seed)
    items = int(rng.integers(1, 60))
    # Signs in four dimensions: all norms are 2, all products exact, and few different scores.
    features = rng.choice([-1.0, 1.0], (items, 4)) if tied else rng.standard_normal((items, 8))
    roles = rng.choice(3, (items, items), p=[0.6, 0.3, 0.1])
    if seed % 5 == 0:
        roles[0] = 0  # a query without positives
    return (
        features.astype(np.float32),
        [np.flatnonzero(row == 1).tolist() for row in roles],
        [np.flatnonzero(row == 2).tolist() for row in roles],
    )


def arrays(rows: list[list[int]]) -> list[np.ndarray]:
    return [np.array(row, np.int64) for row in rows]


def exact_scores(features: np.ndarray, kind: Kind) -> np.ndarray:
    if kind == "cosine":
        features = unit_rows(features)
    if kind == "euclidean":
        exact = features.astype(np.float64)
        scores = -((exact[:, None] - exact) ** 2).sum(2) / 2
        return scores.astype(np.float32)
    return features @ features.T


@pytest.mark.parametrize("kind", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", range(150))
def test_a_full_sort_gives_the_same(seed: int, tied: bool, kind: Kind) -> None:
    features, positives, ignored = random_case(seed, tied=tied)
    judge = Listed(arrays(positives), arrays(ignored))
    found = together(list(rank(similarity_of(kind, features, features), judge, top=5)))
    expected = naive(exact_scores(features, kind), positives, ignored, 5)
    if kind == "euclidean":
        expected["top_scores"] = np.sqrt(-2 * np.array(expected["top_scores"])).tolist()
    same(found, expected)


@pytest.mark.parametrize("classes", [3, 60, 100, 400])
@pytest.mark.parametrize("seed", range(20))
def test_many_items_around_each_positive(seed: int, classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """More items than are looked at together, coarse scores among fine ones, and intervals that hold many."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((1500, 3)).astype(np.float32)
    features[rng.choice(1500, 700)] = rng.choice([-1.0, 1.0], (700, 3))
    features[:3] *= 1e-3
    queries = features[:20]
    labels = rng.integers(0, classes, 1500)
    positives = [np.flatnonzero(labels == labels[query]).tolist() for query in range(20)]
    ignored = [[item for item in range(query, 1500, 97) if item not in positives[query]] for query in range(20)]
    scorer = similarity_of("dot", queries, features)
    scores = np.empty((20, 1500), np.float32)
    scorer.fill(slice(0, 20), slice(0, 1500), scores)
    found = together(list(rank(scorer, Listed(arrays(positives), arrays(ignored)), top=40)))
    same(found, naive(scores, positives, ignored, 40))
    monkeypatch.setattr(ranking, "COLUMNS", 128)
    found = together(list(rank(scorer, Listed(arrays(positives), arrays(ignored)), top=40, memory=0.0)))
    scores = np.concatenate([queries @ features[start : start + 128].T for start in range(0, 1500, 128)], axis=1)
    same(found, naive(scores, positives, ignored, 40))


@settings(deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([0.0, 1e-9, 1.0]), st.sampled_from([1, 2, 5]))
def test_memory_and_threads_change_nothing(seed: int, tied: bool, memory: float, threads: int) -> None:
    features, positives, ignored = random_case(seed, tied=tied)
    judge, scorer = Listed(arrays(positives), arrays(ignored)), similarity_of(COSINE, features, features)
    usual = together(list(rank(scorer, judge, top=4)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "ROWS", 7)  # several tiles even here
        scorer = similarity_of(COSINE, *(np.sign(features),) * 2) if tied else scorer
        first = together(list(rank(scorer, judge, top=4)))
        again = together(list(rank(scorer, judge, top=4, memory=memory, threads=threads)))
    np.testing.assert_equal(again, first)
    if tied:
        np.testing.assert_equal(first, usual)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.25, 2.0, 1024.0]))
def test_positive_scaling_changes_nothing(seed: int, factor: float) -> None:
    features, positives, ignored = random_case(seed, tied=True)
    judge = Listed(arrays(positives), arrays(ignored))
    scale = np.where(np.arange(len(features)) % 2, factor, 1.0)[:, None].astype(np.float32)
    old = together(list(rank(similarity_of(COSINE, features, features), judge, top=3)))
    new = together(list(rank(similarity_of(COSINE, *(features * scale,) * 2), judge, top=3)))
    np.testing.assert_equal(new, old)


@settings(deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_queries_and_items_changes_nothing_but_ties(seed: int) -> None:
    features, positives, ignored = random_case(seed, tied=True)
    order = np.random.default_rng(seed).permutation(len(features))
    new_place = np.argsort(order)
    judge = Listed(arrays(positives), arrays(ignored))
    old = together(list(rank(similarity_of(COSINE, features, features), judge, top=1)))
    moved = Listed(
        [new_place[positives[item]] if positives[item] else np.empty(0, np.int64) for item in order],
        [new_place[ignored[item]] if ignored[item] else np.empty(0, np.int64) for item in order],
    )
    new = together(list(rank(similarity_of(COSINE, *(features[order],) * 2), moved, top=1)))
    for name in ("optimistic", "pessimistic", "candidates"):
        assert new[name] == [old[name][item] for item in order]


def test_the_query_is_left_out_by_identity_not_by_rank() -> None:
    # Items 0 and 2 are the same picture: for query 2 the duplicate, with the smaller index, ranks first.
    features = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    judge = SharedLabel([("a",), ("b",), ("a",)])
    found = together(list(rank(similarity_of(COSINE, features, features), judge, top=2)))
    assert found["ranks"] == [[1], [], [1]]
    assert found["top_items"] == [[2, 1], [0, 2], [0, 1]]


def test_all_scores_tied_rank_by_index() -> None:
    features = np.ones((4, 3), np.float32)
    judge = SharedLabel([("a",), ("b",), ("b",), ("a",)])
    found = together(list(rank(similarity_of(COSINE, features, features), judge, top=3)))
    assert found["ranks"] == [[3], [2], [2], [1]]
    assert found["optimistic"] == [[1]] * 4 and found["pessimistic"] == [[3]] * 4
    assert found["top_items"] == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


def test_one_item() -> None:
    found = together(
        list(rank(similarity_of(COSINE, *(np.ones((1, 3), np.float32),) * 2), SharedLabel([("a",)]), top=2))
    )
    assert found["ranks"] == [[]]
    assert found["top_items"] == [[-1, -1]]


def test_inputs_are_not_modified() -> None:
    features, positives, ignored = random_case(3, tied=False)
    copy = features.copy()
    list(rank(similarity_of("dot", features, features), Listed(arrays(positives), arrays(ignored)), top=3))
    np.testing.assert_array_equal(features, copy)


@pytest.mark.parametrize("kind", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_cannot_be_compared_is_an_error(bad: float, kind: Kind) -> None:
    features = np.ones((4, 3), np.float32)
    features[2, 1] = bad
    with pytest.raises(RetrievalError, match="row 2 of the features has a NaN or an infinity"):
        similarity_of(kind, features, features)


def test_a_row_of_zeros_has_no_cosine() -> None:
    with pytest.raises(RetrievalError, match="row 1 of the features has no direction"):
        unit_rows(np.array([[1, 0], [0, 0]], np.float32))


def test_minus_zero_ties_with_zero() -> None:
    scores = similarity_of(
        "dot", np.array([[1.0, 0.0]], np.float32), np.array([[-0.0, 1], [0.0, 1], [1, 0]], np.float32)
    )
    found = together(list(rank(scores, Listed([np.array([1])], [np.array([], np.int64)]), top=0)))
    assert (found["optimistic"], found["ranks"], found["pessimistic"]) == ([[2]], [[3]], [[3]])


def rows(found: Ragged) -> list[list[int]]:
    return [row.tolist() for row in found.rows()]


def test_shared_labels() -> None:
    positives, ignored = SharedLabel([("a", "b"), ("b",), ("a",), ("c",), ()])(0, 5)
    assert rows(positives) == [[1, 2], [0], [0], [], []]
    assert rows(ignored) == [[0], [1], [2], [3], [4]]


def test_queries_and_gallery_apart() -> None:
    judge = SharedLabel([("a",), ("b",), ("a",), ("b",)], queries=np.array([0, 3]), gallery=np.array([1, 2, 3]))
    assert rows(judge(0, 2)[0]) == [[1], [0]]
    assert rows(judge(0, 2)[1]) == [[], [2]]


def test_groups_are_left_out() -> None:
    judge = SharedLabel([("a",)] * 5, groups=["x", "x", None, "y", None])
    positives, ignored = judge(0, 5)
    assert rows(positives) == [[2, 3, 4], [2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 4], [0, 1, 2, 3]]
    assert rows(ignored) == [[0, 1], [0, 1], [2], [3], [4]]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("columns", [4096, 700])
def test_search_without_positives(tied: bool, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "COLUMNS", columns)
    rng = np.random.default_rng(3)
    features = rng.choice([-1.0, 1.0], (2500, 6)) if tied else rng.standard_normal((2500, 6))
    features = features.astype(np.float32)
    scorer = similarity_of("dot", features[:300], features)
    itself = np.where(np.arange(300) % 2, np.arange(300), -1)
    for top in (1, 7, 60):
        found = together(list(rank(scorer, Unjudged(itself), top=top, memory=0.0)))
        scores = np.concatenate([features[:128], features[128:256], features[256:300]]) @ features.T
        scores[1::2, :300][np.arange(150), itself[1::2]] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
        np.testing.assert_allclose(
            np.array(found["top_scores"]), np.take_along_axis(scores, order, axis=1), rtol=1e-5, atol=1e-6
        )
        if tied:  # exact products: equal scores are equal
            assert found["top_items"] == order.tolist()
        assert found["ranks"] == [[]] * 300


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("classes", [7, 400])
def test_a_set_against_itself_in_several_squares(tied: bool, classes: int) -> None:
    """More items than a square of scores and a band of queries hold, with and without memory for all scores."""
    items = 2 * ranking.ROWS + 100
    rng = np.random.default_rng(3)
    features = (rng.choice([-1.0, 1.0], (items, 4)) if tied else rng.standard_normal((items, 16))).astype(np.float32)
    kinds = rng.integers(0, classes, items)
    judge = SharedLabel([(str(kind),) for kind in kinds.tolist()])
    scorer = similarity_of("cosine", features, features)
    found = together(list(rank(scorer, judge, top=20)))
    for memory in (0.0, 0.01):
        again = together(list(rank(scorer, judge, top=20, memory=memory)))
        assert again["ranks"] == found["ranks"] and again["top_items"] == found["top_items"]
        assert again["optimistic"] == found["optimistic"] and again["top_scores"] == found["top_scores"]
    scores = np.empty((items, items), np.float32)
    scorer.fill(slice(0, items), slice(0, items), scores)
    np.testing.assert_array_equal(scores, scores.T)
    np.testing.assert_allclose(scores, unit_rows(features) @ unit_rows(features).T, atol=1e-6)
    for query in range(0, items, 37):
        row = scores[query].copy()
        row[query] = -np.inf
        order = np.argsort(-row, kind="stable")
        positive = kinds[order] == kinds[query]
        positive[-1] = False  # the query itself
        assert found["ranks"][query] == (np.flatnonzero(positive) + 1).tolist()
        assert found["top_items"][query] == order[:20].tolist()


def test_any_part_of_the_scores_of_a_set_against_itself_has_the_same_bits() -> None:
    features = np.random.default_rng(4).standard_normal((1300, 24)).astype(np.float32)
    scorer = similarity_of("dot", features, features)
    whole = np.empty((1300, 1300), np.float32)
    scorer.fill(slice(0, 1300), slice(0, 1300), whole)
    for rows, columns in ((slice(0, 1), slice(0, 1300)), (slice(500, 530), slice(400, 1100)), (slice(1025, 1300),) * 2):
        part = np.empty((rows.stop - rows.start, columns.stop - columns.start), np.float32)
        scorer.fill(rows, columns, part)
        np.testing.assert_array_equal(part, whole[rows, columns])


def test_a_sort_key_has_room_for_every_query_of_a_band() -> None:
    assert ranking.ROWS << (32 + POSITION_BITS) <= 1 << 64


@pytest.mark.parametrize(
    ("items", "memory", "workers", "expected"),
    [
        (100_000, 1.0, 2, (2, 100_000)),  # 195 MiB a thread
        (100_000, 1.0, 8, (5, 100_000)),  # five that compute scores once are as fast as ten that do it twice
        (100_000, 1.0, 16, (16, 32_768)),
        (1_000_000, 1.0, 2, (2, 262_144)),
        (1_000_000, 0.0, 2, (1, 4096)),
        (1_005_000, 1.0, 1, (1, 524_288)),
        (50, 0.0, 2, (1, 50)),
    ],
)
def test_memory_is_shared_out(items: int, memory: float, workers: int, expected: tuple[int, int]) -> None:
    found = ranking.room(items, memory, workers)
    assert found == expected
    threads, columns = found
    least = 4 * ranking.ROWS * min(ranking.COLUMNS, items)
    assert 4 * ranking.ROWS * threads * columns <= max(memory * 2**30, least)
