"""Manifest -> a small image of every item, for the page.

``python -m pipeline.thumbnails dataset=digits`` writes ``plots/report/thumbnails/digits/0.jpg`` and so on: named by
the items' numbers, because the names of files are not ours.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.files import replacing_directory
from pipeline.manifest.manifest import read_manifest
from pipeline.retrieval.settings import call
from pipeline.views.items import Kind, write_thumbnail


@app("thumbnails")
def main(config: DictConfig) -> None:
    """Run the stage."""
    kind = call(Kind, plain(config.thumbnail), where="conf/thumbnails.yaml")
    manifest = read_manifest(path_of(config, "prepared"))
    # Threads are enough: Pillow decodes and scales, and hashlib hashes, without Python's lock.
    with replacing_directory(path_of(config, "out")) as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        write = partial(write_thumbnail, manifest=manifest, kind=kind, folder=folder)
        for _ in pool.map(write, range(len(manifest.items))):
            pass


if __name__ == "__main__":
    main()
