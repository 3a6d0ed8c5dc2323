"""In-Shop Clothes Retrieval of DeepFashion (Z. Liu et al., CVPR 2016): the same garment in other photographs."""

from typing import Literal

from pipeline.datasets.annotations import ANEW, Row, by_field, listed_image, numbers, proper_box, read_rows
from pipeline.datasets.layouts import existing
from pipeline.datasets.listing import Listing
from pipeline.frame.places import as_written
from pipeline.manifest.items import Box
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Role

PARTITION = "image_name item_id evaluation_status"
BOXES = "image_name clothes_type pose_type x_1 y_1 x_2 y_2"
ROLES: dict[str, Role] = {"query": "query", "gallery": "gallery"}


def read_inshop(
    root: str,
    partition: str = "Eval/list_eval_partition.txt",
    images: str = "Img",
    boxes: str = "Anno/list_bbox_inshop.txt",
    crop: Literal["bounding_box"] | None = None,
    follow_links: bool = False,
) -> Listing:
    """Read the queries and the gallery in the order of the partition; the label is the item.

    Args:
        root: the folder of the benchmark (see ``pipeline.frame.places``).
        partition: the list of images, items and their part, below the root.
        images: the folder that the list's paths (``img/WOMEN/...``) start from, below the root.
        boxes: the list of the garments' boxes, below the root; it is read for ``crop`` only.
        crop: ``bounding_box`` to take of each image the garment only. The boxes are those of the published images of
            256 x 256 pixels, not of the larger ones.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: a list or an image is missing; a list has another header or number of rows than it says, or
            a line of another form; an image stands there twice, or has no box.
    """
    top = existing(root)
    rows = by_field(read_rows(top / partition, PARTITION, header=True, counted=True), 0)
    marked = by_field(read_rows(top / boxes, BOXES, header=True, counted=True), 0) if crop else {}
    entries: list[tuple[str, tuple[str, ...]]] = []
    roles: dict[int, Role] = {}
    sides: dict[int, Box] = {}
    training = 0
    for name, row in rows.items():
        item, part = row.fields[1:]
        if part == "train":
            training += 1
            continue
        if part not in ROLES:
            raise RetrievalError(f"{row.where}: the part is {part!r}: expected train, query or gallery: {ANEW}")
        if crop:
            if name not in marked:
                raise RetrievalError(f"{row.where}: {name} has no box in {top / boxes}: {ANEW}")
            sides[len(entries)] = box_in(marked[name])
        roles[len(entries)] = ROLES[part]
        path = listed_image(top, f"{images}/{name}", where=row.where, follow_links=follow_links)
        entries.append((path, (item,)))
    return Listing(as_written(root), tuple(entries), boxes=sides, roles=roles, passed_over={"for training": training})


def box_in(row: Row) -> Box:
    """Return the box of a line of ``list_bbox_inshop.txt``, in pixels."""
    return proper_box(*numbers(row.fields[3:], where=row.where), where=row.where)
