"""Indices of faiss: what they are built with, which errors there are, and that nothing stays as it was set."""

import sys
from typing import Any

import numpy as np
import pytest

from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.indices import Rows, Setting, build, computing, rate_of, read_kind, speed_of
from pipeline.retrieval.similarity import Kind, unit_rows

faiss = pytest.importorskip("faiss", reason="faiss is not installed: pip install faiss-cpu")
HNSW = {"kind": "hnsw", "links": 8, "ef_construction": 40, "ef_search": [50, 20]}
PQ = {"kind": "ivf_pq", "nprobe": [1, 4], "parts": 4}


def rows_of(items: int, dim: int = 16, *, kind: Kind = "cosine", seed: int = 0) -> Rows:
    """Return random rows that ask for one another."""
    features = np.random.default_rng(seed).standard_normal((items, dim)).astype(np.float32)
    return Rows.of(similarity_of(kind, features, features))


@pytest.mark.parametrize(
    ("config", "built_with", "settings"),
    [
        ({"kind": "flat"}, {}, [{}]),
        (HNSW, {"links": 8, "ef_construction": 40}, [{"ef_search": 20}, {"ef_search": 50}]),
        # The square root of 150 is 12.2, so that 16 lists are all of them, as are 99; of a code 2^7 = 128 centroids.
        (
            {"kind": "ivf_flat", "nprobe": [99, 16, 2]},
            {"nlist": 12},
            [{"nprobe": 2}, {"nprobe": 12}],
        ),
        ({**PQ, "bits": None}, {"nlist": 12, "parts": 4, "bits": 7}, [{"nprobe": 1}, {"nprobe": 4}]),
        ({**PQ, "nlist": 3, "bits": 5}, {"nlist": 3, "parts": 4, "bits": 5}, [{"nprobe": 1}, {"nprobe": 3}]),
    ],
    ids=["flat", "hnsw", "ivf_flat", "ivf_pq", "ivf_pq as said"],
)
def test_what_an_index_is_built_with(config: dict[str, Any], built_with: dict[str, int], settings: list[Any]) -> None:
    rows = rows_of(150)
    index = build(read_kind(config, where="x"), rows, k=10, where="x")
    assert index.built_with == built_with
    assert [setting.described for setting in index.settings] == settings
    assert index.bytes == faiss.serialize_index(index.index).nbytes
    again = build(read_kind(config, where="x"), rows, k=10, where="x")
    assert faiss.serialize_index(again.index).tobytes() == faiss.serialize_index(index.index).tobytes()
    for setting in index.settings:
        assert np.array_equal(index.search(rows.queries, 10, setting), again.search(rows.queries, 10, setting))


def test_faiss_has_the_settings_that_are_said() -> None:
    rows = rows_of(300)
    hnsw = build(read_kind(HNSW, where="x"), rows, k=10, where="x")
    assert hnsw.index.hnsw.efConstruction == 40 and hnsw.index.hnsw.nb_neighbors(1) == 8
    assert [setting.parameters(20).efSearch for setting in hnsw.settings] == [20, 50]
    assert [setting.parameters(30).efSearch for setting in hnsw.settings] == [30, 50]
    ivf = build(read_kind({**PQ, "bits": 6}, where="x"), rows, k=10, where="x")
    assert (ivf.index.nlist, ivf.index.pq.M, ivf.index.pq.nbits) == (17, 4, 6)
    assert [setting.parameters(30).nprobe for setting in ivf.settings] == [1, 4]


@pytest.mark.parametrize("kind", ["cosine", "dot", "euclidean"])
def test_the_similarity_is_that_of_the_exact_ranking(kind: Kind) -> None:
    features = np.random.default_rng(1).standard_normal((80, 5)) * np.linspace(0.5, 2, 80)[:, None]
    scores = {
        "cosine": unit_rows(features) @ unit_rows(features).T,
        "dot": features @ features.T,
        "euclidean": -np.square(features[:, None] - features).sum(axis=2),
    }[kind]
    rows = Rows.of(similarity_of(kind, features, features))
    index = build(read_kind({"kind": "flat"}, where="x"), rows, k=9, where="x")
    assert np.array_equal(index.search(rows.queries, 9, Setting()), np.argsort(-scores, axis=1)[:, :9])


