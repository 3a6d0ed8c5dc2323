"""Oxford 5k and Paris 6k with their own ground truth: a folder of ``<landmark>_<n>_{query,good,ok,junk}.txt``.

J. Philbin et al., "Object retrieval with large vocabularies and fast spatial matching", CVPR 2007, and "Lost in
quantization", CVPR 2008.
"""

from collections.abc import Mapping, Sequence

from pipeline.datasets.landmarks import base_name, by_name
from pipeline.datasets.layouts import Below, confine, existing, is_hidden
from pipeline.datasets.listing import Listing
from pipeline.frame.places import Place, as_written, asking
from pipeline.manifest.items import Box, split_box
from pipeline.manifest.labels import read_list_text
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Query, check_queries

QUERY = "_query.txt"
PREFIX = "oxc1_"  # before the names of Oxford's query images, and of no file


def read_classic(
    root: str,
    ground_truth: str,
    exclude: Sequence[str] = (),
    crop_queries: bool = True,
    follow_links: bool = False,
) -> Listing:
    """Read a gallery, every image below the root in the order of their paths, then the queries' crops of some of them.

    They have no labels. Positives of a query are its good and ok items; junk is neither for nor against it.

    Args:
        root: a folder with ``<name>.jpg`` at any depth, as the archives unpack (see ``pipeline.frame.places``).
        ground_truth: the folder of the lists.
        exclude: names of files, without their folder, to leave out, such as known corrupt ones, or patterns of such;
            they may stand in the lists.
        crop_queries: cut queries to their boxes, as the protocol has it; False: whole images, each of them also in
            the gallery.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: a folder, a list or an image that is listed is missing; a query's line is not
            ``name left top right bottom``; an item stands twice in a query's lists.
    """
    top, lists = existing(root), existing(ground_truth)
    below = Below.of(top, exclude, root=root, follow_links=follow_links, key=base_name)
    paths = below.kept
    places = {path: place for place, path in enumerate(paths)}
    known = {name: places.get(path) for name, path in by_name([*paths, *below.left_out], root=root).items()}
    with asking(lists):
        asked = sorted(path.name.removesuffix(QUERY) for path in lists.glob(f"*{QUERY}") if not is_hidden(path.name))
    if not asked:
        raise RetrievalError(f"{ground_truth} has no file named like all_souls_1{QUERY}: put the ground truth there")
    boxes: dict[int, Box] = {}
    queries = []
    crops = []
    for number, name in enumerate(asked, start=len(paths)):
        image, boxes[number] = read_query(lists / f"{name}{QUERY}")
        own = known_place(image, known, where=lists / f"{name}{QUERY}")
        if own is None:
            raise RetrievalError(f"{lists / name}{QUERY}: its image {image}.jpg is under 'exclude': remove it there")
        good, ok, junk = (read_names(lists / f"{name}_{kind}.txt", known) for kind in ("good", "ok", "junk"))
        queries.append(Query(number, (*good, *ok), (), junk))
        crops.append(paths[own])
    try:
        check_queries(queries, len(paths) + len(queries))
    except ValueError as error:
        raise RetrievalError(f"{ground_truth}: {error}: fetch it anew") from None
    for path in (*paths, *crops):
        confine(top, path, where=root, follow_links=follow_links)
    entries = tuple((path, ()) for path in (*paths, *crops))
    passed_over = below.passed_over
    cut = boxes if crop_queries else {}
    return Listing(as_written(root), entries, tuple(queries), "classic", boxes=cut, passed_over=passed_over)


def read_query(path: Place) -> tuple[str, Box]:
    """Return the name of a query's image and the part of it that is asked for."""
    fields = words_of(path)
    try:
        name, *sides = fields
        box = split_box(" ".join(sides))
        if box is None:
            raise ValueError("there is no box")
    except ValueError as error:
        raise RetrievalError(f"{path}: expected name left top right bottom ({error}): fetch it anew") from None
    return name.removeprefix(PREFIX), box


def read_names(path: Place, known: Mapping[str, int | None]) -> tuple[int, ...]:
    """Return the places in the gallery of the images that a list names, a line each; not of excluded ones."""
    places = (known_place(name, known, where=path) for name in words_of(path))
    return tuple(place for place in places if place is not None)


def known_place(name: str, known: Mapping[str, int | None], *, where: Place) -> int | None:
    """Return an image's place in the gallery; None if it is left out."""
    if f"{name}.jpg" not in known:
        raise RetrievalError(f"{where}: {name}.jpg is not among the images: the archives are not complete")
    return known[f"{name}.jpg"]


def words_of(path: Place) -> list[str]:
    """Return what stands in a list, split at white space."""
    return read_list_text(path, remedy="the ground truth is not complete").split()
