"""NIGHTS: which of two pictures is more like a third, as people judged it.

S. Fu et al., "DreamSim: Learning New Dimensions of Human Visual Similarity using Synthetic Data", NeurIPS 2023.
"""

from collections import Counter
from typing import Literal

from pipeline.datasets.annotations import ANEW, listed_image, read_records, whole
from pipeline.datasets.layouts import existing
from pipeline.datasets.listing import Listing
from pipeline.frame.places import as_written
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Query
from pipeline.retrieval.settings import Count

COLUMNS = ("right_vote", "votes", "ref_path", "left_path", "right_path", "is_imagenet", "split")


def read_nights(
    root: str, split: Literal["train", "val", "test"] = "test", least_votes: Count = 6, follow_links: bool = False
) -> Listing:
    """Read the two candidates of each triplet, which are the gallery, then the references, which are the queries.

    Of a query, the candidate that people chose is right and the other is wrong; all others are no candidates of it.
    Its attribute ``is_imagenet`` says whether the words that its pictures were made from are a class of ImageNet.

    Args:
        root: the folder with ``data.csv``, ``ref/`` and ``distort/`` (see ``pipeline.frame.places``).
        split: of ``data.csv``.
        least_votes: triplets that fewer people judged alike are passed over, as in the official code.
        follow_links: accept symbolic links that lead out of the root.

    Raises:
        RetrievalError: the table or an image is missing; a row has another form; the split has no triplet.
    """
    top = existing(root)
    places: dict[str, int] = {}
    triplets = []
    passed_over: Counter[str] = Counter()
    for where, row in read_records(top / "data.csv", COLUMNS):
        right, votes = (
            whole(row[column].removesuffix(".0"), what=f"'{column}'", where=where) for column in ("right_vote", "votes")
        )
        if right not in (0, 1):
            raise RetrievalError(f"{where}: 'right_vote' is {right}, and neither 0 nor 1: {ANEW}")
        if row["split"] != split:
            passed_over["triplets of other splits"] += 1
            continue
        if votes < least_votes:
            passed_over[f"triplets of fewer than {least_votes} votes"] += 1
            continue
        reference, *candidates = (
            listed_image(top, row[column], where=where, follow_links=follow_links)
            for column in ("ref_path", "left_path", "right_path")
        )
        if candidates[0] == candidates[1]:
            raise RetrievalError(f"{where}: both candidates are {candidates[0]}: {ANEW}")
        left_and_right = [places.setdefault(path, len(places)) for path in candidates]
        triplets.append((reference, left_and_right[right], left_and_right[1 - right], row["is_imagenet"]))
    if not triplets:
        raise RetrievalError(f"{top / 'data.csv'} has no triplet of split {split} with {least_votes} votes: {ANEW}")
    entries = tuple((path, ()) for path in (*places, *(reference for reference, *_ in triplets)))
    numbered = list(enumerate(triplets, start=len(places)))
    queries = tuple(Query(number, (chosen,), (other,), ()) for number, (_, chosen, other, _) in numbered)
    attributes = {number: {"is_imagenet": known} for number, (*_, known) in numbered}
    return Listing(as_written(root), entries, queries, "choice", attributes=attributes, passed_over=passed_over)
