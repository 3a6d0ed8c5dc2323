"""Google Landmarks v2, retrieval: ``index/`` and ``test/`` as ``<a>/<b>/<c>/<id>.jpg``, and the solution as a CSV.

T. Weyand et al., "Google Landmarks Dataset v2", CVPR 2020; the ground truth of release 2.1.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from pipeline.datasets.annotations import ANEW, read_records
from pipeline.datasets.layouts import confine, existing
from pipeline.datasets.listing import Listing
from pipeline.frame.places import Place, as_written, place_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Query

USAGES = ("Public", "Private", "Ignored")
IGNORED = "None"  # in place of the positives of a query that counts for nothing
ID = re.compile(r"[0-9a-z]{3,32}")
ARCHIVES = "extract all archives of its folder"


def read_gldv2(
    root: str, solution: str, index: str, usage: Literal["Public", "Private"], follow_links: bool = False
) -> Listing:
    """Read the images of ``index.csv`` in its order, which are the gallery, then the queries of one usage.

    A query that is ignored, or of the other usage, is no entry: its image is not looked for.

    Args:
        root: the folder with ``index/`` and ``test/`` (see ``pipeline.frame.places``).
        solution: the path of ``retrieval_solution_v2.1.csv``: id, images (ids with a space between them, or ``None``),
            Usage.
        index: the path of ``index.csv``: id.
        usage: whose queries: ``Public``, to choose by, or ``Private``, to report.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: a file or an image is missing; an id is none, or stands twice; a positive is not in the index;
            a usage is unknown, or has no query.
    """
    top = existing(root)
    gallery = read_ids(place_of(index))
    places = {name: place for place, name in enumerate(gallery)}
    asked, passed_over = read_solution(place_of(solution), places, usage=usage)
    paths = {f"index/{nested(name)}": where for name, where in gallery.items()}
    paths |= {f"test/{nested(name)}": where for name, (where, _) in asked.items()}
    for path, where in paths.items():
        confine(top, path, where=where, follow_links=follow_links, remedy=ARCHIVES)
    queries = tuple(
        Query(number, positives, (), ()) for number, (_, positives) in enumerate(asked.values(), start=len(gallery))
    )
    entries = tuple((path, ()) for path in paths)
    return Listing(as_written(root), entries, queries, "listed", passed_over=passed_over)


def nested(name: str) -> str:
    """Return where the image of an id lies: in folders of its first three characters."""
    return f"{name[0]}/{name[1]}/{name[2]}/{name}.jpg"


def read_ids(path: Place) -> dict[str, str]:
    """Return the ids of ``index.csv``, each with its line; RetrievalError if one is none, or stands there twice."""
    found: dict[str, str] = {}
    for where, row in read_records(path, ("id",)):
        add_id(row["id"], found, where)
    return found


def add_id(name: str, found: dict[str, str], where: str) -> None:
    """Keep an id and its line; RetrievalError if it is none, or there already."""
    if not ID.fullmatch(name):
        raise RetrievalError(f"{where}: {name!r} is no id of an image: {ANEW}")
    if name in found:
        raise RetrievalError(f"{where}: {name} stands already at {found[name]}: {ANEW}")
    found[name] = where


def read_solution(
    path: Place, places: Mapping[str, int], *, usage: str
) -> tuple[dict[str, tuple[str, tuple[int, ...]]], Counter[str]]:
    """Return the queries of a usage, each with its line and the places of its positives; and how many are no entries.

    Raises:
        RetrievalError: see :func:`read_gldv2`.
    """
    seen: dict[str, str] = {}
    asked = {}
    passed_over: Counter[str] = Counter()
    for where, row in read_records(path, ("id", "images", "Usage")):
        add_id(row["id"], seen, where)
        if row["Usage"] not in USAGES:
            raise RetrievalError(f"{where}: unknown Usage {row['Usage']!r}: one of {', '.join(USAGES)}")
        if row["images"] == IGNORED or row["Usage"] == "Ignored":
            passed_over["ignored queries"] += 1
        elif row["Usage"] != usage:
            passed_over["queries of the other usage"] += 1
        else:
            asked[row["id"]] = where, positives_in(row["images"], places, where=where)
    if not asked:
        raise RetrievalError(f"{path} has no query of Usage {usage}: take that of release 2.1")
    return asked, passed_over


def positives_in(text: str, places: Mapping[str, int], *, where: str) -> tuple[int, ...]:
    """Return the places in the gallery of ids with spaces between them; RetrievalError if one is not there."""
    names = text.split()
    missing = [name for name in names if name not in places]
    if missing or not names or len(set(names)) < len(names):
        problem = f"{missing[0]} is not in the index" if missing else f"{text!r} is no list of different ids"
        raise RetrievalError(f"{where}: {problem}: {ANEW}, and the index of the same release")
    return tuple(places[name] for name in names)
