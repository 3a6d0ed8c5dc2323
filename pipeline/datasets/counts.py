"""How many images, queries and labels a dataset has, against what its YAML expects of the published one."""

from collections.abc import Mapping
from itertools import chain

from pipeline.datasets.listing import Listing
from pipeline.retrieval.errors import RetrievalError


def counts_of(listing: Listing) -> dict[str, int]:
    """Return how many ``images`` there are, ``queries``, images in the ``gallery`` of any query, and ``labels``."""
    count = len(listing.entries)
    images = count - len(listing.texts)
    roles = [listing.roles.get(number, "both") for number in range(count)]
    if listing.queries is None:
        labelled = [bool(labels) for _, labels in listing.entries]
        queries = sum(role != "gallery" and known for role, known in zip(roles, labelled, strict=True))
        gallery = sum(role != "query" for role in roles)
    else:
        queries = len(listing.queries)
        gallery = count - len({query.item for query in listing.queries})
    labels = len(set(chain.from_iterable(labels for _, labels in listing.entries)))
    return {"images": images, "queries": queries, "gallery": gallery, "labels": labels}


def refuse_other_counts(listing: Listing, expected: Mapping[str, int], *, where: str) -> None:
    """Raise :class:`RetrievalError` for a dataset that is not as large as the published one, or an unknown count."""
    found = counts_of(listing)
    unknown = [name for name in expected if name not in found]
    if unknown:
        raise RetrievalError(f"{where}: unknown count '{unknown[0]}' in 'expected': one of {', '.join(found)}")
    other = [f"{found[name]:,} {name}, not {count:,}" for name, count in expected.items() if found[name] != count]
    if other:
        raise RetrievalError(
            f"{where}: {'; '.join(other)}: files are missing, or this is another split or release, whose numbers "
            "are not those of the published one; complete it, or take 'expected' out of a YAML of another name"
        )
