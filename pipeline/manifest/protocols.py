"""A dataset's manifest -> the protocols by which rankings of it are judged."""

from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.protocols import (
    DIFFICULTIES,
    Difficulty,
    Protocol,
    by_choice,
    by_classic_landmarks,
    by_labels,
    by_landmarks,
    by_lists,
)


def protocols_of(manifest: Manifest, *, difficulty: Difficulty) -> list[Protocol]:
    """Return the protocol of a dataset; of a revisited one all difficulties, the asked one first."""
    count = len(manifest.items)
    if manifest.queries is None:
        roles = [item.role for item in manifest.items]
        return [by_labels(manifest.labels, roles=roles, groups=[item.group for item in manifest.items])]
    if manifest.given != "revisited":
        make = {"classic": by_classic_landmarks, "listed": by_lists, "choice": by_choice}[manifest.given]
        return [make(manifest.queries, count)]
    others = [other for other in DIFFICULTIES if other != difficulty]
    return [by_landmarks(manifest.queries, count, difficulty=chosen) for chosen in (difficulty, *others)]
