"""How an item of a dataset is shown: under which name, and as which small image."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from textwrap import wrap
from typing import Annotated

from PIL import Image, ImageDraw, ImageFont
from pydantic import Field

from pipeline.frame.output import printable
from pipeline.frame.places import place_of
from pipeline.manifest.images import decode_part, read_prepared
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.settings import Side

PAPER, INK = "#eeeeee", "#444444"  # of a tile in the place of an image
ACROSS = 10  # lines on it


def named(item: Item) -> str:
    """Return what an item is called, to be shown: its labels, or its file's name if it has none."""
    return printable(", ".join(item.labels) or Path(item.path).stem)


def thumbnail(item: Item, manifest: Manifest, pixels: int) -> Image.Image:
    """Return the image of an item, its longest side at most ``pixels``; of a text, or one without an image, a tile."""
    if item.text is not None:
        return written(item.text, pixels)
    if item.sha256 is None:
        return tile(item, pixels)
    path = place_of(manifest.folder(item)) / item.path
    data = read_prepared(path, item.sha256, dataset=manifest.dataset)
    image = decode_part(data, item.box, name=str(path))
    image.thumbnail((pixels, pixels))
    return image


def tile(item: Item, pixels: int) -> Image.Image:
    """Return a square with the name of an item, for want of its image."""
    return written(PurePosixPath(item.path).name, pixels, above="(no image)")


def written(text: str, pixels: int, *, above: str = "") -> Image.Image:
    """Return a square with a text on it, as far as there is room, below another line if there is one."""
    image = Image.new("RGB", (pixels, pixels), PAPER)
    letter = max(8, pixels // ACROSS)  # in height; in width it takes little more than half of that
    across = max(1, int(pixels / (0.6 * letter)) - 2)
    lines = wrap(printable(text), across)[:ACROSS]
    shown = "\n".join([above, *lines] if above else lines)
    ImageDraw.Draw(image).multiline_text((letter, letter), shown, fill=INK, font=ImageFont.load_default(letter))
    return image


@dataclass(frozen=True)
class Kind:
    """What thumbnails are like; ``thumbnail`` in conf/thumbnails.yaml.

    Attributes:
        side: the longest side, in pixels.
        quality: of the JPEG, 1 to 95.
    """

    side: Side
    quality: Annotated[int, Field(ge=1, le=95)]


def write_thumbnail(number: int, *, manifest: Manifest, kind: Kind, folder: Path) -> None:
    """Write the thumbnail of an item.

    Raises:
        RetrievalError: its image is missing or has changed.
    """
    image = thumbnail(manifest.items[number], manifest, kind.side)
    image.save(folder / f"{number}.jpg", format="JPEG", quality=kind.quality)
