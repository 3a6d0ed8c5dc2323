"""INRIA Copydays (M. Douze et al., "Evaluation of GIST Descriptors for Web-Scale Image Search", CIVR 2009)."""

import re
from collections import Counter

from pipeline.datasets.landmarks import named_images
from pipeline.datasets.layouts import refuse_outside
from pipeline.datasets.listing import Listing
from pipeline.frame.places import as_written
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Role

NAME = re.compile(r"(?P<picture>[0-9]{4})[0-9]{2}\.jpg")
FORM = "200000.jpg"


def read_copydays(root: str, block: str, originals: str = "original", follow_links: bool = False) -> Listing:
    """Read the originals, which are the gallery, then the copies of a block, which are the queries.

    The label is the picture: the first four digits of a name. Each block is a dataset of its own, as its results are
    stated by themselves.

    Args:
        root: the folder of the blocks (see ``pipeline.frame.places``).
        block: the folder of the copies: ``strong``, ``jpegqual/3`` (to 75) or ``crops/10`` (to 80).
        originals: the folder of the originals.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: a folder is missing; a name is of another form; two originals are of one picture; a copy has
            no original.
    """
    for folder in (block, originals):
        refuse_outside(folder, where="'block' and 'originals'")
    entries: list[tuple[str, tuple[str, ...]]] = []
    roles: dict[int, Role] = {}
    pictures: dict[str, str] = {}
    passed_over = Counter[str]()
    parts: tuple[tuple[str, Role], ...] = ((originals, "gallery"), (block, "query"))
    for folder, role in parts:
        named = named_images(f"{root}/{folder}", NAME, form=FORM, follow_links=follow_links)
        passed_over.update(named.passed_over)
        for path, match in named.matches.items():
            picture = match["picture"]
            if role == "gallery" and pictures.setdefault(picture, path) != path:
                raise RetrievalError(f"{root}/{folder}: {pictures[picture]} and {path} are of one picture: remove one")
            if picture not in pictures:
                raise RetrievalError(
                    f"{root}/{folder}: {path} has no original, {picture}00.jpg: put it into {originals}"
                )
            roles[len(entries)] = role
            entries.append((f"{folder}/{path}", (picture,)))
    return Listing(as_written(root), tuple(entries), roles=roles, passed_over=passed_over)
