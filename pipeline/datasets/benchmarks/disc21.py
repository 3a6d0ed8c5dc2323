"""DISC21, the Image Similarity Challenge: which of a million pictures was this one made from, if from any?

M. Douze et al., "The 2021 Image Similarity Dataset and Challenge", 2021.
"""

import re
from collections import Counter

from pipeline.datasets.annotations import ANEW, read_lines
from pipeline.datasets.landmarks import by_name, named_images
from pipeline.datasets.listing import Listing
from pipeline.frame.places import Place, as_written, place_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Query

NAME = re.compile(r".+\.jpg")
HEADER = "query_id,reference_id"


def read_disc21(
    root: str,
    ground_truth: str,
    references: str = "references",
    queries: str = "queries",
    follow_links: bool = False,
) -> Listing:
    """Read every image of the folder of references, which are the gallery, then the queries in their list's order.

    A query without a reference was made from none of them: whatever is found for it is wrong.

    Args:
        root: the folder with both folders (see ``pipeline.frame.places``).
        ground_truth: the path of ``public_ground_truth.csv``, of lines ``Q00003,R326040``, or ``Q00000,`` for none,
            with or without a header; a query of several references has a line for each.
        references: the folder below the root with ``R326040.jpg``, at any depth.
        queries: the same with ``Q00003.jpg``; those that are not listed are passed over.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: a folder, the list or an image is missing; a line is of another form, or says again what
            another one says.
    """
    listed = read_pairs(place_of(ground_truth))
    passed_over: Counter[str] = Counter()
    gallery = images_in(root, references, passed_over, follow_links=follow_links)
    pictures = images_in(root, queries, passed_over, follow_links=follow_links)
    places = {name: place for place, name in enumerate(gallery)}
    asked: list[Query] = []
    paths = list(gallery.values())
    for name, (where, originals) in listed.items():
        missing = [one for one in originals if one not in places] + [name] * (name not in pictures)
        if missing:
            raise RetrievalError(f"{where}: there is no image {missing[0]}.jpg in {root}: extract all archives")
        asked.append(Query(len(paths), tuple(places[original] for original in originals), (), ()))
        paths.append(pictures[name])
    passed_over["queries that are not listed"] = len(pictures) - len(asked)
    entries = tuple((path, ()) for path in paths)
    return Listing(as_written(root), entries, tuple(asked), "listed", passed_over=passed_over)


def images_in(root: str, folder: str, passed_over: Counter[str], *, follow_links: bool) -> dict[str, str]:
    """Return the paths, from the root, of the images below a folder of it, by their names without the ending."""
    top = f"{root}/{folder}"
    named = named_images(top, NAME, form="R326040.jpg", follow_links=follow_links)
    passed_over.update(named.passed_over)
    return {name.removesuffix(".jpg"): f"{folder}/{path}" for name, path in by_name(named.matches, root=top).items()}


def read_pairs(path: Place) -> dict[str, tuple[str, list[str]]]:
    """Return each query with the place of its first line, and the names of its references, none or several.

    Raises:
        RetrievalError: the file is missing, or names no query; a line is no pair, or says again what another one says.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for where, line in read_lines(path):
        cells = [cell.strip() for cell in line.split(",")]
        if line.strip() == HEADER:
            continue
        if len(cells) != 2 or not cells[0]:
            raise RetrievalError(f"{where}: expected {HEADER}, got {line!r}: {ANEW}")
        query, original = cells
        if query not in found:
            found[query] = where, [original] if original else []
            continue
        first, originals = found[query]
        if not original or not originals or original in originals:
            raise RetrievalError(f"{where}: {query} stands already at {first}, with another answer or the same: {ANEW}")
        originals.append(original)
    if not found:
        raise RetrievalError(f"{path} lists no query: {ANEW}")
    return found
