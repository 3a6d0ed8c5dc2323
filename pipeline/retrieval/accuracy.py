"""The accuracy of embeddings under the names, and by the call, of pytorch-metric-learning's calculator."""

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from . import metrics
from .arrays import as_features, as_list
from .distances import similarity_of
from .errors import RetrievalError
from .evaluation import rank_here
from .labels import as_labels
from .matrix import check_features
from .protocols import by_labels
from .ragged import Ragged
from .ranking import Ranking
from .scoring import refuse_lengths
from .settings import call
from .wanted import Settings

NAMES = (
    "mean_average_precision",
    "mean_average_precision_at_r",
    "mean_reciprocal_rank",
    "precision_at_1",
    "r_precision",
)
CLUSTERINGS = ("AMI", "NMI")
# What a k less than R cuts short although its name does not say so.
AT_R = ("mean_average_precision_at_r", "r_precision")
# What theirs takes and this does not, and what there is instead.
REMEDIES = {
    "label_comparison_fn": "items of equal labels are relevant to each other; score_features takes several an item",
    "knn_func": "all is ranked, exactly; set similarity='cosine', 'dot' or 'euclidean' for another order",
    "kmeans_func": "nothing is clustered; scikit-learn's KMeans and adjusted_mutual_info_score give AMI",
}


