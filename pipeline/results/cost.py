"""What the features of runs cost, over several datasets."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, with_config
from typing_extensions import NotRequired, TypedDict

from pipeline.frame.runs import JOINED
from pipeline.frame.upstream import output_of, read_json
from pipeline.results.tables import read_table

MEAN = "mean over datasets"


def whole(text: str) -> int | None:
    """Return a number in a cell of a table; None for an empty one, ValueError for one that nothing can cost."""
    return int(text) if fraction(text) is not None else None


def fraction(text: str) -> float | None:
    """Return a number in a cell of a table; None for an empty one, ValueError for one that nothing can cost."""
    if not text:
        return None
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError(f"{text} is no cost")
    return value


# The columns of the table, and the attributes of Cost that they hold.
COLUMNS = {
    "feature_bytes": "bytes",
    "images_per_second": "speed",
    "latency_p50_seconds": "latency",
    "latency_p95_seconds": "latency_p95",
    "latency_images": "latency_images",
    "parameters": "parameters",
    "flops_per_image": "flops",
    "peak_memory_bytes": "memory",
    "peak_gpu_memory_bytes": "gpu_memory",
    "precision": "precision",
    "device": "device",
    "threads": "threads",
}
# A column that follows from another.
MILLION = "seconds_per_million_images"
KINDS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("bytes", "parameters", "flops", "memory", "gpu_memory", "latency_images"), whole),
    **dict.fromkeys(("speed", "latency", "latency_p95"), fraction),
    **dict.fromkeys(("precision", "device", "threads"), str),
}


Whole = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@with_config(extra="forbid")
class Given(TypedDict):
    """What the costs of features have that were made elsewhere, which nobody measured."""

    feature_bytes: Whole
    precision: NotRequired[str]
    images: NotRequired[Whole]


class Measured(TypedDict):
    """What the costs of an extraction have; on a cluster that found every part finished, no machine.

    Those of a cluster have no ``latency_seconds``, nor have those that were written before they were measured.
    """

    feature_bytes: Whole
    precision: str
    parameters: Whole
    flops_per_image: Whole
    images: Whole
    seconds: Seconds
    device: NotRequired[str]
    threads: NotRequired[Whole]
    latency_seconds: NotRequired[Annotated[list[Seconds], Field(min_length=1)]]
    peak_memory_bytes: NotRequired[Whole | None]
    peak_gpu_memory_bytes: NotRequired[Whole | None]


@dataclass(frozen=True)
class Cost:
    """What features cost; None, or empty, where nothing says so, as for features made elsewhere.

    Attributes:
        bytes: that are stored of an item: of its feature in float32, or of what the steps of the run leave of it.
        speed: images/s of the extraction over all datasets together.
        device: on which.
        precision: in which the network computed.
        parameters: of the network.
        flops: floating-point operations an image, two a multiply-add: the mean over the images of all datasets.
        memory: the most that the process and its largest worker had together, in bytes.
        gpu_memory: the most that tensors had on a GPU, in bytes.
        threads: with which the CPU computed.
        latency: seconds that one image takes alone, the median.
        latency_p95: the 95th percentile.
        latency_images: how many were timed.
    """

    bytes: int | None = None
    speed: float | None = None
    device: str = ""
    precision: str = ""
    parameters: int | None = None
    flops: int | None = None
    memory: int | None = None
    gpu_memory: int | None = None
    threads: str = ""
    latency: float | None = None
    latency_p95: float | None = None
    latency_images: int | None = None

    @property
    def million(self) -> float | None:
        """Seconds in which a million images are embedded, at the images/s of the extraction."""
        return 1e6 / self.speed if self.speed else None


def cost_of(encoder: str, datasets: Sequence[str], costs: Path) -> Cost:
    """Return what the features of an encoder cost, as its extractions wrote it below ``costs``.

    Raises:
        RetrievalError: a file is missing, or of another form.
    """
    found = [read_extraction(costs, encoder, dataset) for dataset in datasets]
    with output_of(f"extract@{encoder}-{datasets[0]}", f"costs of {encoder}"):
        return joined(found)


def joined(found: Sequence[Mapping[str, Any]]) -> Cost:
    """Return what several extractions by one encoder cost together; KeyError or TypeError for another form."""
    first = found[0]
    if any("seconds" not in cost for cost in found):
        return Cost(first["feature_bytes"])
    images, seconds = (sum(cost[name] for cost in found) for name in ("images", "seconds"))
    flops = sum(cost["images"] * cost["flops_per_image"] for cost in found)
    # An extraction on a cluster that found every part finished has seen no machine.
    peaks, gpu_peaks = (
        [cost[name] for cost in found if cost.get(name) is not None]
        for name in ("peak_memory_bytes", "peak_gpu_memory_bytes")
    )
    return Cost(
        bytes=first["feature_bytes"],
        speed=images / max(seconds, 1e-3),
        device=stated(found, "device"),
        precision=stated(found, "precision"),
        parameters=first["parameters"],
        flops=round(flops / max(images, 1)),
        memory=max(peaks, default=None),
        gpu_memory=max(gpu_peaks, default=None),
        threads=stated(found, "threads"),
        **latency_of(found),
    )


def stated(found: Sequence[Mapping[str, Any]], name: str) -> str:
    """Return what the costs of several extractions have under a name, each value once."""
    return " and ".join(dict.fromkeys(str(cost[name]) for cost in found if name in cost))


def latency_of(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the quantiles of the latencies of several extractions; nothing unless all have measured them."""
    if any("latency_seconds" not in cost for cost in found):
        return {}
    timed = [one for cost in found for one in cost["latency_seconds"]]
    median, p95 = np.quantile(timed, (0.5, 0.95)).tolist()
    return {"latency": median, "latency_p95": p95, "latency_images": len(timed)}


