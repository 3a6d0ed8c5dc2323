"""What a reader returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from pipeline.frame.places import Place, place_of
from pipeline.manifest.items import Box
from pipeline.manifest.manifest import Given
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.labels import refuse_alike, seen
from pipeline.retrieval.queries import Query, Role


@dataclass(frozen=True)
class Listing:
    """The images of a dataset before they are opened.

    Attributes:
        root: the folder that the paths start from, as the YAML writes it (see ``pipeline.frame.places``).
        entries: a path relative to ``root``, with forward slashes, and the image's labels, one pair
            an image; their order becomes that of the manifest and the features.
        queries: the queries of a dataset that comes with them; None where every image is one.
        given: what kind of queries these are (see :class:`pipeline.manifest.manifest.Manifest`).
        boxes: the crop of those entries that have one, by their position in ``entries``.
        roles: of those entries that are not both query and in the gallery, by position.
        groups: of those entries that belong to one, by position.
        roots: of those entries whose paths start from another folder, by position.
        attributes: what is known of entries beside their labels, such as how an image was edited, by position.
        passed_over: how many files or images are no entries, by the reason, such as ``hidden``.
        texts: of those entries that are no images but ask for some, by position; their paths only name them.
        has_images: whether there are files to be opened; False: entries are names and what is known of them.
    """

    root: Place
    entries: tuple[tuple[str, tuple[str, ...]], ...]
    queries: tuple[Query, ...] | None = None
    given: Given = "revisited"
    boxes: Mapping[int, Box] = field(default_factory=dict)
    roles: Mapping[int, Role] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)
    roots: Mapping[int, Place] = field(default_factory=dict)
    attributes: Mapping[int, Mapping[str, object]] = field(default_factory=dict)
    passed_over: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[int, str] = field(default_factory=dict)
    has_images: bool = True


def check_listing(listing: Listing, *, where: str) -> None:
    """Check what holds for the entries of every layout, before they are opened.

    Raises:
        RetrievalError: a path, a label or a group is no UTF-8; in a label there is nothing to see; two labels or
            groups look the same; a file is there twice, though it is not a query's that the dataset comes with.
    """
    labels = list(dict.fromkeys(chain.from_iterable(labels for _, labels in listing.entries)))
    for text in chain((path for path, _ in listing.entries), labels, listing.groups.values(), listing.texts.values()):
        if not text.isascii() and not encodable(text):
            raise RetrievalError(f"{where}: {text!r} is no UTF-8, which a manifest is: rename it")
    for label in labels:
        if not seen(label):
            raise RetrievalError(f"{where}: in the label {label!r} there is nothing to see: give it a name")
    refuse_alike(labels, what="labels")
    refuse_alike(listing.groups.values(), what="groups")
    folders = {root: place_of(root) for root in {listing.root, *listing.roots.values()}}
    tops = {root: str(top.resolve() if isinstance(top, Path) else top) for root, top in folders.items()}
    given = {query.item for query in listing.queries or ()}
    files: set[str] = set()
    for number, (path, _) in enumerate(listing.entries):
        file = f"{tops[listing.roots.get(number, listing.root)]}/{path}"
        if file in files and number not in given:
            raise RetrievalError(f"{where}: {shown(file)} is there twice: list it, or its folder, once")
        files.add(file)


def encodable(text: str) -> bool:
    """Return whether a text can be written as UTF-8: the names of files on Linux are bytes, of any kind."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
