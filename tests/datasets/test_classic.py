"""Oxford 5k and Paris 6k by their own ground truth, and the classic protocol."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.listing import Listing
from pipeline.datasets.preparing import prepare
from pipeline.datasets.readers import read_dataset
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.manifest.protocols import protocols_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import evaluate, scores_of
from pipeline.retrieval.queries import Query
from pipeline.retrieval.wanted import Settings

NAMES = ["bodleian_000001", "keble_000002", "keble_000003", "radcliffe_000004", "radcliffe_000005"]
LISTS = {
    "keble_1_query": "oxc1_keble_000002 1.5 2 20.25 24",
    "keble_1_good": "keble_000002\nkeble_000003\n",
    "keble_1_ok": "bodleian_000001\n",
    "keble_1_junk": "radcliffe_000004\n",
    "radcliffe_1_query": "oxc1_radcliffe_000004 0 0 32 24",
    "radcliffe_1_good": "radcliffe_000005\n",
    "radcliffe_1_ok": "",
    "radcliffe_1_junk": "",
}


@pytest.fixture
def config(draw: Callable[..., Path], tmp_path: Path) -> dict[str, object]:
    for seed, name in enumerate(NAMES):
        draw(f"raw/deep/{name}.jpg", seed=seed)
    (tmp_path / "truth").mkdir()
    for name, content in LISTS.items():
        (tmp_path / f"truth/{name}.txt").write_text(content)
    return {"kind": "classic", "root": str(tmp_path / "raw"), "ground_truth": str(tmp_path / "truth")}


def read(config: dict[str, object], **changes: object) -> Listing:
    return read_dataset("own", {**config, **changes}, Path("unused"))


def test_the_gallery_is_every_image_and_the_queries_are_crops(config: dict[str, object], tmp_path: Path) -> None:
    found = read(config)
    images = [f"deep/{name}.jpg" for name in NAMES]
    assert [path for path, _ in found.entries] == [*images, images[1], images[3]]
    assert found.queries == (Query(5, (1, 2, 0), (), (3,)), Query(6, (4,), (), ()))
    assert found.boxes == {5: (1.5, 2.0, 20.25, 24.0), 6: (0.0, 0.0, 32.0, 24.0)}
    prepare("own", config, tmp_path / "own")
    manifest = read_manifest(tmp_path / "own")
    assert manifest.given == "classic" and manifest.queries == found.queries
    assert [protocol.name for protocol in protocols_of(manifest, difficulty="medium")] == ["classic"]


def test_queries_as_whole_images(config: dict[str, object]) -> None:
    cut, whole = read(config, crop_queries=True), read(config, crop_queries=False)
    assert cut == read(config) and len(cut.boxes) == 2
    assert whole == replace(cut, boxes={})


def test_lists_as_windows_and_macos_leave_them(config: dict[str, object], tmp_path: Path) -> None:
    expected = read(config)
    for name, content in LISTS.items():
        windows = "\ufeff" + content.replace("\n", "\r\n")
        (tmp_path / f"truth/{name}.txt").write_text(windows, encoding="utf-8", newline="")
        (tmp_path / f"truth/._{name}.txt").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X")
    assert read(config) == expected


def test_a_list_that_is_no_file(config: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "truth/keble_1_ok.txt"
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(RetrievalError, match=r"keble_1_ok\.txt is a device, not a file"):
        read(config)


def test_what_a_pattern_leaves_out_may_stand_in_the_lists(config: dict[str, object]) -> None:
    found = read(config, exclude=["keble_*3.jpg"])
    assert found == read(config, exclude=["keble_000003.jpg"]) == read(config, exclude=["**/keble_000003.jpg"])
    assert found.passed_over == {"hidden": 0, "excluded": 1}


def test_what_is_excluded_may_stand_in_the_lists(config: dict[str, object]) -> None:
    found = read(config, exclude=["keble_000003.jpg"])
    assert found.queries == (Query(4, (1, 0), (), (2,)), Query(5, (3,), (), ()))
    with pytest.raises(RetrievalError, match="its image keble_000002.jpg is under 'exclude'"):
        read(config, exclude=["keble_000002.jpg"])
    with pytest.raises(RetrievalError, match="'nothing.jpg' under 'exclude' is not in the dataset"):
        read(config, exclude=["nothing.jpg"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("keble_1_query", "oxc1_keble_000002 1 2 3", "keble_1_query.txt: expected name left top right bottom"),
        ("keble_1_query", "oxc1_keble_000002", "keble_1_query.txt: expected name left top right bottom"),
        ("keble_1_query", "oxc1_keble_000009 0 0 3 3", "keble_1_query.txt: keble_000009.jpg is not among the images"),
        ("keble_1_good", "keble_000009", "keble_1_good.txt: keble_000009.jpg is not among the images"),
        ("keble_1_ok", "keble_000003", "an item stands twice among easy, hard and junk"),
        ("keble_1_junk", None, "keble_1_junk.txt cannot be read"),
    ],
)
def test_wrong_lists(config: dict[str, object], tmp_path: Path, name: str, content: str | None, message: str) -> None:
    path = tmp_path / f"truth/{name}.txt"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(RetrievalError, match=message):
        read(config)


def test_a_folder_without_lists(config: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RetrievalError, match="empty has no file named like all_souls_1_query.txt"):
        read(config, ground_truth=str(tmp_path / "empty"))


def official_ap(positives: set[str], junk: set[str], ranked: list[str]) -> float:
    """Average precision as compute_ap of the Oxford buildings page describes it: trapezoids, junk passed over."""
    old_recall, old_precision, ap, hits, seen = 0.0, 1.0, 0.0, 0, 0
    for name in ranked:
        if name in junk:
            continue
        hits += name in positives
        recall, precision = hits / len(positives), hits / (seen + 1)
        ap += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
        seen += 1
    return ap


def test_ap_is_that_of_the_official_definition() -> None:
    rng = np.random.default_rng(0)
    items, asked = 60, 8
    queries, features = [], rng.standard_normal((items + asked, 6)).astype(np.float32)
    for number in range(asked):
        listed = rng.permutation(items)[:20].tolist()
        queries.append(Query(items + number, tuple(listed[:12]), (), tuple(listed[12:])))
    manifest = Manifest(
        "own",
        Path("r"),
        tuple(Item(f"{number}.jpg", (), 9, 9, str(number)) for number in range(items + asked)),
        queries=tuple(queries),
        given="classic",
    )
    [protocol] = protocols_of(manifest, difficulty="hard")
    settings = Settings()
    found = evaluate(scores_of(features, protocol, settings), protocol, names=manifest.paths, settings=settings)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for query, ap in zip(queries, found.ap, strict=True):
        order = np.argsort(-(unit[:items] @ unit[query.item]), kind="stable")
        ranked = [str(item) for item in order]
        expected = official_ap({str(i) for i in query.easy}, {str(i) for i in query.junk}, ranked)
        assert ap == pytest.approx(expected, abs=1e-12)
