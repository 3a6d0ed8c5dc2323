"""AccuracyCalculator beside values worked by hand, a naive reading, and pytorch-metric-learning's own."""

import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.retrieval.accuracy import NAMES, AccuracyCalculator
from pipeline.retrieval.errors import RetrievalError

# Points on a line without equal distances. In the order of NAMES: MAP, MAP@R, MRR, P@1, R-precision.
LINE = np.array([[0], [1], [3], [7], [12], [20]], np.float32)
LABELS = ["a", "a", "b", "a", "b", "c"]


def accuracy(*given: Any, **options: Any) -> list[Any]:
    return list(AccuracyCalculator(**options).get_accuracy(*given).values())


# By hand


def test_each_against_all_others() -> None:
    # 0: a b a b c, 1: a b a b c, so both at 1 and 3; 3: a a a b c, at 4; 7: b b a a c, at 3 and 4; 12: a c b a a, at 3.
    # 20 is the only c, and has no part in any mean.
    ap = [(1 + 2 / 3) / 2, (1 + 2 / 3) / 2, 1 / 4, (1 / 3 + 2 / 4) / 2, 1 / 3]
    found = AccuracyCalculator().get_accuracy(LINE, LABELS)
    assert list(found) == list(NAMES)
    assert list(found.values()) == pytest.approx(
        [np.mean(ap), (1 / 2 + 1 / 2) / 5, (1 + 1 + 1 / 4 + 1 / 3 + 1 / 3) / 5, 2 / 5, (1 / 2 + 1 / 2) / 5], abs=1e-15
    )


def test_means_of_labels() -> None:
    expected = {
        "a": [((1 + 2 / 3) + (1 / 3 + 2 / 4) / 2) / 3, (1 / 2 + 1 / 2) / 3, (1 + 1 + 1 / 3) / 3, 2 / 3, 1 / 3],
        "b": [(1 / 4 + 1 / 3) / 2, 0, (1 / 4 + 1 / 3) / 2, 0, 0],
    }
    each = accuracy(LINE, LABELS, return_per_class=True)
    np.testing.assert_allclose(np.transpose(each), list(expected.values()), atol=1e-15)
    np.testing.assert_allclose(accuracy(LINE, LABELS, avg_of_avgs=True), np.mean(list(expected.values()), axis=0))


def test_means_of_labels_that_are_numbers_stand_in_their_order() -> None:
    numbers = [{"a": 10, "b": 9, "c": -1}[label] for label in LABELS]
    each = AccuracyCalculator(return_per_class=True).get_accuracy(LINE, numbers)
    assert each["precision_at_1"] == pytest.approx([0, 2 / 3])  # of 9, then of 10


@pytest.mark.parametrize("k", ["max_bin_count", 2])
def test_neighbours_past_k_do_not_count(k: Any) -> None:
    # R is 2 at most. Of the positives only those of 0 and 1 at rank 1 are among the first two.
    assert accuracy(LINE, LABELS, k=k) == pytest.approx([1 / 5, 1 / 5, 2 / 5, 2 / 5, 1 / 5])


def test_a_k_less_than_r_cuts_short_and_warns() -> None:
    with pytest.warns(UserWarning, match="k=1 neighbours, and a query has 2 positives"):
        found = accuracy(LINE, LABELS, k=1)
    assert found == pytest.approx([1 / 5, 1 / 5, 2 / 5, 2 / 5, 2 / 5])  # R-precision is divided by 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert accuracy(LINE, LABELS, k=1, include=["precision_at_1"]) == pytest.approx([2 / 5])


def test_a_reference() -> None:
    # 4 is nearest to 3 b, 1 a, 7 a, 0 a, 12 b, 20 c: a at 2, 3 and 4. A d is nowhere.
    given = np.array([[4], [4]], np.float32), ["a", "d"], LINE, LABELS
    third = (1 / 2 + 2 / 3 + 3 / 4) / 3
    assert accuracy(*given) == pytest.approx([third, (1 / 2 + 2 / 3) / 3, 1 / 2, 0, 2 / 3])


def test_a_reference_that_begins_with_the_queries() -> None:
    # 0 and 1 are asked, each against all others, as above.
    given = LINE[:2], LABELS[:2], LINE, LABELS, True
    assert accuracy(*given) == pytest.approx([(1 + 2 / 3) / 2, 1 / 2, 1, 1, 1 / 2])
    # Without saying so each finds itself.
    assert accuracy(*given[:4]) == pytest.approx([(1 + 1 + 3 / 4) / 3, 2 / 3, 1, 1, 2 / 3])


