"""Which items are relevant to which: those that share a label."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int


class SharedLabel:
    """From an item to the indices, ascending, of the items that share at least one label with it.

    The item itself is among them. They are put together when asked for: all at once would take
    memory that grows as items squared over classes.
    """

    def __init__(self, labels: Sequence[tuple[str, ...]]) -> None:
        """Take the labels of each item."""
        members: dict[str, list[int]] = {}
        for item, names in enumerate(labels):
            for name in names:
                members.setdefault(name, []).append(item)
        self._members = {name: np.asarray(items) for name, items in members.items()}
        self._labels = labels

    def __call__(self, item: int) -> Int[np.ndarray, " positive"]:
        """Return the items that share a label with ``item``, itself included."""
        names = set(self._labels[item])
        if len(names) == 1:
            return self._members[names.pop()]
        return np.unique(np.concatenate([self._members[name] for name in names]))
