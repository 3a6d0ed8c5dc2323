"""A manifest's images through an encoder, with guards before and after, here or on a cluster."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from tqdm import tqdm

from pipeline.cluster.connection import Cluster, connected
from pipeline.encoders.encoder import Encoder
from pipeline.extraction.encoding import DecodedImages, Encoding, collate, usable, workers_of
from pipeline.extraction.features import write_features
from pipeline.extraction.guards import (
    Finding,
    Limits,
    batch_difference,
    constant_dimensions,
    effective_rank,
    equal_features,
    guard,
    hashes_of,
    mean_cosine,
    sampled,
)
from pipeline.extraction.parts import Engine, Here, Part, parts_of
from pipeline.extraction.precomputed import read_precomputed
from pipeline.extraction.provenance import costs_of, made_by, versions
from pipeline.extraction.runtime import Runtime
from pipeline.extraction.scratch import PART, Scratch, key_of
from pipeline.extraction.texts import encode_texts
from pipeline.frame.files import write_json
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.matrix import check_features, empty_rows, nonzero, taken

PROBED = 4  # images whose features are compared alone and in a batch


@dataclass(frozen=True)
class Guarded:
    """Which guards look at features, and what the features are called.

    Attributes:
        limits: see :class:`pipeline.extraction.guards.Limits`.
        without: the names of the guards that are off.
        where: what to call the features in an error.
    """

    limits: Limits
    without: Sequence[str]
    where: str

    def refuse(self, findings: Mapping[str, Finding]) -> dict[str, Any]:
        """See :func:`pipeline.extraction.guards.guard`."""
        return guard(findings, self.without, where=self.where)

    def inspect(
        self, features: Float[np.ndarray, "item dim"], manifest: Manifest, before: Mapping[str, Finding]
    ) -> dict[str, Any]:
        """Return what all guards saw, those before and those that look at finished features.

        Raises:
            RetrievalError: a row is no usable feature; a guard that is on refuses the features.
        """
        # A feature of zeros is a point like any other unless it is compared by cosine, which evaluation knows.
        check_features(features, manifest.paths, where=self.where, cosine=False)
        images = manifest.pictures if manifest.texts else None
        seen = self.refuse({**before, **inspected(features, manifest, self.limits, images)})
        if not manifest.texts:
            return seen
        # Apart: images and texts lie in different parts of their space, and either side can collapse alone.
        texts = replace(self, where=f"{self.where}, its texts")
        return {**seen, "texts": texts.refuse(inspected(features, manifest, self.limits, list(manifest.texts)))}


@dataclass(frozen=True)
class Extraction:
    """Features, how they came, and what they cost.

    Attributes:
        features: one row per item of the manifest.
        guards: what the guards saw.
        made: how the features were made, for the provenance.
        costs: what they cost, some of it measured.
        scratch: the parts that are no longer needed when all of this is written.
    """

    features: Float[np.ndarray, "item dim"]
    guards: Mapping[str, Any]
    made: Mapping[str, Any]
    costs: Mapping[str, Any]
    scratch: Scratch | None

    def write(self, features: Path, costs: Path, provenance: Mapping[str, Any]) -> None:
        """Write the features and their costs; then the parts are no longer needed."""
        write_features(features, self.features, provenance)
        write_json(costs, self.costs)
        if self.scratch is not None:
            self.scratch.clear()


def extract(
    encoder: Encoder,
    manifest: Manifest,
    runtime: Runtime,
    scratch: Scratch | None = None,
    engine: Engine | None = None,
) -> tuple[Float[np.ndarray, "item dim"], float]:
    """Return a feature an item, float32, in the order of the manifest, and the seconds that those of images took.

    The rows of texts are left for :func:`encoded` to fill. Finished parts are kept in ``scratch``, and those that are
    there already are not made again. ``engine`` encodes; None: this process.

    Raises:
        RetrievalError: an image is missing, cannot be decoded or is not the one that was prepared; a
            feature has the wrong dimension.
    """
    numbers = manifest.pictures
    count = len(numbers)
    features = empty_rows(len(manifest.items), encoder.dim)
    spent, missing = 0.0, []
    for part in parts_of(count, PART):
        kept = scratch.read(part.number, rows=len(part.places), dim=encoder.dim) if scratch else None
        if kept is None:
            missing.append(part)
        else:
            features[rows_of(numbers, part)], seconds = kept
            spent += seconds
    images = DecodedImages.of(manifest, encoder)
    done = count - sum(len(part.places) for part in missing)
    with tqdm(total=count, initial=done, desc=manifest.dataset, unit=" images") as progress:
        stream = (engine or Here()).encoded(encoder, images, runtime, missing, progress.update)
        for part, rows, seconds in stream:
            features[rows_of(numbers, part)] = rows
            if scratch:
                scratch.write(part.number, rows, seconds=seconds)
            spent += seconds
    return features, spent


def rows_of(numbers: Sequence[int], part: Part) -> slice | list[int]:
    """Return the rows of a part's images among those of all items."""
    places = slice(part.places.start, part.places.stop)
    return places if isinstance(numbers, range) else list(numbers[places])


