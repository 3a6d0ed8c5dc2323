"""Manifest + encoder -> features, and where they came from.

``python -m pipeline.extract encoder=hog dataset=digits`` writes ``features/hog/digits/``.
"""

import hashlib
import importlib.metadata
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from pipeline.app import app
from pipeline.encoders import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.errors import RetrievalError
from pipeline.features import check_features, write_features
from pipeline.images import decode_rgb, read_file
from pipeline.manifest import Manifest, read_manifest
from pipeline.options import call

# Whatever can change a feature by more than the encoder's own config.
LIBRARIES = ("torch", "torchvision", "transformers", "numpy", "pillow", "scikit-image", "scikit-learn")
CPUINFO = Path("/proc/cpuinfo")  # on Linux


@dataclass(frozen=True)
class Runtime:
    """How to run, which must not change the features beyond rounding; conf/runtime/*.yaml.

    Attributes:
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; ``auto`` takes a GPU if torch sees one.
        batch_size: images a pass through the network; ``auto`` takes 8 on a CPU, where larger batches
            fall out of its caches, and 64 on a GPU.
        workers: decoding processes; 0 decodes in the main process, ``auto`` takes one a core.
    """

    device: str
    batch_size: int | str
    workers: int | str

    def resolved_device(self) -> torch.device:
        """Return the device to use.

        Raises:
            RetrievalError: torch does not know it or cannot reach it.
        """
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            device = torch.device(name)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as error:
            problem = str(error).splitlines()[0]
            raise RetrievalError(f"device '{name}' cannot be used ({problem}): set device in conf/runtime") from None
        return device

    def resolved_batch_size(self) -> int:
        """Return the number of images a pass."""
        if self.batch_size != "auto":
            return int(self.batch_size)
        return 8 if self.resolved_device().type == "cpu" else 64

    def resolved_workers(self) -> int:
        """Return the number of decoding processes."""
        if self.workers != "auto":
            return int(self.workers)
        affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
        return len(affinity(0)) if affinity else os.cpu_count() or 1


class DecodedImages(Dataset[Tensor | str]):
    """The preprocessed images of a manifest; for one that cannot be used, the error's text.

    An exception would cross from a worker process wrapped in the worker's traceback.
    """

    def __init__(self, manifest: Manifest, encoder: Encoder) -> None:
        """Take what a worker needs: paths, hashes and the preprocessing, not the network."""
        self.root = manifest.root
        self.dataset = manifest.dataset
        self.items = [(item.path, item.sha256) for item in manifest.items]
        self.preprocess = encoder.preprocess

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.items)

    def __getitem__(self, index: int) -> Tensor | str:
        """Return image ``index`` as the network's input."""
        path, sha256 = self.items[index]
        name = str(self.root / path)
        try:
            data = read_file(self.root / path, name=name)
            if hashlib.sha256(data).hexdigest() != sha256:
                return f"{name} has changed since it was prepared: run dvc repro -f prepare@{self.dataset}"
            return self.preprocess(decode_rgb(data, name=name))
        except RetrievalError as error:
            return str(error)


def collate(samples: Sequence[Tensor | str]) -> Tensor | str:
    """Stack the images of a batch; or return the first error among them."""
    images = []
    for sample in samples:
        if isinstance(sample, str):
            return sample
        images.append(sample)
    return torch.stack(images)


def extract(encoder: Encoder, manifest: Manifest, runtime: Runtime) -> Float[np.ndarray, "item dim"]:
    """Return a feature an image, float32, in the order of the manifest.

    Raises:
        RetrievalError: an image is missing, cannot be decoded or is not the one that was prepared; a
            feature has the wrong dimension.
    """
    device = runtime.resolved_device()
    encoder.network.to(device)
    loader: DataLoader[Tensor | str] = DataLoader(
        DecodedImages(manifest, encoder),
        batch_size=runtime.resolved_batch_size(),
        num_workers=min(runtime.resolved_workers(), len(manifest.items)),
        collate_fn=collate,
        pin_memory=device.type == "cuda",
    )
    features = np.empty((len(manifest.items), encoder.dim), np.float32)
    done = 0
    with tqdm(total=len(manifest.items), desc=manifest.dataset, unit=" images") as progress:
        for batch in loader:
            if isinstance(batch, str):
                raise RetrievalError(batch)
            encoded = encoder.encode(batch.to(device, non_blocking=True)).float().cpu().numpy()
            if encoded.shape != (len(batch), encoder.dim):
                raise RetrievalError(f"the encoder gave features of shape {encoded.shape[1:]}, not ({encoder.dim},)")
            features[done : done + len(batch)] = encoded
            done += len(batch)
            progress.update(len(batch))
    return features


def device_name(device: torch.device) -> str:
    """Return the kind of device and the model of the chip."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({processor_name()})"


def processor_name() -> str:
    """Return the processor's model, as far as the operating system tells."""
    if CPUINFO.is_file():
        for line in CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def provenance(
    name: str,
    config: Mapping[str, Any],
    encoder: Encoder,
    manifest: Manifest,
    runtime: Runtime,
    seconds: float,
) -> dict[str, Any]:
    """Return everything needed to make the same features again, and what they cost."""
    return {
        "encoder": name,
        "config": config,
        "weights": encoder.weights,
        "preprocessing": " ".join(str(encoder.preprocess).split()),
        "precision": "float32",
        "dim": encoder.dim,
        "dataset": manifest.dataset,
        "images": len(manifest.items),
        "manifest_sha256": manifest.sha256,
        "device": device_name(runtime.resolved_device()),
        "batch_size": runtime.resolved_batch_size(),
        "workers": runtime.resolved_workers(),
        "threads": torch.get_num_threads(),
        "seconds": round(seconds, 3),
        "images_per_second": round(len(manifest.items) / seconds, 1),
        "python": platform.python_version(),
        "versions": {library: importlib.metadata.version(library) for library in LIBRARIES},
    }


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a composed config as plain dictionaries and lists."""
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


@app("extract")
def main(config: DictConfig) -> None:
    """Run the stage."""
    encoder_config = plain(config.encoder)
    runtime = call(Runtime, plain(config.runtime), where="conf/runtime")
    manifest = read_manifest(Path(config.prepared))
    encoder = build_encoder(config.encoder_name, encoder_config)
    started = time.perf_counter()
    features = extract(encoder, manifest, runtime)
    seconds = time.perf_counter() - started
    check_features(features, manifest.paths, where=f"{config.encoder_name} on {manifest.dataset}")
    origin = provenance(config.encoder_name, encoder_config, encoder, manifest, runtime, seconds)
    write_features(Path(config.out), features, origin)


if __name__ == "__main__":
    main()
