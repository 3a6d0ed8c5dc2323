"""How long it takes to compare many runs: their results read, and every pair tested on every dataset and by the mean.

python -m benchmarks.comparison --runs 50 --datasets 5 --queries 6000
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.results.estimates import read_estimates
from pipeline.results.evaluated import write_arrays
from pipeline.results.pairs import Design, compare_pairs
from pipeline.retrieval.partitions import GROUPS
from pipeline.retrieval.uncertainty import average_of


def write_runs(folder: Path, runs: list[str], queries: int, rng: np.random.Generator) -> None:
    """Write results of runs on a dataset, as ``evaluate`` does, with 60 classes in 50 groups."""
    folder.mkdir(parents=True)
    shared = rng.normal(0, 0.05, (13, GROUPS))
    for place, run in enumerate(runs):
        aps = np.clip(rng.beta(2, 2, queries) + 0.002 * place, 0, 1)
        values = aps.mean() + (shared + rng.normal(0, 0.05, (13, GROUPS))) / GROUPS
        parts = {"values": values, "shares": np.full(GROUPS, 1 / GROUPS), "units": np.array(60)}
        left = {f"{population}_{name}": array for population in ("classes", "images") for name, array in parts.items()}
        write_arrays(
            folder / f"{run}.npz",
            {
                "queries": np.arange(queries),
                "metric": np.array("mAP"),
                "value": np.array(aps.mean()),
                "told_apart": aps,
                "AP": aps,
                **left,
            },
        )


def main() -> None:
    """Time one comparison by each test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--datasets", type=int, default=5)
    parser.add_argument("--queries", type=int, default=6000)
    asked = parser.parse_args()
    runs, datasets = [f"run{n}" for n in range(asked.runs)], [f"set{n}" for n in range(asked.datasets)]
    with tempfile.TemporaryDirectory() as folder:
        for number, dataset in enumerate(datasets):
            write_runs(Path(folder, dataset), runs, asked.queries, np.random.default_rng(number))
        print("| population | test | pairs tested | s |\n|---|---|---|---|")
        for population, design in (
            ("classes", Design()),
            ("queries", Design()),
            ("classes", Design(test="signs")),
        ):
            started = time.perf_counter()
            found = {name: read_estimates(Path(folder), name, runs, population)[1] for name in datasets}
            compare_pairs(runs, {**found, "mean over datasets": average_of(list(found.values()))}, design)
            tested = (asked.datasets + 1) * asked.runs * (asked.runs - 1) // 2
            took = time.perf_counter() - started
            print(f"| {population} | {design.test} | {tested:,} | {took:.1f} |", flush=True)


if __name__ == "__main__":
    main()
