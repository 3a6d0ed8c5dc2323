"""Evaluation at the size of published benchmarks, with random features: against the bare product, in one run.

python -m benchmarks.protocols
python -m benchmarks.protocols --only sop --share 0.1
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from benchmarks.memory import watched
from pipeline.datasets.distractors import Distractors, with_distractors
from pipeline.datasets.listing import Listing
from pipeline.frame.places import as_written
from pipeline.retrieval.evaluation import scores_of
from pipeline.retrieval.matrix import blocks, empty_rows, taken
from pipeline.retrieval.protocols import Protocol, by_labels, by_lists
from pipeline.retrieval.queries import Query
from pipeline.retrieval.similarity import unit_rows
from pipeline.retrieval.summary import report
from pipeline.retrieval.wanted import Settings

DIM = 384
Rows = Float[np.ndarray, "item dim"]
Labels = Sequence[tuple[str, ...]]


def clustered(classes: Int[np.ndarray, " item"], seed: int) -> Rows:
    """Return random float32 features around a centre a class; an item of class -1 is around none."""
    rng = np.random.default_rng(seed)
    centres = 0.3 * rng.standard_normal((int(classes.max()) + 1, DIM), dtype=np.float32)
    features = empty_rows(len(classes), DIM)
    for block in blocks(len(classes)):
        drawn, own = rng.standard_normal((len(classes[block]), DIM), dtype=np.float32), classes[block]
        drawn[own >= 0] += centres[own[own >= 0]]
        features[block] = drawn
    return features


def product(features: Rows, queries: Int[np.ndarray, " query"], gallery: Int[np.ndarray, " member"]) -> None:
    """Compute the similarities of queries to the gallery and nothing else."""
    unit = unit_rows(features)
    members = taken(unit, gallery)
    for start in range(0, len(queries), 256):
        unit[queries[start : start + 256]] @ members.T


def evaluated(features: Rows, protocol: Protocol, labels: Labels, settings: Settings) -> dict[str, Any]:
    """Return the metrics of a protocol, as the stage ``evaluate`` computes them."""
    names = [str(item) for item in range(len(features))]
    scorer = scores_of(features, protocol, settings)
    return report(scorer, [protocol], labels=labels, contents=names, names=names, settings=settings)[1]


def sop(share: float) -> tuple[Rows, Protocol, Labels, dict[str, Any]]:
    """Return a set of the size of Stanford Online Products: 60,502 images of 11,316 products, each a query."""
    classes = np.arange(int(60_502 * share)) % int(11_316 * share)
    labels = [(str(name),) for name in classes.tolist()]
    asked = {"metric": "recall@1", "cutoffs": (1, 10, 100, 1000)}
    return clustered(classes, 0), by_labels(labels), labels, asked


def gldv2(share: float) -> tuple[Rows, Protocol, Labels, dict[str, Any]]:
    """Return a set of the size of Google Landmarks v2: 1,129 queries, 1 to 299 positives each, of 761,757 images."""
    gallery, rng = int(761_757 * share), np.random.default_rng(0)
    classes = np.full(gallery + 1129, -1)
    queries, start = [], 0
    for number in range(1129):
        count = min(int(rng.integers(1, 300)), gallery - start - 1129 + number)
        classes[start : start + count], classes[gallery + number] = number, number
        queries.append(Query(gallery + number, tuple(range(start, start + count)), (), ()))
        start += count
    asked = {"metric": "capped_mAP@100", "cutoffs": (100,)}
    return clustered(classes, 0), by_lists(queries, len(classes)), [()] * len(classes), asked


SETS: dict[str, Callable[[float], tuple[Rows, Protocol, Labels, dict[str, Any]]]] = {"sop": sop, "gldv2": gldv2}


def listed(count: int) -> tuple[float, float]:
    """Return the seconds and the GiB that it takes to list so many distractors, of which no file is looked at."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        path.write_text("\n".join(f"jpg/{number // 1000}/{number}.jpg" for number in range(count)))
        started = time.perf_counter()
        every = [Distractors(folder, str(path))]
        _, most = watched(lambda: with_distractors(Listing(as_written(folder), ()), every, where="list"))
        return time.perf_counter() - started, most


def print_times(
    name: str, features: Rows, protocol: Protocol, labels: Labels, asked: dict[str, Any], *, repeats: int
) -> None:
    """Print one row per way."""
    ways: dict[str, Callable[[], Any]] = {
        "product": lambda: product(features, protocol.queries, protocol.gallery),
        "all metrics": lambda: evaluated(features, protocol, labels, Settings(**asked, left_out=False)),
        "with intervals over classes": lambda: evaluated(features, protocol, labels, Settings(**asked)),
    }
    times: dict[str, list[float]] = {way: [] for way in ways}
    values, peaks = dict.fromkeys(ways, float("nan")), dict.fromkeys(ways, 0.0)
    for _ in range(repeats):  # in turns, so that a slow moment of the machine hits all of them
        for way, work in ways.items():
            time.sleep(0.3)  # threads of BLAS spin for a while in wait of more work
            started = time.perf_counter()
            found, most = watched(work)
            times[way].append(time.perf_counter() - started)
            values[way] = float("nan") if found is None else found["headline"]["value"]
            peaks[way] = max(most, peaks[way])
    base = float(np.median(times["product"]))
    for way, seconds in times.items():
        median = float(np.median(seconds))
        cells = (name, way, f"{median:.2f}", f"{median / base:.2f}", f"{values[way]:.4f}", f"{peaks[way]:.2f}")
        print("| " + " | ".join(cells) + " |")


def main() -> None:
    """Print one row per set and way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[*SETS, "list"], default=[*SETS, "list"])
    parser.add_argument("--share", type=float, default=1.0, help="of the size of the published set")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}")
    if "list" in arguments.only:
        count = int(1_001_001 * arguments.share)
        lasted, most = listed(count)
        print(f"list of {count:,} distractors: {lasted:.1f} s, at most {most:.2f} GiB")
    print("| set | way | s | times the product | value | most memory, GiB |")
    print("|---|---|---|---|---|---|")
    for name in (one for one in SETS if one in arguments.only):
        print_times(name, *SETS[name](arguments.share), repeats=arguments.repeats)


if __name__ == "__main__":
    main()
