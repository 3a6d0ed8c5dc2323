"""What a reader returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.frame.places import Place
from pipeline.manifest.items import Box
from pipeline.manifest.manifest import Given
from pipeline.retrieval.queries import Query, Role


@dataclass(frozen=True)
class Listing:
    """The images of a dataset before they are opened.

    Attributes:
        root: the folder that the paths start from, as the YAML writes it (see ``pipeline.frame.places``).
        entries: a path relative to ``root``, with forward slashes, and the image's labels, one pair
            an image; their order becomes that of the manifest and the features.
        queries: the queries of a dataset that comes with them; None where every image is one.
        given: what kind of queries these are.
        boxes: the crop of those entries that have one, by their position in ``entries``.
        roles: of those entries that are not both query and in the gallery, by position.
        groups: of those entries that belong to one, by position.
        roots: of those entries whose paths start from another folder, by position.
        attributes: what is known of entries beside their labels, such as how an image was edited, by position.
        passed_over: how many files or images are no entries, by the reason, such as ``hidden``.
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
