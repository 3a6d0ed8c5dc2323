"""Rankings by torch against those of the CPU's engine; on torch's CPU where there is no GPU."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from pipeline.retrieval import ranking_by_torch
from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import evaluate, scores_of
from pipeline.retrieval.metrics import average_precision
from pipeline.retrieval.neighbours import Reciprocal
from pipeline.retrieval.postprocessing import KReciprocal
from pipeline.retrieval.protocols import by_labels
from pipeline.retrieval.ranking import Ranking, rank
from pipeline.retrieval.relevance import Judge, Listed, SharedLabel, Unjudged
from pipeline.retrieval.similarity import Kind, Scorer, unit_rows
from pipeline.retrieval.steps import Sets
from pipeline.retrieval.wanted import Settings
from tests.retrieval.test_ranking import arrays, random_case, same, together

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
KINDS: list[Kind] = ["cosine", "dot", "euclidean"]


def by_torch(scorer: Scorer, judge: Judge, top: int, device: str = "cpu") -> list[Ranking]:
    return list(ranking_by_torch.each_ranking(lambda found: found, scorer, judge, top=top, device=device))


@pytest.mark.parametrize("device", DEVICES)
@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(KINDS), st.sampled_from([(512, 16384), (7, 5)]))
def test_equal_to_the_cpu_with_ties_junk_and_empty_queries(
    device: str, seed: int, kind: Kind, shape: tuple[int, int]
) -> None:
    features, positives, ignored = random_case(seed, tied=True)
    scorer, judge = similarity_of(kind, features, features), Listed(arrays(positives), arrays(ignored))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking_by_torch, "ROWS", shape[0])
        patch.setattr(ranking_by_torch, "COLUMNS", shape[1])
        found = together(by_torch(scorer, judge, 6, device))
    same(found, together(list(rank(scorer, judge, top=6))))


@pytest.mark.parametrize("device", DEVICES)
def test_negative_scores_and_zeros_of_both_signs(device: str) -> None:
    queries = np.array([[1.0, 0], [-1, 0]], np.float32)
    gallery = np.array([[0.0, 1], [-0.0, -1], [-1, 0], [1, 0], [-0.0, 1]], np.float32)
    scorer = similarity_of("dot", queries, gallery)
    judge = Listed(arrays([[1, 2], [4]]), arrays([[], [0]]))
    same(together(by_torch(scorer, judge, 7, device)), together(list(rank(scorer, judge, top=7))))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["dot", "euclidean"])
@pytest.mark.parametrize("all_zero", [False, True])
def test_features_of_zeros(device: str, kind: Kind, all_zero: bool) -> None:
    features = np.random.default_rng(4).integers(0, 2, (40, 20)).astype(np.float32)
    features[:: 1 if all_zero else 7] = 0
    scorer, judge = similarity_of(kind, features, features), SharedLabel([(str(item % 3),) for item in range(40)])
    found = together(by_torch(scorer, judge, 5, device))
    same(found, together(list(rank(scorer, judge, top=5))))
    assert np.isfinite(found["top_scores"]).all()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
def test_real_digits(device: str, kind: Kind) -> None:
    data = load_digits()
    features, judge = data.data.astype(np.float32), SharedLabel([(str(label),) for label in data.target])
    scorer = similarity_of(kind, features, features)
    found, expected = (
        float(np.concatenate([average_precision(part.ranks) for part in parts]).mean())
        for parts in (by_torch(scorer, judge, 0, device), rank(scorer, judge, top=0))
    )
    assert abs(found - expected) < 1e-6


def test_the_setting_takes_the_other_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    original = ranking_by_torch.each_ranking

    def noted(*arguments: object, device: str, **more: object) -> object:
        used.append(device)
        return original(*arguments, device="cpu", **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ranking_by_torch, "each_ranking", noted)
    labels = [("a",), ("a",), ("b",), ("b",)]
    protocol, chosen = by_labels(labels), Settings(device="cuda:3")
    features = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)
    found = evaluate(scores_of(features, protocol, chosen), protocol, names=[""] * 4, settings=chosen)
    assert used == ["cuda:3"] and found.ap.tolist() == [1, 1, 1, 1]


def test_a_device_that_is_not_there_and_scores_that_are_no_products() -> None:
    features = unit_rows(np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32))
    judge = SharedLabel([(str(number % 2),) for number in range(20)])
    for device in ("nowhere", *(["cuda"] if not torch.cuda.is_available() else [])):
        with pytest.raises(RetrievalError, match=f"device '{device}' cannot be used .*: set device: cpu"):
            by_torch(similarity_of("cosine", features, features), judge, 1, device)
    reciprocal = KReciprocal(3, 1, 0.3).apply(Sets(features, features, np.arange(20)))
    assert isinstance(reciprocal, Reciprocal)
    with pytest.raises(RetrievalError, match="these scores are computed on the CPU only: set device: cpu"):
        by_torch(reciprocal, judge, 1)


@pytest.mark.parametrize("device", DEVICES)
def test_a_search_without_positives(device: str) -> None:
    features = unit_rows(np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32))
    judge = Unjudged(np.arange(50))
    scorer = similarity_of("cosine", features, features)
    same(together(by_torch(scorer, judge, 9, device)), together(list(rank(scorer, judge, top=9))))


def test_arrays_that_may_not_be_written_to() -> None:
    rows = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
    rows.setflags(write=False)
    judge = SharedLabel([(str(index % 3),) for index in range(40)])
    scorer = similarity_of("dot", rows, rows)
    assert not scorer.query_rows.flags.writeable
    same(together(by_torch(scorer, judge, 5, "cpu")), together(list(rank(scorer, judge, top=5))))
