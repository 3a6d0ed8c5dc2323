"""INSTRE: objects, logos and buildings, with the queries of the diffusion papers in ``gnd_instre.mat``.

S. Wang and S. Jiang, "INSTRE", TOMM 2015; A. Iscen et al., "Efficient Diffusion on Region Manifolds", CVPR 2017, for
the split into queries and gallery.
"""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.annotations import ANEW, listed_image, proper_box
from pipeline.datasets.layouts import existing
from pipeline.datasets.listing import Listing
from pipeline.datasets.mat_files import read_mat
from pipeline.frame.places import as_written, located
from pipeline.manifest.items import Box
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.queries import Query
from pipeline.retrieval.reading.lists import spelt


def read_instre(root: str, ground_truth: str, crop_queries: bool = True, follow_links: bool = False) -> Listing:
    """Read the images of ``imlist`` in its order, which are the gallery, then the queries of ``qimlist``.

    Args:
        root: the folder with ``INSTRE-S1/``, ``INSTRE-S2/`` and ``INSTRE-M/``, from which the paths start (see
            ``pipeline.frame.places``).
        ground_truth: the path of ``gnd_instre.mat``: ``imlist`` and ``qimlist``, paths, and ``gnd``, for each query
            the positives, counted from 1, and its box: left, top, right, bottom.
        crop_queries: cut queries to their boxes; False: whole images, as in VISSL.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the ground truth is missing or of another form; an image that it names is missing.
    """
    top = existing(root)
    gallery, asked, truths = read_truth(located(ground_truth))
    for path in (*gallery, *asked):
        listed_image(top, path, where=ground_truth, follow_links=follow_links)
    queries = tuple(
        Query(number, positives, (), ()) for number, (positives, _) in enumerate(truths, start=len(gallery))
    )
    boxes = {query.item: box for query, (_, box) in zip(queries, truths, strict=True)} if crop_queries else {}
    entries = tuple((path, ()) for path in (*gallery, *asked))
    return Listing(as_written(root), entries, queries, "listed", boxes=boxes)


def read_truth(path: Path) -> tuple[list[str], list[str], list[tuple[tuple[int, ...], Box]]]:
    """Return the paths of the gallery, those of the queries, and of each query the positives, from 0, and the box.

    Raises:
        RetrievalError: the file cannot be read or has another form; an index is none of the gallery's.
    """
    content = {name: read_mat(path, name) for name in ("imlist", "qimlist", "gnd")}
    where = shown(str(path))
    try:
        gallery, asked = (paths_in(content[name], name) for name in ("imlist", "qimlist"))
        found = content["gnd"]
        if not isinstance(found, list) or len(found) != len(asked):
            raise ValueError(f"'gnd' has not a pair of positives and box for each of {len(asked)} queries")
    except ValueError as error:
        raise RetrievalError(f"{where} is no ground truth of INSTRE ({error}): {ANEW}") from None
    truths = [truth_in(truth, len(gallery), where=f"{where}, query {number}") for number, truth in enumerate(found)]
    return gallery, asked, truths


def paths_in(cells: Any, key: str) -> list[str]:
    """Return the paths in a cell array; ValueError if it holds others, or a path twice."""
    if not isinstance(cells, list) or not all(isinstance(cell, str) and cell.isprintable() and cell for cell in cells):
        raise ValueError(f"'{key}' is no list of paths")
    paths = [spelt(cell) for cell in cells]
    if len(set(paths)) < len(paths):
        raise ValueError(f"a path stands twice in '{key}'")
    return paths


def truth_in(truth: Any, gallery: int, *, where: str) -> tuple[tuple[int, ...], Box]:
    """Return the positives, counted from 0, and the box of a query: the first two fields; RetrievalError if wrong."""
    values = list(truth.values()) if isinstance(truth, dict) else []
    if len(values) < 2 or not all(isinstance(value, np.ndarray) for value in values[:2]):
        raise RetrievalError(f"{where}: it has not a pair of positives and box: {ANEW}")
    positives, sides = (np.ravel(value) for value in values[:2])
    indices = np.arange(1, gallery + 1)
    if not np.isin(positives, indices).all() or len(set(positives.tolist())) < len(positives):
        raise RetrievalError(f"{where}: its positives are not different indices from 1 to {gallery}: {ANEW}")
    if len(sides) != 4:
        raise RetrievalError(f"{where}: its box is not four numbers: {ANEW}")
    left, top, right, bottom = map(float, sides)
    return tuple(int(index) - 1 for index in positives), proper_box(left, top, right, bottom, where=where)
