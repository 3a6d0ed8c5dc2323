"""The steps of post-processing against naive readings of their definitions."""

from typing import Any

import numpy as np
import pytest

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.neighbours import nearest
from pipeline.retrieval.postprocessing import KReciprocal, read_recipe, read_steps, scores_after
from pipeline.retrieval.similarity import Products, Scorer, unit_rows
from pipeline.retrieval.steps import Sets


def clustered(items: int, dim: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((6, dim))
    return unit_rows((centres[rng.integers(0, 6, items)] + 0.7 * rng.standard_normal((items, dim))).astype(np.float32))


def leave_one_out(features: np.ndarray) -> Sets:
    return Sets(features, features, np.arange(len(features)))


def apart(queries: np.ndarray, gallery: np.ndarray) -> Sets:
    return Sets(queries, gallery, np.full(len(queries), -1))


def all_scores(scorer: Scorer) -> np.ndarray:
    out = np.empty((scorer.queries, scorer.items), np.float32)
    middle = scorer.items // 2
    for columns in (slice(0, middle), slice(middle, scorer.items)):
        part = np.empty((scorer.queries, columns.stop - columns.start), np.float32)
        scorer.fill(slice(0, scorer.queries), columns, part)
        out[:, columns] = part
    return out


def steps(*entries: dict[str, Any]) -> list:
    return read_steps(list(entries), where="conf/ranking/x.yaml")


def normalised(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_no_step_is_cosine() -> None:
    features = clustered(50, 8, 0)
    found = all_scores(scores_after([], leave_one_out(features)))
    np.testing.assert_allclose(found, features @ features.T, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 1.0, 3.0])
def test_alpha_query_expansion(alpha: float) -> None:
    queries, gallery = clustered(20, 8, 1), clustered(60, 8, 2)
    expected = []
    for query in queries.astype(np.float64):
        cosines = gallery @ query
        first = np.argsort(-cosines, kind="stable")[:5]
        expected.append(query + sum(max(cosines[item], 0) ** alpha * gallery[item] for item in first))
    chosen = steps({"name": "alpha_query_expansion", "neighbours": 5, "alpha": alpha})
    found = all_scores(scores_after(chosen, apart(queries, gallery)))
    np.testing.assert_allclose(found, normalised(np.array(expected)) @ gallery.T, atol=1e-5)


def test_a_query_in_the_gallery_is_not_its_own_neighbour() -> None:
    features = clustered(30, 8, 3)
    cosines = features @ features.T
    np.fill_diagonal(cosines, -2)
    nearest_one = cosines.argmax(axis=1)
    expected = normalised(features + cosines.max(axis=1)[:, None] * features[nearest_one])
    chosen = steps({"name": "alpha_query_expansion", "neighbours": 1, "alpha": 1})
    np.testing.assert_allclose(
        all_scores(scores_after(chosen, leave_one_out(features))), expected @ features.T, atol=1e-5
    )


def test_database_augmentation() -> None:
    queries, gallery = clustered(20, 8, 4), clustered(60, 8, 5)
    expected = []
    for number, item in enumerate(gallery.astype(np.float64)):
        cosines = gallery @ item
        cosines[number] = 2
        order = np.argsort(-cosines, kind="stable")[:4]  # itself and three neighbours: weights 1, 3/4, 2/4, 1/4
        expected.append(sum((1 - rank / 4) * gallery[other] for rank, other in enumerate(order)))
    chosen = steps({"name": "database_augmentation", "neighbours": 3})
    found = all_scores(scores_after(chosen, apart(queries, gallery)))
    np.testing.assert_allclose(found, queries @ normalised(np.array(expected)).T, atol=1e-5)


def test_pca_whitening() -> None:
    from sklearn.decomposition import PCA

    queries, gallery, other = clustered(20, 8, 6), clustered(60, 8, 7), 3 * clustered(200, 8, 8)
    model = PCA(5, whiten=True, svd_solver="full").fit(normalised(other.astype(np.float64)))
    expected = normalised(model.transform(queries)) @ normalised(model.transform(gallery)).T
    chosen = steps({"name": "pca_whitening", "dim": 5})
    found = all_scores(scores_after(chosen, apart(queries, gallery), other))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(RetrievalError, match="'dim' is 9, but the 200 features to learn on differ in 8 directions"):
        scores_after(steps({"name": "pca_whitening", "dim": 9}), apart(queries, gallery), other)


def naive_k_reciprocal(features: np.ndarray, queries: int, k1: int, k2: int, weight: float) -> np.ndarray:
    """Distances of the first ``queries`` rows to the others, as the paper's algorithm is written down."""
    squared = 2 - 2 * features.astype(np.float64) @ features.T.astype(np.float64)
    np.fill_diagonal(squared, 0)
    original = squared / squared.max(axis=1, keepdims=True)
    ranked = np.argsort(original, axis=1, kind="stable")

    def mutual(item: int, k: int) -> set[int]:
        return {int(other) for other in ranked[item, : k + 1] if item in ranked[other, : k + 1]}

    encoding = np.zeros_like(original)
    for item in range(len(features)):
        own = mutual(item, k1)
        wide = set(own)
        for other in own:
            more = mutual(other, int(np.around(k1 / 2)))
            if len(more & own) > 2 / 3 * len(more):
                wide |= more
        members = sorted(wide)
        encoding[item, members] = np.exp(-original[item, members])
        encoding[item] /= encoding[item].sum()
    encoding = np.stack([encoding[ranked[item, :k2]].mean(axis=0) for item in range(len(features))])
    found = np.empty((queries, len(features) - queries))
    for query in range(queries):
        for place, item in enumerate(range(queries, len(features))):
            low = np.minimum(encoding[query], encoding[item]).sum()
            high = np.maximum(encoding[query], encoding[item]).sum()
            found[query, place] = (1 - weight) * (1 - low / high) + weight * original[query, item]
    return found


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (7, 1, 0.0), (5, 3, 1.0)])
def test_k_reciprocal(k1: int, k2: int, weight: float) -> None:
    queries, gallery = clustered(15, 8, 9), clustered(90, 8, 10)
    expected = naive_k_reciprocal(np.concatenate([queries, gallery]), 15, k1, k2, weight)
    chosen = steps({"name": "k_reciprocal", "k1": k1, "k2": k2, "weight": weight})
    np.testing.assert_allclose(-all_scores(scores_after(chosen, apart(queries, gallery))), expected, atol=2e-5)


