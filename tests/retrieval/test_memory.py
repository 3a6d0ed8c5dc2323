"""Memory is asked for before it is taken."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.retrieval import memory
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.metrics import ndcg_at
from pipeline.retrieval.ragged import Ragged
from pipeline.retrieval.scoring import score_features


def test_a_container_has_less_than_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = memory.memory()
    for text, expected in ((str(1 << 20), 1 << 20), ("max", whole), (str(1 << 62), whole)):
        (tmp_path / "limit").write_text(f"{text}\n")
        monkeypatch.setattr(memory, "LIMITS", (str(tmp_path / "limit"), str(tmp_path / "absent")))
        assert memory.memory() == expected


def test_what_does_not_fit_is_refused_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "memory", lambda: 1 << 20)
    rows, labels = np.random.default_rng(0).normal(size=(20, 4)), list("ab") * 10
    assert "mAP" in score_features(rows, labels)
    with pytest.raises(RetrievalError, match=r"the first 10000 items of 20 queries needs 0\.0 GiB of memory"):
        score_features(rows, labels, per_query=True, top=10_000)


def test_a_cutoff_beyond_the_gallery_takes_no_memory() -> None:
    ranks = Ragged.of([np.array([1, 4]), np.array([2])])
    assert ndcg_at(ranks, k=10**9).tolist() == ndcg_at(ranks, k=4).tolist()
