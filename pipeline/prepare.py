"""A dataset's own layout -> its manifest, every image opened once.

``python -m pipeline.prepare dataset=digits`` writes ``data/prepared/digits/``.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from pipeline.app import app
from pipeline.datasets import read_dataset
from pipeline.datasets.listing import Listing
from pipeline.errors import RetrievalError
from pipeline.files import replacing_directory
from pipeline.images import decode_rgb, read_file
from pipeline.manifest import Item, Manifest, write_manifest


def check_images(dataset: str, listing: Listing, *, threads: int) -> Manifest:
    """Decode every image of a listing and return the manifest, in the listing's order.

    Raises:
        RetrievalError: images cannot be read or decoded; the first is named and all are counted.
    """

    def check(entry: tuple[str, tuple[str, ...]]) -> Item | RetrievalError:
        path, labels = entry
        try:
            data = read_file(listing.root / path, name=str(listing.root / path))
            width, height = decode_rgb(data, name=str(listing.root / path)).size
        except RetrievalError as error:
            return error
        return Item(path, labels, width, height, hashlib.sha256(data).hexdigest())

    with ThreadPoolExecutor(threads) as pool:  # Pillow decodes without the interpreter lock
        results = list(tqdm(pool.map(check, listing.entries), total=len(listing.entries), desc=dataset, unit=" images"))
    errors = [result for result in results if isinstance(result, RetrievalError)]
    if errors:
        others = f" ({len(errors)} such images in all)" if len(errors) > 1 else ""
        raise RetrievalError(f"{errors[0]}{others}")
    return Manifest(dataset, listing.root, tuple(item for item in results if isinstance(item, Item)))


def prepare(name: str, config: dict[str, Any], target: Path) -> None:
    """Write the manifest of a dataset, and the images of an embedded one, to ``target``; all or nothing."""
    with replacing_directory(target) as partial:
        listing = read_dataset(name, config, partial)
        manifest = check_images(name, listing, threads=os.cpu_count() or 1)
        if listing.root == partial:  # embedded images move to the target with the manifest
            manifest = replace(manifest, root=target)
        write_manifest(manifest, partial)


@app("prepare")
def main(config: DictConfig) -> None:
    """Run the stage."""
    options = OmegaConf.to_container(config.dataset, resolve=True)
    assert isinstance(options, dict)
    prepare(config.dataset_name, {str(key): value for key, value in options.items()}, Path(config.out))


if __name__ == "__main__":
    main()
