"""How an item of a dataset is shown: under which name, and as which small image."""

from pathlib import Path

from PIL import Image

from pipeline.frame.places import place_of
from pipeline.manifest.images import decode_part, read_prepared
from pipeline.manifest.manifest import Item, Manifest


def named(item: Item) -> str:
    """Return what an item is called: its labels, or its file's name if it has none."""
    return ", ".join(item.labels) or Path(item.path).stem


def thumbnail(item: Item, manifest: Manifest, pixels: int) -> Image.Image:
    """Return the image of an item, its longest side at most ``pixels``."""
    path = place_of(manifest.folder(item)) / item.path
    data = read_prepared(path, item.sha256, dataset=manifest.dataset)
    image = decode_part(data, item.box, name=str(path))
    image.thumbnail((pixels, pixels))
    return image
