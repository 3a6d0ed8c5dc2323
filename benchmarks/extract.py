"""Extraction: this project against the report's loop, and against what decoding and the network allow, in one run.

    python -m benchmarks.extract
    python -m benchmarks.extract --images ../shared/testdata/mini_voc/JPEGImages --encoders resnet18_random
    python -m benchmarks.extract --compiled

"report" opens, preprocesses and encodes one image at a time in float32, as the report's code did. "network" is the
network alone on batches in memory, "decoding" reading, checking and preprocessing alone, each on all cores. "limit" is
what both allow when one follows the other on the same cores: 1 / (1 / network + 1 / decoding). "ours" is
``pipeline.extract``, and mAP what its features give, the folder of an image being its label. Photographs are views of
those inside scikit-image and scikit-learn, or a folder's. "compiled" is the network by torch.compile.
"""

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from pipeline.datasets.embedded import make_photo_views
from pipeline.encoders.building import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.extraction.encoding import DecodedImages, Encoding, batches
from pipeline.extraction.extraction import extract
from pipeline.extraction.parts import Part
from pipeline.extraction.runtime import Runtime, read_runtime, settle
from pipeline.frame.app import CONF, plain
from pipeline.frame.files import sha256_of
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.scoring import score_features

ENCODERS = ("resnet18_random", "resnet34_random", "clip_random", "dinov2_random")
Ways = dict[str, Callable[[], object]]