def read_extraction(costs: Path, encoder: str, dataset: str) -> dict[str, Any]:
    """Return what one extraction wrote of its cost.

    Raises:
        RetrievalError: it is missing or of another form.
    """
    path = costs / encoder / f"{dataset}.json"
    cost: dict[str, Any] = read_json(path, Measured | Given, stage=f"extract@{encoder}-{dataset}", what="costs")
    return cost


def cost_table(
    means: Mapping[str, float], stored: Mapping[str, int], datasets: Sequence[str], costs: Path
) -> dict[str, list[Any]]:
    """Return one value per run in each column: the mean over datasets that it gives, and what it costs.

    A run stores bytes of its own; all else is what the features of its encoder cost, without the steps after
    extraction. What the columns are is said by :class:`Cost`; None where it is not known.

    Args:
        means: the mean over datasets of each run.
        stored: the bytes of each run that are kept of an item of the gallery.
        datasets: over which.
        costs: see :func:`cost_of`.
    """
    encoders = {run: run.partition(JOINED)[0] for run in means}
    extracted = {encoder: cost_of(encoder, datasets, costs) for encoder in dict.fromkeys(encoders.values())}
    found = [replace(extracted[encoders[run]], bytes=stored[run]) for run in means]
    columns = {column: [getattr(cost, name) for cost in found] for column, name in COLUMNS.items()}
    millions = {MILLION: [cost.million for cost in found]}
    return {"encoder": list(means), MEAN: list(means.values()), **columns, **millions}


def read_costs(path: Path) -> dict[str, Cost]:
    """Return what each run costs, from the table that ``compare`` wrote.

    Raises:
        RetrievalError: it is missing, or of another form.
    """
    with output_of("compare", str(path)):
        table = read_table(path, "encoder", *COLUMNS)
        return {
            run: Cost(**{name: KINDS[name](table[column][row]) for column, name in COLUMNS.items()})
            for row, run in enumerate(table["encoder"])
        }
