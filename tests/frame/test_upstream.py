"""What other stages wrote, damaged: the file, what is wrong with it, and the stage to run again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.checkpoints.config import read_config
from pipeline.encoders.loading import locate
from pipeline.extraction.features import read_provenance
from pipeline.results.cost import read_extraction
from pipeline.results.per_query import read_results
from pipeline.results.runs import read_run
from pipeline.retrieval.errors import RetrievalError

MEASURED = {
    "feature_bytes": 8, "precision": "float32", "parameters": 0, "flops_per_image": 0, "images": 3, "seconds": 0.5,
    "device": "cpu", "peak_memory_bytes": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "read", "right", "stage"),
    [
        (
            "r/d.json",
            lambda top: read_run(top, "r", "d", "mAP_low", "feature_bytes"),
            {"mAP": 0.5, "mAP_low": 1, "feature_bytes": 3, "x": [None]},
            "evaluate@r-d",
        ),
        (
            "r/d.json",
            lambda top: read_run(top, "r", "d", "mAP_random", "tie_gap", "intervals"),
            {"mAP": 0.5, "mAP_random": 0.1, "tie_gap": 0.0, "intervals": {"queries": {"low": 0.4, "high": 0.6}}},
            "evaluate@r-d",
        ),
        ("e/d.json", lambda top: read_extraction(top, "e", "d"), MEASURED, "extract@e-d"),
        ("e/d.json", lambda top: read_extraction(top, "e", "d"), {"feature_bytes": 8}, "extract@e-d"),
        (
            "e/d/provenance.json",
            lambda top: read_provenance(top / "e/d"),
            {"encoder": "e", "manifest_sha256": "0", "more": {}},
            "extract@e-d",
        ),
        ("e/encoder.json", lambda top: read_config(top / "e"), {"source": "x"}, "-f -s weights@e"),
    ],
)  # fmt: skip
def test_json_is_read_as_it_stands_or_refused(
    tmp_path: Path, name: str, read: Callable[[Path], Any], right: dict[str, Any], stage: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(right))
    assert json.dumps(read(tmp_path)) == json.dumps(right)
    wrongs = [b"", b"[]", b"3", b"null", b'"a"', b"{", b"\xff", b"[" * 100_000, json.dumps([right]).encode()]
    for key in right.keys() - {"x", "more", "device", "peak_memory_bytes", "source"}:
        rest = {other: value for other, value in right.items() if other != key}
        wrongs += [] if "provenance" in name else [json.dumps(rest).encode()]
        wrongs += [*(json.dumps({**right, key: value}).encode() for value in ([], None, {}))]
    for wrong in wrongs:
        path.write_bytes(wrong)
        with pytest.raises(RetrievalError) as caught:
            read(tmp_path)
        assert f" in {path} (" in str(caught.value) and str(caught.value).endswith(f": run dvc repro {stage}")
        assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(RetrievalError, match=f"run dvc repro {stage}$"):
        read(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1, 1.5, True, "0.5", 10**400])
def test_a_mean_that_is_no_fraction(tmp_path: Path, value: object) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r/d.json").write_text(json.dumps({"mAP": value}))
    with pytest.raises(RetrievalError, match="no usable metrics in .*mAP.*run dvc repro evaluate@r-d"):
        read_run(tmp_path, "r", "d")


@pytest.mark.parametrize("latencies", [[], [-0.1], [float("inf")], [None], ["0.1"], 0.1, None])
def test_latencies_of_another_form(tmp_path: Path, latencies: object) -> None:
    (tmp_path / "e").mkdir()
    (tmp_path / "e/d.json").write_text(json.dumps({**MEASURED, "latency_seconds": latencies}))
    with pytest.raises(RetrievalError, match="no usable costs in .*latency_seconds.*run dvc repro extract@e-d"):
        read_extraction(tmp_path, "e", "d")


@pytest.mark.parametrize(
    "intervals",
    [{"classes": {"low": 0.1, "high": 0.2}}, {"queries": {"low": 0.1}}, {"queries": {"low": -0.1, "high": 0.2}}, [0.1]],
)
def test_intervals_of_another_form(tmp_path: Path, intervals: object) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r/d.json").write_text(json.dumps({"mAP": 0.5, "intervals": intervals}))
    with pytest.raises(RetrievalError, match="no usable metrics in .*intervals.*run dvc repro evaluate@r-d"):
        read_run(tmp_path, "r", "d")


@pytest.mark.parametrize(
    "origin",
    [
        {"files": 3},
        {"files": {}, "checkpoint": ["a"]},
        {"files": {"a": 1}, "checkpoint": ["a"]},
        {"files": {"a": {"sha256": 1}}, "checkpoint": ["a"]},
        {"files": {"a": {"sha256": "1"}}, "checkpoint": []},
    ],
)
def test_weights_whose_origin_is_of_another_form(tmp_path: Path, origin: object) -> None:
    (tmp_path / "origin.json").write_text(json.dumps(origin))
    with pytest.raises(RetrievalError, match=f"no usable weights in .*: run dvc repro -f -s weights@{tmp_path.name}"):
        locate(tmp_path)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"AP": np.array(["a"]), "queries": np.array([0])}, "AP is <U1 of shape"),
        ({"AP": np.array([[0.5]]), "queries": np.array([0])}, r"AP is float64 of shape \(1, 1\)"),
        ({"AP": np.array([0.5]), "queries": np.array([0.0])}, "queries is float64"),
        ({"AP": np.array([0.5, 0.5]), "queries": np.array([0])}, "different queries"),
        ({"AP": np.array([np.nan]), "queries": np.array([0])}, "AP has what is no fraction"),
        ({"AP": np.array([1.5]), "queries": np.array([0])}, "AP has what is no fraction"),
        ({"queries": np.array([0])}, "AP"),
    ],
)
def test_arrays_of_another_form(tmp_path: Path, arrays: dict[str, np.ndarray], problem: str) -> None:
    path = tmp_path / "d" / "e.npz"
    path.parent.mkdir()
    np.savez(path, **arrays)
    with pytest.raises(RetrievalError, match=f"no usable results in .*{problem}.*run dvc repro evaluate@e-d"):
        read_results(path, "AP", "queries")