def probe(encoder: Encoder, manifest: Manifest, runtime: Runtime, limits: Limits) -> Finding:
    """Compare the features of a few images, spread over the dataset, alone and in one batch.

    Where inputs differ in size, these are of the size that most have.

    Raises:
        RetrievalError: see :func:`extract`.
    """
    images = DecodedImages.of(manifest, encoder)
    workers_of(images, runtime)  # says what a decoder lacks
    places = max(images.alike(range(len(images))), key=len)
    count = min(PROBED, len(places))
    chosen = [places[index * len(places) // count] for index in range(count)]
    batch, names = usable(collate([images[place] for place in chosen])), images.names(chosen)
    if count == 1 < len(images):  # no other is of its size: its own mirror image is
        batch, names = torch.cat([batch, batch.flip(-1)]), 2 * names
    encoding = Encoding(encoder, runtime.resolved_device())
    alone = np.concatenate([encoding(image[None], [name]) for image, name in zip(batch, names, strict=True)])
    return batch_difference(alone, encoding(batch, names), limits.batch_difference)


def inspected(
    features: Float[np.ndarray, "item dim"], manifest: Manifest, limits: Limits, numbers: Sequence[int] | None = None
) -> dict[str, Finding]:
    """Return what the guards see in finished features, or in those of some items, by name, and what it is out of."""
    paths, contents = manifest.paths, manifest.contents
    if numbers is not None:
        features = taken(features, np.asarray(numbers))
        paths, contents = ([names[number] for number in numbers] for names in (paths, contents))
    pointing = taken(features, np.flatnonzero(nonzero(features)))  # features of zeros have no cosine
    sample, hashes = sampled(pointing), hashes_of(features)
    return {
        "effective_rank": effective_rank(sample, limits.effective_rank),
        "effective_rank_images": Finding(len(sample)),
        "mean_cosine": mean_cosine(pointing, limits.mean_cosine),
        "constant_dimensions": constant_dimensions(features, limits.constant_dimensions),
        "equal_features": equal_features(hashes, paths, contents, limits.equal_features),
        "distinct_features": Finding(len(np.unique(hashes))),
    }


def encoded(
    name: str,
    encoder: Encoder,
    manifest: Manifest,
    runtime: Runtime,
    engine: Engine,
    scratch: Scratch,
    guarded: Guarded,
) -> Extraction:
    """Return the features of a dataset by an encoder; texts are few, and encoded here.

    Raises:
        RetrievalError: see :func:`extract` and :func:`pipeline.extraction.texts.encode_texts`; the guard refuses the
            encoder, before the hours that the rest can take.
    """
    tried, own = engine.trial(encoder, runtime)
    before = {"batch_difference": probe(tried, manifest, own, guarded.limits)}
    guarded.refuse(before)
    texts = encode_texts(name, tried, list(manifest.texts.values()), own) if manifest.texts else None
    features, seconds = extract(replace(encoder, text=None), manifest, runtime, scratch, engine)
    if texts is not None:
        features[list(manifest.texts)] = texts
    machine = engine.machine(runtime)
    guards = guarded.inspect(features, manifest, before)
    images = DecodedImages.of(manifest, encoder)
    latencies = engine.latencies(encoder, images, runtime)
    costs = costs_of(encoder, len(manifest.pictures), seconds, machine, latencies, typical=images.typical())
    made = made_by(encoder, machine, texts=bool(manifest.texts))
    return Extraction(features, guards, made, costs, scratch)


def given(name: str, options: Mapping[str, Any], manifest: Manifest, guarded: Guarded) -> Extraction:
    """Return the features of a dataset that were made elsewhere; what they cost is not known.

    Raises:
        RetrievalError: see :func:`pipeline.extraction.precomputed.read_precomputed`.
    """
    features, made = read_precomputed(name, options, manifest)
    guards = guarded.inspect(features, manifest, {})
    costs = {"feature_bytes": 4 * features.shape[1], "precision": made["precision"], "images": len(manifest.pictures)}
    return Extraction(features, guards, made, costs, None)


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


def scratch_of(folder: Path, options: Mapping[str, Any], encoder: Encoder, manifest: Manifest) -> Scratch:
    """Return where finished parts of an extraction are kept; those of other keys are removed."""
    scratch = Scratch(folder, key_of(determining(options, encoder, manifest)))
    scratch.drop_stale()
    return scratch


def determining(options: Mapping[str, Any], encoder: Encoder, manifest: Manifest) -> dict[str, Any]:
    """Return everything that determines features, but for what changes no more than their rounding."""
    return {
        "config": {key: value for key, value in options.items() if key != "without_guards"},
        "weights": encoder.weights,
        "preprocessing": encoder.preprocessing,
        "manifest_sha256": manifest.sha256,
        "versions": versions(texts=bool(manifest.texts)),
    }
