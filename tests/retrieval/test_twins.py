"""Items with the same row: found as by comparing all pairs, and equal in all scores and rankings."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import score_features
from pipeline.retrieval import ranking_by_torch, twins
from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.ranking import rank
from pipeline.retrieval.relevance import Unjudged
from pipeline.retrieval.similarity import Kind
from pipeline.retrieval.twins import Twins, twins_of

KINDS: list[Kind] = ["cosine", "dot", "euclidean"]


def pairwise(rows: np.ndarray) -> Twins:
    """The same from the definition."""
    equal = (rows[:, None] == rows).all(axis=2)
    twin = equal.sum(axis=1) > 1
    return Twins(np.flatnonzero(twin), equal.argmax(axis=1)[twin])


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint8, np.uint64])
@given(st.integers(0, 10**6), st.integers(1, 60), st.sampled_from([1, 3, 40, 200]), st.sampled_from([2, 4, 40]))
def test_as_by_comparing_all_pairs(dtype: type, seed: int, items: int, dim: int, different: int) -> None:
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, 2, (different, dim)).astype(dtype)
    kinds[:, : rng.integers(0, dim)] = 1  # rows that begin alike
    rows = kinds[rng.integers(0, different, items)]
    if dtype in (np.float32, np.float16):
        rows[::2] *= np.where(rows[::2] == 0, -1, 1).astype(dtype)  # minus zero
    found, expected = twins_of(rows), pairwise(rows)
    np.testing.assert_array_equal(found.places, expected.places)
    np.testing.assert_array_equal(found.firsts, expected.firsts)
    assert found.most == np.unique(rows, axis=0, return_counts=True)[1].max()


def test_equal_marks_of_different_rows_make_no_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twins, "marks_of", lambda rows, items: np.zeros(len(items), np.uint64))
    found = twins_of(np.array([[1], [2], [1], [3]], np.float32))
    assert [found.places.tolist(), found.firsts.tolist()] == [[0, 2], [0, 0]]


def copies(items: int, dim: int, different: int, seed: int = 0, alone: int = 0) -> np.ndarray:
    """Return features of which many are the same, and the last ``alone`` are not."""
    rng = np.random.default_rng(seed)
    kinds = rng.standard_normal((different, dim)).astype(np.float32)
    rows = kinds[rng.integers(0, different, items)]
    rows[items - alone :] = rng.standard_normal((alone, dim))
    return rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("queries", "items", "dim"), [(1, 31, 8), (12, 64, 64), (130, 601, 384), (513, 1200, 5), (40, 17000, 33)]
)
def test_they_score_the_same(kind: Kind, queries: int, items: int, dim: int) -> None:
    gallery, asked = copies(items, dim, 9, alone=items // 4), copies(queries, dim, 3, seed=1)
    found = list(rank(similarity_of(kind, asked, gallery), Unjudged(np.full(queries, -1)), top=items))
    _, which = np.unique(gallery, axis=0, return_inverse=True)
    for part in found:
        for scores, order in zip(part.top_scores, part.top_items, strict=True):
            of_kinds = np.zeros(which.max() + 1, np.float32)
            of_kinds[which[order]] = scores
            np.testing.assert_array_equal(scores, of_kinds[which[order]])
            together = np.argsort(which[order], kind="stable")
            assert (np.diff(order[together])[np.diff(which[order][together]) == 0] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("memory", [0.0, 1.0])
def test_whichever_is_the_query(kind: Kind, memory: float) -> None:
    features = copies(1300, 48, 7, alone=600)
    scorer = similarity_of(kind, features, features)
    everything = np.empty((1300, 1300), np.float32)
    scorer.fill(slice(0, 1300), slice(0, 1300), everything)
    np.testing.assert_array_equal(everything, everything.T)
    part = np.empty((300, 700), np.float32)
    scorer.fill(slice(100, 400), slice(600, 1300), part)
    np.testing.assert_array_equal(part, everything[100:400, 600:])
    exact = features.astype(np.float64) @ features.T.astype(np.float64)
    if kind == "dot":
        np.testing.assert_allclose(everything, exact, atol=1e-4)
    for found in rank(scorer, Unjudged(np.arange(1300)), top=1300, memory=memory):
        np.testing.assert_array_equal(
            found.top_scores[:, :-1],
            scorer.told(
                slice(found.first, found.first + len(found.top_items)),
                everything[found.first + np.arange(len(found.top_items))[:, None], found.top_items[:, :-1]],
            ),
        )


@pytest.mark.parametrize("kind", KINDS)
def test_by_torch(kind: Kind) -> None:
    gallery = copies(700, 64, 5, alone=100)
    scorer = similarity_of(kind, copies(60, 64, 60, seed=2), gallery)
    _, which = np.unique(gallery, axis=0, return_inverse=True)
    (found,) = ranking_by_torch.each_ranking(
        lambda ranking: ranking, scorer, Unjudged(np.full(60, -1)), top=700, device="cpu"
    )
    for scores, order in zip(found.top_scores, found.top_items, strict=True):
        assert all(len(set(scores[which[order] == one].tolist())) == 1 for one in range(which.max() + 1))


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [{"name": "int8", "learn_on": "gallery"}],
        [{"name": "float16"}],
        [{"name": "binary_rescored", "by": "float32", "first": 600}],
    ],
    ids=str,
)
def test_ties_of_copies_count_as_ties(steps: list[dict[str, Any]]) -> None:
    """Half of the items are one: with scores in float64 and ties by index, AP is what it is here."""
    rng = np.random.default_rng(3)
    features = rng.standard_normal((600, 64)).astype(np.float32)
    features[rng.permutation(600)[:300]] = features[0]
    labels = [str(label) for label in rng.integers(0, 10, 600)]
    found = score_features(features, labels, steps=steps, left_out=False)
    unit = features.astype(np.float64) / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    kept, which = np.unique(unit, axis=0, return_inverse=True)
    aps: dict[str, list[float]] = {"mAP": [], "for": [], "against": []}
    for query in range(600):
        scores = (kept @ unit[query])[which]
        relevant = np.array([label == labels[query] for label in labels])
        for name, ties in (("mAP", np.arange(600)), ("for", ~relevant), ("against", relevant)):
            order = np.lexsort((np.arange(600), ties, -scores))
            hits = relevant[order[order != query]]
            ranks = np.flatnonzero(hits) + 1
            aps[name].append(float(np.mean(np.arange(1, len(ranks) + 1) / ranks)))
    tolerance = {"int8": 2e-3, "float16": 1e-4}.get(steps[0]["name"] if steps else "", 1e-6)
    assert found["mAP"] == pytest.approx(np.mean(aps["mAP"]), abs=tolerance)
    gap = np.mean(aps["for"]) - np.mean(aps["against"])
    assert gap > 0.25 and found["tie_gap"] == pytest.approx(gap, abs=tolerance)
