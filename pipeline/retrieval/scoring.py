"""Features and labels in, metrics out: the whole evaluation in one call."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from .arrays import as_features, as_list
from .errors import RetrievalError
from .evaluation import Evaluation, scores_between, scores_of
from .labels import as_groups, as_labels
from .matrix import check_features
from .postprocessing import Recipe, bytes_after, read_steps, refuse_learn_on
from .protocols import DIFFICULTIES, Protocol, by_labels, by_landmarks
from .queries import Query
from .ragged import Ragged
from .settings import call
from .steps import Step
from .summary import report
from .wanted import Settings

REMEDY = "make its feature anew, or leave the item out"


def score_features(
    features: Any = None,
    labels: Iterable[Any] | None = None,
    *,
    queries: Any = None,
    gallery: Any = None,
    query_labels: Iterable[Any] | None = None,
    gallery_labels: Iterable[Any] | None = None,
    ground_truth: Sequence[Query] | None = None,
    names: Iterable[Any] | None = None,
    roles: Iterable[Any] | None = None,
    groups: Iterable[Any] | None = None,
    steps: Sequence[Mapping[str, Any]] = (),
    learn_on: Any = None,
    per_query: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Return the metrics of features: exact, over the full ranking of every query.

    >>> score_features(features, ["cat", "dog", ...])["mAP"]
    >>> score_features(queries=Q, query_labels=[3, 7, ...], gallery=G, gallery_labels=[7, 3, ...])["P@1"]

    Args:
        features: one row per item, floating-point: an array, a tensor on any device, a frame of pandas, or a list of
            rows. float16 and bfloat16 are promoted, and the result says so.
        labels: of each item a text or an integer or, in a tuple, list, set or array, several; items that share one are
            relevant to each other. An item with none, ``()``, is a distractor.
        queries: instead of ``features``, those of the queries, and in ``gallery`` those of what is ranked for each.
        gallery: see ``queries``; that an item is in both is not known, unless ``groups`` says so.
        query_labels: of ``queries``, instead of ``labels``.
        gallery_labels: of ``gallery``.
        ground_truth: instead of labels, what is known of a landmark benchmark (see :class:`.queries.Query`).
        names: of the items, for errors; their numbers by default.
        roles: ``both``, ``query`` or ``gallery`` of each item.
        groups: of each item a text or an integer, or None where it has none; items of a query's group are left out of
            its ranking. Names and groups of ``queries`` stand before those of ``gallery``.
        steps: what is done to features before they are ranked, as conf/ranking/*.yaml say it: the ``name`` of a
            step and its settings, see :mod:`.postprocessing`.
        learn_on: features of other items, which steps such as PCA learn on.
        per_query: whether to return what every query has too.
        settings: see :class:`.wanted.Settings`. ``top`` says how many items a query has under ``per_query``.

    Returns:
        What ``python -m pipeline.score`` prints: ``mAP`` and the other means, fractions in [0, 1], 95 % intervals,
        counts, and ``feature_bytes``, what is stored of an item of the gallery after the steps, in float32 where no
        step says otherwise. Rows of features that are equal to the bit count as exact duplicates. Under ``per_query``,
        see :func:`per_query_of`.

    Raises:
        RetrievalError: lengths differ; a row cannot be compared; a setting is unknown; what is given does not go
            together; a label or a group cannot be told from another (see :func:`.labels.as_labels`); see also
            :func:`.summary.report`.
    """
    chosen = settings_of(settings, per_query=per_query)
    parts, kind = parts_of(features, queries, gallery)
    lists = {"labels": labels, "query_labels": query_labels, "gallery_labels": gallery_labels}
    known = known_of(
        [len(part) for part in parts],
        **lists,
        ground_truth=ground_truth,
        names=names,
        roles=roles,
        groups=groups,
        settings=chosen,
    )
    made = read_steps(steps, where="steps")
    evaluation, summary = evaluated(parts, known, chosen, steps=made, learn_on=learn_on, ranks=per_query)
    size = {"feature_bytes": bytes_after(made, parts[0].shape[1])}
    found = {"features_dtype": kind, **Recipe(made, {}, "steps").described(None), **summary, **size}
    return found | ({"per_query": per_query_of(evaluation, first=known.first)} if per_query else {})