def test_k_reciprocal_where_queries_are_the_gallery() -> None:
    features = clustered(60, 8, 11)
    one = all_scores(KReciprocal(6, 3, 0.3).apply(leave_one_out(features)))
    np.testing.assert_allclose(one, -naive_square(features), atol=2e-5)


def naive_square(features: np.ndarray) -> np.ndarray:
    """All distances by the naive reading, a row at a time with the row first."""
    rows = []
    for item in range(len(features)):
        order = [item, *(other for other in range(len(features)) if other != item)]
        row = naive_k_reciprocal(features[order], 1, 6, 3, 0.3)[0]
        rows.append(np.insert(row, item, np.nan))
    found = np.array(rows)
    # With itself: the encodings are equal, so that both distances are zero.
    np.fill_diagonal(found, 0)
    return found


def test_fewer_items_than_neighbours() -> None:
    features = clustered(4, 8, 12)
    found = nearest(features, features, np.arange(4), k=9)
    assert (found.items[:, 3:] == -1).all() and (found.scores[:, 3:] == 0).all()
    for entry in (
        {"name": "alpha_query_expansion", "neighbours": 9, "alpha": 1},
        {"name": "database_augmentation", "neighbours": 9},
        {"name": "k_reciprocal", "k1": 9, "k2": 9, "weight": 0.3},
    ):
        assert np.isfinite(all_scores(scores_after(steps(entry), leave_one_out(features)))).all()


def test_what_cancels_out_is_named_with_its_set() -> None:
    """Opposite neighbours: x + 2/3 (-x) + 1/3 (-x) = 0, and q - q = 0."""
    row, upright = unit_rows(np.array([[0.6, 0.3, 0.1]])), np.eye(3, dtype=np.float32)[2:]
    chosen = steps({"name": "database_augmentation", "neighbours": 2})
    with pytest.raises(RetrievalError) as caught:
        scores_after(chosen, apart(upright, np.concatenate([row, -row, -row])))
    assert str(caught.value) == (
        "database_augmentation leaves nothing but rounding of row 0 of the gallery, as of 1 in all: lower 'neighbours'"
    )
    expansion = {"name": "alpha_query_expansion", "neighbours": 1}
    sets = apart(np.concatenate([upright, row]), np.concatenate([-row, -row]))
    with pytest.raises(RetrievalError) as caught:
        scores_after(steps({**expansion, "alpha": 0}), sets)
    assert str(caught.value) == (
        "alpha_query_expansion leaves nothing but rounding of row 1 of the queries, as of 1 in all: raise 'alpha', so "
        "that opposite neighbours weigh nothing, or change 'neighbours'"
    )
    found = scores_after(steps({**expansion, "alpha": 1e-3}), sets)
    np.testing.assert_allclose(all_scores(found)[1], [-1, -1], atol=1e-6)


