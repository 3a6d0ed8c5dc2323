"""A dataset's own layout -> its manifest, every image opened once."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.datasets.layouts import UNREAD, ending
from pipeline.datasets.listing import Listing
from pipeline.datasets.readers import read_dataset
from pipeline.frame.files import replacing_directory, write_text
from pipeline.frame.places import place_of
from pipeline.frame.rows import csv_of
from pipeline.manifest.images import REMEDY, decode_rgb, read_file, refuse_empty
from pipeline.manifest.items import Box, Item, join_box, sha256_of_text
from pipeline.manifest.manifest import ATTRIBUTES, Manifest, write_manifest
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.reading.lists import join_labels

CONVERT = "convert it to JPEG or PNG, its format is not read"


def check_images(dataset: str, listing: Listing, *, threads: int) -> Manifest:
    """Decode every image of a listing, where it has any, and return the manifest, in the listing's order.

    Raises:
        RetrievalError: images cannot be read or decoded, or are smaller than their crop; the first is named
            and all are counted.
    """

    def check(number: int) -> Item | RetrievalError:
        try:
            return opened(listing, number)
        except RetrievalError as error:
            return error

    if not listing.has_images:
        return unopened(dataset, listing)
    numbers = range(len(listing.entries))
    with ThreadPoolExecutor(threads) as pool:  # Pillow decodes without the interpreter lock
        results = list(tqdm(pool.map(check, numbers), total=len(numbers), desc=dataset, unit=" images"))
    errors = [result for result in results if isinstance(result, RetrievalError)]
    if errors:
        others = f" ({len(errors)} such images in all)" if len(errors) > 1 else ""
        raise RetrievalError(f"{errors[0]}{others}")
    items = tuple(item for item in results if isinstance(item, Item))
    return Manifest(dataset, listing.root, items, queries=listing.queries, given=listing.given)


def unopened(dataset: str, listing: Listing) -> Manifest:
    """Return the manifest of a listing as of one without images: nothing is opened."""
    items = tuple(item_at(listing, number) for number in range(len(listing.entries)))
    return Manifest(dataset, listing.root, items, queries=listing.queries, given=listing.given)


def item_at(listing: Listing, number: int) -> Item:
    """Return an entry of a listing as an item without an image, or as its text."""
    path, labels = listing.entries[number]
    root, box = listing.roots.get(number), listing.boxes.get(number)
    role, group = listing.roles.get(number, "both"), listing.groups.get(number)
    text = listing.texts.get(number)
    sha256 = None if text is None else sha256_of_text(text)
    return Item(path, labels, None, None, sha256, box, role, group, root, text)


def opened(listing: Listing, number: int) -> Item:
    """Return an entry of a listing as an item, its image decoded where it is no text.

    Raises:
        RetrievalError: the image cannot be read or decoded, or is smaller than its crop, or that has no pixel.
    """
    item = item_at(listing, number)
    if item.text is not None:
        return item
    place = place_of(item.root or listing.root) / item.path
    name = shown(str(place))
    data = read_file(place, name=name)
    remedy = CONVERT if ending(item.path) == UNREAD else REMEDY
    width, height = decode_rgb(data, name=name, remedy=remedy).size
    if item.box is not None:
        refuse_empty(item.box, name=name)
        refuse_overhang(item.box, width, height, name=name)
    return replace(item, width=width, height=height, sha256=hashlib.sha256(data).hexdigest())


def refuse_overhang(box: Box, width: int, height: int, *, name: str) -> None:
    """Raise :class:`RetrievalError` for a box that leaves an image of that size by more than a pixel.

    Published boxes are rounded; what lies outside is black in the crop, as in the official code.
    """
    left, top, right, bottom = box
    if min(left, top) < -1 or right > width + 1 or bottom > height + 1:
        raise RetrievalError(
            f"{name}: its box {join_box(box)} leaves the image of {width} x {height} pixels: "
            "this is not the image that the box was drawn in, or the ground truth is wrong"
        )


def prepare(name: str, config: dict[str, Any], target: Path) -> tuple[Manifest, Mapping[str, int]]:
    """Write the manifest of a dataset, and the images of an embedded one, to ``target``; all or nothing.

    Returns the manifest, and how many files or images were passed over, by the reason.
    """
    with replacing_directory(target) as partial:
        listing = read_dataset(name, config, partial)
        manifest = check_images(name, listing, threads=os.cpu_count() or 1)
        if listing.root == partial:  # embedded images move to the target with the manifest
            manifest = replace(manifest, root=target)
        write_manifest(manifest, partial)
        if listing.attributes:
            write_attributes(listing, partial / ATTRIBUTES)
    return manifest, listing.passed_over


def write_attributes(listing: Listing, target: Path) -> None:
    """Write what is known of images beside their labels: a row for each in order, empty where nothing is."""
    names = list(dict.fromkeys(name for attributes in listing.attributes.values() for name in attributes))
    known = [listing.attributes.get(number, {}) for number in range(len(listing.entries))]
    rows = [
        [path, *(None if attributes.get(name) is None else join_labels((str(attributes[name]),)) for name in names)]
        for (path, _), attributes in zip(listing.entries, known, strict=True)
    ]
    write_text(target, csv_of([["path", *names], *rows]))
