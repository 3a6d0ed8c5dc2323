"""What compressions cost: making codes, all metrics from them, and a search beside faiss' own, in one run.

    python -m benchmarks.compression --items 1000000 --queries 10000 --dim 384
    python -m benchmarks.compression --items 50000 --queries 2000

"codes" is the time to learn and to code the gallery, "metrics" that of every metric over the full rankings, "ours" and
"faiss" that of the ten nearest of every query, by all cores. "memory" is the most that all but faiss' search holds at a
time, beside files that are mapped. ``--search-only`` leaves the metrics out.
"""

import argparse
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float32

from benchmarks.memory import watched
from pipeline.retrieval.evaluation import evaluate
from pipeline.retrieval.matrix import blocks, empty_rows
from pipeline.retrieval.postprocessing import bytes_after, read_steps, scores_after
from pipeline.retrieval.protocols import Protocol, by_labels
from pipeline.retrieval.ranking import rank
from pipeline.retrieval.relevance import Unjudged
from pipeline.retrieval.similarity import Scorer, directions
from pipeline.retrieval.steps import Sets, Step
from pipeline.retrieval.wanted import Settings

PER_CLASS = 50
TOP = 10
WAYS: Mapping[str, list[dict[str, Any]]] = {
    "float32": [],
    "float16": [{"name": "float16"}],
    "int8": [{"name": "int8", "learn_on": "gallery"}],
    "binary": [{"name": "binary"}],
    "binary_rescored": [{"name": "binary_rescored", "by": "int8", "first": 100, "learn_on": "gallery"}],
    "pca_128_int8": [
        {"name": "pca", "dim": 128, "power": 0.5, "learn_on": "gallery"},
        {"name": "int8", "learn_on": "gallery"},
    ],
    "pq_32": [{"name": "product_quantisation", "parts": 32, "learn_on": "gallery"}],
    "opq_32": [{"name": "product_quantisation", "parts": 32, "rotate": "opq", "learn_on": "gallery"}],
}
Rows = Float32[np.ndarray, "item dim"]


def clustered(items: int, dim: int, seed: int) -> Rows:
    """Return unit rows around a centre a class, whose items stand next to each other."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((-(-items // PER_CLASS), dim), dtype=np.float32)
    rows = empty_rows(items, dim)
    for block in blocks(items):
        drawn = centres[np.arange(block.start, block.stop) // PER_CLASS]
        rows[block] = directions(drawn + 2 * rng.standard_normal(drawn.shape, dtype=np.float32))[0]
    return rows


def by_faiss(name: str, queries: Rows, gallery: Rows) -> Callable[[], object] | None:
    """Return a search by faiss among the same codes; None where it has no such index."""
    import faiss

    dim = gallery.shape[1]
    if name == "binary":
        index = faiss.IndexBinaryFlat(dim)
        for block in blocks(len(gallery)):
            index.add(np.packbits(gallery[block] > 0, axis=1))
        asked = np.packbits(queries > 0, axis=1)
        return lambda: index.search(asked, TOP)
    kinds: Mapping[str, Callable[[], Any]] = {
        "float32": lambda: faiss.IndexFlatIP(dim),
        "int8": lambda: faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT),
        "float16": lambda: faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT),
        "pq_32": lambda: faiss.IndexPQ(dim, 32, 8, faiss.METRIC_INNER_PRODUCT),
    }
    if name not in kinds:
        return None
    flat = kinds[name]()
    flat.train(gallery[:: max(len(gallery) // 65_536, 1)])
    for block in blocks(len(gallery)):
        flat.add(gallery[block])
    return lambda: flat.search(queries, TOP)


def searched(scorer: Scorer) -> None:
    """Find the nearest items of every query."""
    deque(rank(scorer, Unjudged(np.full(scorer.queries, -1)), top=TOP), maxlen=0)


def seconds(function: Callable[[], object], repeats: int = 1) -> float:
    """Return the least time that a call takes."""
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def timed(
    steps: Sequence[Step], queries: Rows, gallery: Rows, protocol: Protocol | None, repeats: int
) -> tuple[float, float, float, float]:
    """Return seconds for codes and metrics, mAP, and seconds for a search; NaN for what there is no protocol for."""
    begin = time.perf_counter()
    scorer = scores_after(steps, Sets(queries, gallery, np.full(len(queries), -1)))
    codes, metrics, value = time.perf_counter() - begin, float("nan"), float("nan")
    if protocol is not None:
        begin = time.perf_counter()
        names = [""] * (scorer.queries + scorer.items)
        value = float(evaluate(scorer, protocol, names=names, settings=Settings(left_out=False)).ap.mean())
        metrics = time.perf_counter() - begin
    return codes, metrics, value, seconds(partial(searched, scorer), repeats)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=2_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--search-only", action="store_true")
    asked = parser.parse_args()
    gallery, queries = clustered(asked.items, asked.dim, 1), clustered(asked.queries, asked.dim, 2)
    labels = [(str(number // PER_CLASS),) for number in (*range(asked.queries), *range(asked.items))]
    protocol = by_labels(labels, roles=["query"] * asked.queries + ["gallery"] * asked.items)
    print("| way | bytes | codes, s | metrics, s | mAP | ours, s | memory, GiB | faiss, s | ours / faiss |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in asked.only:
        steps = read_steps(WAYS[name], where="benchmarks")
        judged = None if asked.search_only else protocol
        (codes, metrics, value, ours), most = watched(partial(timed, steps, queries, gallery, judged, asked.repeats))
        search = by_faiss(name, queries, gallery)
        theirs = seconds(search, asked.repeats) if search else float("nan")
        del search  # and its index, which is no memory of the next way
        numbers = (f"{codes:.2f}", f"{metrics:.2f}", f"{value:.4f}", f"{ours:.2f}", f"{most:.2f}", f"{theirs:.2f}")
        cells = (name, bytes_after(steps, asked.dim), *numbers, f"{ours / theirs:.2f}")
        print("| " + " | ".join(map(str, cells)).replace("nan", "-") + " |", flush=True)


if __name__ == "__main__":
    main()
