"""UnED, the Universal Embedding Dataset (N.-A. Ypsilantis et al., ICCV 2023): eight domains with their own splits."""

from typing import Literal

from typing_extensions import TypedDict

from pipeline.datasets.annotations import ANEW, listed_image, read_json_of
from pipeline.datasets.escapes import with_escapes
from pipeline.datasets.layouts import existing, refuse_outside
from pipeline.datasets.listing import Listing
from pipeline.frame.places import as_written
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.queries import Role


class Entry(TypedDict):
    """An image of a split: its path below ``images`` and its class, or several."""

    path: str
    class_id: int | list[int]


def read_uned(
    root: str, domain: str, gallery: Literal["test", "index"], escaped: bool = False, follow_links: bool = False
) -> Listing:
    """Read the queries of ``test.json``, then the gallery of ``index.json`` where the domain has one, in their order.

    Args:
        root: the folder with ``info_files`` and ``images`` (see ``pipeline.frame.places``).
        domain: the folder of its splits in ``info_files``.
        gallery: ``test`` where the queries are each other's gallery; ``index`` where it is apart.
        escaped: whether files whose names are no ASCII lie there as unzip writes them where it knows no UTF-8
            (``#U5c71`` for a character), as happens to those of RP2K.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: a split or an image is missing; a split has another form, an image twice or without a class.
    """
    top = existing(root)
    refuse_outside(domain, where="'domain'")
    parts: dict[str, Role] = {"test": "both"} if gallery == "test" else {"test": "query", "index": "gallery"}
    entries: list[tuple[str, tuple[str, ...]]] = []
    roles: dict[int, Role] = {}
    for part, role in parts.items():
        file = top / "info_files" / domain / f"{part}.json"
        split: list[Entry] = read_json_of(file, list[Entry])
        first: dict[str, int] = {}
        for number, entry in enumerate(split, start=1):
            where = f"{file}: entry {number}"
            if first.setdefault(entry["path"], number) != number:
                raise RetrievalError(f"{where}: {shown(entry['path'])} is entry {first[entry['path']]} too: {ANEW}")
            name = with_escapes(entry["path"]) if escaped else entry["path"]
            path = listed_image(top, f"images/{name}", where=where, follow_links=follow_links)
            if role != "both":
                roles[len(entries)] = role
            entries.append((path, classes_of(entry, where)))
    return Listing(as_written(root), tuple(entries), roles=roles)


def classes_of(entry: Entry, where: str) -> tuple[str, ...]:
    """Return the classes of an image, each once; RetrievalError if it has none."""
    given = entry["class_id"]
    if given == []:
        raise RetrievalError(f"{where}: {shown(entry['path'])} has no class: {ANEW}")
    return tuple(dict.fromkeys(map(str, given if isinstance(given, list) else [given])))
