"""UKBench (D. Nister and H. Stewenius, CVPR 2006): 2,550 objects, each in four photographs that follow each other."""

import re
from collections import Counter
from collections.abc import Sequence

from pipeline.datasets.landmarks import by_name, named_images
from pipeline.datasets.listing import Listing
from pipeline.frame.places import as_written
from pipeline.retrieval.errors import RetrievalError

NAME = re.compile(r"ukbench(?P<number>[0-9]{5})\.jpg")
GROUP = 4


def read_ukbench(root: str, exclude: Sequence[str] = (), follow_links: bool = False) -> Listing:
    """Read every image below the root, in the order of their numbers; the label is the number of the object.

    Args:
        root: the folder of the images, ``full`` of the archive (see ``pipeline.frame.places``).
        exclude: names of files, without their folder, to leave out, or patterns of such.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the root is missing; a name is of another form, or there twice; an object has not four images.
    """
    named = named_images(root, NAME, form="ukbench00000.jpg", exclude=exclude, follow_links=follow_links)
    numbers = {int(named.matches[path]["number"]): path for path in by_name(named.matches, root=root).values()}
    sizes = Counter(number // GROUP for number in numbers)
    for group, count in sizes.items():
        if count != GROUP:
            raise RetrievalError(
                f"{root}: {count} images of ukbench{GROUP * group:05d}.jpg to ukbench{GROUP * group + 3:05d}.jpg, not "
                f"{GROUP}: the archive is not complete"
            )
    entries = tuple((numbers[number], (str(number // GROUP),)) for number in sorted(numbers))
    return Listing(as_written(root), entries, passed_over=named.passed_over)