def test_equal_distances_rank_by_index() -> None:
    points = np.zeros((3, 1), np.float32)
    assert accuracy(points, [0, 1, 0], include=("precision_at_1",)) == [1 / 2]  # 0: 1, 2; 2: 0, 1


# A naive reading


def naive(
    query: np.ndarray, labels: Sequence[Any], reference: np.ndarray, others: Sequence[Any], inside: bool, k: int | None
) -> dict[Any, list[list[float]]]:
    """Return the metrics of each query that has a positive, by its label, from a full sort in float64."""
    found: dict[Any, list[list[float]]] = {}
    for number, (point, label) in enumerate(zip(query.astype(float), labels, strict=True)):
        distances = ((reference - point) ** 2).sum(axis=1)
        order = [item for item in np.argsort(distances, kind="stable") if not (inside and item == number)]
        hits = [others[item] == label for item in order]
        r, near = sum(hits), hits[:k]
        if not r:
            continue
        precisions = [sum(near[: rank + 1]) / (rank + 1) * hit for rank, hit in enumerate(near)]
        first = next((1 / (rank + 1) for rank, hit in enumerate(near) if hit), 0)
        values = [sum(precisions) / r, sum(precisions[:r]) / r, first, near[0], sum(near[:r]) / len(near[:r])]
        found.setdefault(label, []).append(values)
    return found


