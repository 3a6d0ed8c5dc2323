"""What the features of a run cost, over several datasets."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.runs import read_run


@dataclass(frozen=True)
class Cost:
    """What features cost.

    Attributes:
        bytes: of a feature in float32; None where nothing says so.
        speed: images/s of the extraction over all datasets together; None for features made elsewhere.
        device: on which; empty for features made elsewhere.
    """

    bytes: int | None
    speed: float | None
    device: str


def cost_of(run: str, datasets: Sequence[str], runs: Path) -> Cost:
    """Return what the features of a run cost, as its metrics in ``runs`` say."""
    costs = [read_run(runs, run, dataset).get("cost", {}) for dataset in datasets]
    if any("seconds" not in cost for cost in costs):
        return Cost(costs[0].get("feature_bytes"), None, "")
    images, seconds = (sum(cost[name] for cost in costs) for name in ("images", "seconds"))
    return Cost(costs[0]["feature_bytes"], images / max(seconds, 1e-3), str(costs[0]["device"]))