@dataclass(frozen=True)
class Known:
    """What is known of items, whatever their features.

    Attributes:
        protocols: how their rankings are judged; the first one's metrics stand first.
        labels: of each item.
        names: of each item, for errors.
        first: the item that stands first in the gallery where queries and gallery come apart, else 0.
    """

    protocols: Sequence[Protocol]
    labels: Sequence[tuple[str, ...]]
    names: Sequence[str]
    first: int


def settings_of(settings: Mapping[str, Any], *, per_query: bool) -> Settings:
    """Return checked settings; :class:`RetrievalError` also for a ``top`` that would change nothing."""
    if settings.get("top") and not per_query:
        raise RetrievalError(f"top is {settings['top']}, which is of each query: set per_query too, or leave it out")
    return call(Settings, settings if per_query else {**settings, "top": 0}, where="settings")


def parts_of(features: Any, queries: Any, gallery: Any) -> tuple[list[Float[np.ndarray, "_ dim"]], str]:
    """Return the features of all items as one matrix, or of queries and gallery as two, and the name of their type.

    Raises:
        RetrievalError: both are given, or neither; see also :func:`.arrays.as_features`.
    """
    given = {"queries": queries, "gallery": gallery} if features is None else {"features": features}
    if (queries is None) != (gallery is None) or (features is None) == (queries is None):
        raise RetrievalError("give either features, or queries and gallery, each a matrix (a benchmark: ground_truth)")
    found = [as_features(value, where=name) for name, value in given.items()]
    widths = [matrix.shape[1] for matrix, _ in found]
    if len(set(widths)) > 1:
        raise RetrievalError(f"queries have {widths[0]} dimensions and the gallery {widths[1]}: give one encoder's")
    kinds = list(dict.fromkeys(kind for _, kind in found))
    return [matrix for matrix, _ in found], " and ".join(kinds)


def known_of(
    counts: Sequence[int],
    *,
    labels: Any,
    query_labels: Any,
    gallery_labels: Any,
    ground_truth: Sequence[Query] | None,
    names: Any,
    roles: Any,
    groups: Any,
    settings: Settings,
) -> Known:
    """Return what is known of items, of one matrix or of two.

    Raises:
        RetrievalError: what is given does not go together, or has not an entry an item; see :func:`score_features`.
    """
    apart, items = len(counts) == 2, sum(counts)
    given = {"labels": labels, "query_labels": query_labels, "gallery_labels": gallery_labels, "roles": roles}
    unfit = ("labels", "roles") if apart else ("query_labels", "gallery_labels")
    for name in unfit:
        if given[name] is not None:
            wanted = "query_labels and gallery_labels" if apart else "labels"
            raise RetrievalError(f"{name} are given, but features come {'apart' if apart else 'in one'}: give {wanted}")
    called = list(map(str, range(items) if names is None else as_list(names, what="names")))
    if items < 2 or 0 in counts:
        raise RetrievalError(f"features: {items} rows: a query and an item to rank are the least")
    refuse_lengths(items, names=called)
    if ground_truth is not None:
        for name, value in (*given.items(), ("groups", groups)):
            if value is not None:
                raise RetrievalError(f"{name} are given with ground_truth, which says what is relevant: leave one out")
        if apart:
            raise RetrievalError("a ground truth counts items of one matrix: give features, not queries and gallery")
        order = [settings.difficulty, *(other for other in DIFFICULTIES if other != settings.difficulty)]
        protocols = [by_landmarks(ground_truth, items, difficulty=difficulty) for difficulty in order]
        return Known(protocols, [()] * items, called, 0)
    grouped = None if groups is None else as_groups(as_list(groups, what="groups"))
    if apart:
        both = [("query_labels", query_labels, counts[0]), ("gallery_labels", gallery_labels, counts[1])]
        lists = [[] if value is None else as_list(value, what=name) for name, value, _ in both]
        for (name, _, count), one in zip(both, lists, strict=True):
            refuse_lengths(count, **{name: one})
        known = as_labels([*lists[0], *lists[1]])
        roles = ["query"] * counts[0] + ["gallery"] * counts[1]
    else:
        known = as_labels([] if labels is None else as_list(labels, what="labels"))
        roles = None if roles is None else as_list(roles, what="roles")
    refuse_lengths(items, labels=known, roles=roles, groups=grouped)
    return Known([by_labels(known, roles=roles, groups=grouped)], known, called, counts[0] if apart else 0)


