"""Search a dataset by images of one's own, or by what is said of them.

``python -m pipeline.query encoder=hog dataset=clutter image=photo.jpg`` encodes the image exactly as the dataset's
were, ranks those by the similarity of their features, prints a table and writes a contact sheet. With ``text="a red
bus"`` it asks by a text, where the encoder has a text tower. It is no stage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from omegaconf import DictConfig
from PIL import Image
from tabulate import tabulate

from pipeline.encoders.building import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.encoders.fitting import takes_text, without_text
from pipeline.extraction.runtime import Runtime, read_runtime, settle
from pipeline.extraction.texts import encode_texts
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
from pipeline.views.items import named, written
from pipeline.views.sheet import Cell, SheetStyle, draw_sheet, retrieved
from pipeline.views.style import save_png

REMEDY = "ask with another image"
TILE = 320  # pixels of the side of a text as it is shown


@dataclass(frozen=True)
class Search:
    """What is asked for; conf/query.yaml.

    Attributes:
        image: a file, or several; None: ``text`` asks.
        text: a text, or several; None: ``image`` does.
        k: how many nearest neighbours to show.
        similarity: ``cosine``, ``dot`` or ``euclidean``.
    """

    image: str | Sequence[str] | None
    text: str | Sequence[str] | None
    k: Count
    similarity: Kind

    def __post_init__(self) -> None:
        """Check the settings."""
        if (self.image is None) == (self.text is None):
            what = "neither 'image' nor 'text'" if self.image is None else "both 'image' and 'text'"
            raise RetrievalError(f"{what} is given: give image=photo.jpg, or text='a red bus'")
        if not self.names and self.text is None:
            raise RetrievalError("'image' names none: give image=photo.jpg, or image=[a.jpg,b.jpg]")
        if not self.names:
            raise RetrievalError("'text' has none: give text='a red bus', or text=['a red bus','a tram']")

    @property
    def names(self) -> list[str]:
        """The files, or the texts."""
        given = self.image if self.text is None else self.text
        return [given] if isinstance(given, str) else list(given or ())


@dataclass(frozen=True)
class Asked:
    """What the query is encoded from, and how it is shown.

    Attributes:
        features: one a query.
        pictures: the same in number.
        titles: a line each.
    """

    features: Float[np.ndarray, "query dim"]
    pictures: Sequence[Image.Image]
    titles: Sequence[str]


def encoded(wanted: Search, name: str, encoder: Encoder, runtime: Runtime, images: Sequence[Image.Image]) -> Asked:
    """Return the features of the images that were read, or of the texts."""
    if wanted.text is not None:
        rows = encode_texts(name, encoder, wanted.names, runtime)
        return Asked(rows, [written(text, TILE) for text in wanted.names], wanted.names)
    return Asked(encode(encoder, images, wanted.names, runtime), images, [Path(name).name for name in wanted.names])


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
    settings = {name: values[name] for name in ("image", "text", "k", "similarity")}
    wanted = call(Search, settings, where="conf/query.yaml")
    images = [read_image(name) for name in wanted.names] if wanted.text is None else []
    if wanted.text is not None and not takes_text(values["encoder"]):
        raise without_text(config.encoder_name)
    style = call(SheetStyle, values["sheet"], where="conf/sheet")
    runtime = read_runtime(values["runtime"])
    settle(runtime)
    manifest = read_manifest(path_of(config, "prepared"))
    options = without_title(values["encoder"])
    encoder = build_encoder(config.encoder_name, options, path_of(config, "weights"))
    folder = path_of(config, "features")
    features = features_of(encoder, options, folder, manifest, similarity=wanted.similarity)
    asked = encoded(wanted, config.encoder_name, encoder, runtime, images)
    where = f"{config.encoder_name} on your queries"
    check_features(asked.features, wanted.names, where=where, cosine=wanted.similarity == "cosine", remedy=REMEDY)
    sheet = []
    answers = search(asked.features, features, k=wanted.k, similarity=wanted.similarity, numbers=manifest.pictures)
    for name, image, title, found in zip(wanted.names, asked.pictures, asked.titles, answers, strict=True):
        print(f"{shown(name)}\n\n{table(found, manifest, wanted.similarity)}\n")
        image.thumbnail((style.pixels, style.pixels))
        cells = [Cell(image, "query", title, "")]
        for place, (number, score) in enumerate(found, start=1):
            cells.append(retrieved(number, place, score, manifest, kind="found", pixels=style.pixels))
        sheet.append(cells)
    title = f"{config.encoder_name} on {manifest.dataset}"
    save_png(draw_sheet(sheet, title=title, style=style), path_of(config, "out"), dpi=style.dpi)
    print(f"{config.out} has the pictures")


if __name__ == "__main__":
    main()
