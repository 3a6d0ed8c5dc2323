"""iNaturalist 2018 as a benchmark of retrieval (A. Brown et al., "Smooth-AP", ECCV 2020): species not trained on."""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from typing_extensions import TypedDict

from pipeline.datasets.annotations import ANEW, by_field, listed_image, read_json_of, read_rows
from pipeline.datasets.layouts import existing
from pipeline.datasets.listing import Listing
from pipeline.frame.places import Place, as_written
from pipeline.retrieval.errors import RetrievalError, shown

Key = TypeVar("Key", int, str)


class Image(TypedDict):
    """An image in the annotations of the competition."""

    id: int
    file_name: str


class Category(TypedDict):
    """The species of an image."""

    image_id: int
    category_id: int


class Annotations(TypedDict):
    """``train2018.json`` or ``val2018.json``."""

    images: list[Image]
    annotations: list[Category]


def read_inaturalist(
    root: str,
    list: str = "Inat_dataset_splits/Inaturalist_test_set1.txt",  # the YAML's key
    labels: Literal["path", "json"] = "path",
    annotations: Sequence[str] = ("train2018.json", "val2018.json"),
    follow_links: bool = False,
) -> Listing:
    """Read the images of a list in its order; the label is the number of the species.

    Args:
        root: the folder with ``train_val2018`` (see ``pipeline.frame.places``).
        list: the paths of the images, one a line (``train_val2018/Plantae/7477/....jpg``), below the root.
        labels: where the species is said: in the path, as its last folder; or in the annotations, as ``json``.
        annotations: files of the competition below the root, read for ``json`` only.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: a file or an image is missing or of another form; a path stands twice, or has no species.
    """
    top = existing(root)
    rows = by_field(read_rows(top / list, "path"), 0)
    species = species_by_path if labels == "path" else species_by_annotations([top / name for name in annotations])
    entries = []
    for name, row in rows.items():
        path = listed_image(top, name, where=row.where, follow_links=follow_links)
        entries.append((path, (species(path, row.where),)))
    return Listing(as_written(root), tuple(entries))


def species_by_path(path: str, where: str) -> str:
    """Return the last folder of a path; RetrievalError if it is no number."""
    folder = path.split("/")[-2] if "/" in path else ""
    if not (folder.isascii() and folder.isdigit()):
        raise RetrievalError(f"{where}: {shown(path)} lies in no folder of a species, as Plantae/7477: {ANEW}")
    return folder


def species_by_annotations(files: Sequence[Place]) -> Callable[[str, str], str]:
    """Return the function from a path to its species by annotations.

    Raises:
        RetrievalError: they are missing or of another form, or say two things of an image.
    """
    ids: dict[str, int] = {}
    categories: dict[int, int] = {}
    for file in files:
        content: Annotations = read_json_of(file, Annotations)
        for image in content["images"]:
            agree(ids, image["file_name"], image["id"], where=file)
        for one in content["annotations"]:
            agree(categories, one["image_id"], one["category_id"], where=file)

    def species(path: str, where: str) -> str:
        if ids.get(path) not in categories:
            names = " nor ".join(file.name for file in files)
            raise RetrievalError(f"{where}: {shown(path)} has no species in {names}: {ANEW}")
        return str(categories[ids[path]])

    return species


def agree(known: dict[Key, int], key: Key, value: int, *, where: Place) -> None:
    """Note what is said of an image; RetrievalError if something else was said before."""
    if known.setdefault(key, value) != value:
        raise RetrievalError(f"{where}: image {key} is {known[key]} and {value}: {ANEW}")
