"""What a reader returns."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Listing:
    """The images of a dataset before they are opened.

    Attributes:
        root: the folder that the paths start from.
        entries: a path relative to ``root``, with forward slashes, and the image's labels, one pair
            an image; their order becomes that of the manifest and the features.
    """

    root: Path
    entries: tuple[tuple[str, tuple[str, ...]], ...]
