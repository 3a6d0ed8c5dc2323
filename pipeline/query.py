"""Search a dataset by images of one's own.

``python -m pipeline.query encoder=hog dataset=clutter image=photo.jpg`` encodes the image exactly as the dataset's
were, ranks those by the similarity of their features, prints a table and writes a contact sheet. It is no stage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from PIL import Image
from tabulate import tabulate

from pipeline.encoders.building import build_encoder
from pipeline.extraction.runtime import read_runtime, settle
from pipeline.frame.app import app, path_of, plain
from pipeline.frame.home import expanded
from pipeline.manifest.images import decode_rgb, read_file
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.results.titles import without_title
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.matrix import check_features
from pipeline.retrieval.settings import Count, call
from pipeline.retrieval.similarity import Kind
from pipeline.search.searching import Found, encode, features_of, search
from pipeline.views.items import named
from pipeline.views.sheet import Cell, SheetStyle, draw_sheet, retrieved
from pipeline.views.style import save_png

REMEDY = "ask with another image"


@dataclass(frozen=True)
class Search:
    """What is asked for; conf/query.yaml.

    Attributes:
        image: a file, or several.
        k: how many nearest neighbours to show.
        similarity: ``cosine``, ``dot`` or ``euclidean``.
    """

    image: str | Sequence[str]
    k: Count
    similarity: Kind

    def __post_init__(self) -> None:
        """Check the settings."""
        if not self.images:
            raise RetrievalError("'image' names none: give image=photo.jpg, or image=[a.jpg,b.jpg]")

    @property
    def images(self) -> list[str]:
        """The files."""
        return [self.image] if isinstance(self.image, str) else list(self.image)


def read_image(path: str) -> Image.Image:
    """Return the image in a file; RetrievalError if it holds none."""
    name = shown(path)
    return decode_rgb(read_file(expanded(path), name=name), name=name, remedy=REMEDY)


def table(found: Found, manifest: Manifest, similarity: Kind) -> str:
    """Return what was found for one image as text, one line per item."""
    rows = [
        (place, f"{score:.4f}", shown(named(manifest.items[item])), shown(manifest.items[item].path))
        for place, (item, score) in enumerate(found, start=1)
    ]
    return tabulate(rows, headers=("rank", similarity, "label", "path"), disable_numparse=True)


@app("query")
def main(config: DictConfig) -> None:
    """Run the command."""
    values = plain(config)
    asked = call(Search, {name: values[name] for name in ("image", "k", "similarity")}, where="conf/query.yaml")
    images = [read_image(name) for name in asked.images]
    style = call(SheetStyle, values["sheet"], where="conf/sheet")
    runtime = read_runtime(values["runtime"])
    settle(runtime)
    manifest = read_manifest(path_of(config, "prepared"))
    options = without_title(values["encoder"])
    encoder = build_encoder(config.encoder_name, options, path_of(config, "weights"))
    folder = path_of(config, "features")
    features = features_of(encoder, options, folder, manifest, similarity=asked.similarity)
    rows = encode(encoder, images, runtime)
    where = f"{config.encoder_name} on your images"
    check_features(rows, asked.images, where=where, cosine=asked.similarity == "cosine", remedy=REMEDY)
    sheet = []
    answers = search(rows, features, k=asked.k, similarity=asked.similarity)
    for name, image, found in zip(asked.images, images, answers, strict=True):
        print(f"{shown(name)}\n\n{table(found, manifest, asked.similarity)}\n")
        image.thumbnail((style.pixels, style.pixels))
        cells = [Cell(image, "query", Path(name).name, "")]
        for place, (number, score) in enumerate(found, start=1):
            cells.append(retrieved(number, place, score, manifest, kind="found", pixels=style.pixels))
        sheet.append(cells)
    title = f"{config.encoder_name} on {manifest.dataset}"
    save_png(draw_sheet(sheet, title=title, style=style), path_of(config, "out"), dpi=style.dpi)
    print(f"{config.out} has the pictures")


if __name__ == "__main__":
    main()