def test_a_search_for_more_than_there_is_finds_all() -> None:
    rows = rows_of(7)
    found = build(read_kind({"kind": "flat"}, where="x"), rows, k=100, where="x").search(rows.queries, 100, Setting())
    assert np.array_equal(np.sort(found, axis=1), np.tile(np.arange(7), (7, 1)))


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"kind": "lsh"}, "x: unknown kind 'lsh'; one of flat, hnsw, ivf_flat, ivf_pq"),
        ({}, "x: unknown kind 'None'"),
        ({"kind": "flat", "nprobe": [1]}, "x: unknown key 'nprobe'"),
        ({**HNSW, "ef": 3}, "x: unknown key 'ef'"),
        ({**HNSW, "links": 1}, "x: 'links' is 1: expected an integer from 2 to 1024"),
        ({**HNSW, "ef_search": []}, "x: 'ef_search' is empty: give a value or more"),
        ({**HNSW, "ef_search": [0]}, r"x: 'ef_search' is \[0\]"),
        ({**PQ, "bits": 9}, "x: 'bits' is 9"),
        ({"kind": "ivf_flat"}, "x: missing key 'nprobe'"),
    ],
)
def test_what_no_yaml_may_say(config: dict[str, Any], match: str) -> None:
    with pytest.raises(RetrievalError, match=match):
        read_kind(config, where="x")


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (HNSW, "x: ef_search 20 is less than the 30 results that are asked for: raise it to 30"),
        (
            {**PQ, "bits": 8},
            "x: codes of 8 bits need 256 items to learn from, and there are 200: set bits to 7, or null",
        ),
        ({**PQ, "parts": 6}, "x: 6 parts do not divide 16 dimensions: set parts to 4"),
        ({**PQ, "nlist": 201}, "x: nlist is 201, but there are 200 items to learn centroids from: lower it"),
    ],
)
def test_what_does_not_fit_the_features(config: dict[str, Any], match: str) -> None:
    with pytest.raises(RetrievalError, match=match):
        build(read_kind(config, where="x"), rows_of(200), k=30, where="x")


def test_one_item_cannot_be_coded() -> None:
    with pytest.raises(RetrievalError, match="one item is not enough to learn codes from: search by flat"):
        build(read_kind(PQ, where="x"), rows_of(1), k=1, where="x")


def test_without_faiss_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(RetrievalError, match="needs faiss: pip install faiss-cpu"):
        build(read_kind({"kind": "flat"}, where="x"), rows_of(9), k=5, where="x")


def test_threads_are_given_back() -> None:
    before = faiss.omp_get_max_threads()
    with pytest.raises(ZeroDivisionError), computing(before + 2):
        assert faiss.omp_get_max_threads() == before + 2
        raise ZeroDivisionError
    assert faiss.omp_get_max_threads() == before


def test_speed_is_measured_by_one_thread_and_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.retrieval.indices.cores", lambda: 3)
    monkeypatch.setattr("pipeline.retrieval.indices.LEAST", 1e-4)
    rows = rows_of(300)
    index = build(read_kind({"kind": "flat"}, where="x"), rows, k=5, where="x")
    seen: list[tuple[int, int, int]] = []

    class Watched:
        ntotal = index.index.ntotal

        def search(self, queries: np.ndarray, k: int) -> tuple[None, np.ndarray]:
            seen.append((faiss.omp_get_max_threads(), len(queries), k))
            return None, np.zeros((len(queries), k), np.int64)

    watched = type(index)(index.kind, index.built_with, index.settings, Watched(), 0.0)
    speed = speed_of(watched, rows.queries, 5, Setting())
    assert set(seen) == {(1, 300, 5), (1, 1, 5), (3, 300, 5)}
    assert sum(queries == 1 for _, queries, _ in seen) == 150  # every second of 300: 200 at most, evenly spaced
    assert 0 < speed.p50_ms <= speed.p95_ms and speed.queries_per_second > 0


def test_a_rate_is_by_the_median(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([9.0, 0.1, 0.02, 0.04, 0.04])  # the first one warms up; 0.1, 0.02, 0.04 and 0.04 together are 0.2
    monkeypatch.setattr("pipeline.retrieval.indices.seconds_of", lambda search: search())
    assert rate_of(lambda: next(times), 100) == pytest.approx(100 / 0.04)
