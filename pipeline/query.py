"""Search a dataset by images of one's own.

``python -m pipeline.query encoder=hog dataset=photo_views image=photo.jpg`` encodes the image exactly as the dataset's
were, ranks those by the similarity of their features, prints a table and writes a contact sheet. It is no stage.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from omegaconf import DictConfig
from PIL import Image
from tabulate import tabulate

from pipeline.app import app
from pipeline.encoders import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.errors import RetrievalError
from pipeline.features import check_features, read_checked
from pipeline.images import decode_rgb, read_file
from pipeline.manifest import Manifest, read_manifest
from pipeline.options import call, plain
from pipeline.ranking import rank
from pipeline.relevance import Unjudged
from pipeline.runtime import Runtime, exact_float32, read_runtime
from pipeline.sheet import Cell, Style, draw_sheet, named, thumbnail
from pipeline.similarity import Kind, products
from pipeline.style import save_png

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


def encode(encoder: Encoder, images: Sequence[Image.Image], runtime: Runtime) -> Float[np.ndarray, "image dim"]:
    """Return the features of images, float32, one image a pass: as many as one asks for at a time."""
    device = runtime.resolved_device()
    encoder.network.to(device)
    rows = [encoder.encode(encoder.preprocess(image)[None].to(device)) for image in images]
    return torch.cat(rows).float().cpu().numpy()


def search(
    queries: Float[np.ndarray, "image dim"], features: Float[np.ndarray, "item dim"], *, k: int, similarity: Kind
) -> list[Found]:
    """Return for each query the ``k`` items most alike and their scores, best first, ties by index."""
    found: list[Found] = []
    for part in rank(products(similarity, queries, features), Unjudged(np.full(len(queries), -1)), top=k):
        for items, scores in zip(part.top_items, part.top_scores, strict=True):
            there = items >= 0
            found.append(list(zip(items[there].tolist(), scores[there].tolist(), strict=True)))
    return found


def table(found: Found, manifest: Manifest) -> str:
    """Return what was found for one image as text, a line an item."""
    rows = [
        (place, f"{score:.4f}", named(manifest.items[item]), manifest.items[item].path)
        for place, (item, score) in enumerate(found, start=1)
    ]
    return tabulate(rows, headers=("rank", "score", "label", "path"), disable_numparse=True)


@app("query")
def main(config: DictConfig) -> None:
    """Run the command."""
    values = plain(config)
    if config.k < 1:
        raise RetrievalError(f"'k' is {config.k}: expected 1 or more")
    names = values["image"] if isinstance(values["image"], list) else [values["image"]]
    images = [decode_rgb(read_file(Path(name), name=str(name)), name=str(name)) for name in names]
    style = call(Style, values["sheet"], where="conf/sheet")
    exact_float32()
    manifest = read_manifest(Path(config.prepared))
    encoder = build_encoder(config.encoder_name, values["encoder"], Path(config.weights))
    features, provenance = read_checked(Path(config.features), manifest)
    refuse_other(provenance, values["encoder"], encoder)
    rows = encode(encoder, images, read_runtime(values["runtime"]))
    check_features(rows, names, where=f"{config.encoder_name} on your images")
    pixels = round(style.cell * style.dpi)
    sheet = []
    for name, image, found in zip(
        names, images, search(rows, features, k=config.k, similarity=values["similarity"]), strict=True
    ):
        print(f"{name}\n\n{table(found, manifest)}\n")
        image.thumbnail((pixels, pixels))
        cells = [Cell(image, "query", Path(name).name, "")]
        for place, (number, score) in enumerate(found, start=1):
            item = manifest.items[number]
            cells.append(Cell(thumbnail(item, manifest, pixels), "found", named(item), f"{place}.  {score:.4f}"))
        sheet.append(cells)
    title = f"{config.encoder_name} on {manifest.dataset}"
    save_png(draw_sheet(sheet, title=title, style=style), Path(config.out), dpi=style.dpi)
    print(f"{config.out} has the pictures")


if __name__ == "__main__":
    main()
