"""RetrievalMetrics gives what score_features gives of all batches together, and torchmetrics where the two overlap."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torchmetrics import retrieval as torchmetrics

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.monitor import RetrievalMetrics
from pipeline.retrieval.scoring import score_features

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(60, 8)).astype(np.float32)
NUMBERS = np.arange(60) % 7
LABELS = [str(number) for number in NUMBERS]


def fed(metric: RetrievalMetrics, features: Any, labels: Any, sizes: list[int], **options: Any) -> RetrievalMetrics:
    """Return the metric after batches of these sizes, over and over."""
    first = turn = 0
    while first < len(features):
        last = first + sizes[turn % len(sizes)]
        metric.update(features[first:last], labels[first:last], **options)
        first, turn = last, turn + 1
    return metric


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_batches_change_nothing(sizes: list[int]) -> None:
    assert fed(RetrievalMetrics(), FEATURES, NUMBERS, sizes).compute() == score_features(FEATURES, LABELS)


def test_real_images() -> None:
    pixels, digits = load_digits(return_X_y=True)
    found = fed(RetrievalMetrics(left_out=False), pixels[:500], digits[:500], [64]).compute()
    assert found == score_features(pixels[:500], list(map(str, digits[:500])), left_out=False)
    assert found["features_dtype"] == "float64"


@pytest.mark.parametrize("options", [{"similarity": "euclidean", "cutoffs": (2, 3)}, {"device": "cpu:0", "top": 0}])
def test_settings(options: dict[str, Any]) -> None:
    found = fed(RetrievalMetrics(**options), torch.tensor(FEATURES), torch.tensor(NUMBERS), [16]).compute()
    assert found == score_features(FEATURES, LABELS, **options)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors(kind: torch.dtype) -> None:
    tensor = torch.tensor(FEATURES, requires_grad=True).to(kind)
    found = fed(RetrievalMetrics(), tensor, torch.tensor(NUMBERS), [16]).compute()
    plain = tensor.detach().float().numpy() if kind == torch.bfloat16 else tensor.detach().numpy()
    assert found == score_features(plain, LABELS)


@pytest.mark.parametrize("labels", [LABELS, NUMBERS, list(NUMBERS), [(label,) for label in LABELS]])
def test_labels(labels: Any) -> None:
    assert fed(RetrievalMetrics(), FEATURES, labels, [60]).compute() == score_features(FEATURES, LABELS)


def test_several_labels_an_item() -> None:
    several = [(label, "even") if number % 2 == 0 else (label,) for number, label in enumerate(LABELS)]
    numbers = [(int(label), "even") if number % 2 == 0 else (int(label),) for number, label in enumerate(LABELS)]
    expected = score_features(FEATURES, several)
    assert fed(RetrievalMetrics(), FEATURES, several, [7]).compute() == expected
    assert fed(RetrievalMetrics(), FEATURES, numbers, [7]).compute() == expected


def test_queries_and_a_gallery() -> None:
    metric = fed(RetrievalMetrics(), FEATURES[:20], NUMBERS[:20], [6], role="query")
    fed(metric, FEATURES[20:], NUMBERS[20:], [16], role="gallery")
    assert metric.compute() == score_features(FEATURES, LABELS, roles=["query"] * 20 + ["gallery"] * 40)


def test_groups() -> None:
    groups = [f"burst {number // 3}" if number % 2 else None for number in range(60)]
    metric = RetrievalMetrics()
    for first in range(0, 60, 8):
        part = slice(first, first + 8)
        metric.update(FEATURES[part], NUMBERS[part], groups=groups[part])
    assert metric.compute() == score_features(FEATURES, LABELS, groups=groups)


def test_a_batch_is_kept_though_its_memory_is_used_again() -> None:
    metric, buffer = RetrievalMetrics(), torch.empty((20, 8))
    for first in range(0, 60, 20):
        buffer.copy_(torch.tensor(FEATURES[first : first + 20]))
        metric.update(buffer, NUMBERS[first : first + 20])
    assert metric.compute() == score_features(FEATURES, LABELS)


def test_compute_update_and_reset_in_any_order() -> None:
    metric = fed(RetrievalMetrics(), FEATURES[:40], NUMBERS[:40], [16])
    first = metric.compute()
    assert first == metric.compute() == score_features(FEATURES[:40], LABELS[:40])
    fed(metric, FEATURES[40:], NUMBERS[40:], [16])
    assert metric.compute() == score_features(FEATURES, LABELS)
    assert metric.seen == 60
    metric.reset()
    assert metric.seen == 0
    assert fed(metric, FEATURES[:40], NUMBERS[:40], [16]).compute() == first


# Bounds


def test_one_item_too_many_is_an_error_and_nothing_is_taken_of_its_batch() -> None:
    metric = RetrievalMetrics(max_items=40)
    metric.update(FEATURES[:40], NUMBERS[:40])
    with pytest.raises(RetrievalError, match="40 items are kept and 1 more are given, over max_items=40: call reset()"):
        metric.update(FEATURES[40:41], NUMBERS[40:41])
    assert metric.compute() == score_features(FEATURES[:40], LABELS[:40])


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.integers(0, 5))
def test_a_sample_says_so_and_batches_do_not_change_it(sizes: list[int], seed: int) -> None:
    whole = fed(
        RetrievalMetrics(sample=30, sample_seed=seed, queries_without_positives="skip"), FEATURES, NUMBERS, [60]
    )
    found = whole.compute()
    assert found["sample"] == {"items": 30, "of": 60, "seed": seed}
    assert found["queries"] + found["queries_without_positives"] == 30 and whole.seen == 60
    metric = fed(
        RetrievalMetrics(sample=30, sample_seed=seed, queries_without_positives="skip"), FEATURES, NUMBERS, sizes
    )
    assert metric.compute() == found
    metric.reset()
    assert fed(metric, FEATURES, NUMBERS, sizes).compute() == found


def test_a_sample_as_large_as_all_is_all() -> None:
    found = fed(RetrievalMetrics(sample=60), FEATURES, NUMBERS, [16]).compute()
    assert found.pop("sample") == {"items": 60, "of": 60, "seed": 0}
    assert found == score_features(FEATURES, LABELS)


def test_every_item_has_the_same_chance_to_be_in_a_sample() -> None:
    drawn: Counter[float] = Counter()
    points = np.arange(12.0)[:, None]
    for seed in range(1500):
        metric = RetrievalMetrics(sample=4, sample_seed=seed)
        metric.update(points, [0] * 12)
        drawn.update(float(item.feature[0]) for item in metric._items)
    # Each 500 times of 1,500 on average, with a standard deviation of sqrt(1500 / 3 * 2 / 3) = 18.
    assert sum(drawn.values()) == 6_000 and max(abs(drawn[point] - 500) for point in range(12)) < 4 * 18


# torchmetrics


@pytest.mark.parametrize("seed", range(5))
def test_torchmetrics(seed: int) -> None:
    """By cosines moved above zero, since up to 1.9 it drops positives of zero or less; each query without itself."""
    rng = np.random.default_rng(seed)
    features, numbers = rng.normal(size=(40, 6)).astype(np.float32), rng.integers(0, 6, 40)
    unit = features.astype(np.float64) / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    others = ~np.eye(40, dtype=bool)
    preds = torch.tensor((unit @ unit.T)[others] + 2)
    target = torch.tensor((numbers[:, None] == numbers)[others])
    indexes = torch.arange(40).repeat_interleave(39)
    found = fed(RetrievalMetrics(queries_without_positives="skip", cutoffs=(5,)), features, numbers, [9]).compute()
    for name, metric in {
        "mAP": torchmetrics.RetrievalMAP(empty_target_action="skip"),
        "MRR": torchmetrics.RetrievalMRR(empty_target_action="skip"),
        "R-precision": torchmetrics.RetrievalRPrecision(empty_target_action="skip"),
        "P@5": torchmetrics.RetrievalPrecision(top_k=5, empty_target_action="skip"),
        "recall@5": torchmetrics.RetrievalHitRate(top_k=5, empty_target_action="skip"),
        "nDCG@5": torchmetrics.RetrievalNormalizedDCG(top_k=5, empty_target_action="skip"),
    }.items():
        metric.update(preds, target, indexes=indexes)
        assert found[name] == pytest.approx(float(metric.compute()), abs=1e-6), name


# Several processes

SCRIPT = """if True:
    import json, sys
    import numpy as np, torch
    from pipeline.retrieval.errors import RetrievalError
    from pipeline.retrieval.monitor import RetrievalMetrics

    rank, rendezvous = int(sys.argv[1]), sys.argv[2]
    torch.distributed.init_process_group("gloo", f"file://{rendezvous}", world_size=2, rank=rank)
    features = np.random.default_rng(0).normal(size=(61, 8)).astype(np.float32)
    labels = np.arange(61) % 7

    def score(places, names=None, **options):
        metric = RetrievalMetrics(**options)
        if len(places):
            metric.update(torch.tensor(features[places]), torch.tensor(labels[places]), names=names)
        try:
            return metric.compute()
        except RetrievalError as error:
            return str(error)

    own = np.arange(61)[rank::2]
    # As torch's DistributedSampler without drop_last: the second process has the first item again.
    dealt = list(torch.utils.data.DistributedSampler(labels, num_replicas=2, rank=rank, shuffle=False))
    print(json.dumps([
        score(own),
        score(dealt, names=dealt),
        score(own if rank == 0 else own[:0]),
        score(own, together=False),
        score(np.arange(4) + 4 * rank),
        score(own, max_items=60),
        score(own, sample=10),
    ]))
    torch.distributed.destroy_process_group()
