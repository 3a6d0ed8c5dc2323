"""What compressions cost: making codes, all metrics from them, and a search beside faiss' own, in one run.

    python -m benchmarks.compression --items 1000000 --queries 10000 --dim 384
    python -m benchmarks.compression --items 50000 --queries 2000

"codes" is the time to learn and to code the gallery, "metrics" that of every metric over the full rankings, "ours" and
"faiss" that of the ten nearest of every query, by all cores. Peak memory is of the process so far, mapped files among
it, and what faiss holds. ``--search-only`` leaves the metrics out.
"""

import argparse
import resource
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float32

from pipeline.retrieval.evaluation import evaluate
from pipeline.retrieval.matrix import blocks, empty_rows
from pipeline.retrieval.postprocessing import bytes_after, read_steps, scores_after
from pipeline.retrieval.protocols import by_labels
from pipeline.retrieval.ranking import rank
from pipeline.retrieval.relevance import Unjudged
from pipeline.retrieval.similarity import Scorer, directions
from pipeline.retrieval.steps import Sets
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
    nowhere = np.full(len(queries), -1)
    labels = [(str(number // PER_CLASS),) for number in (*range(asked.queries), *range(asked.items))]
    protocol = by_labels(labels, roles=["query"] * asked.queries + ["gallery"] * asked.items)
    names, settings = [""] * len(labels), Settings(left_out=False)
    print("| way | bytes | codes, s | metrics, s | mAP | ours, s | faiss, s | ours / faiss | peak memory so far, GiB |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in asked.only:
        chosen = read_steps(WAYS[name], where="benchmarks")
        begin = time.perf_counter()
        scorer = scores_after(chosen, Sets(queries, gallery, nowhere))
        row = [f"{time.perf_counter() - begin:.2f}", "", ""]
        if not asked.search_only:
            begin = time.perf_counter()
            found = evaluate(scorer, protocol, names=names, settings=settings)
            row[1:] = [f"{time.perf_counter() - begin:.2f}", f"{found.ap.mean():.4f}"]
        ours = seconds(partial(searched, scorer), asked.repeats)
        row.append(f"{ours:.2f}")
        search = by_faiss(name, queries, gallery)
        if search is None:
            row += ["", ""]
        else:
            theirs = seconds(search, asked.repeats)
            row += [f"{theirs:.2f}", f"{ours / theirs:.2f}"]
        del scorer, search
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"| {name} | {bytes_after(chosen, asked.dim)} | {' | '.join(row)} | {peak:.2f} |", flush=True)


if __name__ == "__main__":
    main()