def test_equal_features_are_no_division_by_zero() -> None:
    features = np.ones((5, 4), np.float32) / 2
    chosen = steps({"name": "k_reciprocal", "k1": 2, "k2": 2, "weight": 0.3})
    assert np.isfinite(all_scores(scores_after(chosen, leave_one_out(features)))).all()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "magic"}, "unknown name 'magic'; one of alpha_query_expansion"),
        ("magic", "expected a list of steps, each with its 'name' and settings, got .*magic"),
        ({"name": "database_augmentation"}, "missing key 'neighbours'"),
        ({"name": "database_augmentation", "neighbours": 0}, "'neighbours' is 0: expected an integer from 1 to"),
        (
            {"name": "alpha_query_expansion", "neighbours": 2, "alpha": -1},
            "'alpha' is -1: expected an integer or a number from 0",
        ),
        ({"name": "k_reciprocal", "k1": 5, "k2": 2, "weight": 1.5}, "'weight' is 1.5: expected a number from 0 to 1"),
        ({"name": "pca_whitening", "dim": 0}, "'dim' is 0: expected an integer from 1 to"),
    ],
)
def test_wrong_steps(entry: Any, message: str) -> None:
    with pytest.raises(RetrievalError, match=message):
        steps(entry)


def test_k_reciprocal_is_last() -> None:
    first = {"name": "k_reciprocal", "k1": 5, "k2": 2, "weight": 0.3}
    with pytest.raises(RetrievalError, match="must be the last step"):
        steps(first, {"name": "database_augmentation", "neighbours": 1})


def test_steps_follow_each_other() -> None:
    queries, gallery = clustered(20, 8, 13), clustered(60, 8, 14)
    augmentation = {"name": "database_augmentation", "neighbours": 3}
    expansion = {"name": "alpha_query_expansion", "neighbours": 5, "alpha": 2.0}
    halfway = steps(augmentation)[0].apply(apart(queries, gallery))
    assert isinstance(halfway, Sets)
    both = scores_after(steps(augmentation, expansion), apart(queries, gallery))
    assert isinstance(both, Products)
    np.testing.assert_array_equal(all_scores(both), all_scores(scores_after(steps(expansion), halfway)))


WHITENING = {"name": "pca_whitening", "dim": 2}


def test_a_recipe_names_another_dataset_to_learn_on() -> None:
    recipe = read_recipe({"steps": [WHITENING], "learn_on": {"a": "b", "c": "c"}}, where="r.yaml")
    assert recipe.other_dataset("a") == "b"
    with pytest.raises(RetrievalError, match="r.yaml: learn_on names no dataset for 'b': write learn_on: {b: "):
        recipe.other_dataset("b")
    with pytest.raises(RetrievalError, match="learn_on names the very one that is evaluated for 'c'"):
        recipe.other_dataset("c")
    assert read_recipe({"steps": []}, where="r.yaml").other_dataset("b") is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"steps": [], "learn_on": {"a": "b"}},
            "r.yaml: learn_on is given, but no step learns on another set: leave it out, or add pca_whitening",
        ),
        (
            {
                "steps": [{"name": "truncate", "dim": 2}, {"name": "int8", "learn_on": "gallery"}],
                "learn_on": {"a": "b"},
            },
            "r.yaml: learn_on is given, but no step learns on another set: .*, or set learn_on: another in int8",
        ),
        ({"steps": [WHITENING], "learn_on": "b"}, "'learn_on' is 'b': expected keys and values"),
        ({"learn_on": {}}, "missing key 'steps'"),
    ],
)
def test_wrong_recipes(config: Any, message: str) -> None:
    with pytest.raises(RetrievalError, match=message):
        read_recipe(config, where="r.yaml")
