"""Time and peak memory of each stage on many images.

    python -m benchmarks.stages
    python -m benchmarks.stages --images 1000 10000 --encoder resnet18_random --only extract

Random images of 200 classes are written as JPEGs of 320 x 240 pixels; the stages run on them as DVC runs them, in a
copy of the project. Peak memory is the resident memory of the stage's process alone.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

TOP = Path(__file__).resolve().parent.parent
DATASET = "many"
CLASSES = 200
STAGES = {
    "prepare": ("dataset",),
    "weights": ("encoder",),
    "extract": ("encoder", "dataset"),
    "evaluate": ("encoder", "dataset"),
    "pr": ("dataset",),
    "gallery": ("dataset",),
    "thumbnails": ("dataset",),
    "explore": ("dataset",),
}
NEEDED = ("prepare", "weights")  # by the others


def write_image(number: int, *, folder: Path) -> None:
    """Write one image, of its class's colours and noise of its own."""
    label = number % CLASSES
    shared = np.random.default_rng(label).integers(0, 256, (6, 8, 3))
    own = np.random.default_rng([1, number]).integers(-60, 60, (6, 8, 3))
    coarse = Image.fromarray(np.clip(shared + own, 0, 255).astype(np.uint8))
    path = folder / str(label) / f"{number}.jpg"
    coarse.resize((320, 240), Image.Resampling.BICUBIC).save(path, quality=85)


def copied(target: Path, images: Path, encoder: str) -> None:
    """Copy what Git has of the project, with these images as its dataset and one encoder."""
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=TOP, check=True, capture_output=True).stdout
    target.mkdir()
    subprocess.run(["tar", "-x"], cwd=target, input=archive, check=True)
    (target / f"conf/dataset/{DATASET}.yaml").write_text(yaml.safe_dump({"kind": "folder", "root": str(images)}))
    params = {"encoders": [encoder], "datasets": [DATASET], "rankings": [], "searches": [], "encoder": encoder}
    (target / "params.yaml").write_text(yaml.safe_dump(params))


def timed(stage: str, project: Path, encoder: str) -> tuple[float, float]:
    """Run a stage; return its seconds and its peak resident memory in MiB."""
    chosen = {"encoder": encoder, "dataset": DATASET}
    command = [sys.executable, "-m", f"pipeline.{stage}", *(f"{key}={chosen[key]}" for key in STAGES[stage])]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed: {said[-500:]}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[20000])
    parser.add_argument("--encoder", default="color_histogram")
    all_but_weights = [name for name in STAGES if name != "weights"]
    parser.add_argument("--only", nargs="+", default=all_but_weights, choices=list(STAGES))
    options = parser.parse_args()
    print("| images | encoder | stage | s | images/s | peak memory, MiB |\n|---|---|---|---|---|---|")
    for count in options.images:
        with tempfile.TemporaryDirectory() as name:
            images = Path(name) / "images"
            for label in range(CLASSES):
                (images / str(label)).mkdir(parents=True)
            with ProcessPoolExecutor() as pool:
                list(pool.map(partial(write_image, folder=images), range(count), chunksize=200))
            project = Path(name) / "project"
            copied(project, images, options.encoder)
            for stage in STAGES:
                if stage in options.only or stage in NEEDED:
                    seconds, peak = timed(stage, project, options.encoder)
                    if stage in options.only:
                        row = f"{seconds:.1f} | {count / seconds:.0f} | {peak:.0f}"
                        print(f"| {count} | {options.encoder} | {stage} | {row} |", flush=True)


if __name__ == "__main__":
    main()
