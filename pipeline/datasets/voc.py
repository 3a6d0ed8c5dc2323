"""PASCAL VOC in its native layout: ``JPEGImages``, ``Annotations/*.xml`` and ``ImageSets/Main/*.txt``."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn
from xml.etree import ElementTree

from pipeline.datasets.annotations import read_lines
from pipeline.datasets.layouts import LISTED, confine, existing, refuse_outside
from pipeline.datasets.listing import Listing
from pipeline.frame.places import Place, as_written, asking
from pipeline.manifest.images import read_file
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.reading.lists import spelt

SPLIT = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Instance:
    """An object that an annotation marks.

    Attributes:
        label: its class.
        area: of its bounding box, in pixels.
        difficult: whether the annotators found it hard to recognise.
    """

    label: str
    area: float
    difficult: bool


def read_voc(
    root: str,
    split: str,
    labels: Literal["all", "largest"],
    difficult: bool,
    unlabelled: Literal["error", "drop"],
    follow_links: bool = False,
) -> Listing:
    """Read the images of ``ImageSets/Main/<split>.txt`` with labels from their annotations, in the split's order.

    Args:
        root: the folder of a year, such as ``VOCdevkit/VOC2012`` (see ``pipeline.frame.places``).
        split: a list of image ids, such as ``val``.
        labels: ``all`` classes with an instance in the image; or ``largest``, the one class of the instance
            whose bounding box has the largest area, the first in the XML if several have.
        difficult: whether instances marked as difficult count.
        unlabelled: what becomes of an image without an instance that counts: ``error``, or ``drop`` to
            leave it out.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the split, an image or an annotation is missing or cannot be read; an image has no
            instance that counts and that is an error.
    """
    pick = {"all": every_class, "largest": largest_class}[labels]
    top = existing(root)
    entries = []
    names = read_split(top, split)
    for name in names:
        image, annotation = f"JPEGImages/{name}.jpg", top / "Annotations" / f"{name}.xml"
        confine(top, image, where=f"split {split}", follow_links=follow_links, remedy=LISTED)
        counted = [one for one in read_instances(annotation) if difficult or not one.difficult]
        if counted:
            entries.append((image, pick(counted)))
        elif unlabelled == "error":
            raise RetrievalError(
                f"{annotation}: no instance that counts (difficult: {str(difficult).lower()}), so that the image has "
                f"no label: set unlabelled: drop to leave such images out{'' if difficult else ', or difficult: true'}"
            )
    return Listing(as_written(root), tuple(entries), passed_over={"unlabelled": len(names) - len(entries)})


def every_class(instances: Sequence[Instance]) -> tuple[str, ...]:
    """Return the classes of instances, each once, in the instances' order."""
    return tuple(dict.fromkeys(one.label for one in instances))


def largest_class(instances: Sequence[Instance]) -> tuple[str, ...]:
    """Return the class of the instance with the largest bounding box, the first of equal ones."""
    return (max(instances, key=lambda one: one.area).label,)


def read_split(top: Place, split: str) -> list[str]:
    """Return the image ids in ``ImageSets/Main/<split>.txt``, one a line.

    Raises:
        RetrievalError: there is no such list; a line holds more than an id, as those of one class's list do
            (``car_val.txt``), an id that stands there already, or one that is a path out of its folder.
    """
    listed = top / "ImageSets" / "Main" / f"{split}.txt"
    with asking(listed):
        known = bool(SPLIT.fullmatch(split)) and listed.exists()
    if not known:
        raise RetrievalError(f"{listed} is not there: 'split' names a list in ImageSets/Main, such as val")
    names: dict[str, str] = {}
    for where, line in read_lines(listed, remedy="it lists the images, an id a line"):
        fields = line.split()
        if len(fields) > 1:
            raise RetrievalError(f"{where}: expected an image id, got {line.strip()!r}: name a split without a class")
        name = spelt(fields[0])
        refuse_outside(name, where=where)
        if name in names:
            raise RetrievalError(f"{where}: {name} stands already at {names[name]}: remove one")
        names[name] = where
    return list(names)


def read_instances(path: Place) -> list[Instance]:
    """Return the objects of an annotation, in the XML's order.

    An object without a ``difficult`` element is not difficult. Sides of boxes are pixels that belong to them,
    so that the area is (xmax - xmin + 1) (ymax - ymin + 1), as in VOC's development kit. The boxes of an
    object's parts (head, hands, feet) are passed over.

    Raises:
        RetrievalError: the file cannot be read, is not XML, declares a document type (``<!DOCTYPE``), or an
            object lacks its class or a proper box.
    """
    data = read_file(path, name=str(path))
    try:
        parser = ElementTree.XMLParser(target=PlainBuilder())
        root: ElementTree.Element = ElementTree.fromstring(data, parser)
        return [read_instance(element) for element in root.findall("object")]
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RetrievalError(f"{path} is no annotation as in PASCAL VOC ({error}): mend or replace it") from None


class PlainBuilder(ElementTree.TreeBuilder):
    """Builds the tree of a document that declares no type, and so no entities.

    Entities that hold one another grow a kilobyte to gigabytes. Asking the parser, and not the text, leaves
    no encoding to hide a declaration in.
    """

    def doctype(self, *declared: object) -> NoReturn:
        """Refuse the declaration, before an entity in it is read."""
        raise ValueError("it declares a document type, and with it maybe entities, which no annotation needs")


def read_instance(element: ElementTree.Element) -> Instance:
    """Return the instance of an ``object`` element; ValueError if it is none."""
    label = (element.findtext("name") or "").strip()
    if not label:
        raise ValueError("an object has no name")
    difficult = (element.findtext("difficult") or "0").strip()
    if difficult not in ("0", "1"):
        raise ValueError(f"{label}: difficult is '{difficult}', not 0 or 1")
    sides = [element.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = (float(side or "") for side in sides)
    except ValueError:
        raise ValueError(f"{label}: the box {sides} is not four numbers") from None
    width, height = right - left + 1, bottom - top + 1
    if not (width > 0 and height > 0 and math.isfinite(width * height)):
        raise ValueError(f"{label}: the box {sides} has no area")
    return Instance(label, width * height, difficult == "1")
