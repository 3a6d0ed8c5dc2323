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

from pipeline.encoders.encoder import Encoder
from pipeline.extraction.extraction import inspected, probe
from pipeline.extraction.guards import (
    NAMES,
    Finding,
    Limits,
    batch_difference,
    constant_dimensions,
    equal_features,
    guard,
    mean_cosine,
    refuse_unknown,
)
from pipeline.extraction.runtime import Runtime
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.errors import RetrievalError

LIMITS = Limits(mean_cosine=0.98, constant_dimensions=0.0, batch_difference=1e-3)


def test_mean_cosine_by_hand() -> None:
    # Pairs: (1,0)-(0,1) 0, (1,0)-(3,3) sqrt(1/2), (0,1)-(3,3) sqrt(1/2): mean 0.4714.
    rows = np.array([[1, 0], [0, 1], [3, 3]], np.float32)
    assert mean_cosine(rows, 0.98) == Finding(round(2 * 0.5**0.5 / 3, 6))
    assert mean_cosine(rows, 0.4).problem.startswith("the mean cosine of all pairs of images is 0.4714, above 0.4")
    assert mean_cosine(rows[:1], 0.98) == Finding(0.0)


@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 5))
def test_mean_cosine_is_that_of_the_pairs(seed: int, items: int, dim: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(items, dim)).astype(np.float32)
    unit = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    pairs = [unit[a] @ unit[b] for a in range(items) for b in range(a)]
    assert mean_cosine(rows, 1.1).value == pytest.approx(np.mean(pairs), abs=1e-5)


def test_constant_dimensions() -> None:
    rows = np.array([[1, 5, 2, 0], [2, 5, 2.5, 0]], np.float32)
    finding = constant_dimensions(rows, 0.4)
    expected = "2 of 4 dimensions are constant, more than 40%, among them [1, 3]"
    assert finding.value == 2 and finding.problem == expected
    assert constant_dimensions(rows, 0.5) == Finding(2)
    assert constant_dimensions(rows[:, ::2], 0.0) == Finding(0)
    assert constant_dimensions(rows[:1], 0.0) == Finding(0)


def test_equal_features_of_unequal_images() -> None:
    rows = np.array([[1, 2], [3, 4], [1, 2], [1, 2]], np.float32)
    names = ["a", "b", "c", "d"]
    assert equal_features(rows, names, ["x", "y", "x", "x"]) == Finding(0)
    finding = equal_features(rows, names, ["x", "y", "x", "z"])
    assert finding.value == 1 and finding.problem.startswith("a and d are different files with the very same feature")


def test_batch_difference_by_hand() -> None:
    together = np.array([[3, 4], [0, 1]], np.float32)
    alone = np.array([[3, 4.5], [0, 1]], np.float32)
    assert batch_difference(alone, together, 0.2) == Finding(0.1)
    assert "changes by 0.1 of its norm" in batch_difference(alone, together, 0.05).problem


def test_off_by_name_and_recorded() -> None:
    findings = {"mean_cosine": Finding(0.99, "too alike"), "constant_dimensions": Finding(0)}
    with pytest.raises(RetrievalError, match=r"x on y: too alike; .* without_guards: \[mean_cosine\]"):
        guard(findings, [], where="x on y")
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
    assert [*findings, "batch_difference"] == list(NAMES)
    assert not any(finding.problem for finding in findings.values())
    features[4] = features[1]
    assert "1.png and 4.png" in inspected(features, manifest, LIMITS)["equal_features"].problem
