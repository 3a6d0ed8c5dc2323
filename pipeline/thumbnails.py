"""Manifest -> a small image of every item, for the page.

``python -m pipeline.thumbnails dataset=digits`` writes ``plots/report/thumbnails/digits/0.jpg`` and so on: named by
the items' numbers, because the names of files are not ours.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from pipeline.frame.app import app
from pipeline.frame.files import replacing_directory
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call, plain
from pipeline.views.items import thumbnail


@dataclass(frozen=True)
class Kind:
    """What thumbnails are like; ``thumbnail`` in conf/thumbnails.yaml.

    Attributes:
        side: the longest side, in pixels.
        quality: of the JPEG, 1 to 95.
    """

    side: int
    quality: int

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.side < 1 or not 1 <= self.quality <= 95:
            raise RetrievalError("conf/thumbnails.yaml: 'side' must be positive, 'quality' from 1 to 95")


def write_thumbnail(number: int, *, manifest: Manifest, kind: Kind, folder: Path) -> None:
    """Write the thumbnail of an item.

    Raises:
        RetrievalError: its image is missing or has changed.
    """
    image = thumbnail(manifest.items[number], manifest, kind.side)
    image.save(folder / f"{number}.jpg", format="JPEG", quality=kind.quality)


@app("thumbnails")
def main(config: DictConfig) -> None:
    """Run the stage."""
    kind = call(Kind, plain(config.thumbnail), where="conf/thumbnails.yaml")
    manifest = read_manifest(Path(config.prepared))
    # Threads are enough: Pillow decodes and scales, and hashlib hashes, without Python's lock.
    with replacing_directory(Path(config.out)) as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        write = partial(write_thumbnail, manifest=manifest, kind=kind, folder=folder)
        for _ in pool.map(write, range(len(manifest.items))):
            pass


if __name__ == "__main__":
    main()
