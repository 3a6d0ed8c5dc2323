"""A large manifest as CSV and as Parquet: its size, and what reading it takes.

    python -m benchmarks.manifests

The same items, every tenth with two labels, are written as both. Each is read by a process of its own:
"read" is until the manifest is there, checked, and "memory" what that process then holds more than before; "lists"
is what the lists of all paths, labels and contents, which some stages make, add to it.
"""

import argparse
import gc
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.manifest import manifest as manifests
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest, read_manifest, write_manifest

KINDS = {"CSV": sys.maxsize, "Parquet": 0}  # from how many items on a manifest is Parquet
PAGE = os.sysconf("SC_PAGE_SIZE")


def made_up(count: int) -> Manifest:
    """Return a manifest of so many items of 1,000 labels."""
    items = []
    for number in range(count):
        label = number % 1000
        labels = (f"label {label}",) if number % 10 else (f"label {label}", f"label {(label + 1) % 1000}")
        sha256 = hashlib.sha256(number.to_bytes(8, "big")).hexdigest()
        items.append(Item(f"label_{label}/{number:08}.jpg", labels, 640, 480, sha256))
    return Manifest("many", Path("data/raw/many"), tuple(items))


def resident() -> float:
    """Return how much memory this process holds, in MB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


def measure(folder: Path) -> None:
    """Read a manifest and print seconds, memory and memory of its lists."""
    before, started = resident(), time.perf_counter()
    read = read_manifest(folder)
    seconds, held = time.perf_counter() - started, resident() - before
    lists = (read.paths, read.labels, read.contents)
    print(f"{seconds:.1f} | {held:.0f} | {resident() - before - held:.0f}")
    assert all(len(values) == len(read.items) for values in lists)


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)  # in the process of its own
    options = parser.parse_args()
    if options.read:
        measure(options.read)
        return
    print("| items | manifest | size, MB | read, s | memory, MB | lists, MB |")
    print("|---|---|---|---|---|---|")
    for items in options.items:
        made = made_up(items)
        for kind, manifests.LARGE in KINDS.items():
            with tempfile.TemporaryDirectory() as folder:
                write_manifest(made, Path(folder))
                size = max(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
                command = [sys.executable, "-m", "benchmarks.manifests", "--read", folder]
                read = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
            print(f"| {items} | {kind} | {size:.0f} | {read} |", flush=True)


if __name__ == "__main__":
    main()