"""


def test_two_processes(tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(tmp_path / "rendezvous")],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
        )
        for rank in range(2)
    ]
    try:
        first, second = (json.loads(process.communicate(timeout=300)[0].splitlines()[-1]) for process in started)
    finally:
        for process in started:
            process.kill()
    features = np.random.default_rng(0).normal(size=(61, 8)).astype(np.float32)
    labels = [str(number % 7) for number in range(61)]

    def whole(places: Any, **processes: int) -> Any:
        found = score_features(features[places], [labels[place] for place in places])
        return json.loads(json.dumps(found | ({"processes": processes} if processes else {})))

    odd, even = np.arange(61)[1::2], np.arange(61)[::2]
    dealt = np.concatenate([even, odd])
    assert first[0] == second[0] == whole(dealt, count=2, repeated=0)
    assert first[1] == second[1] == whole(dealt, count=2, repeated=1)
    assert first[2] == second[2] == whole(even, count=2, repeated=0)
    assert (first[3], second[3]) == (whole(even), whole(odd))
    assert first[4] == second[4] and "has no positives" in first[4]
    assert first[5] == second[5] and "2 processes have 61 items together, over max_items=60" in first[5]
    assert first[6] == second[6] and "each process has a sample of its own" in first[6]


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"similarty": "dot"}, "settings: unknown key 'similarty'; its keys are similarity, "),
        ({"similarity": "l2"}, "settings: 'similarity' is 'l2': expected cosine or dot or euclidean"),
        ({"max_items": 0}, "RetrievalMetrics: 'max_items' is 0: expected an integer from 1"),
        ({"sample": 1}, "'sample' is 1: expected an integer from 2"),
        ({"sample": True}, "'sample' is True"),
        ({"top": 3}, "top is 3, which is of each query"),
        ({"sample_seed": -1}, "'sample_seed' is -1: expected an integer from 0"),
    ],
)
def test_settings_that_are_none(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RetrievalError, match=message):
        RetrievalMetrics(**options)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ((FEATURES, LABELS[:59]), {}, "59 labels for 60 rows"),
        ((FEATURES, [None] * 60), {}, "a label of item 0 is missing"),
        ((FEATURES, [0.5] * 60), {}, "a label of item 0 is 0.5"),
        ((FEATURES, "0" * 60), {}, "the labels are a str"),
        ((FEATURES, torch.tensor(3)), {}, "the labels are a Tensor"),
        ((FEATURES[0], LABELS), {}, "features: an array of float32 of shape"),
        ((FEATURES, LABELS), {"role": "queries"}, "unknown role 'queries': one of both, query, gallery"),
        ((FEATURES, LABELS), {"groups": ["a"]}, "1 groups for 60 rows"),
        ((FEATURES[:, :7], LABELS), {}, "features are float32 of 8 dimensions before and float32 of 7 now"),
        ((FEATURES * np.float64(1), LABELS), {}, "features are float32 of 8 dimensions before and float64 of 8 now"),
    ],
)
def test_a_batch_that_cannot_be_taken(given: tuple[Any, Any], options: dict[str, Any], message: str) -> None:
    metric = RetrievalMetrics()
    metric.update(FEATURES, LABELS)
    with pytest.raises(RetrievalError, match=message):
        metric.update(*given, **options)
    assert metric.seen == 60


def test_a_name_that_was_given_before() -> None:
    metric = RetrievalMetrics()
    metric.update(FEATURES[:2], LABELS[:2], names=["a.jpg", 7])
    for names in (["b.jpg", "a.jpg"], torch.tensor([8, 7]), [9, 9]):
        with pytest.raises(RetrievalError, match=r"item (a\.jpg|7|9) is given again: call reset\(\) before each epoch"):
            metric.update(FEATURES[2:4], LABELS[2:4], names=names)
    metric.update(FEATURES[2:4], LABELS[:2], names=[8, 9])
    assert metric.seen == 4 and metric.compute()["queries"] == 4
    metric.reset()
    metric.update(FEATURES[:2], LABELS[:2], names=["a.jpg", 7])
    with pytest.raises(RetrievalError, match=r"query 0 \(a\.jpg\) has no positives"):
        metric.compute()


def test_nothing_to_compute() -> None:
    with pytest.raises(RetrievalError, match="compute\\(\\) before update\\(\\): give a batch first"):
        RetrievalMetrics().compute()


def test_what_score_features_refuses() -> None:
    metric = RetrievalMetrics()
    metric.update(FEATURES[:2] * np.float32([[1], [np.nan]]), [0, 0])
    with pytest.raises(RetrievalError, match="the feature of item 1 .* has NaN"):
        metric.compute()
