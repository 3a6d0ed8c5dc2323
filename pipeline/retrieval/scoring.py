"""Features and labels in, metrics out: the whole evaluation in one call."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
from jaxtyping import Float

from .errors import RetrievalError
from .evaluation import Settings, report, scores_of
from .labels import as_groups, as_labels
from .matrix import check_features
from .postprocessing import PcaWhitening, Recipe, read_steps
from .protocols import DIFFICULTIES, by_labels, by_landmarks
from .queries import Query
from .settings import call


def score_features(
    features: Any,
    labels: Iterable[Any] | None = None,
    *,
    queries: Sequence[Query] | None = None,
    names: Sequence[str] | None = None,
    roles: Sequence[str] | None = None,
    groups: Iterable[Any] | None = None,
    steps: Sequence[Mapping[str, Any]] = (),
    learn_on: Any = None,
    **settings: Any,
) -> dict[str, Any]:
    """Return the metrics of features: exact, over the full ranking of every query.

    >>> score_features(features, ["cat", "dog", ...])["mAP"]

    Args:
        features: a matrix, one row per item, of any floating-point type; float16 is promoted, and the result says so.
        labels: of each item a text or, in a tuple, list or set, several; items that share one are relevant to each
            other. An item with none, ``()``, is a distractor.
        queries: instead of labels, the queries of a landmark benchmark (see :class:`.queries.Query`).
        names: of the items, for errors; their numbers by default.
        roles: ``both``, ``query`` or ``gallery`` of each item.
        groups: of each item a text, or None where it has none; items of a query's group are left out of its ranking.
        steps: what is done to features before they are ranked, as conf/ranking/*.yaml say it: the ``name`` of a
            step and its settings, see :mod:`.postprocessing`.
        learn_on: features of other items, which PCA-whitening learns on.
        settings: see :class:`.evaluation.Settings`.

    Returns:
        What ``python -m pipeline.score`` prints: ``mAP`` and the other means, fractions in [0, 1], 95 % intervals
        and counts. Rows of features that are equal to the bit count as exact duplicates.

    Raises:
        RetrievalError: lengths differ; a row cannot be compared; a setting is unknown; a label or a group is no text,
            or looks like another; see also :func:`.evaluation.report`.
    """
    chosen = call(Settings, settings, where="settings")
    made = read_steps(steps, where="steps")
    if learn_on is not None and not any(isinstance(step, PcaWhitening) for step in made):
        raise RetrievalError("learn_on is given, but no step learns: leave it out, or add pca_whitening")
    where = "features"
    features = as_features(features, where=where)
    labels, names, roles, groups = (
        None if given is None else listed(given, what=what)
        for given, what in ((labels, "labels"), (names, "names"), (roles, "roles"), (groups, "groups"))
    )
    items = [str(number) for number in range(len(features))] if names is None else list(map(str, names))
    if len(features) < 2:
        raise RetrievalError(f"{where}: {len(features)} rows: a query and an item to rank are the least")
    if len(items) != len(features) or features.shape[1] == 0:
        raise RetrievalError(f"{where}: a matrix of {features.shape[0]} x {features.shape[1]} for {len(items)} items")
    remedy = "make its feature anew, or leave the item out"
    check_features(features, items, where=where, cosine=chosen.similarity == "cosine", remedy=remedy)
    if learn_on is not None:
        learn_on = as_features(learn_on, where="learn_on")
        check_features(learn_on, [str(number) for number in range(len(learn_on))], where="learn_on", cosine=True)
    if queries is not None:
        for name, given in (("labels", labels), ("roles", roles), ("groups", groups)):
            if given is not None:
                raise RetrievalError(f"{name} are given with queries, which say what is relevant: leave one out")
        order = [chosen.difficulty, *(other for other in DIFFICULTIES if other != chosen.difficulty)]
        protocols = [by_landmarks(queries, len(items), difficulty=difficulty) for difficulty in order]
        known: list[tuple[str, ...]] = [()] * len(items)
    else:
        known = as_labels(() if labels is None else labels)
        grouped = None if groups is None else as_groups(groups)
        refuse_lengths(len(items), labels=known, roles=roles, groups=grouped)
        protocols = [by_labels(known, roles=roles, groups=grouped)]
    contents = [hashlib.sha256(row.tobytes()).hexdigest() for row in features]
    scorer = scores_of(features, protocols[0], chosen, steps=made, learnt=learn_on)
    _, summary = report(scorer, protocols, labels=known, contents=contents, names=items, settings=chosen)
    return {"features_dtype": str(features.dtype), **Recipe(made, {}, "steps").described(None), **summary}


def as_features(given: Any, *, where: str) -> Float[np.ndarray, "item dim"]:
    """Return features as a plain matrix; :class:`RetrievalError` if they are anything but floating-point numbers."""
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise RetrievalError(f"{where}: a masked array with values missing: leave out their rows, or fill them")
    matrix = np.asarray(given) if isinstance(given, np.ndarray) else None
    if matrix is None or matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.floating):
        kind = type(given).__name__ if matrix is None else f"an array of {matrix.dtype} of shape {matrix.shape}"
        raise RetrievalError(f"{where}: {kind}: give a NumPy matrix of floating-point numbers, one row an item")
    with np.errstate(over="ignore"):  # what is beyond float64 is infinite, and refused as that
        return matrix.astype(np.float64) if matrix.dtype.itemsize > 8 else matrix


def listed(given: Any, *, what: str) -> list[Any]:
    """Return what is given an entry an item as a list; :class:`RetrievalError` if it is none."""
    if isinstance(given, str | bytes | bytearray | Mapping | Set) or not isinstance(given, Iterable):
        kind = type(given).__name__
        raise RetrievalError(f"the {what} are a {kind}: give a list with an entry for each row of features, in order")
    return list(given)


def refuse_lengths(items: int, **given: Sequence[Any] | None) -> None:
    """Raise :class:`RetrievalError` for a list that has not an entry an item."""
    for name, values in given.items():
        if values is not None and len(values) != items:
            raise RetrievalError(f"{len(values)} {name} for {items} rows of features: give one each, in the same order")
