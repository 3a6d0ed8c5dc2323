"""The metrics of what a training loop gives batch by batch: update, compute, reset."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from jaxtyping import Float

from .errors import RetrievalError
from .evaluation import Settings
from .intake import matrix_of, texts_of
from .labels import as_groups
from .queries import Role
from .scoring import listed, refuse_lengths, score_features
from .settings import call

MAX_ITEMS = 200_000


@dataclass(frozen=True)
class Item:
    """One item of a batch, with what :func:`.scoring.score_features` takes of each."""

    feature: Float[np.ndarray, " dim"]
    labels: tuple[str, ...]
    role: str
    group: str | None


class RetrievalMetrics:
    """What :func:`.scoring.score_features` gives for all batches together, kept on the CPU until they are scored.

    >>> metric = RetrievalMetrics(left_out=False)
    >>> for images, labels in loader:
    ...     metric.update(network(images), labels)
    >>> metric.compute()["mAP"]

    The size of batches changes nothing. Features are kept as they came, in their own type, bfloat16 as float32, so that
    the numbers are those of ``score_features(all of them)``, to the bit. Memory is bounded by ``max_items`` or by
    ``sample``; nothing is left out unless it is asked for.
    """

    def __init__(
        self, *, max_items: int = MAX_ITEMS, sample: int | None = None, sample_seed: int = 0, **settings: Any
    ) -> None:
        """Choose what to compute, and how much to keep.

        Args:
            max_items: how many items are kept; one more is an error.
            sample: instead, keep so many, drawn at random from all that come, each with the same chance. It is a
                smaller gallery, in which there is less to confuse a query with: its mAP is higher as a rule, and can be
                compared only with others of as many items. The result says ``sample``: items, of, seed.
            sample_seed: of that draw; the same items in the same order give the same sample after every :meth:`reset`.
            settings: see :class:`.evaluation.Settings`; ``left_out=False`` halves the time, ``device="cuda"`` ranks on
                a GPU.

        Raises:
            RetrievalError: a setting is unknown or out of range.
        """
        call(Settings, settings, where="RetrievalMetrics")
        limits = [("max_items", max_items, 1), ("sample", sample, 2), ("sample_seed", sample_seed, 0)]
        for name, given, least in limits:
            whole = isinstance(given, int) and not isinstance(given, bool) and given >= least
            if not (whole or name == "sample" and given is None):
                raise RetrievalError(f"RetrievalMetrics: '{name}' is {given!r}: expected an integer from {least}")
        self._settings, self._max_items = settings, max_items
        self._sample, self._sample_seed = sample, sample_seed
        self.reset()

    def reset(self) -> None:
        """Forget all items; to be called before each epoch."""
        self._items: list[Item] = []
        self._seen = 0
        self._draws = np.random.default_rng(self._sample_seed)

    def __len__(self) -> int:
        """Return how many items have come since the last :meth:`reset`."""
        return self._seen

    def update(self, features: Any, labels: Any, *, role: str = "both", groups: Iterable[Any] | None = None) -> None:
        """Take a batch: all of it or, where it raises, nothing.

        Args:
            features: one row per item: a tensor on any device, with or without a gradient, or a NumPy matrix.
            labels: of each item a whole number or a text, or, in a tuple, several; a tensor, an array or a list.
            role: of these items: ``both``, ``query`` or ``gallery``.
            groups: of each item a text, or None; items of a query's group are left out of its ranking.

        Raises:
            RetrievalError: lengths differ, or dimensions or types from those of batches before; there are more items
                than ``max_items``.
        """
        rows = matrix_of(features, where="features")
        known = texts_of(labels, items=len(rows))
        grouped = [None] * len(rows) if groups is None else as_groups(listed(groups, what="groups"))
        refuse_lengths(len(rows), groups=grouped)
        if role not in get_args(Role):
            raise RetrievalError(f"unknown role {role!r}: one of {', '.join(get_args(Role))}")
        first = self._items[0].feature if self._items else rows[:1].ravel()
        if len(rows) and (first.dtype, first.size) != (rows.dtype, rows.shape[1]):
            before, now = f"{first.dtype} of {first.size} dimensions", f"{rows.dtype} of {rows.shape[1]}"
            raise RetrievalError(f"features are {before} before and {now} now: give all alike, or reset() in between")
        if self._sample is None and self._seen + len(rows) > self._max_items:
            raise RetrievalError(
                f"{self._seen} items are kept and {len(rows)} more are given, over max_items={self._max_items}: call "
                "reset() before each epoch, set max_items higher, or set sample for as many at random"
            )
        several = zip(rows, known, grouped, strict=True)
        self._keep(Item(row.copy(), labels, role, group) for row, labels, group in several)

    def compute(self) -> dict[str, Any]:
        """Return the metrics of all items since the last :meth:`reset`, as :func:`.scoring.score_features` does.

        It may be called again, and :meth:`update` after it. In errors an item's number is its place among all that are
        kept, from 0.

        Raises:
            RetrievalError: no item has come; see also :func:`.scoring.score_features`.
        """
        if not self._items:
            raise RetrievalError("compute() before update(): give a batch first")
        roles, groups = [item.role for item in self._items], [item.group for item in self._items]
        found = score_features(
            np.stack([item.feature for item in self._items]),
            [item.labels for item in self._items],
            roles=None if set(roles) == {"both"} else roles,
            groups=None if set(groups) == {None} else groups,
            **self._settings,
        )
        if self._sample is not None:
            found["sample"] = {"items": len(self._items), "of": self._seen, "seed": self._sample_seed}
        return found

    def _keep(self, items: Iterable[Item]) -> None:
        """Keep all items, or a uniform sample of those so far: J. Vitter's algorithm R, TOMS 1985.

        One number is drawn an item, so that the size of batches changes nothing.
        """
        for item in items:
            place = self._seen if self._sample is None else int(self._draws.random() * (self._seen + 1))
            self._seen += 1
            if self._sample is None or len(self._items) < self._sample:
                self._items.append(item)
            elif place < self._sample:
                self._items[place] = item
