"""A folder of images that were no files where they were published: these, a list of them, and their origin."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.datasets.layouts import existing, read_list
from pipeline.datasets.listing import Listing
from pipeline.frame.files import replacing_directory, write_json, write_text
from pipeline.frame.places import Place
from pipeline.frame.rows import csv_of
from pipeline.manifest.labels import read_list_text
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Role
from pipeline.retrieval.reading.lists import join_labels, parsed

LIST, ORIGIN = "list.csv", "origin.json"
AGAIN = "remove the folder and run python -m pipeline.fetch dataset=<its name> again"
LOSSLESS = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # what PNG keeps bit by bit


@dataclass
class Writer:
    """What writes such a folder.

    Attributes:
        folder: an existing one.
        rows: of the list, so far.
    """

    folder: Path
    rows: list[tuple[str, str, Role, str]] = field(default_factory=list)

    def add(
        self, data: bytes, suffix: str, labels: tuple[str, ...], *, role: Role = "both", group: str | None = None
    ) -> None:
        """Write an image file, whose name is its number, and note what is known of it."""
        number = len(self.rows)
        name = f"images/{number // 1000:04}/{number:07}{suffix}"
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.rows.append((name, join_labels(labels), role, group or ""))

    def finish(self, asked: Mapping[str, Any], origin: Mapping[str, Any]) -> None:
        """Write the list and where the images come from.

        Args:
            asked: the keys of the YAML that say which images these are; :func:`read_written` compares them.
            origin: what else is known, such as the commit.

        Raises:
            RetrievalError: there is no image; one is a query without labels; a label is empty.
        """
        text = csv_of([("path", "labels", "role", "group"), *self.rows])
        parsed(text, LIST)
        write_text(self.folder / LIST, text)
        write_json(self.folder / ORIGIN, {"asked": asked, **origin, "images": len(self.rows)})


@contextmanager
def writing(target: Path) -> Iterator[Writer]:
    """Yield what writes a folder that is at ``target``, whole, once the block succeeds."""
    with replacing_directory(target) as partial:
        yield Writer(partial)


def png_of(image: Image.Image) -> bytes:
    """Return an image as the bytes of a PNG file with the same pixels.

    Raises:
        RetrievalError: PNG does not keep its mode.
    """
    if image.mode not in LOSSLESS:
        raise RetrievalError(f"its pixels are of the mode {image.mode}: no PNG keeps them as they are")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def read_written(folder: str, asked: Mapping[str, Any]) -> Listing:
    """Return what is in such a folder.

    Raises:
        RetrievalError: it is missing or damaged, or was made for other keys than these.
    """
    top = existing(folder)
    refuse_other_origin(top, asked)
    return read_list(folder, list=LIST)


def refuse_other_origin(top: Place, asked: Mapping[str, Any]) -> None:
    """Raise :class:`RetrievalError` for a folder that is none of these, or was made for other keys of a YAML."""
    text = read_list_text(top / ORIGIN, remedy=f"{top} was not made by pipeline.fetch: {AGAIN}")
    try:
        made = dict(json.loads(text)["asked"])
    except (ValueError, LookupError, TypeError) as error:
        raise RetrievalError(f"{top / ORIGIN} is damaged ({error}): {AGAIN}") from None
    wanted = json.loads(json.dumps(asked))
    other = [key for key in {**wanted, **made} if made.get(key) != wanted.get(key)]
    if other:
        differences = "; ".join(f"{key} {made.get(key)!r}, not {wanted.get(key)!r}" for key in other)
        raise RetrievalError(f"{top} was fetched with {differences}: give another 'root', or {AGAIN}")
