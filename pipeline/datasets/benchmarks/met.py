"""The Met: photographs of visitors, against the museum's pictures of its exhibits; most queries show none of them.

N.-A. Ypsilantis et al., "The Met Dataset: Instance-level Recognition for Artworks", NeurIPS 2021 (datasets track).
"""

import reprlib
from collections.abc import Iterator
from typing import Any

from pipeline.datasets.annotations import ANEW, listed_image, read_json_of, whole
from pipeline.datasets.layouts import existing
from pipeline.datasets.listing import Listing
from pipeline.frame.places import Place, as_written
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.queries import Query


def read_met(
    root: str,
    database: str = "MET_database.json",
    queries: str = "testset.json",
    follow_links: bool = False,
) -> Listing:
    """Read the images of the database in its order, then the queries; positives are the images of the same exhibit.

    A query without ``MET_id`` shows what is not in the museum, and has no positives.

    Args:
        root: the folder with ``images/`` and ``ground_truth/`` (see ``pipeline.frame.places``).
        database: the name in ``ground_truth/`` of the list of the museum's pictures, a JSON of objects with ``path``
            and ``id``: ``MET_database.json`` or ``mini_MET_database.json``.
        queries: the same of the queries, with ``path`` and, if it is in the museum, ``MET_id``: ``testset.json`` or
            ``valset.json``.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: a file or an image is missing; an entry of a list has another form; a query's exhibit has no
            picture in the database.
    """
    top = existing(root)
    entries: list[tuple[str, tuple[str, ...]]] = []
    exhibits: dict[int, list[int]] = {}

    def add(entry: dict[str, Any], where: str) -> int:
        path = entry.get("path")
        if not isinstance(path, str) or not path:
            raise RetrievalError(f"{where}: {reprlib.repr(path)} is no path: {ANEW}")
        entries.append((listed_image(top / "images", path, where=where, follow_links=follow_links), ()))
        return len(entries) - 1

    for where, entry in entries_of(top / "ground_truth" / database):
        exhibits.setdefault(whole(entry.get("id"), what="'id'", where=where), []).append(add(entry, where))
    asked = []
    for where, entry in entries_of(top / "ground_truth" / queries):
        positives: list[int] = []
        if "MET_id" in entry:
            exhibit = whole(entry["MET_id"], what="'MET_id'", where=where)
            if exhibit not in exhibits:
                raise RetrievalError(f"{where}: exhibit {exhibit} has no picture in {database}: take the list it is of")
            positives = exhibits[exhibit]
        asked.append(Query(add(entry, where), tuple(positives), (), ()))
    return Listing(as_written(root) / "images", tuple(entries), tuple(asked), "listed")


def entries_of(path: Place) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what to call each object of a list in JSON, from 0, and the object; RetrievalError if one is none."""
    for number, entry in enumerate(read_json_of(path, list[dict[str, Any]])):
        yield f"{shown(str(path))}, entry {number}", entry