def photographs(folder: Path | None, count: int, scratch: Path) -> Manifest:
    """Return a manifest of so many JPEGs: those of a folder, again from the first if it has fewer, or made ones."""
    if folder is None:
        listing = make_photo_views(scratch, views=-(-count // 20), side=500, seed=0)
        paths = [scratch / path for path, _ in listing.entries]
    else:
        paths = sorted(folder.rglob("*.jpg"))
    chosen = [paths[number % len(paths)] for number in range(count)]
    items = []
    for path in chosen:
        with Image.open(path) as image:
            items.append(Item(str(path.resolve()), (path.parent.name,), *image.size, sha256_of(path)))
    return Manifest("photographs", Path("/"), tuple(items))


def built(name: str, precision: str, decoder: str = "pillow") -> Encoder:
    """Return an encoder of conf/encoder in a precision, with a decoder."""
    config = OmegaConf.load(CONF / "encoder" / f"{name}.yaml")
    assert isinstance(config, DictConfig)
    return build_encoder(name, {**plain(config), "precision": precision, "decoder": decoder}, Path("no checkpoint"))


@torch.inference_mode()
def by_the_report(encoder: Encoder, manifest: Manifest) -> None:
    """Encode one image at a time."""
    for item in manifest.items:
        with Image.open(item.path) as image:
            encoder.network(encoder.preprocess(image.convert("RGB"))[None]).flatten().numpy()


def ours(encoder: Encoder, manifest: Manifest, runtime: Runtime, made: dict[str, np.ndarray], way: str) -> None:
    """Extract, and keep the features."""
    made[way], _ = extract(encoder, manifest, runtime)


def places_of(images: DecodedImages, runtime: Runtime) -> list[Sequence[int]]:
    """Return all images in batches."""
    return Part(0, range(len(images))).batches(runtime.resolved_batch_size(), images)


def read_ahead(images: DecodedImages, runtime: Runtime) -> list[torch.Tensor]:
    """Return the batches of all images."""
    return list(batches(images, places_of(images, runtime), replace(runtime, workers=0)))


def alone(encoder: Encoder, ready: list[torch.Tensor], runtime: Runtime) -> Callable[[], object]:
    """Return what encodes batches in memory."""
    encoding = Encoding(encoder, runtime.resolved_device())
    return lambda: [encoding(batch, ["image"] * len(batch)) for batch in ready]


def ways_of(
    name: str,
    manifest: Manifest,
    runtime: Runtime,
    precisions: list[str],
    decoders: list[str],
    made: dict[str, np.ndarray],
) -> Ways:
    """Return what is timed of an encoder: each does the work for every image; ``made`` gets the features of ours."""
    plainly = built(name, "fp32")
    plainly.network.to(memory_format=torch.contiguous_format)
    ready = read_ahead(DecodedImages.of(manifest, plainly), runtime)

    def decoding(images: DecodedImages) -> None:
        for _ in batches(images, places_of(images, runtime), runtime):
            pass

    ways: Ways = {"report": lambda: by_the_report(plainly, manifest)}
    for decoder in decoders:
        ways[f"decoding {decoder}"] = partial(decoding, DecodedImages.of(manifest, built(name, "fp32", decoder)))
    for precision in precisions:
        ways[f"network {precision}"] = alone(built(name, precision), ready, runtime)
        for decoder in decoders:
            way = f"ours {precision} {decoder}"
            ways[way] = partial(ours, built(name, precision, decoder), manifest, runtime, made, way)
    return ways


def rates(ways: Ways, images: int, repeats: int) -> dict[str, float]:
    """Return images/s of each way, the median; the ways take turns, each time in another order."""
    random = np.random.default_rng(0)
    times: dict[str, list[float]] = {way: [] for way in ways}
    for way in ways.values():
        way()  # compiled, allocated, read from the disk
    for _ in range(repeats):
        for name in random.permutation(list(ways)).tolist():
            started = time.perf_counter()
            ways[name]()
            times[name].append(time.perf_counter() - started)
    return {name: images / statistics.median(values) for name, values in times.items()}


def print_maps(options: argparse.Namespace, runtime: Runtime) -> None:
    """Print what our features give, without timing anything."""
    print("| encoder | precision | decoder | mAP |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        manifest = photographs(options.images, options.count, Path(folder))
        for name, precision, decoder in product(options.encoders, options.precisions, options.decoders):
            features, _ = extract(built(name, precision, decoder), manifest, runtime)
            print(f"| {name} | {precision} | {decoder} | {map_of(features, manifest):.4f} |", flush=True)


def print_compiled(options: argparse.Namespace, runtime: Runtime) -> None:
    """Print what torch.compile does to the network alone."""
    print("| encoder | precision | network | compiled | times the network |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        manifest = photographs(options.images, options.count, Path(folder))
        for name, precision in product(options.encoders, options.precisions):
            usual, compiled = built(name, precision), built(name, precision)
            compiled.network.compile()
            ready = read_ahead(DecodedImages.of(manifest, usual), runtime)
            ways = {"network": alone(usual, ready, runtime), "compiled": alone(compiled, ready, runtime)}
            found = rates(ways, len(manifest.items), options.repeats)
            shown = f"{found['network']:.0f} | {found['compiled']:.0f} | {found['compiled'] / found['network']:.2f}"
            print(f"| {name} | {precision} | {shown} |", flush=True)


def map_of(features: np.ndarray, manifest: Manifest) -> float:
    """Return the mAP of features, the folder of an image being its label."""
    return float(score_features(features, [label for [label] in manifest.labels])["mAP"])


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS))
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--decoders", nargs="+", default=["pillow"])
    parser.add_argument("--images", type=Path, help="a folder with JPEGs; made ones by default")
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compiled", action="store_true", help="only what torch.compile does to the networks")
    parser.add_argument("--untimed", action="store_true", help="only what the features give")
    options = parser.parse_args()
    config = OmegaConf.load(CONF / "runtime" / "default.yaml")
    assert isinstance(config, DictConfig)
    runtime = read_runtime(plain(config))
    settle(runtime)
    print(f"{platform.machine()}, {runtime.resolved_threads()} threads, {runtime.resolved_device()}, ", end="")
    print(f"{runtime.resolved_batch_size()} images a batch, torch {torch.__version__}\n")
    if options.untimed or options.compiled:
        (print_maps if options.untimed else print_compiled)(options, runtime)
        return
    print(
        "| encoder | precision | decoder | report | decoding | network | limit | ours | of the limit "
        "| times the report | mAP |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        manifest = photographs(options.images, options.count, Path(folder))
        for name in options.encoders:
            made: dict[str, np.ndarray] = {}
            ways = ways_of(name, manifest, runtime, options.precisions, options.decoders, made)
            found = rates(ways, len(manifest.items), options.repeats)
            for precision, decoder in product(options.precisions, options.decoders):
                way = f"ours {precision} {decoder}"
                network, decoding, ours_ = found[f"network {precision}"], found[f"decoding {decoder}"], found[way]
                limit = 1 / (1 / network + 1 / decoding)
                shown = " | ".join(f"{value:.0f}" for value in (found["report"], decoding, network, limit, ours_))
                ratios = f"{ours_ / limit:.2f} | {ours_ / found['report']:.2f} | {map_of(made[way], manifest):.4f}"
                print(f"| {name} | {precision} | {decoder} | {shown} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
