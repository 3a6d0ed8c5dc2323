"""What approximate indices find among clustered features, how fast, and what it takes to build and judge them.

    python -m benchmarks.search --items 100000 --dim 128 --queries 1000

Random features around a centre for every hundred items; queries are of the same classes and not in the gallery.
Indices are those of conf/search, with their settings.
"""

import argparse
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

import numpy as np
from tabulate import tabulate

from pipeline.frame.yamls import read_yaml
from pipeline.retrieval.approximate import exact, found_by, judged
from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.indices import KINDS, Rows, build, read_kind, speed_of
from pipeline.retrieval.relevance import Listed

TOP = Path(__file__).resolve().parent.parent
SPREAD = 0.7  # of a class, beside the 1 of the centres


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--k", type=int, default=100)
    parser.add_argument("--only", nargs="*", default=list(KINDS))
    asked = parser.parse_args()
    rng, count = np.random.default_rng(0), asked.items + asked.queries
    labels = rng.integers(0, max(asked.items // 100, 1), count)
    features = SPREAD * rng.standard_normal((count, asked.dim), np.float32)
    features += rng.standard_normal((labels.max() + 1, asked.dim), np.float32)[labels]
    scorer = similarity_of("cosine", features[: asked.queries], features[asked.queries :])
    positives = [np.flatnonzero(labels[asked.queries :] == label) for label in labels[: asked.queries]]
    judge = Listed(positives, [np.empty(0, np.int64)] * asked.queries)
    start = time.perf_counter()
    known = exact(scorer, judge, k=asked.k)
    print(f"exact ranking: {time.perf_counter() - start:.1f} s, mAP@{asked.k} {known.mean_ap:.4f}")
    rows, table = Rows.of(scorer), []
    for name in asked.only:
        where = f"conf/search/{name}.yaml"
        kind = read_kind(read_yaml(TOP / where, name=where), where=where)
        index = build(kind, rows, k=asked.k, where=where)
        start = time.perf_counter()
        found = judged(
            found_by(index, rows, known), scorer, judge, known, cutoffs=[1, min(10, asked.k)], whole=kind.whole
        )
        seconds = time.perf_counter() - start
        for setting, one in zip(index.settings, found, strict=True):
            speed = speed_of(index, rows.queries, asked.k, setting)
            table.append(
                {
                    "index": name,
                    "setting": " ".join(f"{key}={value}" for key, value in setting.described.items()),
                    **{f"recall@{cutoff}": f"{value:.4f}" for cutoff, value in one.recalls.items()},
                    f"mAP@{asked.k}": f"{one.mean_ap:.4f}",
                    "queries/s": f"{speed.queries_per_second:,.0f}",
                    "all cores": f"{speed.queries_per_second_all_cores:,.0f}",
                    "p50, ms": f"{speed.p50_ms:.2f}",
                    "p95, ms": f"{speed.p95_ms:.2f}",
                    "build, s": f"{index.seconds:.1f}",
                    "MiB": f"{index.bytes / 2**20:.1f}",
                    "judged in, s": f"{seconds:.1f}",
                }
            )
    print(tabulate(table, headers="keys", tablefmt="pipe", disable_numparse=True))
    print(f"\npeak memory {getrusage(RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
