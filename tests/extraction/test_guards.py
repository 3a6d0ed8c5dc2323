"""Guards: fire on what broken encoders give, pass what working ones give, and are switched off by name only."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from benchmarks.guards import cases, different, limits, refused_by
from pipeline.encoders.encoder import Encoder
from pipeline.extraction.extraction import inspected, probe
from pipeline.extraction.guards import (
    FEW,
    NAMES,
    SAMPLE,
    Finding,
    batch_difference,
    constant_dimensions,
    effective_rank,
    equal_features,
    guard,
    hashes_of,
    mean_cosine,
    refuse_unknown,
    sampled,
)
from pipeline.extraction.runtime import Runtime
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.errors import RetrievalError

LIMITS = limits()
ALL = ("effective_rank", "mean_cosine", "constant_dimensions", "equal_features")
REFUSED = {
    "two points, noise of a hundredth": ("effective_rank",),
    "two points, noise of a tenth": ("effective_rank",),
    "a line through the origin": ("effective_rank",),
    "a line beside it, noise of a hundredth": ("effective_rank",),
    "a half-line from the origin": ("mean_cosine",),
    "one vector": ALL,
    "one vector, noise of 1e-6": ("mean_cosine",),
    "one vector for nine images of ten": ("equal_features",),
    "one of 2,000 dimensions varies": ("effective_rank", "constant_dimensions"),
}
SEEDS = st.integers(0, 10_000)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_what_is_refused(seed: int) -> None:
    found = {name: inspected(rows, different(len(rows)), LIMITS) for name, rows in cases(seed)}
    assert REFUSED.keys() < found.keys() and len(found) >= 22
    assert {name: refused_by(seen) for name, seen in found.items()} == {
        name: ", ".join(f"`{guard}`" for guard in REFUSED.get(name, ())) for name in found
    }


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_types_decide_nothing(dtype: type) -> None:
    for name, rows in cases():
        # float16 ends at 65,504, and has neither 1,000.1 nor a millionth of 1.
        if dtype is np.float16 and any(part in name for part in ("1,000 added", "10,000 times", "half-line", "1e-6")):
            continue
        seen = inspected(rows.astype(dtype), different(len(rows)), LIMITS)
        assert refused_by(seen) == ", ".join(f"`{guard}`" for guard in REFUSED.get(name, ())), name


def test_effective_rank_by_hand() -> None:
    # Unit rows (1,0) (-1,0) (0,1) (0,-1): the mean is 0, both variances are 2, shares 1/2 each: exp(log 2) = 2.
    rows = np.array([[3, 0], [-1, 0], [0, 2], [0, -5]], np.float32)
    assert effective_rank(rows, 0.0) == Finding(2.0)
    # Three along one axis to one along the other, each with its opposite: shares 3/4, 1/4.
    rows = np.array([[1, 0], [-1, 0]] * 3 + [[0, 1], [0, -1]], np.float32)
    assert effective_rank(rows, 0.0).value == round(float(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))), 3)
    # The corners of a simplex spread evenly over one dimension less.
    assert effective_rank(np.eye(7), 0.0).value == 6.0
    assert effective_rank(np.eye(7)[:, :1] + 1, 0.0).value == 0.0
    assert effective_rank(np.ones((1, 3)), 9.0) == Finding(0.0)


@given(SEEDS, st.integers(3, 30), st.integers(2, 30))
def test_effective_rank_is_that_of_singular_values(seed: int, items: int, dim: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(items, dim)) + 1
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    share = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False) ** 2
    share = share[share > 1e-20] / share.sum()
    rank = effective_rank(rows, 0.0).value
    assert rank == pytest.approx(np.prod(share**-share), abs=1e-3)
    assert 1 - 1e-3 <= rank <= min(items - 1, dim) + 1e-3


@given(SEEDS, st.integers(3, 20), st.integers(2, 20), st.floats(-300, 300))
def test_rotation_scale_and_order_change_no_effective_rank(seed: int, items: int, dim: int, power: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(items, dim)) + rng.normal(size=dim)
    rotation = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    scales = 10.0 ** rng.uniform(min(power, 0), max(power, 0), (items, 1))
    expected = effective_rank(rows, 0.0).value
    for same in (rows @ rotation, rows[rng.permutation(items)], rows * scales, -rows):
        assert effective_rank(same, 0.0).value == pytest.approx(expected, abs=2e-3)


@given(SEEDS, st.sampled_from([10.0, 1e3, 1e5]))
def test_an_offset_hides_at_most_one_direction(seed: int, offset: float) -> None:
    rows = np.random.default_rng(seed).normal(size=(60, 20))
    plain, moved = (effective_rank(rows + more, 0.0).value for more in (0, offset))
    assert plain - 2 < moved < plain + 2


def test_the_cost_of_the_effective_rank_is_bounded() -> None:
    rows = np.arange(5000.0)[:, None] * np.ones(3)
    np.testing.assert_array_equal(sampled(rows), rows[::3])
    assert len(sampled(rows)) <= SAMPLE
    assert sampled(rows[:SAMPLE]).shape == (SAMPLE, 3)
    wide = np.broadcast_to(np.float32(1), (5000, 2**20))
    assert FEW <= len(sampled(wide)) <= 16
    seen = inspected(rows + np.eye(3)[np.arange(5000) % 3], different(5000), LIMITS)
    assert seen["effective_rank_images"] == Finding(1667) and seen["distinct_features"] == Finding(5000)


def test_mean_cosine_by_hand() -> None:
    # Pairs: (1,0)-(0,1) 0, (1,0)-(3,3) sqrt(1/2), (0,1)-(3,3) sqrt(1/2): mean 0.4714.
    rows = np.array([[1, 0], [0, 1], [3, 3]] * 4, np.float32)
    few = rows[:3]
    assert mean_cosine(few, 0.98) == Finding(round(2 * 0.5**0.5 / 3, 10))
    assert mean_cosine(few, 0.4).problem == ""
    # Twelve: of 66 pairs 18 are of equal rows, and 16 of each of the three kinds above.
    mean = (18 + 16 * 2 * 0.5**0.5) / 66
    assert mean_cosine(rows, 0.98) == Finding(round(mean, 10))
    expected = f"the mean cosine of all pairs of images is {mean:.12f}, above 0.4"
    assert mean_cosine(rows, 0.4).problem.startswith(expected)
    assert mean_cosine(rows[:1], 0.98) == Finding(0.0)


@given(SEEDS, st.integers(2, 9), st.integers(1, 5))
def test_mean_cosine_is_that_of_the_pairs(seed: int, items: int, dim: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(items, dim)).astype(np.float32)
    unit = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    pairs = [unit[a] @ unit[b] for a in range(items) for b in range(a)]
    assert mean_cosine(rows, 1.1).value == pytest.approx(np.mean(pairs), abs=1e-9)


def test_constant_dimensions() -> None:
    rows = np.array([[1, 5, 2, 0], [2, 5, 2.5, 0]] * 5, np.float32)
    finding = constant_dimensions(rows, 0.4)
    expected = "2 of 4 dimensions are constant, more than 40.0%, among them [1, 3]"
    assert finding.value == 2 and finding.problem == expected
    assert constant_dimensions(rows, 0.5) == Finding(2)
    assert constant_dimensions(rows[:, ::2], 0.0) == Finding(0)
    assert constant_dimensions(rows[:2], 0.4) == Finding(2)
    assert constant_dimensions(rows[:1], 0.0) == Finding(0)


def test_equal_features_of_different_images() -> None:
    rows = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    names, contents = [f"{item}.png" for item in range(12)], [f"content {item}" for item in range(12)]
    assert equal_features(hashes_of(rows), names, contents, 0.5) == Finding(1)
    # Exact copies of a file are one image.
    rows[:7] = rows[0]
    assert equal_features(hashes_of(rows), names, ["same"] * 7 + contents[7:], 0.1) == Finding(1)
    assert equal_features(hashes_of(rows), names, ["same"] * 2 + contents[2:], 0.6) == Finding(6)
    finding = equal_features(hashes_of(rows), names, ["same"] * 2 + contents[2:], 0.5)
    expected = "6 of 11 different images have the very same feature, more than 50%, among them 0.png and 2.png"
    assert finding.value == 6 and finding.problem == expected
    # Of nine images nothing is said.
    assert equal_features(hashes_of(rows[:9]), names[:9], contents[:9], 0.5) == Finding(7)


def test_a_code_that_many_images_share_is_no_fault() -> None:
    rng = np.random.default_rng(0)
    codes = np.sign(rng.normal(size=(5000, 8))).astype(np.float32)
    seen = inspected(codes, different(5000), LIMITS)
    assert refused_by(seen) == ""
    assert seen["distinct_features"].value == 256 and 20 <= seen["equal_features"].value <= 60


@pytest.mark.parametrize("count", [1, 2, 3, FEW - 1])
def test_few_images_are_measured_and_not_judged(count: int) -> None:
    seen = inspected(np.ones((count, 20), np.float32), different(count), LIMITS)
    assert refused_by(seen) == "" and seen["equal_features"].value == count
    more = inspected(np.ones((FEW, 20), np.float32), different(FEW), LIMITS)
    assert refused_by(more) == ", ".join(f"`{name}`" for name in ALL)


def test_batch_difference_by_hand() -> None:
    together = np.array([[3, 4], [0, 1]], np.float32)
    alone = np.array([[3, 4.5], [0, 1]], np.float32)
    assert batch_difference(alone, together, 0.2) == Finding(0.1)
    assert "changes by 0.1 of its norm" in batch_difference(alone, together, 0.05).problem


def test_off_by_name_and_recorded() -> None:
    findings = {"mean_cosine": Finding(0.99, "too alike"), "constant_dimensions": Finding(0)}
    with pytest.raises(RetrievalError, match=r"x on y: too alike; .* without_guards: \[mean_cosine\]"):
        guard(findings, [], where="x on y")
    both = {**findings, "equal_features": Finding(9, "all one")}
    with pytest.raises(
        RetrievalError, match=r"x on y: too alike; all one; .* \[batch_difference, mean_cosine, equal_f"
    ):
        guard(both, ["batch_difference"], where="x on y")
    assert guard(findings, ["mean_cosine"], where="x on y") == {
        "mean_cosine": 0.99,
        "constant_dimensions": 0,
        "off": ["mean_cosine"],
    }
    with pytest.raises(RetrievalError, match=f"names 'cosine'; one of {', '.join(NAMES)}"):
        refuse_unknown(["cosine"], where="x")


@pytest.fixture
def manifest(draw: Callable[..., Path], tmp_path: Path) -> Manifest:
    paths = [draw(f"{seed}.png", seed=seed) for seed in range(6)]
    items = [Item(path.name, ("a",), 32, 24, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]
    return Manifest("own", tmp_path, tuple(items))


class BatchMean(nn.Module):
    """Takes the mean of the batch off: what no encoder should do."""

    def forward(self, batch: Tensor) -> Tensor:
        return batch.mean(dim=(2, 3)) - batch.mean(dim=(0, 2, 3))


class OwnMean(nn.Module):
    def forward(self, batch: Tensor) -> Tensor:
        return batch.mean(dim=(2, 3))


def as_tensor(image: object) -> Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255


@pytest.mark.parametrize(("network", "refused"), [(BatchMean(), True), (OwnMean(), False)])
def test_neighbours_in_a_batch_change_nothing(manifest: Manifest, network: nn.Module, refused: bool) -> None:
    encoder = Encoder(network.eval(), as_tensor, 3, {})
    finding = probe(encoder, manifest, Runtime("cpu", 4, 0), LIMITS)
    assert bool(finding.problem) == refused


def test_what_features_are_inspected_for(manifest: Manifest) -> None:
    features = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    findings = inspected(features, manifest, LIMITS)
    measures = {"effective_rank_images": 6, "distinct_features": 6}
    assert {*findings, "batch_difference"} == {*NAMES, *measures}
    assert {name: findings[name].value for name in measures} == measures
    assert not any(finding.problem for finding in findings.values())
    features[4] = features[1]
    findings = inspected(features, manifest, LIMITS)
    assert (findings["equal_features"].value, findings["distinct_features"].value) == (2, 5)
