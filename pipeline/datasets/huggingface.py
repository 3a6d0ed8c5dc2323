"""A dataset of the Hugging Face hub, or in the formats of the package ``datasets``, once it has been fetched."""

from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any

from pipeline.datasets.listing import Listing
from pipeline.datasets.written import read_written
from pipeline.retrieval.errors import RetrievalError


@dataclass(frozen=True)
class Asked:
    """Which images of which dataset, as a YAML says it.

    Attributes:
        root: the folder for the images, which ``pipeline.fetch`` makes.
        name: of a repository of the hub, ``owner/dataset``; None: ``path`` says where it is.
        path: a folder that ``save_to_disk`` made, or of Parquet files.
        revision: a commit, branch or tag of the repository.
        config: the part of a dataset that has several.
        split: whose rows are taken, each with the role that ``role`` says.
        query_split: whose rows are queries only, with ``gallery_split``.
        gallery_split: whose rows are the gallery.
        image: the column of the images.
        label: the column of the labels: classes, whose names are taken, integers or texts, or lists of these.
        role: a column with ``query``, ``gallery`` or ``both``.
        group: a column; items of a query's group are left out of its ranking.
    """

    root: str
    name: str | None = None
    path: str | None = None
    revision: str = "main"
    config: str | None = None
    split: str | None = None
    query_split: str | None = None
    gallery_split: str | None = None
    image: str = "image"
    label: str = "label"
    role: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        """Raise :class:`RetrievalError` for what does not go together."""
        if (self.name is None) == (self.path is None):
            raise RetrievalError(
                "kind huggingface: give 'name', a dataset of the hub, or 'path', a folder: one of them"
            )
        if (self.query_split is None) != (self.gallery_split is None):
            raise RetrievalError(
                "kind huggingface: 'query_split' and 'gallery_split' go together: give both, or 'split'"
            )
        if self.query_split is not None and (self.split, self.role) != (None, None):
            raise RetrievalError(
                "kind huggingface: with 'query_split' and 'gallery_split' leave out 'split' and 'role'"
            )
        if self.path is not None and self.revision != "main":
            raise RetrievalError("kind huggingface: 'revision' is of a dataset of the hub: leave it out beside 'path'")

    @property
    def described(self) -> dict[str, Any]:
        """What a written folder is made for (see ``pipeline.datasets.written``)."""
        return {key: value for key, value in asdict(self).items() if key != "root"}


@wraps(Asked, assigned=(), updated=())  # its arguments are those of Asked
def read_huggingface(**keys: Any) -> Listing:
    """Read what ``pipeline.fetch`` wrote to ``root``; neither a network nor the package ``datasets`` is needed.

    For the arguments see :class:`Asked`; the order is that of the rows, the queries' split before the gallery's.

    Raises:
        RetrievalError: nothing has been fetched, or with other settings.
    """
    asked = Asked(**keys)
    return read_written(asked.root, asked.described)
