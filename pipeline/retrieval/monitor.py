"""The metrics of what a training loop gives batch by batch: update, compute, reset."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from jaxtyping import Float

from .arrays import as_features, as_list
from .errors import RetrievalError, shown
from .labels import as_groups, as_labels
from .processes import in_several, made_of_all
from .queries import Role
from .scoring import refuse_lengths, score_features, settings_of

MAX_ITEMS = 200_000


@dataclass(frozen=True)
class Item:
    """One item of a batch, with what :func:`.scoring.score_features` takes of each."""

    feature: Float[np.ndarray, " dim"]
    labels: tuple[str, ...]
    role: str
    group: str | None
    name: str | None


class RetrievalMetrics:
    """What :func:`.scoring.score_features` gives for all batches together, kept on the CPU until they are scored.

    >>> metric = RetrievalMetrics(left_out=False)
    >>> for images, labels in loader:
    ...     metric.update(network(images), labels)
    >>> metric.compute()["mAP"]

    The size of batches changes nothing. Features are kept as they came, in their own type, bfloat16 as float32, so that
    the numbers are those of ``score_features(all of them)``, to the bit. Memory is bounded by ``max_items`` or by
    ``sample``; nothing is left out unless it is asked for.

    Where torch.distributed runs several processes, the items of all are scored together, those of the first process
    first: it scores, and all of them, which must all call :meth:`compute`, get the result.
    """

    def __init__(
        self,
        *,
        max_items: int = MAX_ITEMS,
        sample: int | None = None,
        sample_seed: int = 0,
        together: bool = True,
        **settings: Any,
    ) -> None:
        """Choose what to compute, and how much to keep.

        Args:
            max_items: how many items are kept, by all processes together; one more is an error.
            sample: instead, keep so many, drawn at random from all that come, each with the same chance. It is another,
                smaller gallery, with other numbers, that can be compared only with those of as many items of the same
                data. The result says ``sample``: items, of, seed.
            sample_seed: of that draw; the same items in the same order give the same sample after every :meth:`reset`.
            together: whether what several processes keep is scored together; else each scores its own.
            settings: see :class:`.wanted.Settings`; ``left_out=False`` halves the time, ``device="cuda"`` ranks on
                a GPU.

        Raises:
            RetrievalError: a setting is unknown or out of range.
        """
        settings_of(settings, per_query=False)
        limits = [("max_items", max_items, 1), ("sample", sample, 2), ("sample_seed", sample_seed, 0)]
        for name, given, least in limits:
            whole = isinstance(given, int) and not isinstance(given, bool) and given >= least
            if not (whole or name == "sample" and given is None):
                raise RetrievalError(f"RetrievalMetrics: '{name}' is {given!r}: expected an integer from {least}")
        self._settings, self._max_items = settings, max_items
        self._sample, self._sample_seed, self._together = sample, sample_seed, together
        self.reset()

    def reset(self) -> None:
        """Forget all items; to be called before each epoch."""
        self._items: list[Item] = []
        self._names: set[str] = set()
        self._seen = 0
        self._draws = np.random.default_rng(self._sample_seed)

    @property
    def seen(self) -> int:
        """How many items have come since the last :meth:`reset`."""
        return self._seen

    def update(
        self,
        features: Any,
        labels: Any,
        *,
        role: str = "both",
        groups: Iterable[Any] | None = None,
        names: Iterable[Any] | None = None,
    ) -> None:
        """Take a batch: all of it or, where it raises, nothing.

        Args:
            features: one row per item: a tensor on any device, with or without a gradient, or a NumPy matrix.
            labels: of each item a whole number or a text, or, in a tuple, several; a tensor, an array or a list.
            role: of these items: ``both``, ``query`` or ``gallery``.
            groups: of each item a text, or None; items of a query's group are left out of its ranking.
            names: of the items, such as paths or numbers, for errors, and to tell items apart: what a
                ``DistributedSampler`` deals to a second process too, so that all have as many, counts once.

        Raises:
            RetrievalError: lengths differ, or dimensions or types from those of batches before; there are more items
                than ``max_items``; a name was given before.
        """
        rows, _ = as_features(features, where="features")
        known = as_labels(as_list(labels, what="labels"))
        grouped = [None] * len(rows) if groups is None else as_groups(as_list(groups, what="groups"))
        called = None if names is None else list(map(str, as_list(names, what="names")))
        refuse_lengths(len(rows), labels=known, groups=grouped, names=called)
        if role not in get_args(Role):
            raise RetrievalError(f"unknown role {role!r}: one of {', '.join(get_args(Role))}")
        self._refuse(rows, called or [])
        self._names.update(called or [])
        each: Sequence[str | None] = called or [None] * len(rows)
        several = zip(rows, known, grouped, each, strict=True)
        self._keep(Item(row.copy(), labels, role, group, name) for row, labels, group, name in several)

    def compute(self) -> dict[str, Any]:
        """Return the metrics of all items since the last :meth:`reset`, as :func:`.scoring.score_features` does.

        It may be called again, and :meth:`update` after it. In errors an item's number is its place among all that are
        kept, from 0.

        Returns:
            As that does, and ``sample`` where one is kept: how many ``items`` ``of`` how many, and the ``seed``. Of
            several processes also ``processes``: their ``count``, and how many items were ``repeated``, which count
            once, by their names.

        Raises:
            RetrievalError: no item has come; several processes each keep a sample; see also
                :func:`.scoring.score_features`.
        """
        if not (self._together and in_several()):
            found = self._score(self._items)
            if self._sample is not None:
                found["sample"] = {"items": len(self._items), "of": self._seen, "seed": self._sample_seed}
            return found
        if self._sample is not None:
            raise RetrievalError("each process has a sample of its own: set together=False, or max_items in its place")
        return made_of_all(self._items, self._score_all, most=self._max_items)

    def _score(self, items: Sequence[Item]) -> dict[str, Any]:
        if not items:
            raise RetrievalError("compute() before update(): give a batch first")
        roles, groups = [item.role for item in items], [item.group for item in items]
        return score_features(
            np.stack([item.feature for item in items]),
            [item.labels for item in items],
            names=[str(place) if item.name is None else item.name for place, item in enumerate(items)],
            roles=None if set(roles) == {"both"} else roles,
            groups=None if set(groups) == {None} else groups,
            **self._settings,
        )

    def _score_all(self, parts: Sequence[Sequence[Item]]) -> dict[str, Any]:
        """Return the metrics of what several processes keep."""
        items = [item for part in parts for item in part]
        kinds = sorted({f"{item.feature.dtype} of {item.feature.size}" for item in items})
        if len(kinds) > 1:
            raise RetrievalError(f"processes have features of several kinds: {', '.join(kinds)}: give all alike")
        different: dict[int | str, Item] = {}
        for place, item in enumerate(items):
            different.setdefault(place if item.name is None else item.name, item)
        repeated = len(items) - len(different)
        return self._score([*different.values()]) | {"processes": {"count": len(parts), "repeated": repeated}}

    def _refuse(self, rows: Float[np.ndarray, "item dim"], names: Sequence[str]) -> None:
        """Raise :class:`RetrievalError` for a batch that does not go with those before."""
        first = self._items[0].feature if self._items else rows[:1].ravel()
        if len(rows) and (first.dtype, first.size) != (rows.dtype, rows.shape[1]):
            before, now = f"{first.dtype} of {first.size} dimensions", f"{rows.dtype} of {rows.shape[1]}"
            raise RetrievalError(f"features are {before} before and {now} now: give all alike, or reset() in between")
        if self._sample is None and self._seen + len(rows) > self._max_items:
            raise RetrievalError(
                f"{self._seen} items are kept and {len(rows)} more are given, over max_items={self._max_items}: call "
                "reset() before each epoch, set max_items higher, or set sample for as many at random"
            )
        for name, count in Counter(names).items():
            if count > 1 or name in self._names:
                raise RetrievalError(f"item {shown(name)} is given again: call reset() before each epoch")

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
