"""What exact distances cost: ranks by the project's scores against ranks by float32 products alone, in one run.

    python -m benchmarks.distances --items 12000 --dim 384

The products alone are q.g for cosines and dot products, and q.g - |g|^2 / 2 for distances: wrong far from the origin,
and what a library does that does not look.
"""

import argparse
import time
from collections import deque
from dataclasses import dataclass
from statistics import median

import numpy as np
from jaxtyping import Float32

from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.ranking import rank
from pipeline.retrieval.relevance import SharedLabel
from pipeline.retrieval.similarity import Kind, Products, Scorer, unit_rows
from pipeline.retrieval.twins import twins_of


@dataclass(frozen=True)
class Plain(Products):
    """Products, minus half the square of each item's norm."""

    halves: Float32[np.ndarray, " item"] | None = None

    @property
    def symmetric(self) -> bool:
        """Whether queries and items are the same, and two score the same, whichever is the query."""
        return self.halves is None

    def fill(self, rows: slice, columns: slice, out: Float32[np.ndarray, "query item"]) -> None:
        """Write the scores of some queries against some items to ``out``."""
        super().fill(rows, columns, out)
        if self.halves is not None:
            out -= self.halves[columns]


def plain(kind: Kind, features: Float32[np.ndarray, "item dim"]) -> Scorer:
    """Return the scores by products alone."""
    rows = unit_rows(features) if kind == "cosine" else features
    halves = (np.einsum("id,id->i", rows, rows, dtype=np.float64) / 2).astype(np.float32)
    return Plain(rows, rows, twins_of(rows), halves=halves if kind == "euclidean" else None)


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=12000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--repeats", type=int, default=7)
    asked = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = np.arange(asked.items) % (asked.items // 20)
    centres = rng.standard_normal((labels.max() + 1, asked.dim))
    usual = centres[labels] + 1.5 * rng.standard_normal((asked.items, asked.dim))
    tight = centres[labels] + 0.05 * rng.standard_normal((asked.items, asked.dim))
    judge = SharedLabel([(str(label),) for label in labels])
    print("| features | similarity | products alone, s | ours, s | ratio |\n|---|---|---|---|---|")
    for name, features in (("usual", usual), ("1,000 added", usual + 1000), ("twenty near each other", tight)):
        rows = features.astype(np.float32)
        kinds: tuple[Kind, ...] = ("cosine", "dot", "euclidean")
        for kind in kinds:
            taken: dict[str, list[float]] = {"plain": [], "ours": []}
            for _ in range(asked.repeats):  # ways take turns
                for way in taken:
                    begin = time.perf_counter()
                    scorer = plain(kind, rows) if way == "plain" else similarity_of(kind, rows, rows)
                    deque(rank(scorer, judge, top=10), maxlen=0)
                    taken[way].append(time.perf_counter() - begin)
            alone, ours = median(taken["plain"]), median(taken["ours"])
            print(f"| {name} | {kind} | {alone:.3f} | {ours:.3f} | {ours / alone:.2f} |", flush=True)


if __name__ == "__main__":
    main()
