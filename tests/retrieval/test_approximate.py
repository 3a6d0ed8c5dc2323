"""What an index finds, judged: by hand, against a naive reading, and against the exact evaluation."""

from typing import Any

import numpy as np
import pytest

from pipeline.retrieval.approximate import Exact, among, asked_of, exact, found_by, judged
from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.evaluation import scores_of
from pipeline.retrieval.indices import Rows, build, read_kind
from pipeline.retrieval.protocols import Protocol, by_choice, by_labels, by_landmarks
from pipeline.retrieval.queries import Query
from pipeline.retrieval.ragged import Ragged
from pipeline.retrieval.relevance import Listed
from pipeline.retrieval.scoring import score_features
from pipeline.retrieval.similarity import Kind
from pipeline.retrieval.wanted import Settings

pytest.importorskip("faiss", reason="faiss is not installed: pip install faiss-cpu")
HNSW = {"kind": "hnsw", "links": 16, "ef_construction": 40, "ef_search": [10, 80]}
PQ = {"kind": "ivf_pq", "nprobe": [2, 64], "parts": 4}


def clustered(items: int, dim: int, *, classes: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Return features around centres, and whose centre each is."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, items)
    features = rng.standard_normal((classes, dim))[labels] + 0.8 * rng.standard_normal((items, dim))
    return features.astype(np.float32), [str(label) for label in labels]


def found_in(
    features: np.ndarray, protocol: Protocol, config: dict[str, Any], *, k: int, similarity: Kind = "cosine"
) -> tuple[Exact, list[Any], list[np.ndarray]]:
    """Return the exact ranking, what each setting of an index finds, judged, and its raw results."""
    scorer = scores_of(features, protocol, Settings(similarity=similarity))
    rows = Rows.of(scorer)
    index = build(read_kind(config, where="x"), rows, k=k, where="x")
    known = exact(scorer, protocol.judge, k=k)
    found = found_by(index, rows, known)
    cutoffs = [cutoff for cutoff in (1, 5, k) if cutoff <= known.longest]
    return known, judged(found, scorer, protocol.judge, known, cutoffs=cutoffs, whole=index.kind.whole), found


@pytest.mark.parametrize("config", [HNSW, PQ, {"kind": "ivf_flat", "nprobe": [1, 4]}], ids=lambda one: one["kind"])
def test_recall_and_map_against_brute_force(config: dict[str, Any]) -> None:
    """A naive reading, a query at a time, of what faiss found: each item against all others, without itself."""
    features, labels = clustered(1200, 16, classes=30)
    known, results, found = found_in(features, by_labels([(label,) for label in labels]), config, k=10)
    unit = features.astype(np.float64) / np.linalg.norm(features.astype(np.float64), axis=1)[:, None]
    scores = unit @ unit.T
    for result, places in zip(results, found, strict=True):
        recalls: dict[int, list[float]] = {1: [], 5: [], 10: []}
        aps = []
        for query in range(1200):
            ranking = [item for item in np.argsort(-scores[query]).tolist() if item != query]
            got = [item for item in places[query].tolist() if item not in (query, -1)][:10]
            for cutoff, values in recalls.items():
                values.append(len(set(ranking[:cutoff]) & set(got[:cutoff])) / cutoff)
            hits = [labels[item] == labels[query] for item in got]
            relevant = labels.count(labels[query]) - 1
            aps.append(sum(hit * sum(hits[: place + 1]) / (place + 1) for place, hit in enumerate(hits)) / relevant)
        assert result.recalls == pytest.approx({cutoff: np.mean(values) for cutoff, values in recalls.items()})
        assert result.mean_ap == pytest.approx(np.mean(aps))
    # The more is looked at, the more is found; codes lose what no number of lists brings back.
    assert results[0].recalls[10] < results[1].recalls[10]
    if config is PQ:
        assert 0.3 < results[1].recalls[10] < 0.95
    elif config is HNSW:
        assert results[1].recalls[10] > 0.97


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("offset", [0.0, 1000.0], ids=["around the origin", "far from it"])
def test_flat_finds_all_and_has_the_map_of_the_evaluation(similarity: Kind, offset: float) -> None:
    features, labels = clustered(700, 24, classes=12, seed=3)
    features = (features + np.float32(offset)).astype(np.float32)
    features[1], features[2] = features[0], features[0]  # exact duplicates
    groups = [str(item // 2) if item % 50 < 4 else None for item in range(700)]
    known, [result], _ = found_in(
        features,
        by_labels([(label,) for label in labels], groups=groups),
        {"kind": "flat"},
        k=20,
        similarity=similarity,
    )
    evaluated = score_features(features, labels, groups=groups, similarity=similarity, cutoffs=[20])
    assert known.mean_ap == evaluated["mAP@20"]
    assert result.mean_ap == evaluated["mAP@20"]
    assert result.recalls == {1: 1, 5: 1, 20: 1}


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
def test_flat_finds_all_among_many_copies(similarity: Kind) -> None:
    rng = np.random.default_rng(0)
    features = np.repeat(rng.standard_normal((6, 32)).astype(np.float32), 100, axis=0)[rng.permutation(600)]
    labels = rng.integers(0, 5, 600).astype(str)
    protocol = by_labels([(str(label),) for label in labels])
    known, [result], _ = found_in(features, protocol, {"kind": "flat"}, k=10, similarity=similarity)
    assert result.mean_ap == known.mean_ap and set(result.recalls.values()) == {1.0}


# Dot products with the query 1 of six items on a line.
LINE = np.array([[9.0], [8.0], [7.0], [6.0], [5.0], [4.0], [1.0], [1.0]], np.float32)
ASKED = [Query(6, (1, 4), (), (0, 2)), Query(7, (), (3,), ())]


def by_hand(found: list[list[int]], *, k: int, cutoffs: list[int], whole: bool = True) -> Any:
    protocol = by_landmarks(ASKED, 8, difficulty="medium")
    scorer = scores_of(LINE, protocol, Settings(similarity="dot"))
    known = exact(scorer, protocol.judge, k=k)
    [result] = judged([np.array(found)], scorer, protocol.judge, known, cutoffs=cutoffs, whole=whole)
    return known, result


def test_junk_counts_neither_for_nor_against_by_hand() -> None:
    # Without junk 0 and 2 the first query's ranking is 1, 3, 4, 5; its positives 1 and 4 are at 1 and 3. The second
    # one's is 0, 1, 2, 3, ..., its positive at 4.
    found = [[0, 2, 1, 4, -1, -1], [3, 1, 0, -1, -1, -1]]
    known, result = by_hand(found, k=3, cutoffs=[1, 3])
    assert known.left_out == 2
    assert known.mean_ap == pytest.approx(((1 + 2 / 3) / 2 + 0) / 2)
    # Found are 1 and 4, at ranks 1 and 2, and of the second 0, 1 and 3 in the order of their scores, 3 at rank 3.
    assert result.mean_ap == pytest.approx(((1 + 2 / 2) / 2 + (1 / 3)) / 2)
    # Of {1} and {1, 3, 4} the first has {1} and {1, 4}; of {0} and {0, 1, 2} the second has {0} and {0, 1}.
    assert result.recalls == {1: 1.0, 3: pytest.approx((2 / 3 + 2 / 3) / 2)}


def test_codes_keep_the_order_in_which_they_find_by_hand() -> None:
    # The second finds 3 first: rank 1 instead of 3; its first item is not 0.
    _, result = by_hand([[0, 2, 1, 4, -1, -1], [3, 1, 0, -1, -1, -1]], k=3, cutoffs=[1, 3], whole=False)
    assert result.mean_ap == pytest.approx(((1 + 2 / 2) / 2 + 1) / 2)
    assert result.recalls[1] == 0.5


def test_nothing_found_is_nothing() -> None:
    _, result = by_hand([[-1] * 4, [-1] * 4], k=3, cutoffs=[1, 3])
    assert result.mean_ap == 0 and result.recalls == {1: 0, 3: 0}


def test_what_scores_as_the_kth_counts() -> None:
    features = np.array([[5.0], [3.0], [3.0], [3.0], [1.0]], np.float32)
    scorer = similarity_of("dot", np.ones((1, 1), np.float32), features)
    judge = Listed([np.array([3])], [np.array([], np.int64)])
    known = exact(scorer, judge, k=2)
    assert known.places.tolist() == [[0, 1]]  # ties by index
    # 3 scores as 1 does, and stands for it, but not for 0; 4 scores less.
    for found, recall in (([0, 3], 1.0), ([3, 2], 0.5), ([0, 4], 0.5), ([4, 0], 0.5)):
        [result] = judged([np.array([found])], scorer, judge, known, cutoffs=[2], whole=True)
        assert result.recalls == {2: recall}
    # Its own order of equal scores is that of the index, so that 2 comes before 3, whichever was found first.
    [result] = judged([np.array([[3, 2]])], scorer, judge, known, cutoffs=[2], whole=True)
    assert result.mean_ap == 1 / 2


def test_queries_without_positives_count_for_nothing() -> None:
    features, _ = clustered(40, 8, classes=4)
    queries = [Query(0, (5, 6), (), ()), Query(1, (), (), (7,)), Query(2, (9,), (), ())]
    known, [result], _ = found_in(
        features, by_landmarks(queries, 40, difficulty="medium"), {"kind": "flat"}, k=5, similarity="dot"
    )
    assert known.queries == 2 and np.isnan(known.ap).tolist() == [False, True, False]
    assert result.mean_ap == known.mean_ap and result.recalls[5] == 1


def test_rankings_shorter_than_k() -> None:
    features, _ = clustered(30, 8, classes=4)
    queries = [Query(0, (5,), (6, 7), ()), Query(1, (8, 9), (10,), ())]
    known, [result], _ = found_in(features, by_choice(queries, 30), {"kind": "flat"}, k=20)
    assert known.longest == 3 and known.left_out == 25  # of 28 items of the gallery
    assert result.recalls == {1: 1.0} and result.mean_ap == known.mean_ap


def test_a_search_is_asked_for_what_is_left_out_too() -> None:
    features, labels = clustered(60, 8, classes=4)
    groups = [str(item // 5) for item in range(60)]
    protocol = by_labels([(label,) for label in labels], groups=groups)
    scorer = scores_of(features, protocol, Settings())
    rows = Rows.of(scorer)
    known = exact(scorer, protocol.judge, k=10)
    assert known.left_out == 5  # the query is in its group
    hnsw = build(read_kind({**HNSW, "ef_search": [10]}, where="x"), rows, k=10, where="x")
    assert asked_of(hnsw, rows, known) == 15
    many = exact(scorer, protocol.judge, k=58)
    flat = build(read_kind({"kind": "flat"}, where="x"), rows, k=58, where="x")
    assert asked_of(flat, rows, many) == 60  # no more than there are


def test_as_many_candidates_are_kept_as_a_search_is_asked_for() -> None:
    """Of 100 items that are left out of a ranking many are near: 5 candidates would end a search among these."""
    features, labels = clustered(3000, 32, classes=30)
    groups = [f"{label}, half {item % 2}" for item, label in enumerate(labels)]
    protocol = by_labels([(label,) for label in labels], groups=groups)
    known = exact(scores_of(features, protocol, Settings()), protocol.judge, k=5)
    asked = 5 + known.left_out
    assert asked > 50
    config = {"kind": "hnsw", "links": 8, "ef_construction": 40, "ef_search": [5, asked]}
    _, [few, many], (by_few, by_many) = found_in(features, protocol, config, k=5)
    assert np.array_equal(by_few, by_many)
    assert few == many and few.recalls[5] > 0.9


def test_many_queries_are_judged_as_few_are() -> None:
    """Of more than a block of queries and of items each is judged by its own lists."""
    features, labels = clustered(5000, 4, classes=40, seed=5)
    rng = np.random.default_rng(0)
    asked = rng.permutation(5000)[:600]
    scorer = similarity_of("euclidean", features[asked], features)
    positives = [np.flatnonzero(np.array(labels) == labels[item]) for item in asked]
    judge = Listed(positives, [np.array([item]) for item in asked])
    known = exact(scorer, judge, k=3)
    found = rng.integers(0, 5000, (600, 6))
    found[:, :3] = np.where(rng.random((600, 3)) < 0.5, known.places, found[:, :3])
    [together] = judged([found], scorer, judge, known, cutoffs=[3], whole=False)
    expected = []
    for number, item in enumerate(asked.tolist()):
        away = np.square(features - features[item]).sum(axis=1)
        got = [place for place in found[number].tolist() if place != item][:3]
        expected.append(sum(away[place] <= 1.000001 * away[known.places[number, 2]] for place in got) / 3)
    assert 0.2 < together.recalls[3] < 0.8
    assert together.recalls[3] == pytest.approx(np.mean(expected))


def test_an_empty_list_of_positives_is_no_hit() -> None:
    lists = Ragged.of([np.array([], np.int64), np.array([0])])
    # Place -1 of the second query is not the last item of the first.
    assert among(np.array([[2, 0], [-1, 0]]), Ragged.of([np.array([2]), np.array([], np.int64)]), 3).tolist() == [
        [True, False],
        [False, False],
    ]
    assert among(np.array([[0, 1], [1, 0]]), lists, 3).tolist() == [[False, False], [False, True]]
