"""AmsterTime (B. Yildiz et al., ICPR 2022): a place in an archive's photograph and in a view of the street today."""

import re
from collections import Counter
from typing import Literal

from pipeline.datasets.landmarks import named_images
from pipeline.datasets.listing import Listing
from pipeline.frame.places import as_written
from pipeline.retrieval.errors import RetrievalError, shown, some
from pipeline.retrieval.queries import Role

NAME = re.compile(r"(?P<pair>[^.]+)\.(?:png|jpg)")
SIDES: tuple[Literal["new", "old"], ...] = ("new", "old")


def read_amstertime(root: str, queries: Literal["new", "old"], follow_links: bool = False) -> Listing:
    """Read the images of ``new``, then those of ``old``; two of the same name are a pair, and the label is that name.

    Args:
        root: the folder of ``new`` and ``old`` (see ``pipeline.frame.places``).
        queries: which of them asks; the other is the gallery.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: a folder is missing; a name is of another form, or there twice; an image has no partner.
    """
    entries: list[tuple[str, tuple[str, ...]]] = []
    roles: dict[int, Role] = {}
    passed_over = Counter[str]()
    pairs: dict[str, dict[str, str]] = {}
    for side in SIDES:
        named = named_images(f"{root}/{side}", NAME, form="0000.png or 0000.jpg", follow_links=follow_links)
        passed_over.update(named.passed_over)
        found = pairs.setdefault(side, {})
        for path, match in named.matches.items():
            if found.setdefault(match["pair"], path) != path:
                raise RetrievalError(
                    f"{root}/{side}: {found[match['pair']]} and {shown(path)} have one name: remove one"
                )
            roles[len(entries)] = "query" if side == queries else "gallery"
            entries.append((f"{side}/{path}", (match["pair"],)))
    alone = [
        f"{side}/{pairs[side][name]}"
        for side, other in zip(SIDES, SIDES[::-1], strict=True)
        for name in pairs[side]
        if name not in pairs[other]
    ]
    if alone:
        raise RetrievalError(f"{root}: {some(alone)} have no partner in the other folder: the archive is not complete")
    return Listing(as_written(root), tuple(entries), roles=roles, passed_over=passed_over)
