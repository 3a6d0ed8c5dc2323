"""Stanford Online Products (H. Oh Song et al., CVPR 2016): photographs of products that were on sale."""

from pipeline.datasets.annotations import by_field, listed_image, read_rows
from pipeline.datasets.layouts import existing
from pipeline.datasets.listing import Listing
from pipeline.frame.places import as_written


def read_sop(root: str, list: str = "Ebay_test.txt", follow_links: bool = False) -> Listing:  # the YAML's key
    """Read the images of a list in its order; the label is the number of the product.

    The attribute ``super_class`` is the folder of the image without ``_final``, such as ``bicycle``.

    Args:
        root: the folder ``Stanford_Online_Products`` (see ``pipeline.frame.places``).
        list: the list's name in it.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the list or an image is missing; the header or a line is of another form; a path stands twice.
    """
    top = existing(root)
    rows = by_field(read_rows(top / list, "image_id class_id super_class_id path", header=True), 3)
    images = [
        (listed_image(top, name, where=row.where, follow_links=follow_links), row.fields[1])
        for name, row in rows.items()
    ]
    entries = tuple((path, (product,)) for path, product in images)
    folders = {place: path.partition("/")[0] for place, (path, _) in enumerate(images)}
    attributes = {place: {"super_class": folder.removesuffix("_final")} for place, folder in folders.items()}
    return Listing(as_written(root), entries, attributes=attributes)
