"""The landmark protocols against a naive reading of the official definition, on the true ground truth; labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets.revisited import read_ground_truth
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest
from pipeline.manifest.protocols import protocols_of
from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import evaluate, scores_of
from pipeline.retrieval.protocols import DIFFICULTIES, Difficulty, Protocol, by_labels, by_landmarks
from pipeline.retrieval.queries import Query, Role
from pipeline.retrieval.summary import ignoring_duplicates, report, summarise
from pipeline.retrieval.wanted import Settings


def official(
    order: list[int], positives: set[int], junk: set[int], kappas: tuple[int, ...]
) -> tuple[float, list[float]] | None:
    """AP and precision at kappas of one ranking, as the benchmark's paper and code define them; None if it is empty.

    Ranks count from 0 after junk is taken out. AP is the area under the curve by the trapezoid rule; precision at k is
    taken at the lesser of k and the rank of the last positive.
    """
    if not positives:
        return None
    clean = [item for item in order if item not in junk]
    hits = [rank for rank, item in enumerate(clean) if item in positives]
    area = 0.0
    for found, rank in enumerate(hits):
        before = 1.0 if rank == 0 else found / rank
        area += (before + (found + 1) / (rank + 1)) / 2 / len(hits)
    last = max(hits) + 1
    return area, [sum(rank < min(last, kappa) for rank in hits) / min(last, kappa) for kappa in kappas]


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_revisited_oxford(real_images: Path, difficulty: Difficulty) -> None:
    truth = read_ground_truth(real_images / "landmarks" / "oxford5k" / "gnd_roxford5k.pkl")
    items = len(truth.gallery)
    rng = np.random.default_rng(0)
    features = rng.standard_normal((items + len(truth.asked), 4)).astype(np.float32)
    protocol = by_landmarks(truth.queries, len(features), difficulty=difficulty)
    scorer = similarity_of("dot", features[protocol.queries], features[protocol.gallery])
    settings = Settings(cutoffs=[1, 5, 10])
    found = evaluate(scorer, protocol, names=[], settings=settings)
    summary = summarise(found, settings)

    scores = np.empty((len(truth.queries), items), np.float32)
    scorer.fill(slice(0, len(scores)), slice(0, items), scores)
    results = []
    for row, query in zip(scores, truth.queries, strict=True):
        easy, hard, junk = set(query.easy), set(query.hard), set(query.junk)
        positives = {"easy": easy, "medium": easy | hard, "hard": hard}[difficulty]
        ignored = {"easy": junk | hard, "medium": junk, "hard": junk | easy}[difficulty]
        results.append(official(np.argsort(-row, kind="stable").tolist(), positives, ignored, (1, 5, 10)))
    counted = [result for result in results if result is not None]
    assert summary["mAP"] == pytest.approx(np.mean([ap for ap, _ in counted]), abs=1e-12)
    for place, kappa in enumerate((1, 5, 10)):
        mean = np.mean([precisions[place] for _, precisions in counted])
        assert summary[f"mP@{kappa}"] == pytest.approx(mean, abs=1e-12)
    # Two queries have no easy positives: the official mean is over the other 68.
    assert (summary["queries"], summary["queries_without_positives"]) == ((68, 2) if difficulty == "easy" else (70, 0))
    assert summary["gallery"] == 4993
    # About one a building: queries of the same one share positives.
    landmarks = protocol.partitions(0)["classes"]
    assert (landmarks.units, landmarks.groups, len(np.unique(landmarks.queries))) == (12, 12, 12)
    assert protocol.partitions(0)["images"].units == 70 + 4993


def summary_of(
    features: np.ndarray, protocol: Protocol, labels: list[tuple[str, ...]], contents: list[str], settings: Settings
) -> dict[str, Any]:
    names = [f"{item}.png" for item in range(len(features))]
    scorer = scores_of(features, protocol, settings)
    return report(scorer, [protocol], labels=labels, contents=contents, names=names, settings=settings)[1]


def test_a_perfect_and_a_hand_worked_landmark_ranking() -> None:
    # Gallery 0..4, query 5. By the first feature the order is 0, 1, 2, 3, 4; easy 2, hard 1, junk 0.
    features = np.array([[5.0], [4], [3], [2], [1], [1]], np.float32)
    queries = [Query(5, (2,), (1,), (0,))]
    expected = {"easy": 1.0, "medium": 1.0, "hard": 1.0}
    for difficulty in DIFFICULTIES:
        protocol = by_landmarks(queries, 6, difficulty=difficulty)
        summary = summary_of(features, protocol, [()] * 6, list("abcdef"), Settings(similarity="dot"))
        assert summary["mAP"] == expected[difficulty]
    # With item 1 a negative, the easy one is second: (0 / 1 + 1 / 2) / 2.
    protocol = by_landmarks([Query(5, (2,), (), (0,))], 6, difficulty="easy")
    scorer = similarity_of("dot", features[5:], features[:5])
    assert evaluate(scorer, protocol, names=[], settings=Settings()).ap.tolist() == [0.25]


def test_junk_is_as_good_as_absent() -> None:
    rng = np.random.default_rng(1)
    features = rng.standard_normal((21, 3)).astype(np.float32)
    junk = (3, 4, 9)
    with_junk = by_landmarks([Query(20, (0, 1), (2,), junk)], 21, difficulty="medium")
    kept = [item for item in range(21) if item not in junk]
    without = by_landmarks([Query(17, (0, 1), (2,), ())], 18, difficulty="medium")
    found = [
        evaluate(similarity_of("dot", f[p.queries], f[p.gallery]), p, names=[], settings=Settings()).ap.tolist()
        for f, p in ((features, with_junk), (features[kept], without))
    ]
    assert found[0] == found[1]


def test_an_exact_copy_lifts_map_and_is_reported() -> None:
    features = np.array([[1, 0], [1, 0], [0, 1], [1, 1], [0.9, -1]], np.float32)
    labels = [("a",), ("a",), ("b",), ("a",), ("b",)]
    protocol = by_labels(labels)
    contents = ["x", "x", "y", "z", "w"]
    summary = summary_of(features, protocol, labels, contents, Settings())
    assert summary["exact_duplicates"] == 1
    kept = [0, 2, 3, 4]
    others = [labels[item] for item in kept]
    alone = summary_of(features[kept], by_labels(others), others, list("xyzw"), Settings())
    assert summary["mAP_without_duplicates"] == pytest.approx(alone["mAP"])
    assert summary["mAP"] > alone["mAP"]
    assert ignoring_duplicates(protocol, list("abcde")) is None


def test_a_query_without_positives_is_an_error_or_left_out_and_counted() -> None:
    features, labels = np.eye(3, dtype=np.float32), [("a",), ("a",), ("b",)]
    with pytest.raises(RetrievalError, match=r"query 2 \(2.png\) has no positives, as have 1 of 3"):
        summary_of(features, by_labels(labels), labels, list("xyz"), Settings())
    skip = Settings(queries_without_positives="skip")
    assert summary_of(features, by_labels(labels), labels, list("xyz"), skip)["queries_without_positives"] == 1
    alone = [("a",), ("b",), ("c",)]
    with pytest.raises(RetrievalError, match="no query has a positive"):
        summary_of(features, by_labels(alone), alone, list("xyz"), skip)


def test_roles_groups_and_distractors() -> None:
    features = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], np.float32)
    labels: list[tuple[str, ...]] = [("a",), (), ("a",), ("a",)]
    settings = Settings(queries_without_positives="error")
    split = by_labels(labels, roles=["query", "gallery", "gallery", "both"])
    # Query 0 ranks 1 (a distractor), 2, 3: ranks 2 and 3; query 3 ranks 2, 1: rank 1.
    scorer = similarity_of("cosine", features[split.queries], features[split.gallery])
    found = evaluate(scorer, split, names=list("abcd"), settings=settings)
    assert found.queries.tolist() == [0, 3]
    assert found.ap.tolist() == [(1 / 2 + 2 / 3) / 2, 1.0]
    assert found.top_items[:, :3].tolist() == [[1, 2, 3], [2, 1, -1]]
    burst = by_labels(labels, groups=["g", None, "g", None])
    scorer = similarity_of("cosine", features[burst.queries], features[burst.gallery])
    found = evaluate(scorer, burst, names=list("abcd"), settings=settings)
    # Query 0 ranks 1, 3, query 2 the same; query 3 ranks 2, 1, 0.
    assert found.ap.tolist() == [1 / 2, 1 / 2, (1 + 2 / 3) / 2]
    with pytest.raises(RetrievalError, match="unknown role 'x'"):
        by_labels(labels, roles=["x"] * 4)
    with pytest.raises(RetrievalError, match="there is no query"):
        by_labels(labels, roles=["gallery"] * 4)
    with pytest.raises(RetrievalError, match="item 1 is a query without labels: say what it shows, or leave it out"):
        by_labels(labels, roles=["both", "query", "gallery", "gallery"])


def test_a_manifest_says_roles_groups_and_distractors() -> None:
    roles: list[Role] = ["both", "both", "query", "gallery", "gallery"]
    labels = [("a",), ("a",), ("a",), ("a",), ()]
    groups = ["burst", "burst", None, None, None]
    items = tuple(
        Item(f"{number}.jpg", label, 9, 9, str(number), role=role, group=group)
        for number, (label, role, group) in enumerate(zip(labels, roles, groups, strict=True))
    )
    [protocol] = protocols_of(Manifest("own", Path("r"), items), difficulty="medium")
    assert protocol.queries.tolist() == [0, 1, 2] and protocol.gallery.tolist() == [0, 1, 3, 4]
    positives, ignored = protocol.judge(0, 3)
    assert [row.tolist() for row in positives.rows()] == [[2], [2], [0, 1, 2]]  # places in the gallery
    assert [row.tolist() for row in ignored.rows()] == [[0, 1], [0, 1], []]


def test_a_landmark_protocol_needs_queries_and_a_gallery() -> None:
    with pytest.raises(RetrievalError, match="there is no query among 3 items"):
        by_landmarks([], 3, difficulty="easy")
    with pytest.raises(RetrievalError, match="there is no item in the gallery among 1 items"):
        by_landmarks([Query(0, (), (), ())], 1, difficulty="easy")


def test_a_crop_is_no_copy_of_its_image() -> None:
    boxes = [None, (0.0, 0.0, 5.0, 5.0), None]
    items = tuple(Item(f"{number}.jpg", (), 9, 9, "same", box) for number, box in enumerate(boxes))
    first, crop, copy = Manifest("own", Path("r"), items).contents
    assert first == copy != crop