class AccuracyCalculator:
    """As ``pytorch_metric_learning.utils.accuracy_calculator.AccuracyCalculator`` (2.9), without its clustering.

    >>> AccuracyCalculator(k="max_bin_count").get_accuracy(embeddings, labels)["mean_average_precision_at_r"]

    The five metrics of retrieval under its names, by its definitions: means over the queries that have a positive,
    Euclidean distances of the embeddings as they are. Where it departs:

    - Equal distances rank by index in the reference; theirs in the order in which faiss finds them.
    - Near distances are exact (:mod:`.distances`), and float64 stays float64. faiss takes float32 and, from as many
      queries on as its ``distance_compute_blas_threshold`` says (20 in 1.9 and 1.12, 128,000 in 1.15),
      |q|^2 + |g|^2 - 2 q.g, which loses what is near. Their reciprocal ranks are averaged in float32.
    - Labels are texts or whole numbers of any size; theirs become float32, in which 2^24 and 2^24 + 1 are one.
    - Where no query has a positive it raises; theirs logs a warning and returns NaN.
    - AMI and NMI are no part of ``include=()``; leaving them out by ``exclude`` changes nothing.
    - ``k`` past the end of the reference is its end, and ``mean_reciprocal_rank`` can be had alone.
    """

    def __init__(
        self,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        avg_of_avgs: bool = False,
        return_per_class: bool = False,
        k: int | str | None = None,
        label_comparison_fn: Any = None,
        device: Any = None,
        knn_func: Any = None,
        kmeans_func: Any = None,
        *,
        similarity: str = "euclidean",
        memory: float = 1.0,
    ) -> None:
        """Choose what to compute.

        Args:
            include: the metrics to compute, of :data:`NAMES`; all by default.
            exclude: those to leave out.
            avg_of_avgs: whether to average over labels the means of their queries.
            return_per_class: whether to return instead these means, a list in the order of the labels: of whole numbers
                ascending, of texts by the alphabet. Labels none of whose queries has a positive have no entry.
            k: how many neighbours count: all by default, or ``max_bin_count``, as many as the most frequent label of a
                query has items. Less than R cuts R-precision and MAP@R short, and warns.
            label_comparison_fn: must be None, as ``knn_func`` and ``kmeans_func`` must.
            device: what ranks, as torch names it, such as ``cuda``; None for the CPU, wherever the embeddings are.
            knn_func: see ``label_comparison_fn``.
            kmeans_func: see ``label_comparison_fn``.
            similarity: ``euclidean``, ``cosine`` or ``dot``.
            memory: GiB for scores; changes no result.

        Raises:
            RetrievalError: a metric is unknown; an argument is not among what is possible.
        """
        for name, given in (
            ("label_comparison_fn", label_comparison_fn),
            ("knn_func", knn_func),
            ("kmeans_func", kmeans_func),
        ):
            if given is not None:
                raise RetrievalError(f"{name} is given, which this calculator does not take: {REMEDIES[name]}")
        if avg_of_avgs and return_per_class:
            raise RetrievalError("avg_of_avgs and return_per_class are both set: the first is the mean of the second")
        if not (k is None or k == "max_bin_count" or isinstance(k, int) and not isinstance(k, bool) and k > 0):
            raise RetrievalError(f"k is {k!r}: expected an integer from 1, None for all, or 'max_bin_count'")
        self.avg_of_avgs, self.return_per_class, self.k = avg_of_avgs, return_per_class, k
        self._names = chosen(NAMES, include, exclude)
        place = "cpu" if device is None else str(device)
        options = {"similarity": similarity, "memory": memory, "device": place, "left_out": False, "top": 0}
        self._settings = call(Settings, options, where="AccuracyCalculator")

    def get_accuracy(
        self,
        query: Any,
        query_labels: Any,
        reference: Any = None,
        reference_labels: Any = None,
        ref_includes_query: bool = False,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Return the metrics by name, fractions in [0, 1]; lists of them where ``return_per_class`` is set.

        Args:
            query: embeddings, one row a query: a tensor on any device, or a NumPy matrix.
            query_labels: of each a whole number or a text: a tensor, an array or a list.
            reference: what is ranked; None: the queries, each against all others.
            reference_labels: of the reference.
            ref_includes_query: whether the reference begins with the queries, each of which is then left out of its own
                ranking.
            include: of the metrics chosen at first, those to compute; all by default.
            exclude: those to leave out.

        Raises:
            RetrievalError: lengths or dimensions differ; an embedding is not finite; an item has no label, or several;
                the reference does not begin with the queries although it is said to; no query has a positive.
        """
        names = chosen(self._names, include, exclude)
        asked = self._matrix(query, where="query")
        known = one_each(query_labels, len(asked), what="query_labels")
        gallery, others = asked, known
        if (reference is None) != (reference_labels is None):
            raise RetrievalError("one of reference and reference_labels is given without the other: give both or none")
        if reference is not None:
            gallery = self._matrix(reference, where="reference")
            others = one_each(reference_labels, len(gallery), what="reference_labels")
            if ref_includes_query:
                refuse_other_queries(asked, known, gallery, others)
        inside = reference is None or ref_includes_query
        if inside:
            protocol = by_labels(others, roles=["both"] * len(asked) + ["gallery"] * (len(gallery) - len(asked)))
        else:
            protocol = by_labels([*known, *others], roles=["query"] * len(asked) + ["gallery"] * len(gallery))
        holders = Counter(others)
        positives = np.array([holders[label] - inside for label in known], np.int64)
        if not positives.any():
            raise RetrievalError("no query has a positive: no item of the reference shares a label with one")
        k = self._neighbours(int(positives.max()), len(gallery), names)

        def make(ranking: Ranking) -> dict[str, Float[np.ndarray, " query"]]:
            return values_of(ranking.ranks, k)

        scorer = similarity_of(self._settings.similarity, asked, gallery)
        parts = list(rank_here(self._settings)(make, scorer, protocol.judge, top=0))
        values = {name: np.concatenate([part[name] for part in parts])[positives > 0] for name in names}
        labels = [label for (label,), found in zip(known, positives, strict=True) if found]
        return {name: self._mean(values[name], labels) for name in names}

    def get_curr_metrics(self) -> list[str]:
        """Return the names of the metrics that were chosen at first; its testers ask for them."""
        return list(self._names)

    def description(self) -> str:
        """Return ``avg_of_avgs`` where that is set, else nothing; its testers ask for it."""
        return "avg_of_avgs" if self.avg_of_avgs else ""

    def _matrix(self, given: Any, *, where: str) -> Float[np.ndarray, "item dim"]:
        found, _ = as_features(given, where=where)
        cosine = self._settings.similarity == "cosine"
        remedy = "look for what makes it so in the training, or leave the item out"
        check_features(found, [str(row) for row in range(len(found))], where=where, cosine=cosine, remedy=remedy)
        return found

    def _neighbours(self, most: int, items: int, names: Sequence[str]) -> int:
        """Return how many neighbours count, of so many items, where the most positives of a query are ``most``."""
        if self.k == "max_bin_count":
            return most
        k = min(self.k, items) if isinstance(self.k, int) else items
        cut = [name for name in names if name in AT_R]
        if k < most and cut:
            warnings.warn(
                f"{' and '.join(cut)} count no more than k={k} neighbours, and a query has {most} positives: "
                "set k='max_bin_count' or None",
                stacklevel=3,
            )
        return k

    def _mean(self, values: Float[np.ndarray, " query"], labels: Sequence[str]) -> float | list[float]:
        """Return the mean over queries, or over labels, or the means of the labels."""
        if not (self.avg_of_avgs or self.return_per_class):
            return float(values.mean())
        number = {label: place for place, label in enumerate(in_order(labels))}
        places = [number[label] for label in labels]
        means = np.bincount(places, weights=values) / np.bincount(places)
        return means.tolist() if self.return_per_class else float(means.mean())


def values_of(ranks: Ragged, k: int) -> dict[str, Float[np.ndarray, " query"]]:
    """Return the metrics of each query if its first k neighbours count; of one without positives they mean nothing.

    R-precision is divided by the lesser of R and k, AP and MAP@R by R whatever k is, and a first positive after k has
    no reciprocal rank but 0.
    """
    searched = np.minimum(ranks.counts, k)
    early = ranks.up_to(searched)
    return {
        "mean_average_precision": metrics.average_precision_at(ranks, k=k),
        "mean_average_precision_at_r": metrics.over(early.sums(early.fractions), ranks),
        "mean_reciprocal_rank": metrics.reciprocal_rank(ranks) * metrics.recall_at(ranks, k=k),
        "precision_at_1": metrics.precision_at(ranks, k=1),
        "r_precision": early.counts / np.maximum(searched, 1),
    }


def chosen(names: Sequence[str], include: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """Return those of some metrics that are included, all by default, and not excluded.

    Raises:
        RetrievalError: one is unknown, or a clustering's, or was left out before; what is given is no list.
    """
    for what, given in (("include", include), ("exclude", exclude)):
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise RetrievalError(f"{what} is {given!r}: give a list or tuple of names, of {', '.join(names)}")
    for name in include:
        if name in CLUSTERINGS:
            raise RetrievalError(f"'{name}' is of a clustering, which is not made here: {REMEDIES['kmeans_func']}")
    for name in [*include, *(name for name in exclude if name not in CLUSTERINGS + NAMES)]:
        if name not in names:
            raise RetrievalError(f"unknown metric {name!r}: one of {', '.join(names)}")
    return [name for name in names if (name in include or not include) and name not in exclude]


def one_each(labels: Any, items: int, *, what: str) -> list[tuple[str, ...]]:
    """Return the labels of so many items; :class:`RetrievalError` where one has none or several."""
    found = as_labels(as_list(labels, what=what))
    refuse_lengths(items, **{what: found})
    for item, several in enumerate(found):
        if len(several) != 1:
            raise RetrievalError(
                f"{what}: item {item} has {len(several)} labels: give one; score_features takes several"
            )
    return found


def refuse_other_queries(
    asked: Float[np.ndarray, "query dim"],
    known: Sequence[tuple[str, ...]],
    gallery: Float[np.ndarray, "item dim"],
    others: Sequence[tuple[str, ...]],
) -> None:
    """Raise :class:`RetrievalError` unless the gallery begins with the queries, up to rounding, and their labels."""
    head = gallery[: len(asked)]
    if head.shape == asked.shape and list(known) == list(others[: len(asked)]) and np.allclose(asked, head):
        return
    raise RetrievalError(
        "ref_includes_query is set, but the reference does not begin with the queries and their labels, in their "
        "order: put them first, or leave ref_includes_query out where the reference has none of them"
    )


def in_order(labels: Iterable[str]) -> list[str]:
    """Return the different labels in order: as numbers where all are whole numbers, else by the alphabet."""
    different = sorted(set(labels))
    whole = all(label.removeprefix("-").isdecimal() for label in different)
    return sorted(different, key=int) if whole else different
