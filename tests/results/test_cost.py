"""What the extractions of several datasets cost together."""

import json
from pathlib import Path
from typing import Any

from pipeline.results.cost import Cost, cost_of

KNOWN = {"feature_bytes": 64, "parameters": 7, "seconds": 1.0, "threads": 2}


def cost_in(folder: Path, costs: dict[str, dict[str, Any]]) -> Cost:
    """The cost of an encoder whose extractions wrote these, in this order of its datasets."""
    (folder / "a").mkdir(exist_ok=True)
    for dataset, cost in costs.items():
        (folder / f"a/{dataset}.json").write_text(json.dumps(KNOWN | cost))
    return cost_of("a", list(costs), folder)


def test_operations_are_the_mean_over_images_in_whatever_order_the_datasets_are(tmp_path: Path) -> None:
    large = {"images": 100, "flops_per_image": 4_000, "precision": "fp32", "device": "cpu"}
    small = {"images": 300, "flops_per_image": 1_001, "precision": "fp32", "device": "cpu"}
    first = cost_in(tmp_path, {"large": large, "small": small})
    assert first == cost_in(tmp_path, {"small": small, "large": large})
    assert first.flops == 1751  # (100 x 4000 + 300 x 1001) / 400 = 1750.75
    assert (first.precision, first.device) == ("fp32", "cpu")


def test_what_extractions_were_computed_in_and_on_is_joined_where_it_differs(tmp_path: Path) -> None:
    here = {"images": 1, "flops_per_image": 0, "precision": "bf16", "device": "cuda"}
    there = {"images": 1, "flops_per_image": 0, "precision": "fp32", "device": "cpu"}
    found = cost_in(tmp_path, {"d": here, "e": there, "f": here})
    assert (found.precision, found.device, found.threads) == ("bf16 and fp32", "cuda and cpu", "2")
