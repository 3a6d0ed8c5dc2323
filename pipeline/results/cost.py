"""What the features of an encoder cost, over several datasets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, with_config
from typing_extensions import NotRequired, TypedDict

from pipeline.frame.upstream import output_of, read_json
from pipeline.results.tables import read_table

MEAN = "mean over datasets"


def whole(text: str) -> int | None:
    """Return a number in a cell of a table; None for an empty one."""
    return int(text) if text else None


def fraction(text: str) -> float | None:
    """Return a number in a cell of a table; None for an empty one."""
    return float(text) if text else None


# The columns of the table, and the attributes of Cost that they hold.
COLUMNS = {
    "images_per_second": "speed",
    "feature_bytes": "bytes",
    "parameters": "parameters",
    "flops_per_image": "flops",
    "peak_memory_bytes": "memory",
    "peak_gpu_memory_bytes": "gpu_memory",
    "precision": "precision",
    "device": "device",
}
KINDS: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("bytes", "parameters", "flops", "memory", "gpu_memory"), whole),
    "speed": fraction,
    "precision": str,
    "device": str,
}


Whole = Annotated[int, Field(ge=0)]


@with_config(extra="forbid")
class Given(TypedDict):
    """What the costs of features have that were made elsewhere, which nobody measured."""

    feature_bytes: Whole
    precision: NotRequired[str]
    images: NotRequired[Whole]


class Measured(TypedDict):
    """What the costs of an extraction have; on a cluster that found every part finished, no machine."""

    feature_bytes: Whole
    precision: str
    parameters: Whole
    flops_per_image: Whole
    images: Whole
    seconds: Annotated[float, Field(ge=0)]
    device: NotRequired[str]
    peak_memory_bytes: NotRequired[Whole | None]
    peak_gpu_memory_bytes: NotRequired[Whole | None]


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
    # An extraction on a cluster that found every part finished has seen no machine.
    peaks, gpu_peaks = (
        [cost[name] for cost in found if cost.get(name) is not None]
        for name in ("peak_memory_bytes", "peak_gpu_memory_bytes")
    )
    return Cost(
        bytes=first["feature_bytes"],
        speed=images / max(seconds, 1e-3),
        device=" and ".join(dict.fromkeys(str(cost["device"]) for cost in found if "device" in cost)),
        precision=str(first["precision"]),
        parameters=first["parameters"],
        flops=first["flops_per_image"],
        memory=max(peaks, default=None),
        gpu_memory=max(gpu_peaks, default=None),
    )


def read_extraction(costs: Path, encoder: str, dataset: str) -> dict[str, Any]:
    """Return what one extraction wrote of its cost.

    Raises:
        RetrievalError: it is missing or of another form.
    """
    path = costs / encoder / f"{dataset}.json"
    cost: dict[str, Any] = read_json(path, Measured | Given, stage=f"extract@{encoder}-{dataset}", what="costs")
    return cost


def cost_table(means: Mapping[str, float], datasets: Sequence[str], costs: Path) -> dict[str, list[Any]]:
    """Return one value per encoder in each column: the mean over datasets that its features give, and what they cost.

    Images/s over all datasets; bytes of a feature in float32; parameters of the network and floating-point operations
    an image, two a multiply-add; the most memory, in bytes. None where it is not known.

    Args:
        means: the mean over datasets of each encoder.
        datasets: over which.
        costs: see :func:`cost_of`.
    """
    found = [vars(cost_of(encoder, datasets, costs)) for encoder in means]
    columns = {column: [cost[name] for cost in found] for column, name in COLUMNS.items()}
    return {"encoder": list(means), MEAN: list(means.values()), **columns}


def read_costs(path: Path) -> dict[str, Cost]:
    """Return what each encoder costs, from the table that ``compare`` wrote.

    Raises:
        RetrievalError: it is missing, or of another form.
    """
    with output_of("compare", str(path)):
        table = read_table(path, "encoder", *COLUMNS)
        return {
            encoder: Cost(**{name: KINDS[name](table[column][row]) for column, name in COLUMNS.items()})
            for row, encoder in enumerate(table["encoder"])
        }
