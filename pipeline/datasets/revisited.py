"""Revisited Oxford and Paris: queries with a crop, and for each which images show its landmark, and how well.

F. Radenovic et al., "Revisiting Oxford and Paris: Large-Scale Image Retrieval Benchmarking", CVPR 2018.
"""

import io
import math
import pickle
import pickletools
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from pipeline.datasets.annotations import read_json_of
from pipeline.datasets.landmarks import by_name
from pipeline.datasets.layouts import Below, confine, existing
from pipeline.datasets.listing import Listing
from pipeline.frame.places import as_written, located
from pipeline.manifest.images import read_file
from pipeline.manifest.items import Box
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Query, check_queries
from pipeline.retrieval.reading.mistaken import mistaken

# Opcodes of pickle: where the unpickler makes room for as many objects as the number after it says, and where it looks
# for a class or function, and is stopped.
STORING = ("PUT", "BINPUT", "LONG_BINPUT")
NAMING = ("GLOBAL", "INST", "STACK_GLOBAL")
# What can hold itself many times over, and is gone through for each of them when it is the key of a dictionary.
HASHED = {pickletools.pytuple, pickletools.pyset, pickletools.pyfrozenset}


@dataclass(frozen=True)
class GroundTruth:
    """What a ``gnd_*.pkl`` or ``gnd_*.json`` says.

    Attributes:
        gallery: names of images, without ``.jpg``.
        asked: the names of the queries' images.
        boxes: the crop of each query.
        queries: in the order of ``asked``; the gallery's items are counted first, then the queries'.
    """

    gallery: tuple[str, ...]
    asked: tuple[str, ...]
    boxes: tuple[Box, ...]
    queries: tuple[Query, ...]


def read_revisited(root: str, ground_truth: str, crop_queries: bool = True, follow_links: bool = False) -> Listing:
    """Read a gallery and its queries: the images of ``imlist`` in its order, then those of ``qimlist``.

    They have no labels. An image named in both lists is two entries, of which the query's is cropped.

    Args:
        root: a folder with ``<name>.jpg`` at any depth, as the archives unpack (see ``pipeline.frame.places``).
        ground_truth: the path of ``gnd_roxford5k.pkl`` or ``gnd_rparis6k.pkl``, or of the same as ``.json``.
        crop_queries: cut queries to their boxes, as the protocol has it; False: whole images.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the ground truth is missing or wrong (see :func:`read_ground_truth`); an image it
            names is missing, or there in two places.
    """
    top = existing(root)
    truth = read_ground_truth(located(ground_truth))
    below = Below.of(top, (), root=root, follow_links=follow_links)
    found = by_name(below.kept, root=root)
    entries = []
    for name in (*truth.gallery, *truth.asked):
        path = found.get(f"{name}.jpg", f"{name}.jpg")
        confine(top, path, where=ground_truth, follow_links=follow_links, remedy="the archives are not complete")
        entries.append((path, ()))
    boxes = {query.item: box for query, box in zip(truth.queries, truth.boxes, strict=True)} if crop_queries else {}
    return Listing(as_written(root), tuple(entries), truth.queries, boxes=boxes, passed_over=below.passed_over)


def read_ground_truth(path: Path) -> GroundTruth:
    """Read what has the form ``{"imlist": [...], "qimlist": [...], "gnd": [{"bbx": ..., "easy": ...}, ...]}``.

    It is a pickle, or a JSON if its name ends so. Nothing in the file is executed: a pickle that names any class or
    function is refused.

    Raises:
        RetrievalError: the file is missing, is refused, or has another form; a name is empty, a path, or
            twice in the gallery; an index is none of the gallery's or twice in a query's lists; a box is
            not ``left < right`` and ``top < bottom``.
    """
    if path.suffix.lower() == ".json":
        content = read_json_of(path, dict[str, Any])
    else:
        content = unpickled(read_file(path, name=str(path)), name=str(path))
    try:
        if not isinstance(content, dict):
            raise ValueError("it holds no dictionary")
        gallery, asked = names_in(content, "imlist"), names_in(content, "qimlist")
        if len(set(gallery)) != len(gallery):
            raise ValueError("a name stands twice in 'imlist'")
        truths = list_in(content, "gnd")
        if len(truths) != len(asked):
            raise ValueError(f"'gnd' has {len(truths)} entries for {len(asked)} queries in 'qimlist'")
        boxes = tuple(box_of(truth, number) for number, truth in enumerate(truths))
        queries = tuple(query_of(truth, number, len(gallery)) for number, truth in enumerate(truths))
        check_queries(queries, len(gallery) + len(asked))
    except (ValueError, OverflowError) as error:
        raise RetrievalError(f"{path} is no revisited ground truth ({error}): fetch it anew") from None
    return GroundTruth(gallery, asked, boxes, queries)