def sets(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    queries, items, dim, classes = rng.integers([4, 4, 2, 2], [60, 60, 20, 12])
    first, second = (rng.normal(size=(count, dim)).astype(np.float32) for count in (queries, items))
    labels = rng.integers(0, classes + 5, queries)  # some in no class of the reference
    labels[:2] = 0
    return first, labels, second, np.append(0, rng.integers(0, classes, items - 1))


def ways(seed: int) -> list[tuple[Any, ...]]:
    """Return each against all others, against a reference, and against one that begins with the queries."""
    query, labels, reference, others = sets(seed)
    joined = np.concatenate([query, reference]), np.concatenate([labels, others])
    return [(query, labels), (query, labels, reference, others), (query, labels, *joined, True)]


@pytest.mark.parametrize("seed", range(10))
def test_a_naive_reading(seed: int) -> None:
    for given in ways(seed):
        query, labels = given[:2]
        reference, others = given[2:4] if len(given) > 2 else given
        inside = len(given) != 4
        most = max(Counter(others.tolist())[label] for label in labels.tolist()) - inside
        for k in (None, "max_bin_count", most + 1):
            searched = most if k == "max_bin_count" else k
            found = naive(query, labels.tolist(), reference, others.tolist(), inside, searched)
            pooled = np.concatenate([np.array(found[label]) for label in sorted(found)])
            each = np.array([np.mean(found[label], axis=0) for label in sorted(found)])
            for options, expected in (
                ({}, pooled.mean(axis=0)),
                ({"avg_of_avgs": True}, each.mean(axis=0)),
                ({"return_per_class": True}, each.T),
            ):
                np.testing.assert_allclose(accuracy(*given, k=k, **options), expected, atol=1e-12)


# pytorch-metric-learning


def theirs(*given: Any, **options: Any) -> dict[str, Any]:
    reason = "pytorch-metric-learning is not installed: pip install pytorch-metric-learning"
    calculators = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator", reason=reason)
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.inference import CustomKNN

    try:
        import faiss  # noqa: F401
    except ImportError:  # then the same by torch
        options["knn_func"] = CustomKNN(LpDistance(normalize_embeddings=False))
    tensors = [torch.as_tensor(one) for one in given]
    made = calculators.AccuracyCalculator(exclude=("NMI", "AMI"), device=torch.device("cpu"), **options)
    found: dict[str, Any] = made.get_accuracy(*tensors[:4], *given[4:])
    return found


@pytest.mark.parametrize("seed", range(12))
def test_pytorch_metric_learning(seed: int) -> None:
    for given in ways(seed):
        for k in (None, "max_bin_count", 1 + seed % len(given[2] if len(given) == 4 else given[0][1:])):
            for options in ({}, {"avg_of_avgs": True}, {"return_per_class": True}):
                expected = theirs(*given, k=k, **options)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of a k that is less than R: both have the same all the same
                    found = AccuracyCalculator(k=k, **options).get_accuracy(*given)
                assert list(found) == list(expected) == list(NAMES)
                for name in NAMES:
                    # Theirs averages reciprocal ranks in float32.
                    within = 1e-6 if name == "mean_reciprocal_rank" else 1e-12
                    np.testing.assert_allclose(found[name], expected[name], atol=within, err_msg=name)


@pytest.mark.parametrize("options", [{}, {"avg_of_avgs": True, "k": "max_bin_count"}])
def test_its_testers_take_this_calculator(options: dict[str, Any]) -> None:
    reason = "pytorch-metric-learning is not installed: pip install pytorch-metric-learning"
    testers = pytest.importorskip("pytorch_metric_learning.testers", reason=reason)
    calculators = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
    pytest.importorskip("faiss", reason="faiss is not installed: pip install faiss-cpu")
    query, labels, *_ = sets(0)
    data = torch.utils.data.TensorDataset(torch.tensor(query), torch.tensor(labels))
    found = []
    for calculator in (
        AccuracyCalculator(**options),
        calculators.AccuracyCalculator(exclude=("NMI", "AMI"), device=torch.device("cpu"), **options),
    ):
        tester = testers.GlobalEmbeddingSpaceTester(
            accuracy_calculator=calculator, dataloader_num_workers=0, data_device=torch.device("cpu")
        )
        found.append(tester.test({"val": data}, 0, torch.nn.Identity())["val"])
    ours, others = found
    assert ours == pytest.approx(others, abs=1e-6)
    assert all(f"{name}_level0" in ours for name in NAMES)


def test_near_distances_are_lost_to_faiss_far_from_the_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it computes |q|^2 + |g|^2 - 2 q.g: by default from 20 queries on up to 1.12; in 1.15 from 128,000."""
    faiss = pytest.importorskip("faiss", reason="faiss is not installed: pip install faiss-cpu")
    monkeypatch.setattr(faiss.cvar, "distance_compute_blas_threshold", 20)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(20), 10)
    points = (rng.normal(size=(20, 64))[labels] + rng.normal(size=(200, 64)) + 1000).astype(np.float32)
    found = naive(points, labels.tolist(), points, labels.tolist(), True, None)
    expected = np.concatenate([np.array(found[label]) for label in range(20)]).mean(axis=0)
    np.testing.assert_allclose(accuracy(points, labels), expected, atol=1e-12)
    assert abs(theirs(points, labels)["mean_average_precision"] - expected[0]) > 1e-4


def test_labels_past_float32_are_one_to_pytorch_metric_learning() -> None:
    labels = np.array([1 << 24, (1 << 24) + 1, 1 << 24])
    points = np.array([[0], [1], [3]], np.float32)
    # 0: at 2; 3: at 2; 1 has no positive. Theirs has three of one label, and all at 1.
    assert accuracy(points, labels, include=["mean_average_precision", "precision_at_1"]) == [1 / 2, 0]
    assert theirs(points, labels)["precision_at_1"] == 1


def test_no_positive_at_all_is_nan_to_pytorch_metric_learning() -> None:
    with pytest.raises(RetrievalError, match="no query has a positive: no item of the reference shares a label"):
        accuracy(LINE, range(6))
    assert np.isnan(theirs(LINE, range(6))["precision_at_1"])


# What comes in


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("device", [None, "cpu:0", torch.device("cpu")])
def test_tensors(kind: torch.dtype, device: Any) -> None:
    given = torch.tensor(LINE, requires_grad=True).to(kind), torch.tensor([0, 0, 1, 0, 1, 2])
    assert accuracy(*given, device=device) == pytest.approx(accuracy(LINE, LABELS), abs=1e-15)


@pytest.mark.parametrize("kind", [int, str, np.int64])
def test_labels(kind: Any) -> None:
    numbers = [kind(number) for number in (0, 0, 1, 0, 1, 2)]
    for labels in (numbers, np.array(numbers), tuple(numbers), [[number] for number in numbers]):
        assert accuracy(LINE, labels) == accuracy(LINE, LABELS)


def test_queries_that_differ_by_rounding_are_in_the_reference() -> None:
    moved = np.nextafter(LINE + 1, np.float32(np.inf))
    assert accuracy(moved, LABELS, LINE + 1, LABELS, True) == pytest.approx(accuracy(LINE, LABELS))


def test_cosines() -> None:
    points, labels = np.array([[1, 0], [9, 1], [2, 1], [1, 9]], np.float32), [0, 1, 0, 1]
    assert accuracy(points, labels, similarity="cosine", include=["mean_reciprocal_rank"]) == pytest.approx(
        [(1 / 2 + 1 / 3 + 1 / 2 + 1 / 2) / 4]
    )


def test_what_is_included() -> None:
    calculator = AccuracyCalculator(include=("r_precision", "precision_at_1"), exclude=["AMI"])
    assert list(calculator.get_accuracy(LINE, LABELS)) == ["precision_at_1", "r_precision"]
    assert list(calculator.get_accuracy(LINE, LABELS, exclude=("precision_at_1",))) == ["r_precision"]
    assert list(calculator.get_accuracy(LINE, LABELS, include=("precision_at_1",))) == ["precision_at_1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label_comparison_fn": torch.eq}, "label_comparison_fn is given, .* takes several an item"),
        ({"knn_func": print}, "knn_func is given, .* set similarity='cosine'"),
        ({"kmeans_func": print}, "kmeans_func is given, .* adjusted_mutual_info_score"),
        ({"include": ("NMI",)}, "'NMI' is of a clustering"),
        ({"include": ("map",)}, "unknown metric 'map': one of mean_average_precision, "),
        ({"exclude": ("map",)}, "unknown metric 'map'"),
        ({"include": "r_precision"}, "include is 'r_precision': give a list"),
        ({"k": 0}, "k is 0: expected an integer from 1, None for all, or 'max_bin_count'"),
        ({"k": True}, "k is True"),
        ({"k": "max"}, "k is 'max'"),
        ({"avg_of_avgs": True, "return_per_class": True}, "are both set"),
        ({"similarity": "l2"}, "AccuracyCalculator: 'similarity' is 'l2': expected cosine or dot or euclidean"),
    ],
)
def test_what_it_is_not_made_for(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RetrievalError, match=message):
        AccuracyCalculator(**options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((LINE, LABELS[:5]), "5 query_labels for 6 rows"),
        ((LINE, [*LABELS[:5], ()]), "query_labels: item 5 has 0 labels: give one"),
        ((LINE, [*LABELS[:5], 0.5]), r"a label of item 5 is 0.5 \(float\), no text and no integer"),
        ((LINE, LABELS, LINE), "one of reference and reference_labels is given without the other"),
        ((LINE, LABELS, LINE[::-1], LABELS, True), "the reference does not begin with the queries"),
        ((LINE, LABELS, LINE[:5], LABELS[:5], True), "the reference does not begin with the queries"),
        ((np.array([[0], [np.nan]]), [0, 0]), "query: the feature of item 1 .1. has NaN"),
        ((LINE.astype(int), LABELS), "query: an array of int64"),
        ((torch.tensor(LINE).to_sparse(), LABELS), "query: a Tensor that NumPy cannot take .*to_dense"),
    ],
)
def test_what_cannot_be_compared(given: tuple[Any, ...], message: str) -> None:
    with pytest.raises(RetrievalError, match=message):
        accuracy(*given)


def test_a_metric_that_was_left_out() -> None:
    with pytest.raises(RetrievalError, match="unknown metric 'r_precision': one of precision_at_1"):
        AccuracyCalculator(include=["precision_at_1"]).get_accuracy(LINE, LABELS, include=["r_precision"])


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(RetrievalError, match="device 'hpu' cannot be used .*: set device: cpu"):
        accuracy(LINE, LABELS, device="hpu")


def test_without_torch() -> None:
    program = """if True:
        import sys
        sys.modules["torch"] = None
        import numpy as np
        from pipeline.retrieval.accuracy import AccuracyCalculator
        from pipeline.retrieval.monitor import RetrievalMetrics
        points, metric = np.eye(4)[[0, 0, 1, 1]], RetrievalMetrics()
        metric.update(points, [0, 0, 1, 1])
        print(metric.compute()["mAP"], AccuracyCalculator().get_accuracy(points, np.array([0, 0, 1, 1]))["r_precision"])
    """
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["1.0", "1.0"]
