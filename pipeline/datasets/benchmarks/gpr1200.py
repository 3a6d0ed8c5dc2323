"""GPR1200 (K. Schall et al., MMM 2022): 1,200 categories of ten images each, 200 from each of six datasets."""

import re
from collections.abc import Sequence

from pipeline.datasets.landmarks import named_images
from pipeline.datasets.listing import Listing
from pipeline.frame.places import as_written
from pipeline.retrieval.errors import RetrievalError, shown

NAME = re.compile(r"(?P<category>[0-9]{1,9})_.+\.(?:jpe?g|png)", re.IGNORECASE)
# In the order of the categories: 2,000 images each.
SUBSETS = ("landmarks", "nature", "sketches", "objects", "products", "faces")
CATEGORIES = 200  # of a subset


def read_gpr1200(root: str, exclude: Sequence[str] = (), follow_links: bool = False) -> Listing:
    """Read every image below the root, in the order of the categories; the label is the category's number.

    The attribute ``subset`` says which dataset a category was taken from: Google Landmarks v2 (``landmarks``),
    iNaturalist (``nature``), ImageNet Sketch (``sketches``), INSTRE (``objects``), Stanford Online Products
    (``products``) or IMDB Faces (``faces``).

    Args:
        root: the folder ``images`` of the archive (see ``pipeline.frame.places``).
        exclude: names of files, without their folder, to leave out, or patterns of such.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the root is missing; a name is of another form, or of a category beyond 1,199.
    """
    named = named_images(root, NAME, form="0_name.jpg", exclude=exclude, follow_links=follow_links)
    categories = {path: int(match["category"]) for path, match in named.matches.items()}
    entries: list[tuple[str, tuple[str, ...]]] = []
    attributes: dict[int, dict[str, object]] = {}
    for path, category in sorted(categories.items(), key=lambda entry: (entry[1], entry[0])):
        if category >= len(SUBSETS) * CATEGORIES:
            raise RetrievalError(
                f"{root}: {shown(path)} is of category {category}, and the last one is 1199: remove it"
            )
        attributes[len(entries)] = {"subset": SUBSETS[category // CATEGORIES]}
        entries.append((path, (str(category),)))
    return Listing(as_written(root), tuple(entries), attributes=attributes, passed_over=named.passed_over)
