"""A manifest's images through an encoder, with guards before and after, here or on a cluster."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from pipeline.cluster.connection import Cluster, connected
from pipeline.encoders.encoder import Encoder
from pipeline.extraction.encoding import DecodedImages, Encoding, collate, usable, workers_of
from pipeline.extraction.guards import (
    Finding,
    Limits,
    batch_difference,
    constant_dimensions,
    equal_features,
    guard,
    mean_cosine,
)
from pipeline.extraction.parts import Engine, Here, parts_of
from pipeline.extraction.provenance import made_by, versions
from pipeline.extraction.runtime import Runtime
from pipeline.extraction.scratch import PART, Scratch
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.matrix import empty_rows

PROBED = 4  # images whose features are compared alone and in a batch


def extract(
    encoder: Encoder,
    manifest: Manifest,
    runtime: Runtime,
    scratch: Scratch | None = None,
    engine: Engine | None = None,
) -> tuple[Float[np.ndarray, "item dim"], float]:
    """Return a feature an image, float32, in the order of the manifest, and the seconds that they took.

    Finished parts are kept in ``scratch``, and those that are there already are not made again. ``engine`` encodes;
    None: this process.

    Raises:
        RetrievalError: an image is missing, cannot be decoded or is not the one that was prepared; a
            feature has the wrong dimension.
    """
    count = len(manifest.items)
    features = empty_rows(count, encoder.dim)
    spent, missing = 0.0, []
    for part in parts_of(count, PART):
        kept = scratch.read(part.number, rows=len(part.places), dim=encoder.dim) if scratch else None
        if kept is None:
            missing.append(part)
        else:
            features[part.places.start : part.places.stop], seconds = kept
            spent += seconds
    images = DecodedImages.of(manifest, encoder)
    done = count - sum(len(part.places) for part in missing)
    with tqdm(total=count, initial=done, desc=manifest.dataset, unit=" images") as progress:
        stream = (engine or Here()).encoded(encoder, images, runtime, missing, progress.update)
        for part, rows, seconds in stream:
            features[part.places.start : part.places.stop] = rows
            if scratch:
                scratch.write(part.number, rows, seconds=seconds)
            spent += seconds
    return features, spent


def probe(encoder: Encoder, manifest: Manifest, runtime: Runtime, limits: Limits) -> Finding:
    """Compare the features of a few images, spread over the dataset, alone and in one batch.

    Raises:
        RetrievalError: see :func:`extract`.
    """
    images = DecodedImages.of(manifest, encoder)
    workers_of(images, runtime)  # says what a decoder lacks
    count = min(PROBED, len(images))
    batch = usable(collate([images[index * len(images) // count] for index in range(count)]))
    encoding = Encoding(encoder, runtime.resolved_device())
    alone = np.concatenate([encoding(image[None]) for image in batch])
    return batch_difference(alone, encoding(batch), limits.batch_difference)


def inspected(features: Float[np.ndarray, "item dim"], manifest: Manifest, limits: Limits) -> dict[str, Finding]:
    """Return what the guards see in finished features, by name."""
    return {
        "mean_cosine": mean_cosine(features, limits.mean_cosine),
        "constant_dimensions": constant_dimensions(features),
        "equal_features": equal_features(features, manifest.paths, manifest.contents),
    }


def extracted(
    encoder: Encoder,
    manifest: Manifest,
    runtime: Runtime,
    limits: Limits,
    without: Sequence[str],
    scratch: Scratch,
    engine: Engine,
    *,
    where: str,
) -> tuple[Float[np.ndarray, "item dim"], dict[str, Any], dict[str, Finding]]:
    """Return the features of a dataset, how they were made, and what the guard before them saw.

    Raises:
        RetrievalError: see :func:`extract`; the guard refuses the encoder, before the hours that the rest can take.
    """
    tried, own = engine.trial(encoder, runtime)
    findings = {"batch_difference": probe(tried, manifest, own, limits)}
    guard(findings, without, where=where)
    features, seconds = extract(encoder, manifest, runtime, scratch, engine)
    return features, made_by(encoder, len(features), seconds, engine.machine(runtime)), findings


@contextmanager
def engine_of(cluster: Cluster | None) -> Iterator[Engine]:
    """Stay ready to encode, here or on a cluster.

    Raises:
        RetrievalError: there is no such cluster, or no Ray.
    """
    if cluster is None:
        yield Here()
        return
    with connected(cluster) as nodes:
        from pipeline.extraction.parts_by_ray import OnRay

        yield OnRay(nodes)


def determining(options: Mapping[str, Any], encoder: Encoder, manifest: Manifest) -> dict[str, Any]:
    """Return everything that determines features, but for what changes no more than their rounding."""
    return {
        "config": {key: value for key, value in options.items() if key != "without_guards"},
        "weights": encoder.weights,
        "preprocessing": encoder.preprocessing,
        "manifest_sha256": manifest.sha256,
        "versions": versions(),
    }
