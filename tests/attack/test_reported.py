"""Faults that users of other projects reported, tried here: docs/reliability.md lists them with their addresses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.preparing import prepare
from pipeline.manifest.images import decode_rgb, read_file
from pipeline.manifest.labels import read_labels
from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.ranking import rank
from pipeline.retrieval.relevance import Unjudged
from pipeline.retrieval.scoring import score_features
from pipeline.search.searching import search


def first(features: np.ndarray, query: np.ndarray, k: int = 1) -> list[tuple[int, float]]:
    return search(query[None], features, k=k, similarity="euclidean")[0]


def test_faiss_3245_positions_in_metres() -> None:
    gallery = np.array([[4208292.0, 2335623.5, 4171305.0], [4208843.5, 2334869.5, 4171171.5]], np.float32)
    query = np.array([4208848.0, 2334863.5, 4171170.2], np.float32)
    assert first(gallery, query) == [(1, pytest.approx(np.linalg.norm(gallery[1] - query.astype(float)), rel=1e-6))]


@pytest.mark.parametrize("offset", [0, 1e5, 1e7])
def test_faiss_5285_a_translation_changes_no_order(offset: float) -> None:
    gallery = np.array([[139.0, 8], [3, 4], [0, 0]]) + offset
    for rows in (gallery, np.repeat(gallery, 40, axis=0)):  # many at once take another path there
        distances = [distance for _, distance in first(rows, gallery[2], k=len(rows))]
        assert sorted(set(np.round(distances, 4))) == [0, 5, round(float(np.hypot(139, 8)), 4)]


def test_faiss_297_and_2158_dimensions_of_other_sizes() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 25)) * 10.0 ** rng.integers(-8, 8, 25)
    for query, row in enumerate(features):
        (item, distance), (_, second) = first(features, row, k=2)
        exact = np.sort(np.linalg.norm(features - row, axis=1))[1]
        assert (item, distance) == (query, 0) and second == pytest.approx(exact, rel=1e-5)


def test_faiss_1956_features_that_differ_from_the_sixth_place_on() -> None:
    rng = np.random.default_rng(1)
    features = (rng.standard_normal(512) + 1e-6 * rng.standard_normal((50, 512))).astype(np.float32)
    for kind in ("cosine", "euclidean"):
        found = search(features, features, k=1, similarity=kind)  # type: ignore[arg-type]
        assert [best[0][0] for best in found] == list(range(50))


def test_faiss_808_the_first_of_few_are_the_first_of_many() -> None:
    rng = np.random.default_rng(2)
    features = rng.random((3000, 64)).astype(np.float32)
    features[:, 0] += np.arange(3000) / 1000
    scorer = similarity_of("euclidean", features, features)
    few, many = (
        np.concatenate([part.top_items for part in rank(scorer, Unjudged(np.arange(3000)), top=top)])
        for top in (5, 900)
    )
    np.testing.assert_array_equal(few, many[:, :5])


def test_scikit_learn_26723_and_pytorch_57690_a_copy_is_at_distance_zero() -> None:
    rows = np.array([[0, 0, 0], [4765960.395804689, -2726208.244406798, 3236212.738643452]])
    for asked in (rows, rows.copy(), rows[1:]):
        found = search(asked, rows, k=1, similarity="euclidean")
        assert found[-1] == [(1, 0.0)]


def test_dim_2_and_future_agi_1613_the_query_and_copies_are_counted_right() -> None:
    rng = np.random.default_rng(3)
    features = rng.standard_normal((40, 8))
    labels = [str(number % 4) for number in range(40)]
    found = score_features(features, labels)
    assert found["positives"] == 40 * 9  # not ten: a query is not its own positive
    copies = np.concatenate([features, features, features])
    assert 0 < score_features(copies, labels * 3)["mAP"] <= 1


@pytest.mark.parametrize("name", ["NA", "null", "nan", "None", "N/A", "1e5", "007", "TRUE"])
def test_pandas_24681_labels_that_are_words_to_a_parser(tmp_path: Path, name: str) -> None:
    (tmp_path / "L.csv").write_text(f"path,labels\na.jpg,{name}\nb.jpg,x\n")
    assert [list(labels) for labels in read_labels(tmp_path / "L.csv").labels] == [[name], ["x"]]


def test_pytorch_metric_learning_74_a_class_of_one_is_no_nan() -> None:
    features, labels = np.eye(5), ["a", "a", "b", "b", "alone"]
    with pytest.raises(RetrievalError, match=r"query 4 .* has no positives, as have 1 of 5"):
        score_features(features, labels)
    found = score_features(features, labels, queries_without_positives="skip")
    assert found["queries_without_positives"] == 1 and np.isfinite(found["R-precision"])


def test_re_move_4_a_query_without_positives_adds_nothing_to_mrr() -> None:
    features = np.random.default_rng(4).standard_normal((9, 4))
    labels = [*"aabbccdd", "alone"]
    found = score_features(features, labels, queries_without_positives="skip")
    gallery = score_features(features, [*[(label,) for label in labels[:8]], ()])
    assert found["MRR"] == gallery["MRR"]


def test_torchvision_2831_hidden_folders_are_no_classes(tmp_path: Path) -> None:
    for folder in ("a", "b", ".ipynb_checkpoints"):
        (tmp_path / folder).mkdir()
        for number in range(2):
            Image.new("RGB", (8, 8), (len(folder), number, 0)).save(tmp_path / folder / f"{number}.png")
    manifest, _ = prepare("own", {"kind": "folder", "root": str(tmp_path)}, tmp_path.with_name("made"))
    assert {item.labels for item in manifest.items} == {("a",), ("b",)}


def test_adaface_163_a_photograph_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    upright = Image.new("RGB", (12, 8))
    upright.paste((255, 0, 0), (0, 0, 12, 4))
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by 180 degrees
    upright.rotate(180).save(tmp_path / "turned.jpg", exif=exif, quality=100, subsampling=0)
    found = np.asarray(decode_rgb(read_file(tmp_path / "turned.jpg", name="x"), name="x")).astype(int)
    assert np.abs(found - np.asarray(upright).astype(int)).mean() < 8