class PlainUnpickler(pickle.Unpickler):
    """Reads pickles of lists, dictionaries, texts and numbers only: whatever else would come from a global."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse every class and function."""
        raise RetrievalError(f"it names {module}.{name}, and a pickle that names anything can run any code")


def unpickled(data: bytes, *, name: str) -> Any:
    """Return what a pickle holds, of plain types.

    Raises:
        RetrievalError: it is damaged, refers to anything outside itself, or asks for more memory than it can fill.
    """
    try:
        if what := mistaken(data):
            raise ValueError(f"it is {what}")
        refuse_greedy(data)
        return PlainUnpickler(io.BytesIO(data)).load()
    except Exception as error:  # Damaged pickles raise nearly every exception type.
        problem = " ".join(str(error).split()) or type(error).__name__
        raise RetrievalError(f"{name} is refused as a pickle ({problem}): fetch it anew") from None


def refuse_greedy(data: bytes) -> None:
    """Read the opcodes of a pickle, up to the first that names something, before memory is given to what they say.

    Raises:
        ValueError: one is unknown or cut off, stores an object at a place beyond those that came before, announces more
            bytes than there are, or makes what no ground truth has.
    """
    argument: Any
    for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name in NAMING:
            return
        if (opcode.name in STORING and argument > number) or (opcode.name == "FRAME" and argument > len(data)):
            raise ValueError(f"{opcode.name} {argument} in a file of {len(data)} bytes")
        if not HASHED.isdisjoint(opcode.stack_after):
            raise ValueError(f"{opcode.name}: it has something else than lists, dictionaries, texts and numbers")


def list_in(content: dict[Any, Any], key: str) -> list[Any]:
    """Return the list ``content[key]``; ValueError if it is none."""
    value = content.get(key)
    if not isinstance(value, list):
        raise ValueError(f"'{key}' is no list")
    return value


def names_in(content: dict[Any, Any], key: str) -> tuple[str, ...]:
    """Return the list ``content[key]`` as names of images; ValueError if one is empty or a path."""
    names = list_in(content, key)
    for name in names:
        if not isinstance(name, str) or not name or not name.isprintable() or set(name) & set("/\\:"):
            raise ValueError(f"{reprlib.repr(name)} in '{key}' is no name of an image")
    return tuple(names)


def box_of(truth: Any, number: int) -> Box:
    """Return the box of an entry of ``gnd``; ValueError if it is none."""
    if not isinstance(truth, dict):
        raise ValueError(f"query {number}: {reprlib.repr(truth)} is no dictionary")
    sides = list_in(truth, "bbx")
    if len(sides) != 4 or any(type(side) not in (int, float) or not math.isfinite(side) for side in sides):
        raise ValueError(f"query {number}: the box {reprlib.repr(sides)} is not four numbers")
    left, top, right, bottom = (float(side) for side in sides)
    if not (left < right and top < bottom):
        raise ValueError(f"query {number}: the box {reprlib.repr(sides)} is not [left, top, right, bottom]")
    return left, top, right, bottom


def query_of(truth: dict[Any, Any], number: int, gallery: int) -> Query:
    """Return the lists of an entry of ``gnd``, the query's item being after the gallery; ValueError if wrong."""
    easy, hard, junk = (list_in(truth, key) for key in ("easy", "hard", "junk"))
    for index in (*easy, *hard, *junk):
        if type(index) is not int or not 0 <= index < gallery:
            raise ValueError(f"query {number}: {reprlib.repr(index)} is no index of {gallery} images")
    return Query(gallery + number, tuple(easy), tuple(hard), tuple(junk))
