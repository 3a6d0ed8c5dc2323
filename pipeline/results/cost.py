"""What the features of a run cost, over several datasets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.results.runs import read_run


@dataclass(frozen=True)
class Cost:
    """What features cost; None, or empty, where nothing says so, as for features made elsewhere.

    Attributes:
        bytes: of a feature in float32.
        speed: images/s of the extraction over all datasets together.
        device: on which.
        precision: in which the network computed.
        parameters: of the network.
        flops: floating-point operations an image, two a multiply-add.
        memory: the most that the process and its largest worker had together, in bytes.
        gpu_memory: the most that tensors had on a GPU, in bytes.
    """

    bytes: int | None = None
    speed: float | None = None
    device: str = ""
    precision: str = ""
    parameters: int | None = None
    flops: int | None = None
    memory: int | None = None
    gpu_memory: int | None = None


def cost_of(run: str, datasets: Sequence[str], runs: Path) -> Cost:
    """Return what the features of a run cost, as its metrics in ``runs`` say."""
    costs = [read_run(runs, run, dataset).get("cost", {}) for dataset in datasets]
    if any("seconds" not in cost for cost in costs):
        return Cost(costs[0].get("feature_bytes"))
    images, seconds = (sum(cost[name] for cost in costs) for name in ("images", "seconds"))
    peaks = [cost["peak_gpu_memory_bytes"] for cost in costs if cost["peak_gpu_memory_bytes"] is not None]
    first = costs[0]
    return Cost(
        bytes=first["feature_bytes"],
        speed=images / max(seconds, 1e-3),
        device=str(first["device"]),
        precision=str(first["precision"]),
        parameters=first["parameters"],
        flops=first["flops_per_image"],
        memory=max(cost["peak_memory_bytes"] for cost in costs),
        gpu_memory=max(peaks, default=None),
    )
