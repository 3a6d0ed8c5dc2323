"""Caltech-UCSD Birds-200-2011 (C. Wah et al., 2011): 11,788 photographs of 200 species."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pipeline.datasets.annotations import (
    ANEW,
    Row,
    by_field,
    class_range,
    listed_image,
    read_rows,
    sized_box,
    whole,
)
from pipeline.datasets.layouts import existing
from pipeline.datasets.listing import Listing
from pipeline.frame.places import Place, as_written
from pipeline.manifest.items import Box
from pipeline.retrieval.errors import RetrievalError


def read_cub(
    root: str,
    classes: Sequence[int],
    split: Literal["all", "test"],
    crop: Literal["bounding_box"] | None = None,
    follow_links: bool = False,
) -> Listing:
    """Read the images of ``images.txt`` in its order; the label is the number of the class.

    Work on metric learning takes the classes from 101 on, of both halves; other work the half that
    ``train_test_split.txt`` leaves for the test, of all classes. They share a half of their images.

    Args:
        root: the folder ``CUB_200_2011`` (see ``pipeline.frame.places``).
        classes: the numbers of the first and the last class that count.
        split: ``test`` for the images that are not for training, or ``all``.
        crop: ``bounding_box`` to take of each image the bird only.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: a list or an image is missing; a line is of another form, or of an image that stands there twice
            or not in all lists.
    """
    top, wanted = existing(root), class_range(classes)
    images = by_field(read_rows(top / "images.txt", "image_id path"), 0)
    numbered = column(top / "image_class_labels.txt", "image_id class_id", images)
    training = column(top / "train_test_split.txt", "image_id is_training_image", images)
    marked = column(top / "bounding_boxes.txt", "image_id x y width height", images) if crop else {}
    entries: list[tuple[str, tuple[str, ...]]] = []
    boxes: dict[int, Box] = {}
    passed_over = Counter[str]()
    for image, row in images.items():
        number = whole(numbered[image].fields[1], what="the class", where=numbered[image].where)
        if number not in wanted:
            passed_over["of other classes"] += 1
        elif split == "test" and is_for_training(training[image]):
            passed_over["for training"] += 1
        else:
            if crop:
                boxes[len(entries)] = sized_box(marked[image].fields[1:], where=marked[image].where)
            path = listed_image(top, f"images/{row.fields[1]}", where=row.where, follow_links=follow_links)
            entries.append((path, (str(number),)))
    return Listing(as_written(root), tuple(entries), boxes=boxes, passed_over=passed_over)


def column(path: Place, columns: str, images: Mapping[str, Row]) -> dict[str, Row]:
    """Return what a list says of each image, by its id.

    Raises:
        RetrievalError: see :func:`.annotations.read_rows`; the list has not the images of ``images.txt``.
    """
    found = by_field(read_rows(path, columns), 0)
    missing = [image for image in images if image not in found]
    if missing:
        raise RetrievalError(f"{path} has no line of image {missing[0]}, which {images[missing[0]].where} has: {ANEW}")
    for image, row in found.items():
        if image not in images:
            raise RetrievalError(f"{row.where}: image {image} is not in images.txt: {ANEW}")
    return found


def is_for_training(row: Row) -> bool:
    """Return whether a line of ``train_test_split.txt`` puts its image into the training half."""
    if row.fields[1] not in ("0", "1"):
        raise RetrievalError(f"{row.where}: {row.fields[1]!r} is neither 1, for training, nor 0: {ANEW}")
    return row.fields[1] == "1"
