"""What must not move a number: memory, threads, the order of queries and items, the scale of features.

On features whose scores are exact nothing moves at all. On real ones a product may round otherwise elsewhere in a
matrix, and the least of differences may put two items the other way round: 1e-6 in mAP is the bound for features that
tell images apart. Where nearly all cosines are alike, as without training, only the bound of rounding itself holds.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score

from pipeline.retrieval.evaluation import Evaluation, evaluate, scores_of
from pipeline.retrieval.protocols import by_labels
from pipeline.retrieval.ranking import rank
from pipeline.retrieval.similarity import Kind, unit_rows
from pipeline.retrieval.wanted import Settings
from tests.encoders.test_own_networks import RUNTIME, built, config, extract, objects, trained  # noqa: F401, a fixture

Labels = list[tuple[str, ...]]
BOUND = 1e-6


def evaluated(features: np.ndarray, labels: Labels, kind: Kind = "cosine", memory: float = 1.0) -> Evaluation:
    chosen = Settings(similarity=kind, memory=memory, queries_without_positives="skip")
    protocol = by_labels(labels)
    names = [str(item) for item in range(len(features))]
    return evaluate(scores_of(features, protocol, chosen), protocol, names=names, settings=chosen)


def exact(seed: int) -> tuple[np.ndarray, Labels]:
    """Small integers, so that every dot product is exact, and many ties."""
    rng = np.random.default_rng(seed)
    items = int(rng.integers(4, 80))
    labels: Labels = [(str(kind),) for kind in rng.integers(0, 4, items).tolist()]
    labels[1] = labels[0]  # someone has a positive
    return rng.integers(-3, 4, (items, 5)).astype(np.float32), labels


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["dot", "euclidean"]))
def test_the_order_of_the_items_changes_nothing_but_how_ties_are_broken(seed: int, kind: Kind) -> None:
    features, labels = exact(seed)
    order = np.random.default_rng(seed).permutation(len(features))
    found = evaluated(features, labels, kind)
    again = evaluated(features[order], [labels[item] for item in order], kind)
    back = np.argsort(order[again.queries])  # the queries of the second in the order of the first
    np.testing.assert_array_equal(order[again.queries][back], found.queries)
    for name in ("AP_ties_for", "AP_ties_against", "AP_random"):
        np.testing.assert_array_equal(again.values[name][back], found.values[name])


@settings(deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["dot", "euclidean"]), st.sampled_from([0.5, 3.0, 1024.0]))
def test_a_positive_scale_changes_nothing(seed: int, kind: Kind, scale: float) -> None:
    features, labels = exact(seed)
    found, again = evaluated(features, labels, kind), evaluated(features * np.float32(scale), labels, kind)
    for name, values in found.values.items():
        np.testing.assert_array_equal(again.values[name], values, err_msg=name)


def digits() -> tuple[np.ndarray, Labels]:
    data = load_digits()
    return data.data.astype(np.float32), [(str(label),) for label in data.target]


def check(features: np.ndarray, labels: Labels) -> None:
    usual = evaluated(features, labels)
    order = np.random.default_rng(0).permutation(len(features))
    shuffled = [labels[item] for item in order]
    changed = {
        "memory": evaluated(features, labels, memory=0.0),
        "order": evaluated(features[order], shuffled),
        "order, memory": evaluated(features[order], shuffled, memory=0.0),
        "scale": evaluated(features * np.float32(3.7), labels),
        "float64": evaluated(features.astype(np.float64), labels),
    }
    for name, again in changed.items():
        assert abs(again.ap.mean() - usual.ap.mean()) < BOUND, name
    for name in ("memory", "float64"):
        np.testing.assert_array_equal(changed[name].ap, usual.ap, err_msg=name)
    protocol = by_labels(labels)
    scorer = scores_of(features, protocol, Settings())
    ranks = [
        np.concatenate([found.ranks.values for found in rank(scorer, protocol.judge, top=3, threads=threads)])
        for threads in (1, 2, 3)
    ]
    np.testing.assert_array_equal(ranks[1], ranks[0])
    np.testing.assert_array_equal(ranks[2], ranks[0])


def test_real_digits() -> None:
    check(*digits())


def test_features_of_a_trained_network(real_images: Path, objects, tmp_path: Path) -> None:  # noqa: F811
    encoder = built(config(trained(real_images, "resnet20")), tmp_path)
    check(extract(encoder, objects, RUNTIME)[0], objects.labels)


def test_nearly_equal_features_move_no_further_than_rounding_allows() -> None:
    """Features as of an untrained network: cosines so near to each other that float32 cannot order all of them."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 5, 300)
    centres = 0.01 * rng.standard_normal((5, 512))
    features = (1 + centres[kinds] + 0.02 * rng.standard_normal((300, 512))).astype(np.float32)
    labels: Labels = [(str(kind),) for kind in kinds.tolist()]
    exact = unit_rows(features).astype(np.float64)
    scores = exact @ exact.T
    rounding = 1e-6  # a few units in the last place of a float32 near 1
    for order in (np.arange(300), rng.permutation(300)):
        found = evaluated(features[order], [labels[item] for item in order])
        for query, ap in zip(order[found.queries].tolist(), found.ap.tolist(), strict=True):
            others = np.arange(300) != query
            positive = (kinds == kinds[query])[others]
            aps = [
                average_precision_score(positive, scores[query][others] + shift * positive)
                for shift in (-2 * rounding, 2 * rounding)
            ]
            assert aps[0] - 1e-12 <= ap <= aps[1] + 1e-12


def test_queries_of_their_own_in_any_order() -> None:
    """The queries alone in another order: the gallery, and so every ranking, is the same."""
    features, labels = digits()
    roles = ["query"] * 300 + ["gallery"] * (len(labels) - 300)
    order = np.random.default_rng(1).permutation(300)
    shuffled = np.concatenate([order, np.arange(300, len(labels))])
    first = by_labels(labels, roles=roles)
    second = by_labels([labels[item] for item in shuffled], roles=roles)
    names = [str(item) for item in range(len(labels))]
    found = evaluate(scores_of(features, first, Settings()), first, names=names, settings=Settings())
    again = evaluate(scores_of(features[shuffled], second, Settings()), second, names=names, settings=Settings())
    assert abs(found.ap.mean() - again.ap.mean()) < BOUND
    np.testing.assert_allclose(found.ap[order], again.ap, atol=1e-4)


@pytest.mark.parametrize("kind", ["cosine", "dot", "euclidean"])
def test_two_halves_of_the_queries_make_the_whole(kind: Kind) -> None:
    """Who else asks changes no query's ranking, although the scores then come from products of other shapes."""
    features, labels = digits()
    features, labels = features[:600], labels[:600]
    whole = evaluated(features, labels, kind)
    for half in (range(300), range(300, 600)):
        roles = ["both" if item in half else "gallery" for item in range(600)]
        protocol = by_labels(labels, roles=roles)
        chosen = Settings(similarity=kind)
        scorer = scores_of(features, protocol, chosen)
        found = evaluate(scorer, protocol, names=[""] * 600, settings=chosen)
        assert abs(found.ap.mean() - whole.ap[list(half)].mean()) < BOUND
