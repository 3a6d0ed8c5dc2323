"""A dataset of torchvision, fetched by torchvision; images that are no files are written as such."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pipeline.datasets.torchvision import (
    NO_ARGUMENTS,
    NotThere,
    asked_of,
    class_of,
    file_of,
    item_of,
    labels_of,
    names_of,
    opened,
    parameters_of,
    pictures_of,
)
from pipeline.datasets.written import png_of, refuse_other_origin, writing
from pipeline.frame.files import unfinished
from pipeline.frame.places import located
from pipeline.frame.versions import versions_of
from pipeline.retrieval.errors import RetrievalError, some


def fetch_torchvision(name: str, root: str, arguments: Mapping[str, Any] = NO_ARGUMENTS) -> None:
    """Have a dataset of torchvision below its root; of one that holds arrays, write every image as PNG, once.

    What is there is left as it is. For the arguments see :func:`pipeline.datasets.torchvision.read_torchvision`.

    Raises:
        RetrievalError: torchvision cannot fetch it, or its files are damaged.
    """
    if "://" in root:
        raise RetrievalError(f"'root' is {root}: torchvision fetches to folders of this machine only")
    top, pictures = located(root), located(pictures_of(name, root, arguments))
    if pictures.is_dir():
        refuse_other_origin(pictures, asked_of(name, arguments))
        print(f"{pictures} is there already and is left as it is: remove it to have it made anew")
        return
    data = provided(name, top, arguments)
    if file_of(data, 0, name)[0] is None:
        write_pictures(data, name, arguments, pictures)
        print(f"{pictures} is ready: {len(data):,} images, written as PNG")
    else:
        print(f"{top} has the {len(data):,} images of {name}")


def provided(name: str, top: Path, arguments: Mapping[str, Any]) -> Any:
    """Return a dataset that is there, or let torchvision download it.

    That goes to a folder beside, for most classes take any folder of theirs as whole, also what a download that was cut
    off had extracted.

    Raises:
        RetrievalError: torchvision does not download it, or could not; damaged files are in the way.
    """
    try:
        return opened(name, top, arguments)
    except NotThere as missing:
        if "download" not in parameters_of(class_of(name)):
            raise RetrievalError(f"torchvision does not download {name} ({missing.reason}): put it at {top}") from None
    with unfinished(top / name) as beside:
        beside.mkdir()
        try:
            opened(name, beside, arguments, download=True)
        except NotThere as error:
            raise RetrievalError(
                f"torchvision could not fetch {name} ({error.reason}): connect to the network and run it again, or put "
                f"its files at {top} as torchvision lays them out"
            ) from None
        brought = some(sorted(path.name for path in beside.iterdir()))
        move_in(beside, top)
    try:
        return opened(name, top, arguments)
    except NotThere as error:
        raise RetrievalError(
            f"torchvision's {name} is damaged in {top} ({error.reason}), and what was there has been left as it is: "
            f"remove {brought} there and run it again"
        ) from None


def move_in(source: Path, target: Path) -> None:
    """Move what is in a folder into another on the same disk; what is there by the same name stays."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        place = target / path.name
        if not place.exists():
            os.replace(path, place)
        elif path.is_dir() and place.is_dir():
            move_in(path, place)


def write_pictures(data: Any, name: str, arguments: Mapping[str, Any], target: Path) -> None:
    """Write the images of a dataset that holds arrays."""
    names = names_of(data)
    with writing(target) as writer:
        for number in tqdm(range(len(data)), desc=name, unit=" images"):
            image, label = item_of(data, number, name)
            labels = labels_of(label, names, where=f"{name}, item {number}")
            writer.add(png_of(image), ".png", labels, role="both" if labels else "gallery")
        origin = {"versions": versions_of(["torchvision", "pillow"]), "encoded": "as PNG here, from arrays"}
        writer.finish(asked_of(name, arguments), origin)
