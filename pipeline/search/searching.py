"""A dataset searched by images that are not in it, encoded exactly as it was."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from pipeline.encoders.encoder import Encoder
from pipeline.extraction.encoding import Encoding
from pipeline.extraction.features import read_checked
from pipeline.extraction.runtime import Runtime
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.matrix import taken
from pipeline.retrieval.ranking import rank
from pipeline.retrieval.relevance import Unjudged
from pipeline.retrieval.similarity import Kind

Found = list[tuple[int, float]]


def refuse_other(provenance: Mapping[str, Any], config: Mapping[str, Any], encoder: Encoder) -> None:
    """Check that features were made by this very encoder.

    Raises:
        RetrievalError: its YAML, weights or preprocessing were others.
    """
    now = {"config": dict(config), "weights": encoder.weights, "preprocessing": encoder.preprocessing}
    for what, value in now.items():
        if provenance.get(what) != value:
            name, dataset = provenance.get("encoder"), provenance.get("dataset")
            raise RetrievalError(
                f"the features of {name} on {dataset} were made with another {what} than the encoder has now: "
                f"run dvc repro extract@{name}-{dataset}"
            )


def features_of(
    encoder: Encoder, config: Mapping[str, Any], features: Path, manifest: Manifest, *, similarity: Kind
) -> Float[np.ndarray, "item dim"]:
    """Return the features of a dataset's images after a check that this very encoder made them.

    Args:
        encoder: built from ``config``.
        config: the encoder's YAML.
        features: what ``pipeline.extract`` wrote for it and the dataset.
        manifest: of the dataset.
        similarity: by which it is searched.

    Raises:
        RetrievalError: it did not, or they cannot be used.
    """
    rows, provenance = read_checked(features, manifest, cosine=similarity == "cosine")
    refuse_other(provenance, config, encoder)
    return taken(rows, np.asarray(manifest.pictures)) if manifest.texts else rows


def encode(
    encoder: Encoder, images: Sequence[Image.Image], names: Sequence[str], runtime: Runtime
) -> Float[np.ndarray, "image dim"]:
    """Return the features of images, float32, one image a pass: as many as one asks for at a time.

    Args:
        encoder: of the images.
        images: to be encoded.
        names: what to call each in an error.
        runtime: how to run.

    Raises:
        RetrievalError: the network does not take an image.
    """
    encoding = Encoding(encoder, runtime.resolved_device())
    named = zip(images, names, strict=True)
    return np.concatenate([encoding(encoder.preprocess(image)[None], [name]) for image, name in named])


def search(
    queries: Float[np.ndarray, "image dim"],
    features: Float[np.ndarray, "item dim"],
    *,
    k: int,
    similarity: Kind,
    numbers: Sequence[int] | None = None,
) -> list[Found]:
    """Return for each query its ``k`` nearest neighbours, best first, ties by index.

    With each comes its cosine, its dot product or its Euclidean distance. ``numbers`` are those of the items among
    which it looks, by row of their features; None: 0, 1, and so on.
    """
    scorer = similarity_of(similarity, queries, features)
    found: list[Found] = []
    for part in rank(scorer, Unjudged(np.full(len(queries), -1)), top=k):
        for items, scores in zip(part.top_items, part.top_scores, strict=True):
            there = items >= 0
            rows = items[there].tolist()
            named = rows if numbers is None else [numbers[row] for row in rows]
            found.append(list(zip(named, scores[there].tolist(), strict=True)))
    return found
