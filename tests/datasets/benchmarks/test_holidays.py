"""INRIA Holidays: who asks, who is ranked, and the AP of the authors' evaluation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.preparing import prepare
from pipeline.manifest.manifest import read_manifest
from pipeline.manifest.protocols import protocols_of
from pipeline.manifest.rules import rules_in
from pipeline.retrieval.evaluation import evaluate, scores_of
from pipeline.retrieval.wanted import Settings
from tests.datasets.benchmarks.judging import Asked, asked, listed, published, refused, refuses_other_counts

NAMES = ["100000", "100001", "100002", "100100", "100101", "149900", "149901", "149902"]


@pytest.fixture
def root(draw: Callable[..., Path], tmp_path: Path) -> Path:
    for seed, name in enumerate(NAMES):
        draw(f"holidays/jpg/{name}.jpg", seed=seed)
    return tmp_path / "holidays"


def test_queries_are_left_out_of_their_own_ranking_only(root: Path, tmp_path: Path) -> None:
    paths = [f"jpg/{name}.jpg" for name in NAMES]
    scene = {path: path[4:8] for path in paths}
    assert asked(published("holidays", root), tmp_path) == {
        query: Asked({path for path in paths if scene[path] == scene[query]} - {query}, set(paths) - {query})
        for query in ("jpg/100000.jpg", "jpg/100100.jpg", "jpg/149900.jpg")
    }
    assert listed(published("holidays", root)).roles == dict.fromkeys((1, 2, 4, 6, 7), "gallery")


def authors_ap(ranked: list[str], relevant: set[str]) -> float:
    """Average precision by the description of the authors' evaluation: the trapezoids below the curve."""
    ranks = [rank for rank, name in enumerate(ranked) if name in relevant]
    ap = 0.0
    for found, rank in enumerate(ranks):
        before = found / rank if rank else 1.0
        ap += (before + (found + 1) / (rank + 1)) / 2 / len(relevant)
    return ap


def test_ap_is_that_of_the_authors(root: Path, tmp_path: Path) -> None:
    config = published("holidays", root)
    prepare("own", config, tmp_path / "prepared")
    manifest = read_manifest(tmp_path / "prepared")
    [protocol] = protocols_of(manifest, difficulty="medium")
    features = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    settings = Settings(ap=rules_in(config, where="holidays").ap)
    found = evaluate(scores_of(features, protocol, settings), protocol, names=manifest.paths, settings=settings)
    expected = []
    for query in (0, 3, 5):
        order = [item for item in np.argsort(-(unit @ unit[query]), kind="stable").tolist() if item != query]
        relevant = {name for name in NAMES if name[:4] == NAMES[query][:4]} - {NAMES[query]}
        expected.append(authors_ap([NAMES[item] for item in order], relevant))
    np.testing.assert_allclose(found.ap, expected, atol=1e-12)
    assert len(set(expected)) > 1


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        (["100100"], r"scene 1001 has no query, 100100\.jpg: the archives are not complete"),
        (["100101"], "scene 1001 has no image but its query: the archives are not complete"),
    ],
)
def test_scenes_that_are_not_complete(root: Path, removed: list[str], message: str) -> None:
    for name in removed:
        (root / f"jpg/{name}.jpg").unlink()
    refused(published("holidays", root), message)
    exclude = ["100100.jpg", "100101.jpg"]
    refused(
        published("holidays", root, exclude=exclude), rf"'{({'100100', '100101'} & set(removed)).pop()}\.jpg' under"
    )


def test_other_names(root: Path, draw: Callable[..., Path]) -> None:
    draw("holidays/jpg2/100000.jpg")
    refused(published("holidays", root), r"jpg/100000\.jpg and jpg2/100000\.jpg are named 100000\.jpg: remove one")
    (root / "jpg2/100000.jpg").rename(root / "jpg2/10000.jpg")
    refused(published("holidays", root), r"jpg2/10000\.jpg \(no name like 100000\.jpg\)")


def test_the_published_counts(root: Path) -> None:
    refuses_other_counts("holidays", root, "8 images, not 1,491; 3 queries, not 500; 8 gallery, not 1,491; 3 labels")
