"""Search a dataset by images of one's own.

``python -m pipeline.query encoder=hog dataset=photo_views image=photo.jpg`` encodes the image exactly as the dataset's
were, ranks those by the similarity of their features, prints a table and writes a contact sheet. It is no stage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from omegaconf import DictConfig
from PIL import Image
from tabulate import tabulate

from pipeline.encoders.building import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.extraction.encoding import Encoding
from pipeline.extraction.features import check_features, read_checked
from pipeline.extraction.runtime import Runtime, read_runtime, settle
from pipeline.frame.app import app
from pipeline.manifest.images import decode_rgb, read_file
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.ranking import rank
from pipeline.retrieval.relevance import Unjudged
from pipeline.retrieval.settings import call, plain
from pipeline.retrieval.similarity import Kind, products
from pipeline.views.items import named
from pipeline.views.sheet import Cell, SheetStyle, draw_sheet, retrieved
from pipeline.views.style import save_png

Found = list[tuple[int, float]]


@dataclass(frozen=True)
class Search:
    """What is asked for; conf/query.yaml.

    Attributes:
        image: a file, or several.
        k: how many of the most alike to show.
        similarity: ``cosine``, ``dot`` or ``euclidean``.
    """

    image: str | Sequence[str]
    k: int
    similarity: Kind

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.k < 1:
            raise RetrievalError(f"'k' is {self.k}: expected 1 or more")
        if not self.images:
            raise RetrievalError("'image' names none: give image=photo.jpg, or image=[a.jpg,b.jpg]")

    @property
    def images(self) -> list[str]:
        """The files."""
        return [self.image] if isinstance(self.image, str) else list(self.image)


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
    encoder: Encoder, config: Mapping[str, Any], features: Path, manifest: Manifest
) -> Float[np.ndarray, "item dim"]:
    """Return the features of a dataset after a check that this very encoder made them.

    Args:
        encoder: built from ``config``.
        config: the encoder's YAML.
        features: what ``pipeline.extract`` wrote for it and the dataset.
        manifest: of the dataset.

    Raises:
        RetrievalError: it did not, or they cannot be used.
    """
    rows, provenance = read_checked(features, manifest)
    refuse_other(provenance, config, encoder)
    return rows


def encode(encoder: Encoder, images: Sequence[Image.Image], runtime: Runtime) -> Float[np.ndarray, "image dim"]:
    """Return the features of images, float32, one image a pass: as many as one asks for at a time."""
    encoding = Encoding(encoder, runtime.resolved_device())
    return np.concatenate([encoding(encoder.preprocess(image)[None]) for image in images])


def search(
    queries: Float[np.ndarray, "image dim"], features: Float[np.ndarray, "item dim"], *, k: int, similarity: Kind
) -> list[Found]:
    """Return for each query the ``k`` items most alike, best first, ties by index.

    With each comes its cosine, its dot product or its Euclidean distance.
    """
    scorer = products(similarity, queries, features)
    squares = np.einsum("id,id->i", queries, queries, dtype=np.float64)
    found: list[Found] = []
    for part in rank(scorer, Unjudged(np.full(len(queries), -1)), top=k):
        for items, scores in zip(part.top_items, part.top_scores.astype(np.float64), strict=True):
            if similarity == "euclidean":  # the score is q.g - |g|^2 / 2
                scores = np.sqrt(np.maximum(squares[len(found)] - 2 * scores, 0))
            there = items >= 0
            found.append(list(zip(items[there].tolist(), scores[there].tolist(), strict=True)))
    return found


def table(found: Found, manifest: Manifest, similarity: Kind) -> str:
    """Return what was found for one image as text, a line an item."""
    rows = [
        (place, f"{score:.4f}", named(manifest.items[item]), manifest.items[item].path)
        for place, (item, score) in enumerate(found, start=1)
    ]
    return tabulate(rows, headers=("rank", similarity, "label", "path"), disable_numparse=True)


@app("query")
def main(config: DictConfig) -> None:
    """Run the command."""
    values = plain(config)
    asked = call(Search, {name: values[name] for name in ("image", "k", "similarity")}, where="conf/query.yaml")
    images = [decode_rgb(read_file(Path(name), name=name), name=name) for name in asked.images]
    style = call(SheetStyle, values["sheet"], where="conf/sheet")
    runtime = read_runtime(values["runtime"])
    settle(runtime)
    manifest = read_manifest(Path(config.prepared))
    encoder = build_encoder(config.encoder_name, values["encoder"], Path(config.weights))
    features = features_of(encoder, values["encoder"], Path(config.features), manifest)
    rows = encode(encoder, images, runtime)
    check_features(rows, asked.images, where=f"{config.encoder_name} on your images")
    sheet = []
    answers = search(rows, features, k=asked.k, similarity=asked.similarity)
    for name, image, found in zip(asked.images, images, answers, strict=True):
        print(f"{name}\n\n{table(found, manifest, asked.similarity)}\n")
        image.thumbnail((style.pixels, style.pixels))
        cells = [Cell(image, "query", Path(name).name, "")]
        for place, (number, score) in enumerate(found, start=1):
            cells.append(retrieved(number, place, score, manifest, kind="found", pixels=style.pixels))
        sheet.append(cells)
    title = f"{config.encoder_name} on {manifest.dataset}"
    save_png(draw_sheet(sheet, title=title, style=style), Path(config.out), dpi=style.dpi)
    print(f"{config.out} has the pictures")


if __name__ == "__main__":
    main()
