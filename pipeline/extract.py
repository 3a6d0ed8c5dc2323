"""Manifest + encoder -> features, and where they came from.

``python -m pipeline.extract encoder=hog dataset=digits`` writes ``features/hog/digits/``.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from pipeline.app import app
from pipeline.encoders import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.encoders.precomputed import NAME as PRECOMPUTED
from pipeline.encoders.precomputed import read_precomputed
from pipeline.errors import RetrievalError
from pipeline.features import check_features, write_features
from pipeline.guards import (
    Finding,
    Limits,
    batch_difference,
    constant_dimensions,
    equal_features,
    guard,
    mean_cosine,
    refuse_unknown,
)
from pipeline.images import read_prepared
from pipeline.manifest import Manifest, read_manifest
from pipeline.options import call, plain
from pipeline.provenance import made_here, provenance
from pipeline.raw import located
from pipeline.runtime import Runtime, exact_float32, read_runtime

PROBED = 4  # images whose features are compared alone and in a batch


class DecodedImages(Dataset[Tensor | str]):
    """The preprocessed images of a manifest; for one that cannot be used, the error's text.

    An exception would cross from a worker process wrapped in the worker's traceback.
    """

    def __init__(self, manifest: Manifest, encoder: Encoder) -> None:
        """Take what a worker needs: paths, hashes and the preprocessing, not the network."""
        self.dataset = manifest.dataset
        self.items = [(located(manifest.folder(item)) / item.path, item.sha256, item.box) for item in manifest.items]
        self.preprocess = encoder.preprocess

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.items)

    def __getitem__(self, index: int) -> Tensor | str:
        """Return image ``index`` as the network's input."""
        path, sha256, box = self.items[index]
        try:
            return self.preprocess(read_prepared(path, sha256, box, dataset=self.dataset))
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


def probe(encoder: Encoder, manifest: Manifest, runtime: Runtime, limits: Limits) -> Finding:
    """Compare the features of a few images, spread over the dataset, alone and in one batch.

    Raises:
        RetrievalError: see :func:`extract`.
    """
    device = runtime.resolved_device()
    encoder.network.to(device)
    images = DecodedImages(manifest, encoder)
    count = min(PROBED, len(images))
    batch = collate([images[index * len(images) // count] for index in range(count)])
    if isinstance(batch, str):
        raise RetrievalError(batch)
    batch = batch.to(device)
    alone = torch.cat([encoder.encode(image[None]) for image in batch])
    return batch_difference(
        alone.float().cpu().numpy(), encoder.encode(batch).float().cpu().numpy(), limits.batch_difference
    )


def inspected(features: Float[np.ndarray, "item dim"], manifest: Manifest, limits: Limits) -> dict[str, Finding]:
    """Return what the guards see in finished features, by name."""
    return {
        "mean_cosine": mean_cosine(features, limits.mean_cosine),
        "constant_dimensions": constant_dimensions(features),
        "equal_features": equal_features(features, manifest.paths, manifest.contents),
    }


def extracted(
    encoder: Encoder, manifest: Manifest, runtime: Runtime, limits: Limits, without: Sequence[str], *, where: str
) -> tuple[Float[np.ndarray, "item dim"], dict[str, Any], dict[str, Finding]]:
    """Return the features of a dataset, how they were made, and what the guard before them saw.

    Raises:
        RetrievalError: see :func:`extract`; the guard refuses the encoder, before the hours that the rest can take.
    """
    findings = {"batch_difference": probe(encoder, manifest, runtime, limits)}
    guard(findings, without, where=where)
    started = time.perf_counter()
    features = extract(encoder, manifest, runtime)
    made = made_here(encoder, len(features), runtime, time.perf_counter() - started)
    return features, made, findings


@app("extract")
def main(config: DictConfig) -> None:
    """Run the stage."""
    name, options = config.encoder_name, plain(config.encoder)
    exact_float32()
    runtime = read_runtime(plain(config.runtime))
    limits = call(Limits, plain(config.guards), where="guards in conf/extract.yaml")
    manifest = read_manifest(Path(config.prepared))
    where = f"{name} on {manifest.dataset}"
    without = options.get("without_guards", [])
    refuse_unknown(without, where=f"conf/encoder/{name}.yaml")
    findings: dict[str, Finding] = {}
    if options.get("source") == PRECOMPUTED:
        features, made = read_precomputed(name, options, manifest)
    else:
        encoder = build_encoder(name, options, Path(config.weights))
        features, made, findings = extracted(encoder, manifest, runtime, limits, without, where=where)
    check_features(features, manifest.paths, where=where)
    guards = guard({**findings, **inspected(features, manifest, limits)}, without, where=where)
    write_features(Path(config.out), features, provenance(name, options, manifest, made, guards))


if __name__ == "__main__":
    main()
