"""What is no regular file where a file is expected: nothing waits, nothing reads for ever."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from random import Random

from pipeline.checkpoints.config import read_config
from pipeline.checkpoints.tensors import read_file as read_tensors
from pipeline.datasets.mat_files import read_mat
from pipeline.datasets.preparing import prepare
from pipeline.datasets.revisited import read_ground_truth
from pipeline.datasets.voc import read_instances, read_split
from pipeline.extraction.features import read_features
from pipeline.extraction.scratch import Scratch
from pipeline.fetching.archives import extract_archive
from pipeline.frame.experiment import read_experiment
from pipeline.frame.files import replacing_directory
from pipeline.manifest.images import decode_rgb, read_file
from pipeline.manifest.labels import read_labels
from pipeline.manifest.manifest import read_manifest
from pipeline.results.per_query import read_results
from pipeline.results.runs import read_run
from pipeline.results.searches import rows_of
from pipeline.retrieval.reading.matrices import read_matrix
from tests.attack.verdicts import Wrong


def fifo(path: Path) -> None:
    """Make a pipe that nobody writes to."""
    os.mkfifo(path)


def bound(path: Path) -> None:
    """Make a socket."""
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{here}/{path.name}")  # the whole path may be too long for a socket
        os.close(here)


THINGS: tuple[Callable[[Path], None], ...] = (
    fifo,
    bound,
    lambda path: path.mkdir(),
    lambda path: path.symlink_to("/dev/zero"),
    lambda path: path.symlink_to("/dev/full"),
    lambda path: path.symlink_to("/dev/null"),
    lambda path: path.symlink_to("/dev/tty"),
    lambda path: path.symlink_to("/proc/self/mem"),
    lambda path: path.symlink_to(path.name),
    lambda path: path.symlink_to("missing"),
    lambda path: path.symlink_to(path.parent),
    lambda path: path.touch(),
)


def extract(path: Path) -> None:
    """Extract an archive."""
    with replacing_directory(path.parent / "into") as partial:
        extract_archive(path, partial, max_bytes=1 << 20, max_files=10)


def among_images(path: Path) -> None:
    """Prepare a folder that has the thing in it."""
    prepare("x", {"kind": "folder", "root": str(path.parents[1])}, path.parents[2] / "prepared")


def a_part(path: Path) -> None:
    """Read a part of an extraction."""
    if Scratch(path.parents[1], path.parent.name).read(0, rows=2, dim=2) is not None:
        raise Wrong("a part that is none")


READERS: dict[str, Callable[[Path], object]] = {
    "raw/a/1.png": among_images,
    "image.png": lambda path: decode_rgb(read_file(path, name=str(path)), name=str(path)),
    "list.txt": read_labels,
    "list.csv": read_labels,
    "features.npy": read_matrix,
    "e/d/features.npy": lambda path: read_features(path.parent),
    "e/d/provenance.json": lambda path: read_features(path.parent),
    "gnd.pkl": read_ground_truth,
    "gnd.json": read_ground_truth,
    "gnd.mat": lambda path: read_mat(path, "gnd"),
    "x.zip": extract,
    "x.tar": extract,
    "x.tar.gz": extract,
    "x/summary.json": lambda path: read_manifest(path.parent),
    "x/encoder.json": lambda path: read_config(path.parent),
    "params.yaml": read_experiment,
    "1.xml": read_instances,
    "ImageSets/Main/val.txt": lambda path: read_split(path.parents[2], "val"),
    "runs/hog/x.json": lambda path: read_run(path.parents[1], "hog", "x"),
    "runs/hog/x/flat.json": lambda path: rows_of("hog", "x", "flat", path.parents[2], path.parents[2]),
    "x/hog.npz": lambda path: read_results(path, "AP"),
    "s/key/0.json": a_part,
    "weights.pth": lambda path: read_tensors(path, None),
}


def special(rng: Random, folder: Path) -> None:
    """Give a reader something that is no regular file."""
    name = rng.choice(sorted(READERS))
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    rng.choice(THINGS)(path)
    READERS[name](path)
