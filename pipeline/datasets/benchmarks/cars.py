"""Cars196 (J. Krause et al., "3D Object Representations for Fine-Grained Categorization", 2013): 16,185 photographs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.datasets.annotations import (
    ANEW,
    class_range,
    listed_image,
    numbers,
    proper_box,
    read_lines,
    read_rows,
    whole,
)
from pipeline.datasets.layouts import existing, refuse_outside
from pipeline.datasets.listing import Listing
from pipeline.datasets.mat_files import read_mat
from pipeline.frame.places import Place, as_written
from pipeline.manifest.items import Box
from pipeline.retrieval.errors import RetrievalError

SIDES = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")


@dataclass(frozen=True)
class Annotation:
    """What is said of an image.

    Attributes:
        name: of its file.
        number: of its class, from 1.
        box: around the car, in pixels.
        where: the file and the line, or the place in it, for errors.
    """

    name: str
    number: int
    box: Box
    where: str


def read_cars(
    root: str,
    classes: Sequence[int],
    halves: Mapping[str, str],
    names: str | None = None,
    crop: Literal["bounding_box"] | None = None,
    follow_links: bool = False,
) -> Listing:
    """Read the annotated images of one half or both, in the annotations' order; the label is the number of the class.

    Work on metric learning takes the classes from 99 on, of both halves; other work the test half, of all classes.

    Args:
        root: the folder (see ``pipeline.frame.places``).
        classes: the numbers of the first and the last class that count.
        halves: from the folder of a half's images to the file of its annotations, both below the root: a ``.mat`` of
            the development kit, or a ``.csv`` with the lines ``file,x1,y1,x2,y2,class``, whose images lie in a folder
            of their class each.
        names: for a ``.csv``: the list of the classes' names, a line each, which the folders have with ``-`` for ``/``.
        crop: ``bounding_box`` to take of each image the car only. The sides are taken as they are written.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: a file or an image is missing; annotations are of another form, or have no classes.
    """
    top, wanted = existing(root), class_range(classes)
    entries: list[tuple[str, tuple[str, ...]]] = []
    boxes: dict[int, Box] = {}
    others = 0
    folders = class_folders(top / names) if names is not None else None
    for folder, file in halves.items():
        for name in (folder, file):
            refuse_outside(name, where="'halves'")
        by_class = file.endswith(".csv")
        if by_class and folders is None:
            raise RetrievalError(f"{top / file} needs 'names', the list of the classes' names: give it, as names.csv")
        for one in read_table(top / file) if by_class else read_annotations(top / file):
            if one.number not in wanted:
                others += 1
                continue
            place = f"{folder}/{folder_of(one, folders)}" if by_class and folders else folder
            if crop:
                boxes[len(entries)] = one.box
            path = listed_image(top, f"{place}/{one.name}", where=one.where, follow_links=follow_links)
            entries.append((path, (str(one.number),)))
    return Listing(as_written(root), tuple(entries), boxes=boxes, passed_over={"of other classes": others})


def class_folders(path: Place) -> list[str]:
    """Return the folders of the classes, in the order of their numbers, from the list of their names."""
    lines = read_lines(path, remedy="it lists the names of the classes, one a line")
    return [line.strip().replace("/", "-") for _, line in lines]


def folder_of(one: Annotation, folders: Sequence[str]) -> str:
    """Return the folder of an image's class; RetrievalError if there are not so many names."""
    if one.number > len(folders):
        raise RetrievalError(
            f"{one.where}: class {one.number} is not among the {len(folders)} names of classes: {ANEW}"
        )
    return folders[one.number - 1]


def read_table(path: Place) -> list[Annotation]:
    """Read a ``.csv`` of annotations, which has no header."""
    found = []
    for row in read_rows(path, "file x1 y1 x2 y2 class", separator=","):
        name, *sides, number = row.fields
        box = proper_box(*numbers(sides, where=row.where), where=row.where)
        found.append(
            Annotation(name, class_number(whole(number, what="the class", where=row.where), row.where), box, row.where)
        )
    return found


def read_annotations(path: Place) -> list[Annotation]:
    """Read a ``.mat`` of the development kit: the struct ``annotations``, one element an image.

    Raises:
        RetrievalError: it is missing or damaged, or has another form; its annotations have no classes, as those of the
            test half in the kit.
    """
    structs = read_mat(path, "annotations")
    if not isinstance(structs, list) or not structs or not isinstance(structs[0], dict):
        raise RetrievalError(f"{path}: its annotations are no structs: {ANEW}")
    missing = [name for name in (*SIDES, "class", "fname") if name not in structs[0]]
    if missing == ["class"]:
        raise RetrievalError(f"{path} says no classes: take cars_test_annos_withlabels.mat in place of it")
    if missing:
        raise RetrievalError(f"{path}: its annotations have no {', '.join(missing)}: {ANEW}")
    return [annotation_in(struct, f"{path}: annotation {place}") for place, struct in enumerate(structs, start=1)]


def annotation_in(struct: Mapping[str, Any], where: str) -> Annotation:
    """Return the annotation in an element of a struct of MATLAB; RetrievalError if it is none."""
    name, values = struct["fname"], [struct[field] for field in (*SIDES, "class")]
    if not isinstance(name, str) or not all(isinstance(value, np.ndarray) and value.size == 1 for value in values):
        raise RetrievalError(f"{where} is not a name, a class and four sides of a box: {ANEW}")
    *sides, number = (float(value.item()) for value in values)
    if not number.is_integer():
        raise RetrievalError(f"{where}: the class is {number}, no whole number: {ANEW}")
    return Annotation(name, class_number(int(number), where), proper_box(*sides, where=where), where)


def class_number(number: int, where: str) -> int:
    """Return the number of a class; RetrievalError if it is below 1."""
    if number < 1:
        raise RetrievalError(f"{where}: the class is {number}, and classes count from 1: {ANEW}")
    return number
