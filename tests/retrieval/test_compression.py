"""Compressions against faiss and against naive readings of their definitions."""

import importlib.util
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.retrieval.compression.binary import Hamming, Rescored
from pipeline.retrieval.compression.codes import Coded
from pipeline.retrieval.compression.products import Parts
from pipeline.retrieval.compression.scalars import Ranges
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.postprocessing import STEPS, bytes_after, read_recipe, read_steps, scores_after
from pipeline.retrieval.ranking import COLUMNS, rank
from pipeline.retrieval.relevance import Unjudged
from pipeline.retrieval.scoring import score_features
from pipeline.retrieval.similarity import Scorer, unit_rows
from pipeline.retrieval.steps import Sets

NO_FAISS = importlib.util.find_spec("faiss") is None
needs_faiss = pytest.mark.skipif(NO_FAISS, reason="faiss is not installed: pip install faiss-cpu")


def clustered(items: int, dim: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((6, dim))
    return unit_rows((centres[rng.integers(0, 6, items)] + 0.7 * rng.standard_normal((items, dim))).astype(np.float32))


def apart(queries: np.ndarray, gallery: np.ndarray) -> Sets:
    return Sets(queries, gallery, np.full(len(queries), -1))


def leave_one_out(features: np.ndarray) -> Sets:
    return Sets(features, features, np.arange(len(features)))


def all_scores(scorer: Scorer) -> np.ndarray:
    """All scores, of two parts of the gallery and of two of the queries."""
    out = np.empty((scorer.queries, scorer.items), np.float32)
    for rows in (slice(0, scorer.queries // 3), slice(scorer.queries // 3, scorer.queries)):
        for columns in (slice(0, scorer.items // 2), slice(scorer.items // 2, scorer.items)):
            part = np.empty((rows.stop - rows.start, columns.stop - columns.start), np.float32)
            scorer.fill(rows, columns, part)
            out[rows, columns] = part
    return out


def told(scorer: Scorer) -> np.ndarray:
    return scorer.told(slice(0, scorer.queries), all_scores(scorer))


def steps(*entries: dict[str, Any]) -> list:
    return read_steps(list(entries), where="conf/ranking/x.yaml")


def normalised(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def order_of(scorer: Scorer) -> np.ndarray:
    found = list(rank(scorer, Unjudged(np.full(scorer.queries, -1)), top=scorer.items))
    return np.concatenate([part.top_items for part in found])


QUERIES, GALLERY, OTHER = clustered(20, 24, 1), clustered(90, 24, 2), clustered(300, 24, 3)


def test_truncate() -> None:
    found = all_scores(scores_after(steps({"name": "truncate", "dim": 7}), apart(QUERIES, GALLERY)))
    np.testing.assert_allclose(found, normalised(QUERIES[:, :7]) @ normalised(GALLERY[:, :7]).T, atol=1e-6)


TRUNCATE = {"name": "truncate", "dim": 7}
LOST = "truncate leaves nothing but rounding of row {} of the {}, as of {} in all: raise 'dim', or take pca"


def emptied(rows: np.ndarray, *numbers: int) -> np.ndarray:
    """Unit rows, some of them without the first seven dimensions."""
    rows = rows.copy()
    rows[list(numbers), :7] = 0
    return unit_rows(rows)


def test_a_row_of_which_nothing_is_left_is_named_with_its_set() -> None:
    with pytest.raises(RetrievalError) as caught:
        scores_after(steps(TRUNCATE), apart(QUERIES, emptied(GALLERY, 4, 9)))
    assert str(caught.value) == LOST.format(4, "gallery", 2)
    with pytest.raises(RetrievalError) as caught:
        scores_after(steps(TRUNCATE), apart(emptied(QUERIES, 5), GALLERY))
    assert str(caught.value) == LOST.format(5, "queries", 1)
    with pytest.raises(RetrievalError) as caught:
        scores_after(steps(TRUNCATE), apart(QUERIES, GALLERY), emptied(OTHER, 7))
    assert str(caught.value) == LOST.format(7, "set to learn on", 1)
    # The sixth query is item 25, which is in the gallery.
    features = emptied(GALLERY, 25)
    places = np.array([20, 21, 22, 23, 24, 25])
    with pytest.raises(RetrievalError) as caught:
        scores_after(steps(TRUNCATE), Sets(features[places], features, places))
    assert str(caught.value) == LOST.format(25, "gallery", 1)


@pytest.mark.parametrize("dim", [8, 300])
@pytest.mark.parametrize(
    "entry", [{"name": "pca", "power": 0}, {"name": "pca", "power": 1}, {"name": "pca_whitening"}], ids=str
)
def test_rounding_is_no_direction(entry: dict[str, Any], dim: int) -> None:
    """Other features lie in three directions, around the origin; those of the gallery are at right angles to these."""
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.standard_normal((dim, dim)))[0]
    rows = rng.standard_normal((40, 3)) @ turned[:3]
    other, gallery = np.concatenate([rows, -rows]), rng.standard_normal((9, dim - 3)) @ turned[3:]
    queries = gallery + 1e-4 * rng.standard_normal((9, dim))  # of these a little is left
    chosen, one = steps({**entry, "dim": 3}), entry["name"]
    message = (
        f"^{one} leaves nothing but rounding of row 0 of the gallery, as of 9 in all: raise 'dim', or learn on a set"
    )
    with pytest.raises(RetrievalError, match=message):
        scores_after(chosen, apart(unit_rows(queries), unit_rows(gallery)), other)
    assert np.isfinite(all_scores(scores_after(chosen, apart(unit_rows(queries), unit_rows(queries)), other))).all()


@pytest.mark.parametrize("whiten", [True, False])
def test_pca_beside_scikit_learn(whiten: bool) -> None:
    from sklearn.decomposition import PCA

    model = PCA(9, whiten=whiten, svd_solver="full").fit(normalised(3 * OTHER.astype(np.float64)))
    expected = normalised(model.transform(QUERIES)) @ normalised(model.transform(GALLERY)).T
    chosen = steps({"name": "pca", "dim": 9, "power": int(whiten)})
    found = all_scores(scores_after(chosen, apart(QUERIES, GALLERY), 3 * OTHER))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    if whiten:
        same = scores_after(steps({"name": "pca_whitening", "dim": 9}), apart(QUERIES, GALLERY), 3 * OTHER)
        np.testing.assert_array_equal(all_scores(same), found)


@pytest.mark.parametrize(("power", "shrinkage"), [(0.5, 0), (1.0, 0.3), (0.25, 1.0)])
def test_pca_with_power_and_shrinkage(power: float, shrinkage: float) -> None:
    # By the eigenvectors of the covariance; the mean of all eigenvalues is its trace over the dimensions.
    covariance = np.cov(normalised(OTHER.astype(np.float64)), rowvar=False)
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1], vectors[:, ::-1]
    shrunk = (1 - shrinkage) * values + shrinkage * np.trace(covariance) / 24
    scaled = vectors[:, :9] / shrunk[:9] ** (power / 2)
    mean = normalised(OTHER.astype(np.float64)).mean(axis=0)
    expected = normalised((QUERIES - mean) @ scaled) @ normalised((GALLERY - mean) @ scaled).T
    chosen = steps({"name": "pca", "dim": 9, "power": power, "shrinkage": shrinkage})
    np.testing.assert_allclose(all_scores(scores_after(chosen, apart(QUERIES, GALLERY), OTHER)), expected, atol=1e-5)


def test_pca_of_many_rows_is_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = steps({"name": "pca", "dim": 9, "power": 0.5, "learn_on": "gallery"})
    whole = all_scores(scores_after(chosen, apart(QUERIES, GALLERY)))
    monkeypatch.setattr("pipeline.retrieval.compression.projections.ROWS", 40)
    np.testing.assert_allclose(all_scores(scores_after(chosen, apart(QUERIES, GALLERY))), whole, atol=1e-6)
    other = scores_after(steps({"name": "pca", "dim": 9, "power": 0.5}), apart(QUERIES, GALLERY), GALLERY)
    np.testing.assert_allclose(all_scores(other), whole, atol=1e-6)


def test_random_projection_keeps_cosines_on_average() -> None:
    features = clustered(60, 400, 4)
    cosines = features @ features.T
    pairs = np.triu_indices(60, 1)
    errors = []
    for seed in range(20):
        chosen = steps({"name": "random_projection", "dim": 100, "seed": seed})
        errors.append((all_scores(scores_after(chosen, leave_one_out(features))) - cosines)[pairs])
    # The variance of a cosine c of Gaussian projections is about (1 - c^2)^2 / dim.
    expected = np.sqrt(np.square(1 - cosines[pairs] ** 2).mean() / 100)
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(expected, rel=0.1)
    assert abs(np.mean(errors)) < 0.02 and np.abs(np.mean(errors, axis=0)).max() < 0.1
    with pytest.raises(RetrievalError, match="random_projection: 'dim' is 401, but the features have 400 dimensions"):
        scores_after(steps({"name": "random_projection", "dim": 401}), leave_one_out(features))


def test_float16() -> None:
    scorer = scores_after(steps({"name": "float16"}), apart(QUERIES, GALLERY))
    rounded = np.array([[float(np.float16(value)) for value in row] for row in GALLERY])
    np.testing.assert_array_equal(decoded(scorer), rounded)
    np.testing.assert_allclose(told(scorer), QUERIES @ rounded.T, atol=1e-6)


def decoded(scorer: Scorer) -> np.ndarray:
    """What the codes stand for, as the scores of unit vectors as queries would have it."""
    assert isinstance(scorer, Coded)
    return scorer.codes.decoded(slice(0, scorer.items))


def naive_int8(rows: np.ndarray, ranges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The whole numbers, and what they stand for, one by one."""
    codes, values = np.zeros(rows.shape, int), np.zeros(rows.shape)
    for dimension in range(rows.shape[1]):
        low, high = ranges[:, dimension].min(), ranges[:, dimension].max()
        for number in range(len(rows)):
            place = min(max((rows[number, dimension] - low) / (high - low), np.float32(0)), np.float32(1))
            codes[number, dimension] = int(np.float32(255) * place)
            values[number, dimension] = low + (codes[number, dimension] + 0.5) * (float(high) - float(low)) / 255
    return codes, values


@pytest.mark.parametrize("learn_on", ["another", "gallery"])
def test_int8(learn_on: str) -> None:
    other = OTHER[:30]  # some of the gallery lies beyond its ranges
    scorer = scores_after(steps({"name": "int8", "learn_on": learn_on}), apart(QUERIES, GALLERY), other)
    codes, values = naive_int8(GALLERY, other if learn_on == "another" else GALLERY)
    np.testing.assert_array_equal(decoded(scorer) + 128, codes)
    assert codes.min() == 0 and codes.max() == 255
    np.testing.assert_allclose(told(scorer), QUERIES @ values.T, atol=1e-6)
    np.testing.assert_array_equal(order_of(scorer)[:, :5], np.argsort(-(QUERIES @ values.T), kind="stable")[:, :5])
    if learn_on == "gallery":
        assert np.abs(values - GALLERY).max() <= np.ptp(GALLERY, axis=0).max() / 510 * 1.01


def test_int8_by_hand() -> None:
    ranges = Ranges.of(np.array([[0, -1, 7], [255, 1, 7]], np.float32))
    # A step is 1 and 2 / 255; the third dimension is a constant. 2.9 is cut to 2, 300 to the end of the range.
    rows = np.array([[2.9, 0, 7], [300, -5, 8]], np.float32)
    assert (ranges.coded(rows) + 128.0).tolist() == [[2, 127, 0], [255, 0, 255]]
    scorer = ranges.scores(np.eye(3, dtype=np.float32), rows)
    np.testing.assert_allclose(told(scorer).T, [[2.5, 0, 7], [255.5, -1 + 1 / 255, 7]], atol=1e-6)


@needs_faiss
def test_int8_beside_faiss() -> None:
    import faiss

    index = faiss.IndexScalarQuantizer(24, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT)
    index.train(OTHER)
    index.add(GALLERY)
    scorer = scores_after(steps({"name": "int8"}), apart(QUERIES, GALLERY), OTHER)
    theirs = faiss.vector_to_array(index.codes).reshape(GALLERY.shape)
    np.testing.assert_array_equal(decoded(scorer) + 128, theirs)
    identity = Ranges.of(OTHER).scores(np.eye(24, dtype=np.float32), GALLERY)
    np.testing.assert_allclose(told(identity).T, index.reconstruct_n(0, 90), atol=1e-6)
    scores, items = index.search(QUERIES, 10)
    np.testing.assert_array_equal(order_of(scorer)[:, :10], items)
    np.testing.assert_allclose(np.take_along_axis(told(scorer), items, 1), scores, atol=1e-5)


def naive_agreement(queries: np.ndarray, gallery: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Equal bits minus different ones, by packed bytes and a loop."""
    left, right = np.packbits(queries > centre, axis=1), np.packbits(gallery > centre, axis=1)
    found = np.zeros((len(queries), len(gallery)), int)
    for query in range(len(queries)):
        for item in range(len(gallery)):
            differ = sum(bin(a ^ b).count("1") for a, b in zip(left[query].tolist(), right[item].tolist(), strict=True))
            found[query, item] = queries.shape[1] - 2 * differ
    return found


@pytest.mark.parametrize("dim", [5, 24, 32, 70])
@pytest.mark.parametrize("learn_on", ["nothing", "gallery", "another"])
def test_binary(dim: int, learn_on: str) -> None:
    queries, gallery, other = clustered(9, dim, 5), clustered(30, dim, 6), clustered(40, dim, 7)
    centres = {"nothing": np.zeros(dim), "gallery": gallery.mean(axis=0), "another": other.mean(axis=0)}
    scorer = scores_after(steps({"name": "binary", "learn_on": learn_on}), apart(queries, gallery), other)
    assert isinstance(scorer, Hamming)
    expected = naive_agreement(queries, gallery, centres[learn_on].astype(np.float32))
    np.testing.assert_array_equal(all_scores(scorer), expected)
    np.testing.assert_allclose(told(scorer), expected / dim, rtol=1e-6)
    signs = np.where(gallery > centres[learn_on].astype(np.float32), 1, -1)
    np.testing.assert_array_equal(scorer.codes.decoded(slice(3, 12)), signs[3:12])
    np.testing.assert_array_equal(scorer.codes.decoded(np.array([8, 2])), signs[[8, 2]])
    np.testing.assert_array_equal(order_of(scorer), np.argsort(-expected, kind="stable"))


@needs_faiss
def test_binary_beside_faiss() -> None:
    import faiss

    index = faiss.IndexBinaryFlat(24)
    index.add(np.packbits(GALLERY > 0, axis=1))
    distances, _ = index.search(np.packbits(QUERIES > 0, axis=1), 90)
    found = all_scores(scores_after(steps({"name": "binary"}), apart(QUERIES, GALLERY)))
    np.testing.assert_array_equal(-np.sort(-found), 24 - 2 * distances)


def test_ties_of_binary_codes_are_ties() -> None:
    # Four bits, 200 items: sixteen scores at most five of which differ. AP of both orders of ties, one query at a time.
    features, labels = clustered(200, 4, 8), np.arange(200) % 5
    result = score_features(features, [str(one) for one in labels], steps=[{"name": "binary"}], per_query=True)
    scores = naive_agreement(features, features, np.zeros(4, np.float32))
    found: dict[str, list[float]] = {"AP": [], "AP_ties_for": [], "AP_ties_against": []}
    for query in range(200):
        items = np.delete(np.arange(200), query)
        relevant = labels[items] == labels[query]
        ties = {"AP": items, "AP_ties_for": ~relevant, "AP_ties_against": relevant}
        for name, second in ties.items():
            hits = np.flatnonzero(relevant[np.lexsort((items, second, -scores[query, items]))]) + 1
            found[name].append(float(np.mean(np.arange(1, len(hits) + 1) / hits)))
    for name, values in found.items():
        np.testing.assert_allclose(result["per_query"][name], values, atol=1e-12)
    assert result["tie_gap"] == pytest.approx(np.mean(found["AP_ties_for"]) - np.mean(found["AP_ties_against"]))
    assert result["tie_gap"] > 0.2


@pytest.mark.parametrize("by", ["bits", "int8", "float32"])
@pytest.mark.parametrize("itself", [False, True])
def test_binary_rescored(by: str, itself: bool) -> None:
    queries = GALLERY[30:70] if itself else QUERIES
    own = np.arange(30, 70) if itself else np.full(20, -1)
    chosen = steps({"name": "binary_rescored", "by": by, "first": 12, "learn_on": "gallery"})
    scorer = scores_after(chosen, Sets(queries, GALLERY, own))
    centre = GALLERY.mean(axis=0)
    base = naive_agreement(queries, GALLERY, centre)
    stands_for = {
        "bits": np.where(centre < GALLERY, 1, -1) / np.sqrt(24),
        "int8": naive_int8(GALLERY, GALLERY)[1],
        "float32": GALLERY,
    }[by]
    finer = queries.astype(np.float64) @ stands_for.T.astype(np.float64)
    scores = all_scores(scorer)
    for query in range(len(queries)):
        order = [item for item in np.argsort(-base[query], kind="stable").tolist() if item != own[query]]
        first = sorted(order[:12], key=lambda item: (-round(finer[query, item], 7), item))
        found = [item for item in np.argsort(-scores[query], kind="stable").tolist() if item != own[query]]
        assert found == [*first, *order[12:]]
        np.testing.assert_allclose(told(scorer)[query, first], finer[query, first], atol=1e-6)


def test_rescoring_more_items_than_there_are_is_by_the_finer_scores() -> None:
    chosen = steps({"name": "binary_rescored", "by": "float32", "first": 1000})
    scorer = scores_after(chosen, apart(QUERIES, GALLERY))
    assert isinstance(scorer, Rescored)
    np.testing.assert_allclose(told(scorer), QUERIES @ GALLERY.T, atol=1e-6)
    features, labels = clustered(60, 24, 9), [str(number % 6) for number in range(60)]
    fine = score_features(features, labels, steps=[{"name": "binary_rescored", "by": "float32", "first": 1000}])
    assert fine["mAP"] == pytest.approx(score_features(features, labels)["mAP"])


@pytest.mark.parametrize("offset", [0, 300, 3000, 30000])
def test_rescoring_tells_apart_features_that_lie_near_each_other(offset: float) -> None:
    rng = np.random.default_rng(0)
    labels = [str(number % 20) for number in range(400)]
    features = offset + rng.standard_normal((20, 64))[np.arange(400) % 20] + 0.8 * rng.standard_normal((400, 64))
    step = {"name": "binary_rescored", "by": "float32", "first": 400, "learn_on": "gallery"}
    again = score_features(features, labels, steps=[step], left_out=False)
    assert again["mAP"] == pytest.approx(score_features(features, labels, left_out=False)["mAP"], abs=1e-3)


@needs_faiss
@pytest.mark.parametrize(("parts", "bits"), [(6, 4), (8, 3), (3, 8), (24, 1)])
@pytest.mark.parametrize("rotate", ["none", "opq"])
def test_product_quantisation_beside_faiss(parts: int, bits: int, rotate: str) -> None:
    import faiss

    entry = {"name": "product_quantisation", "parts": parts, "bits": bits, "rotate": rotate}
    scorer = scores_after(steps(entry), apart(QUERIES, GALLERY), OTHER)
    assert isinstance(scorer, Coded) and isinstance(scorer.codes, Parts)
    turned, gallery, queries = OTHER, GALLERY, QUERIES
    if rotate == "opq":
        rotation = faiss.OPQMatrix(24, parts)
        rotation.pq = inner = faiss.ProductQuantizer(24, parts, bits)
        inner.cp.min_points_per_centroid = 1
        rotation.train(OTHER)
        turned, gallery, queries = (rotation.apply(rows) for rows in (OTHER, GALLERY, QUERIES))
    index = faiss.IndexPQ(24, parts, bits, faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.min_points_per_centroid = 1
    index.train(turned)
    index.add(gallery)
    np.testing.assert_allclose(decoded(scorer), index.reconstruct_n(0, 90), atol=1e-6)
    scores, items = index.search(queries, 90)
    np.testing.assert_allclose(np.take_along_axis(told(scorer), items, 1), scores, atol=1e-5)
    # By the definition: each part is the nearest word of its book.
    sub = 24 // parts
    for part in range(parts):
        rows = gallery[:, part * sub : (part + 1) * sub]
        distances = np.square(rows[:, None] - scorer.codes.books[part]).sum(axis=2)
        chosen = np.take_along_axis(distances, scorer.codes.values[:, part : part + 1].astype(int), 1)[:, 0]
        np.testing.assert_allclose(chosen, distances.min(axis=1), atol=1e-6)


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "int8", "learn_on": "gallery"},
        {"name": "float16"},
        pytest.param({"name": "product_quantisation", "parts": 4, "bits": 2, "learn_on": "gallery"}, marks=needs_faiss),
        {"name": "binary"},
        {"name": "binary_rescored", "by": "bits", "first": 300},
    ],
    ids=lambda entry: entry["name"],
)
@pytest.mark.parametrize(("queries", "items"), [(1, 31), (7, 33), (16, 64), (130, 601), (1, COLUMNS + 31)])
def test_items_of_equal_codes_tie(entry: dict[str, Any], queries: int, items: int) -> None:
    gallery = clustered(9, 384, 10)[np.arange(items) % 9]
    scorer = scores_after(steps(entry), apart(clustered(queries, 384, 13), gallery))
    found = list(rank(scorer, Unjudged(np.full(queries, -1)), top=items))
    for part in found:
        for scores, order in zip(part.top_scores, part.top_items, strict=True):
            first = min(items, 300) if isinstance(scorer, Rescored) else items
            for kind in range(9):
                mine = order[:first] % 9 == kind
                assert len(set(scores[:first][mine].tolist())) <= 1
                assert (np.diff(order[:first][mine]) > 0).all()


@pytest.mark.parametrize(
    ("entries", "dim", "expected"),
    [
        ([], 384, 1536),  # 384 x 4
        ([{"name": "truncate", "dim": 128}], 384, 512),
        ([{"name": "pca", "dim": 128, "power": 0.5}], 384, 512),
        ([{"name": "random_projection", "dim": 100}], 384, 400),
        ([{"name": "float16"}], 384, 768),
        ([{"name": "int8"}], 384, 384),
        ([{"name": "pca", "dim": 128, "power": 0}, {"name": "int8"}], 384, 128),
        ([{"name": "binary"}], 384, 48),
        ([{"name": "binary"}], 385, 49),  # 385 bits are 48 bytes and a bit
        ([{"name": "binary_rescored", "by": "bits", "first": 9}], 384, 48),
        ([{"name": "binary_rescored", "by": "int8", "first": 9, "learn_on": "gallery"}], 385, 49 + 385),
        ([{"name": "binary_rescored", "by": "float32", "first": 9}], 384, 48 + 1536),
        ([{"name": "product_quantisation", "parts": 32}], 384, 32),
        ([{"name": "product_quantisation", "parts": 32, "bits": 4}], 384, 16),
        ([{"name": "product_quantisation", "parts": 3, "bits": 3, "rotate": "opq"}], 384, 2),  # 9 bits
        ([{"name": "alpha_query_expansion", "neighbours": 2, "alpha": 1}, {"name": "int8"}], 384, 384),
    ],
)
def test_stored_bytes(entries: list[dict[str, Any]], dim: int, expected: int) -> None:
    assert bytes_after(steps(*entries), dim) == expected


def test_a_later_step_learns_on_what_the_earlier_ones_left() -> None:
    halved = steps({"name": "pca", "dim": 9, "power": 0.5})[0].apply(
        Sets(QUERIES, GALLERY, np.full(20, -1), other=unit_rows(OTHER))
    )
    assert isinstance(halved, Sets) and halved.other is not None
    chosen = steps({"name": "pca", "dim": 9, "power": 0.5}, {"name": "int8"})
    scorer = scores_after(chosen, apart(QUERIES, GALLERY), OTHER)
    codes, values = naive_int8(halved.gallery, halved.other)
    np.testing.assert_array_equal(decoded(scorer) + 128, codes)
    np.testing.assert_allclose(told(scorer), halved.queries @ values.T, atol=1e-6)


def test_what_is_printed_says_bytes_and_what_is_learnt() -> None:
    labels = [str(number % 6) for number in range(90)]
    found = score_features(GALLERY, labels, steps=[{"name": "int8"}], learn_on=OTHER)
    assert (found["feature_bytes"], found["steps"]) == (24, [{"name": "int8", "learn_on": "another"}])
    assert score_features(GALLERY, labels)["feature_bytes"] == 96
    with pytest.raises(
        RetrievalError, match="^learn_on is given, but no step learns on .*, or set learn_on: another in int8"
    ):
        score_features(GALLERY, labels, steps=[{"name": "int8", "learn_on": "gallery"}], learn_on=OTHER)
    with pytest.raises(RetrievalError, match="features of 24 dimensions, but 7 to learn on"):
        score_features(GALLERY, labels, steps=[{"name": "int8"}], learn_on=OTHER[:, :7])


LEARNERS: list[dict[str, Any]] = [
    {"name": "pca", "dim": 3, "power": 1},
    {"name": "int8"},
    {"name": "binary", "learn_on": "another"},
    {"name": "binary_rescored", "by": "int8", "first": 3, "learn_on": "another"},
    pytest.param({"name": "product_quantisation", "parts": 3, "bits": 2}, marks=needs_faiss),  # type: ignore[list-item]
]


@pytest.mark.parametrize("entry", LEARNERS)
def test_what_learns_on_another_set_asks_for_it(entry: dict[str, Any]) -> None:
    with pytest.raises(RetrievalError, match=f"{entry['name']} learns on another set than it is evaluated on: give"):
        scores_after(steps(entry), apart(QUERIES, GALLERY))
    assert steps(entry)[0].learns and not steps({**entry, "learn_on": "gallery"})[0].learns


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "truncate", "dim": 25}, "truncate: 'dim' is 25, but the features have 24 dimensions: lower it"),
        ({"name": "pca", "dim": 25, "power": 1}, "pca: 'dim' is 25, but the 300 features to learn on differ in 24"),
        ({"name": "pca", "dim": 5, "power": 2}, "'power' is 2: expected an integer or a number from 0 to 1"),
        ({"name": "pca", "dim": 5, "power": 1, "learn_on": "digits"}, "'learn_on' is 'digits': expected another or ga"),
        ({"name": "int8", "learn_on": "nothing"}, "'learn_on' is 'nothing': expected another or gallery"),
        ({"name": "binary_rescored", "by": "int8", "first": 3}, "int8 has ranges of a set: set learn_on to another or"),
        ({"name": "binary_rescored", "by": "int4", "first": 3}, "'by' is 'int4': expected bits or int8 or float32"),
        ({"name": "binary_rescored", "by": "bits", "first": 0}, "'first' is 0: expected an integer from 1"),
        ({"name": "product_quantisation", "parts": 2, "bits": 9}, "'bits' is 9: expected an integer from 1 to 8"),
    ],
)
def test_wrong_settings(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(RetrievalError, match=message):
        scores_after(steps(entry), apart(QUERIES, GALLERY), OTHER)


@needs_faiss
def test_wrong_settings_of_product_quantisation() -> None:
    with pytest.raises(RetrievalError, match="'parts' is 7, which does not divide the 24 dimensions"):
        scores_after(steps({"name": "product_quantisation", "parts": 7}), apart(QUERIES, GALLERY), OTHER)
    with pytest.raises(RetrievalError, match="200 features to learn on, fewer than the 256 words of a codebook"):
        scores_after(steps({"name": "product_quantisation", "parts": 6}), apart(QUERIES, GALLERY), OTHER[:200])


def test_faiss_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(RetrievalError, match="product_quantisation needs faiss: pip install faiss-cpu"):
        scores_after(steps({"name": "product_quantisation", "parts": 6}), apart(QUERIES, GALLERY), OTHER)


SCORING = [name for name, kind in STEPS.items() if kind.makes_scores]
SETTINGS: dict[str, dict[str, Any]] = {
    "binary_rescored": {"by": "bits", "first": 3},
    "product_quantisation": {"parts": 3, "bits": 2, "learn_on": "gallery"},
    "int8": {"learn_on": "gallery"},
    "k_reciprocal": {"k1": 3, "k2": 2, "weight": 0.3},
}


@pytest.mark.parametrize("name", SCORING)
def test_codes_come_last_and_are_for_cosines_on_the_cpu(name: str) -> None:
    entry = {"name": name, **SETTINGS.get(name, {})}
    with pytest.raises(RetrievalError, match=f"{name} makes no features, so it must be the last step"):
        steps(entry, {"name": "truncate", "dim": 3})
    labels = [str(number % 6) for number in range(90)]
    with pytest.raises(RetrievalError, match=f"device is 'cuda', but {name} computes its scores on the CPU only"):
        score_features(GALLERY, labels, steps=[entry], device="cuda")
    with pytest.raises(RetrievalError, match="the steps of a ranking are for cosine only"):
        score_features(GALLERY, labels, steps=[entry], similarity="dot")


@pytest.mark.parametrize("name", [name for name in SCORING if name != "product_quantisation" or not NO_FAISS])
def test_scores_travel_to_other_processes_and_not_to_a_gpu(name: str) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from pipeline.retrieval import ranking_by_torch

    scorer = scores_after(steps({"name": name, **SETTINGS.get(name, {})}), apart(QUERIES, GALLERY))
    np.testing.assert_array_equal(all_scores(pickle.loads(pickle.dumps(scorer))), all_scores(scorer))
    ranked = ranking_by_torch.each_ranking(lambda one: one, scorer, Unjudged(np.full(20, -1)), top=1, device="cpu")
    with pytest.raises(RetrievalError, match="these scores are computed on the CPU only: set device: cpu"):
        next(ranked)


@pytest.mark.parametrize("name", [name for name in SCORING if name != "product_quantisation" or not NO_FAISS])
def test_memory_changes_nothing_and_queries_are_left_out_of_their_own_rankings(name: str) -> None:
    kinds = np.arange(700) % 9
    features, labels = unit_rows(clustered(9, 24, 11)[kinds] + clustered(700, 24, 12)), [str(kind) for kind in kinds]
    entry = {"name": name, **SETTINGS.get(name, {})}
    found = [
        score_features(features, labels, steps=[entry], memory=memory, per_query=True, top=3) for memory in (1.0, 1e-6)
    ]
    for key, values in found[0].pop("per_query").items():
        theirs = found[1]["per_query"][key]
        assert all(np.array_equal(one, other) for one, other in zip(values, theirs, strict=True)), key
        if key == "top_items":
            assert (values != np.arange(700)[:, None]).all()
    found[1].pop("per_query")
    assert found[0] == found[1] and found[0]["mAP"] > found[0]["mAP_random"]


RANKINGS = Path(__file__).parents[2] / "conf/ranking"


@pytest.mark.parametrize("path", sorted(RANKINGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_ranking_of_the_checkout_ranks(path: Path) -> None:
    recipe = read_recipe(yaml.safe_load(path.read_text()), where=path.name)
    if NO_FAISS and path.stem in ("pq_32", "opq_32"):
        pytest.skip("faiss is not installed: pip install faiss-cpu")
    kinds, dim = np.arange(260) % 20, 32 if "pq" in path.stem else 160
    features = unit_rows(clustered(20, dim, 14)[kinds] + clustered(260, dim, 15))
    described = recipe.described(None)["steps"]
    if "pq" in path.stem:
        described[0]["bits"] = 4  # faiss takes seconds for codebooks of 256 words and a rotation for them
    other = clustered(300, dim, 16) if recipe.learns else None
    found = score_features(features, kinds.tolist(), steps=described, learn_on=other)
    assert found["mAP"] > 3 * found["mAP_random"]
    assert found["feature_bytes"] == bytes_after(steps(*described), dim)
    assert recipe.learns == bool(recipe.learn_on)
