"""Scores of features that lie far from the origin, or very near each other, against higher precision."""

import inspect
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.retrieval import distances, ranking_by_torch
from pipeline.retrieval.distances import Distances, crowded, similarity_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.neighbours import nearest
from pipeline.retrieval.postprocessing import read_steps, scores_after
from pipeline.retrieval.ranking import Ranking, rank
from pipeline.retrieval.relevance import SharedLabel, Unjudged
from pipeline.retrieval.similarity import Kind, Products, Scorer, unit_rows
from pipeline.retrieval.steps import Sets
from pipeline.search.searching import search
from tests.retrieval.test_ranking import together

KINDS: list[Kind] = ["cosine", "dot", "euclidean"]
ENGINES = ["cpu", "torch"]


def ranked(engine: str, scorer: Scorer, labels: list[str], top: int = 3) -> list[Ranking]:
    judge = SharedLabel([(label,) for label in labels])
    if engine == "cpu":
        return list(rank(scorer, judge, top=top))
    made: Callable[[Ranking], Ranking] = lambda found: found  # noqa: E731
    parts: Iterator[Ranking] = ranking_by_torch.each_ranking(made, scorer, judge, top=top, device="cpu")
    return list(parts)


def precise(kind: Kind, queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """What the scores stand for, the nearer the higher, from their definitions in 80 bits."""
    asked, items = queries.astype(np.longdouble), gallery.astype(np.longdouble)
    if kind == "cosine":  # 1 - |a - b|^2 / 2 loses nothing where a.b would
        asked, items = (rows / np.sqrt((rows**2).sum(axis=1, keepdims=True)) for rows in (asked, items))
    if kind == "dot":
        return asked @ items.T
    found: np.ndarray = -((asked[:, None] - items[None]) ** 2).sum(axis=2)
    return found


def mean_ap(scores: np.ndarray, labels: list[str]) -> float:
    """By a full sort."""
    names, found = np.array(labels), []
    for query, row in enumerate(scores):
        order = np.argsort(-row, kind="stable")
        hits = names[order[order != query]] == names[query]
        found.append((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())
    return float(np.mean(found))


def mean_ap_of(parts: list[Ranking]) -> float:
    rows = [row for part in parts for row in part.ranks.rows()]
    return float(np.mean([(np.arange(1, len(row) + 1) / row).mean() for row in rows]))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
def test_three_points_near_four_million_metres(kind: Kind, engine: str) -> None:
    here = np.array([4.1e6, 3.9e6])
    points = np.array([here, here + [0, 2], here + [3, 0], here + [-2e5, 7e5]])
    found = together(ranked(engine, similarity_of(kind, points, points), ["a", "b", "a", "b"], top=4))
    scores = precise(kind, points, points)
    for query, row in enumerate(scores):
        assert found["top_items"][query][:3] == [item for item in np.argsort(-row, kind="stable") if item != query][:3]
    if kind == "euclidean":
        expected = np.sqrt(np.sort(-np.delete(scores[0], 0))).astype(float)
        np.testing.assert_allclose(found["top_scores"][0][:3], expected, rtol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["cosine", "euclidean"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_photographs_of_sixty_places_by_their_coordinates(kind: Kind, engine: str, dtype: type) -> None:
    rng = np.random.default_rng(0)
    places = np.array([4.5e5, 4.6e6]) + rng.uniform(0, 10000, (60, 2))
    points = (np.repeat(places, 5, axis=0) + rng.normal(0, 2, (300, 2))).astype(dtype)
    labels = [str(number // 5) for number in range(300)]
    found = mean_ap_of(ranked(engine, similarity_of(kind, points, points), labels))
    assert abs(found - mean_ap(precise(kind, points, points), labels)) < 1e-6
    assert kind == "cosine" or found == 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("offset", [0, 1000, 1e4])
def test_features_with_something_added(kind: Kind, engine: str, offset: float) -> None:
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((20, 64))
    features = centres[np.arange(300) % 20] + rng.normal(0, 1.5, (300, 64)) + offset
    labels = [str(number % 20) for number in range(300)]
    scorer = similarity_of(kind, features, features)
    assert abs(mean_ap_of(ranked(engine, scorer, labels)) - mean_ap(precise(kind, features, features), labels)) < 1e-6


@pytest.mark.parametrize("engine", ENGINES)
def test_two_tight_groups_far_apart(engine: str) -> None:
    """Their mean is near the origin, and still no product of float32 tells the members of a group apart."""
    rng = np.random.default_rng(2)
    sides = np.where(np.arange(200) % 2, 1.0, -1.0)[:, None] * rng.standard_normal(32)
    features = sides + 1e-5 * rng.standard_normal((10, 32))[np.arange(200) % 10] + 1e-6 * rng.standard_normal((200, 32))
    labels = [str(number % 10) for number in range(200)]
    for kind in ("cosine", "euclidean"):
        found = mean_ap_of(ranked(engine, similarity_of(kind, features, features), labels))
        assert abs(found - mean_ap(precise(kind, features, features), labels)) < 1e-6
        assert found > 0.9


@pytest.mark.parametrize("kind", ["dot", "euclidean"])
@pytest.mark.parametrize("offset", [100, 2**20])
def test_what_ties_still_ties(kind: Kind, offset: int) -> None:
    """Whole numbers, with one added to all: the same distances, to the bit, and products that tie where they did."""
    features = np.random.default_rng(3).integers(0, 3, (80, 24)).astype(np.float32)
    labels = [str(number % 4) for number in range(80)]
    scores = precise(kind, features + offset, features + offset)
    found = together(ranked("cpu", similarity_of(kind, features + offset, features + offset), labels, top=0))
    for query, row in enumerate(scores):
        others = np.delete(np.arange(80), query)
        wanted = np.array([labels[item] == labels[query] for item in others])
        for name, sign in (("optimistic", -1), ("pessimistic", 1)):
            order = np.lexsort((sign * wanted, -row[others]))
            assert found[name][query] == (np.flatnonzero(wanted[order]) + 1).tolist()
    assert found["optimistic"] != found["pessimistic"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1e300, 1e-300, 2.0**-140, 1e25])
def test_features_beyond_float32_in_a_unit_of_their_own(kind: Kind, scale: float) -> None:
    features = np.random.default_rng(4).standard_normal((60, 24)) + 0.3
    labels = [str(number % 6) for number in range(60)]
    old, new = (
        together(ranked("cpu", similarity_of(kind, rows, rows), labels)) for rows in (features, features * scale)
    )
    assert new["ranks"] == old["ranks"] and new["top_items"] == old["top_items"]
    with np.errstate(over="ignore", under="ignore"):
        told = np.array(old["top_scores"]) * {"cosine": 1, "dot": np.float64(scale) ** 2, "euclidean": scale}[kind]
        np.testing.assert_allclose(new["top_scores"], told.astype(np.float32), rtol=1e-5, atol=1e-44)


@pytest.mark.parametrize("kind", ["dot", "euclidean"])
def test_a_row_too_short_for_the_others_is_an_error(kind: Kind) -> None:
    rows = np.ones((4, 3))
    rows[2] = 1e30
    with pytest.raises(RetrievalError, match="row 0 of the features is more than 2 to the power of 80 times shorter"):
        similarity_of(kind, rows, rows)
    rows[[0, 1, 3]] = 0  # zero has no length, and is a point like any other
    ranks = together(ranked("cpu", similarity_of(kind, rows, rows), ["a", "b", "b", "a"]))["ranks"]
    assert ranks[0] == [3 if kind == "dot" else 2]  # all products are 0; item 2 is far from the others


def test_a_row_that_float64_does_not_have_in_full_has_no_direction() -> None:
    with pytest.raises(RetrievalError, match="row 1 of the features has no direction"):
        similarity_of("cosine", np.ones((3, 2)), np.array([[1.0, 2], [5e-320, 1e-322]]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("offset", [0, 1000.0])
def test_an_image_of_the_set_finds_itself(kind: Kind, offset: float) -> None:
    features = (np.random.default_rng(5).standard_normal((500, 40)) + offset).astype(np.float32)
    for query, found in zip((3, 499), search(features[[3, 499]], features, k=2, similarity=kind), strict=True):
        if kind == "dot":
            exact = features.astype(np.float64) @ features[query]
            assert found[0] == (exact.argmax(), pytest.approx(exact.max(), rel=1e-6))
        else:
            bounds = {"cosine": pytest.approx(1, abs=40 * 6e-8), "euclidean": pytest.approx(0, abs=2e-7)}
            assert found[0] == (query, bounds[kind])
            assert found[1][0] != query


@given(st.integers(0, 10**6), st.sampled_from([2, 16, 17, 100]), st.floats(-6, 0), st.sampled_from([0, 10.0, 3000.0]))
def test_squared_distances_are_within_the_stated_bound(seed: int, dim: int, apart: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    gallery = (
        rng.standard_normal((5, dim))[rng.integers(0, 5, 40)] + 10**apart * rng.standard_normal((40, dim)) + offset
    )
    gallery = gallery.astype(rng.choice([np.float32, np.float64]))
    queries = gallery[:7] if seed % 2 else gallery
    for kind in ("cosine", "euclidean"):
        scorer = similarity_of(kind, queries, gallery)
        if not isinstance(scorer, Distances):
            continue
        found = np.empty((len(queries), 40), np.float32)
        scorer.fill(slice(0, len(queries)), slice(0, 40), found)
        expected = precise(kind, queries, gallery) / 2
        bound = 6e-8 if dim <= distances.FEW else (dim + 4) * 6e-8 / distances.NEAR
        rounding = 4e-16 * np.sqrt(np.abs(expected)) + 1e-31  # of unit rows in float64
        assert (np.abs(found - expected) <= bound * np.abs(expected) + rounding).all()


def test_both_ways_alike() -> None:
    features = np.random.default_rng(6).standard_normal((700, 20)).astype(np.float32) + 50
    for kind in ("cosine", "euclidean"):
        scorer = similarity_of(kind, features, features)
        assert isinstance(scorer, Distances) and scorer.symmetric
        scores = np.empty((700, 700), np.float32)
        scorer.fill(slice(0, 700), slice(0, 700), scores)
        np.testing.assert_array_equal(scores, scores.T)
        assert not scores.diagonal().any()


def test_usual_features_are_not_crowded() -> None:
    rng = np.random.default_rng(7)
    usual = rng.standard_normal((1000, 64)).astype(np.float32)
    assert not crowded(usual) and isinstance(similarity_of("cosine", usual, usual), Products)
    assert not crowded(np.ones((9, 4), np.float32)) and not crowded(usual[:1])
    assert crowded(usual + 5) and not crowded(usual + 1)
    usual[500] = usual[0] * 1.0001 + 1e-3  # every 4th row is looked at
    assert crowded(usual)


@pytest.mark.parametrize("offset", [0, 30.0])
def test_steps_search_crowded_features_too(offset: float) -> None:
    rng = np.random.default_rng(8)
    features = unit_rows(rng.standard_normal((90, 16)) + offset)
    assert crowded(features) == (offset > 0)
    exact = precise("cosine", features, features)
    np.fill_diagonal(exact, -np.inf)
    found = nearest(features, features, np.arange(90), k=4)
    assert found.items.tolist() == np.argsort(-exact, axis=1, kind="stable")[:, :4].tolist()
    np.testing.assert_allclose(found.scores, 1 + np.take_along_axis(exact, found.items, 1) / 2, atol=2e-7)
    chosen = read_steps([{"name": "k_reciprocal", "k1": 5, "k2": 1, "weight": 1.0}], where="x")
    scorer = scores_after(chosen, Sets(features, features, np.arange(90)))
    scores = np.empty((90, 90), np.float32)
    scorer.fill(slice(0, 90), slice(0, 90), scores)
    # With the whole weight on the original distance: over the query's largest.
    np.fill_diagonal(exact, 0)
    np.testing.assert_allclose(scores, exact / -exact.min(axis=1, keepdims=True), rtol=2e-3, atol=1e-6)


def test_other_orders_of_bytes() -> None:
    features = np.random.default_rng(9).standard_normal((30, 5)).astype(np.float32) + 9
    expected = together(list(rank(similarity_of("euclidean", features, features), Unjudged(np.arange(30)), top=5)))
    for rows in (features.astype(">f4"), features.astype(">f8"), features.astype("<f8")):
        assert together(list(rank(similarity_of("euclidean", rows, rows), Unjudged(np.arange(30)), top=5))) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_features_of_two_lengths(kind: Kind) -> None:
    with pytest.raises(RetrievalError, match="queries and gallery have features of 3 and 4 dimensions"):
        inspect.unwrap(similarity_of)(kind, np.eye(3), np.eye(4))  # without the tests' own check of shapes
