"""Full-ranking AP of every query: the published report's way against this project's, in one run.

    python -m benchmarks.evaluate

The report's way is written from its description: rows divided by their norm, the whole similarity
matrix, an argsort of every row, the first rank dropped, and a Python loop over the ranks.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from pipeline.metrics import average_precision, interpolated_precision
from pipeline.ranking import rank_by_cosine, unit_rows
from pipeline.relevance import SharedLabel


def clustered_features(
    items: int, dim: int, classes: int, seed: int
) -> tuple[Float[np.ndarray, "item dim"], Int[np.ndarray, " item"]]:
    """Return random float32 features around a centre a class, and the class of each item."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, items)
    centres = rng.standard_normal((classes, dim))
    noise = rng.standard_normal((items, dim))
    return (0.3 * centres[labels] + noise).astype(np.float32), labels


def by_the_report(
    features: Float[np.ndarray, "item dim"], labels: Int[np.ndarray, " item"]
) -> tuple[float, Float[np.ndarray, " 11"]]:
    """Return mAP and the 11-point curve as the report computed them."""
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    order = np.argsort(-(unit @ unit.T), axis=1)
    aps, curves = [], []
    for query in range(len(features)):
        ranked = order[query][1:]
        relevant = np.count_nonzero(labels == labels[query]) - 1
        hits, precisions, recalls = 0, [], []
        for rank, item in enumerate(ranked, start=1):
            if labels[item] == labels[query]:
                hits += 1
                precisions.append(hits / rank)
                recalls.append(hits / relevant)
        aps.append(sum(precisions) / relevant)
        curve = []
        for level in np.arange(11) / 10:
            curve.append(max(p for p, r in zip(precisions, recalls, strict=True) if r >= level))
        curves.append(curve)
    return float(np.mean(aps)), np.mean(curves, axis=0)


def by_this_project(
    features: Float[np.ndarray, "item dim"], labels: Int[np.ndarray, " item"]
) -> tuple[float, Float[np.ndarray, " 11"]]:
    """Return mAP and the 11-point curve as the stage ``evaluate`` computes them, top ten included."""
    ranking = rank_by_cosine(features, SharedLabel([(str(label),) for label in labels]), top=10)
    return float(average_precision(ranking.ranks).mean()), interpolated_precision(ranking.ranks).mean(axis=0)


def bare_product(features: Float[np.ndarray, "item dim"], labels: Int[np.ndarray, " item"]) -> None:
    """Compute the similarities and nothing else: the floor for any exact method."""
    unit = unit_rows(features)
    for start in range(0, len(unit), 256):
        unit[start : start + 256] @ unit.T


def seconds(function: Callable[..., object], *arguments: object, repeats: int) -> float:
    """Return the median time of ``repeats`` calls."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - started)
    return float(np.median(times))


def main() -> None:
    """Print a row a size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[1326, 5823])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}")
    print("| items | report, s | ours, s | matrix product, s | report / ours | ours / product | difference of mAP |")
    print("|---|---|---|---|---|---|---|")
    for items in arguments.items:
        data = clustered_features(items, arguments.dim, arguments.classes, seed=0)
        theirs, _ = by_the_report(*data)
        ours, _ = by_this_project(*data)
        slow = seconds(by_the_report, *data, repeats=min(arguments.repeats, 2))
        fast = seconds(by_this_project, *data, repeats=arguments.repeats)
        floor = seconds(bare_product, *data, repeats=arguments.repeats)
        print(
            f"| {items} | {slow:.2f} | {fast:.3f} | {floor:.3f} | {slow / fast:.1f} | {fast / floor:.2f} "
            f"| {abs(theirs - ours):.1e} |"
        )


if __name__ == "__main__":
    main()
