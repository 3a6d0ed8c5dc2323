"""Encoders compared by their features: against one another implementation, by hand, and what is refused."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from pipeline import compare_features, compare_several, score_features
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Query

LABELS = [item % 12 for item in range(96)]


def features(noise: float, *, seed: int) -> np.ndarray:
    """Of classes that stand apart, the less the more noise there is."""
    rng = np.random.default_rng(seed)
    return np.random.default_rng(0).standard_normal((12, 16))[LABELS] + noise * rng.standard_normal((96, 16))


GOOD, WORSE, ALIKE = features(1.0, seed=1), features(2.0, seed=2), features(1.0, seed=3)


def test_a_difference_is_that_of_the_means_and_its_sign_that_of_the_order() -> None:
    found, back = compare_features(GOOD, WORSE, LABELS), compare_features(WORSE, GOOD, LABELS)
    assert found["a"] == pytest.approx(score_features(GOOD, LABELS)["mAP"], rel=1e-12)
    assert found["difference"] == pytest.approx(found["a"] - found["b"], rel=1e-12)
    assert (back["low"], back["high"]) == pytest.approx((-found["high"], -found["low"]))
    assert found["population"] == "classes" and found["units"] == 12 and found["metric"] == "mAP"
    assert found["distinguishable"] and found["low"] > 0 and found["p"] < 0.01
    alike = compare_features(GOOD, ALIKE, LABELS)
    assert not alike["distinguishable"] and alike["low"] < 0 < alike["high"]


@pytest.mark.parametrize("metric", ["mAP", "P@1", "MRR", "MAP@R", "mAP@5", "recall@10"])
def test_over_queries_it_is_the_paired_t_test(metric: str) -> None:
    found = compare_features(GOOD, WORSE, LABELS, metric=metric, population="queries")
    column = {"mAP": "AP", "MRR": "RR", "mAP@5": "AP@5"}.get(metric, metric)
    one, other = (score_features(given, LABELS, per_query=True)["per_query"][column] for given in (GOOD, WORSE))
    expected = stats.ttest_rel(one, other)
    assert found["p"] == pytest.approx(expected.pvalue)
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected.confidence_interval()))
    assert found["difference"] == pytest.approx(
        score_features(GOOD, LABELS)[metric] - score_features(WORSE, LABELS)[metric]
    )


def test_several_are_corrected_by_holm() -> None:
    found = compare_several({"good": GOOD, "worse": WORSE, "alike": ALIKE}, LABELS)
    pairs = {(pair["a"], pair["b"]): pair for pair in found["pairs"]}
    assert list(pairs) == [("good", "worse"), ("good", "alike"), ("worse", "alike")]
    raw = [pair["p"] for pair in found["pairs"]]
    smallest, middle, largest = sorted(raw)
    holm = {smallest: 3 * smallest, middle: max(3 * smallest, 2 * middle)}
    holm[largest] = max(holm[middle], largest)
    assert [pair["p_holm"] for pair in found["pairs"]] == pytest.approx([min(holm[p], 1) for p in raw])
    alone = compare_features(GOOD, WORSE, LABELS)
    assert pairs["good", "worse"]["difference"] == alone["difference"] and pairs["good", "worse"]["p"] == alone["p"]
    assert found["means"]["worse"] == alone["b"]


def test_queries_and_gallery_apart_and_landmarks() -> None:
    pairs = [(given[:24], given[24:]) for given in (GOOD, WORSE)]
    found = compare_features(*pairs, query_labels=LABELS[:24], gallery_labels=LABELS[24:])
    roles = ["query"] * 24 + ["gallery"] * 72
    assert found == compare_features(GOOD, WORSE, LABELS, roles=roles)
    truth = [Query(item, tuple(range(24 + item, 96, 12)), (), ()) for item in range(12)]
    kept = [np.delete(given, range(12, 24), axis=0) for given in (GOOD, WORSE)]
    shifted = [Query(q.item, tuple(item - 12 for item in q.easy), (), ()) for q in truth]
    by_truth = compare_features(*kept, ground_truth=shifted, ap="rectangle")
    same = compare_features(*kept, [*LABELS[:12], *LABELS[24:]], roles=["query"] * 12 + ["gallery"] * 72)
    assert by_truth["a"] == pytest.approx(same["a"]) and by_truth["b"] == pytest.approx(same["b"])


def test_the_same_features_differ_by_nothing() -> None:
    found = compare_features(GOOD, GOOD.copy(), LABELS)
    assert (found["difference"], found["low"], found["high"], found["p"]) == (0, 0, 0, 1)


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ({"a": GOOD}, {}, "1 features: a comparison takes those of two"),
        ({"a": GOOD, "b": GOOD[:95]}, {}, "b: other items than the first has: give the same"),
        ({"a": GOOD, "b": (GOOD[:9], GOOD[9:])}, {}, "b: other items than the first has"),
        ({"a": GOOD, "b": np.full((96, 2), np.nan)}, {}, r"b: features: the feature of item 0 \(0\) has NaN"),
        ({"a": GOOD, "b": WORSE}, {"metric": "AUC"}, "unknown metric 'AUC': one of mAP, .*mAP@k, "),
        ({"a": GOOD, "b": WORSE}, {"metric": "mP@1"}, "a: mP@1 is no metric of this dataset, whose"),
        ({"a": GOOD, "b": WORSE}, {"population": "classes", "left_out": False}, "there are too few of them"),
        ({"a": GOOD, "b": WORSE}, {"top": 3}, "top is 3, which is of each query"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(given: dict[str, Any], options: dict[str, Any], said: str) -> None:
    with pytest.raises(RetrievalError, match=said):
        compare_several(given, LABELS, **options)