def evaluated(
    parts: Sequence[Float[np.ndarray, "_ dim"]],
    known: Known,
    settings: Settings,
    *,
    steps: Sequence[Step] = (),
    learn_on: Any = None,
    ranks: bool = False,
) -> tuple[Evaluation, dict[str, Any]]:
    """Return what :func:`.summary.report` does, of features that are checked first."""
    if learn_on is not None:
        refuse_learn_on(steps)
        learn_on, _ = as_features(learn_on, where="learn_on")
        check_features(learn_on, [str(number) for number in range(len(learn_on))], where="learn_on", cosine=True)
    if parts[0].shape[1] == 0:
        raise RetrievalError(f"features: a matrix of {len(known.names)} x 0: give one with a value or more an item")
    start, cosine = 0, settings.similarity == "cosine"
    for part, where in zip(parts, ("queries", "gallery") if len(parts) == 2 else ("features",), strict=True):
        names = known.names[start : start + len(part)]
        check_features(part, names, where=where, cosine=cosine, remedy=REMEDY)
        start += len(part)
    first = known.protocols[0]
    if len(parts) == 2:
        nowhere = np.full(len(parts[0]), -1)
        scorer = scores_between(parts[0], parts[1], nowhere, settings, steps=steps, learnt=learn_on)
    else:
        scorer = scores_of(parts[0], first, settings, steps=steps, learnt=learn_on)
    contents = [hashlib.sha256(row.tobytes()).hexdigest() for part in parts for row in part]
    return report(
        scorer,
        known.protocols,
        labels=known.labels,
        contents=contents,
        names=known.names,
        settings=settings,
        ranks=ranks,
    )


def per_query_of(evaluation: Evaluation, *, first: int = 0) -> dict[str, Any]:
    """Return what every query with positives has, in the order of the items.

    ``queries`` are their numbers among the items; ``AP`` and the other metrics a fraction each; ``positives`` and
    ``candidates`` counts; ``ranks`` an array a query, of the ranks of its positives, from 1; ``top_items``,
    ``top_scores`` and ``top_hits`` the first items of each ranking, -1, NaN and False past its end.

    Args:
        evaluation: with its ranks.
        first: the number that items of the gallery are counted from.
    """
    assert evaluation.ranks is not None
    return {
        "queries": evaluation.queries,
        "positives": evaluation.positives,
        "candidates": evaluation.candidates,
        **evaluation.values,
        "ranks": evaluation.ranks.rows(),
        "top_items": np.where(evaluation.top_items < 0, -1, evaluation.top_items - first),
        "top_scores": evaluation.top_scores,
        "top_hits": evaluation.top_hits,
    }


def flat(per_query: Mapping[str, Any]) -> dict[str, Any]:
    """Return what every query has, see :func:`per_query_of`, as arrays for an ``.npz``.

    ``ranks`` are those of all queries one after the other, and ``rank_starts`` says where those of each begin.
    """
    ranks = Ragged.of(per_query["ranks"])
    return {**per_query, "ranks": ranks.values, "rank_starts": ranks.starts}


def refuse_lengths(items: int, **given: Sequence[Any] | None) -> None:
    """Raise :class:`RetrievalError` for a list that has not an entry an item."""
    for name, values in given.items():
        if values is not None and len(values) != items:
            raise RetrievalError(f"{len(values)} {name} for {items} rows of features: give one each, in the same order")
