"""INRIA Holidays (H. Jegou et al., "Hamming Embedding and Weak Geometric Consistency", ECCV 2008)."""

import re
from collections.abc import Sequence

from pipeline.datasets.landmarks import by_name, named_images
from pipeline.datasets.listing import Listing
from pipeline.frame.places import as_written
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Role

NAME = re.compile(r"(?P<scene>[0-9]{4})(?P<place>[0-9]{2})\.jpg")
QUERY = "00"


def read_holidays(root: str, exclude: Sequence[str] = (), follow_links: bool = False) -> Listing:
    """Read every image below the root, in the order of their names; the label is the scene, the first four digits.

    The first image of a scene, whose name ends in 00, is its query. All images are the gallery, those of other queries
    too; the query itself is left out of its ranking.

    Args:
        root: the folder of the images (see ``pipeline.frame.places``).
        exclude: names of files, without their folder, to leave out, or patterns of such.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the root is missing; a name is of another form, or there twice; a scene has no query, or no
            other image.
    """
    named = named_images(root, NAME, form="100000.jpg", exclude=exclude, follow_links=follow_links)
    paths = by_name(named.matches, root=root)
    scenes: dict[str, list[str]] = {}
    entries: list[tuple[str, tuple[str, ...]]] = []
    roles: dict[int, Role] = {}
    for _, path in sorted(paths.items()):
        scene, place = named.matches[path].groups()
        scenes.setdefault(scene, []).append(place)
        if place != QUERY:
            roles[len(entries)] = "gallery"
        entries.append((path, (scene,)))
    for scene, places in scenes.items():
        if places[0] != QUERY or len(places) == 1:
            wanted = f"query, {scene}{QUERY}.jpg" if places[0] != QUERY else "image but its query"
            raise RetrievalError(f"{root}: scene {scene} has no {wanted}: the archives are not complete")
    return Listing(as_written(root), tuple(entries), roles=roles, passed_over=named.passed_over)
