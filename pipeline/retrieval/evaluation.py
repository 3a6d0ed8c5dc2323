"""Scores and a protocol -> the metrics of every query. Arrays in, arrays out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from jaxtyping import Bool, Float, Int

from . import metrics, pooled
from .distances import falling, similarity_of
from .errors import RetrievalError, shown
from .left_out import leave_out_each
from .matrix import taken
from .measures import Measure, measure_of
from .memory import refuse_memory
from .postprocessing import scores_after, scoring_step
from .protocols import LANDMARKS, Protocol
from .ragged import Ragged
from .ranking import Ranking, each_ranking
from .similarity import Scorer, unit_rows
from .steps import Sets, Step
from .uncertainty import Estimates, LeftOut, Population, of_left_out, of_queries, populations_of
from .values import average_precisions, others_of, special_of
from .wanted import Settings

# From what to make of rankings, scores and a judge to what is made of the rankings of all queries, in their order.
Rank = Callable[..., Iterator[dict[str, np.ndarray]]]

# Steps of recall of the finer curve.
FINE = 100


@dataclass(frozen=True)
class Evaluation:
    """The results of every query that has positives, in the order of the protocol.

    Attributes:
        queries: the items that are the queries.
        skipped: the queries without positives, left out of everything else.
        gallery: how many items there are to rank.
        positives: how many each query has.
        candidates: how many items each ranking has.
        values: by name, one value per query: ``AP`` and the other metrics, fractions in [0, 1]; ``N-S`` in [1, 4].
        interpolated: precision at recall 0, 0.1, ..., 1.
        fine: mean over queries of the precision at recall 0, 0.01, ..., 1.
        top_items: the first items of each ranking; -1 past its end.
        top_scores: their cosines, dot products or Euclidean distances, or what a step made; NaN past its end.
        top_hits: whether each is a positive.
        measure: the metric that results are told apart by.
        pooled: metrics of all queries together, by name.
        left_out: the means of AP, of ``interpolated`` and of the metric without groups of what could have been others,
            by population; the metric's divided by the largest value that it can have. Where that is of all queries
            together, AP stands in its place.
        pooled_left_out: the metric of all queries together without each of some groups of them; None of another.
        ranks: of the positives of each query, from 1; None where they are not kept.
    """

    queries: Int[np.ndarray, " query"]
    skipped: Int[np.ndarray, " skipped"]
    gallery: int
    positives: Int[np.ndarray, " query"]
    candidates: Int[np.ndarray, " query"]
    values: Mapping[str, Float[np.ndarray, " query"]]
    interpolated: Float[np.ndarray, "query 11"]
    fine: Float[np.ndarray, " 101"]
    top_items: Int[np.ndarray, "query top"]
    top_scores: Float[np.ndarray, "query top"]
    top_hits: Bool[np.ndarray, "query top"]
    measure: Measure
    pooled: Mapping[str, float] = field(default_factory=dict)
    left_out: Mapping[Population, LeftOut] = field(default_factory=dict)
    pooled_left_out: LeftOut | None = None
    ranks: Ragged | None = None

    @property
    def ap(self) -> Float[np.ndarray, " query"]:
        """Average precision of each query, in (0, 1]."""
        return self.values["AP"]

    @property
    def populations(self) -> list[Population]:
        """What means can be generalised to, the widest first."""
        return populations_of(self.left_out)

    @property
    def columns(self) -> Float[np.ndarray, "query 13"]:
        """Of each query what means are taken of, see :func:`columns_of`."""
        return columns_of(self.values, self.interpolated, self.measure)

    @property
    def value(self) -> float:
        """The metric that results are told apart by."""
        if self.measure.column is None:
            return self.pooled[self.measure.name]
        return float(self.values[self.measure.column].mean())

    def estimates(self, population: Population) -> Estimates:
        """Return mAP, the mean curve and the metric, and how they vary over a population of :attr:`populations`.

        The metric is divided by the largest value that it can have; where it is of all queries together, mAP stands in
        its place.
        """
        if population not in self.left_out:
            return of_queries(self.columns)
        return of_left_out(self.columns.mean(axis=0), self.left_out[population])


def evaluate(
    scorer: Scorer,
    protocol: Protocol,
    *,
    names: Sequence[str],
    settings: Settings,
    rank: Rank | None = None,
    ranks: bool = False,
) -> Evaluation:
    """Rank the gallery for every query and score the rankings.

    Args:
        scorer: scores of the protocol's queries against its gallery, in their order.
        protocol: what is relevant.
        names: of all items, for errors.
        settings: what to compute, and what a query without positives means.
        rank: what ranks; None: this process does, see :func:`rank_here`.
        ranks: whether to keep the ranks of all positives, which take 8 bytes each.

    Raises:
        RetrievalError: a query has no positives and that is an error; no query has any; the protocol does not have a
            metric that is asked for.
    """
    refuse_unfit(settings, protocol)
    kept = 2 * (8 + 4 + 1) * scorer.queries * settings.kept  # with a copy, while parts are joined
    refuse_memory(kept, f"the first {settings.kept} items of {scorer.queries} queries")
    results = partial(results_of, protocol=protocol, settings=settings, ranks=ranks)
    parts = list((rank or rank_here(settings))(results, scorer, protocol.judge, top=settings.kept))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    found = joined.pop("ranks", None)  # a query without positives has none
    has = joined["positives"] > 0
    skipped = protocol.queries[~has]
    if len(skipped) and settings.queries_without_positives == "error" and not protocol.leaves_out_empty:
        first = int(skipped[0])
        raise RetrievalError(
            f"query {first} ({shown(names[first])}) has no positives, as have {len(skipped)} of {len(has)}: no other "
            "item of the gallery shares a label with it; drop it from the dataset or set queries_without_positives=skip"
        )
    if not has.any():
        raise RetrievalError("no query has a positive: no two items share a label, so there is nothing to retrieve")
    measure = settings.measure
    together, without = together_of(joined, settings)
    full = columns_of(joined, joined["interpolated"], measure)
    joined = {name: array[has] for name, array in joined.items()}
    fine = np.ascontiguousarray(joined.pop("fine").T).mean(axis=1)
    members = np.append(protocol.gallery, -1)  # place -1, past the end of a ranking, stays -1
    starts = np.concatenate([[0], np.cumsum(joined["positives"])])
    return Evaluation(
        protocol.queries[has],
        skipped,
        scorer.items,
        joined.pop("positives"),
        joined.pop("candidates"),
        interpolated=joined.pop("interpolated"),
        fine=fine,
        top_items=members[joined.pop("top_items")[:, : settings.top]],
        top_scores=joined.pop("top_scores")[:, : settings.top],
        top_hits=joined.pop("top_hits")[:, : settings.top],
        values=joined,
        measure=measure,
        pooled=together,
        pooled_left_out=without,
        left_out=leave_out_each(
            scorer,
            protocol.judge,
            protocol.partitions(settings.seed) if settings.left_out else {},
            full=full,
            rule=settings.rule(protocol),
            measure=measure if measure.column is not None else measure_of("mAP"),
            memory=settings.memory,
        ),
        ranks=None if found is None else Ragged(found, starts),
    )


def refuse_unfit(settings: Settings, protocol: Protocol) -> None:
    """Raise :class:`RetrievalError` for a metric that is asked for and that the protocol does not have."""
    for one in settings.asked:
        needed = {"mP": LANDMARKS, "2AFC": ("choice",)}.get(one.name.partition("@")[0], (protocol.name,))
        if protocol.name not in needed:
            raise RetrievalError(
                f"{one.name} is no metric of this dataset, whose protocol is '{protocol.name}': name another"
            )


def columns_of(
    values: Mapping[str, np.ndarray], interpolated: Float[np.ndarray, "query 11"], measure: Measure
) -> Float[np.ndarray, "query 13"]:
    """Return of each query what means are taken of: AP, the curve, and the metric over the largest value it can have.

    In place of a metric of all queries together stands AP.
    """
    last = values["AP" if measure.column is None else measure.column] / measure.most
    columns: Float[np.ndarray, "query 13"] = np.column_stack([values["AP"], interpolated, last])
    return columns


def together_of(joined: Mapping[str, np.ndarray], settings: Settings) -> tuple[dict[str, float], LeftOut | None]:
    """Return the metrics of all queries together, and the one that results are told apart by without groups of them.

    Raises:
        RetrievalError: see :func:`.pooled.values_of`.
    """
    asked = [one for one in settings.asked if one.column is None]
    if not asked:
        return {}, None
    scores = falling(settings.similarity) * joined["top_scores"].astype(np.float64)
    parts = (scores, joined["top_hits"], joined["positives"])
    values, measure = pooled.values_of(asked, *parts), settings.measure
    if measure.column is not None:
        return values, None
    return values, pooled.without_each(pooled.metric_of(measure), *parts, seed=settings.seed)


def results_of(ranking: Ranking, *, protocol: Protocol, settings: Settings, ranks: bool) -> dict[str, np.ndarray]:
    """Return what is kept of some rankings, by name; their ranks, which can take much memory, only if asked for."""
    return {
        **({"ranks": ranking.ranks.values} if ranks else {}),
        "positives": ranking.ranks.counts,
        "candidates": ranking.candidates,
        "interpolated": metrics.interpolated_precision(ranking.ranks),
        "fine": metrics.interpolated_precision(ranking.ranks, steps=FINE).astype(np.float32),
        "top_items": ranking.top_items,
        "top_scores": ranking.top_scores,
        "top_hits": hits_in_top(ranking),
        **metrics_of(ranking, protocol, settings),
    }


def rank_here(settings: Settings) -> Rank:
    """Return what ranks in this process: on the CPU, or on a GPU by torch."""
    if settings.device == "cpu":
        return partial(each_ranking, memory=settings.memory)
    try:
        from . import ranking_by_torch  # torch takes seconds to import
    except ImportError as error:
        raise RetrievalError(
            f"device is '{settings.device}', which needs PyTorch ({error}): pip install torch, or set it to cpu"
        ) from None
    return partial(ranking_by_torch.each_ranking, device=settings.device)


def hits_in_top(ranking: Ranking) -> Bool[np.ndarray, "query top"]:
    """Return which of the first items of each ranking are positives."""
    queries, top = ranking.top_items.shape
    hits = np.zeros((queries, top), bool)
    early = ranking.ranks.up_to(np.full(queries, top))
    hits[early.owners, early.values - 1] = True
    return hits


def metrics_of(ranking: Ranking, protocol: Protocol, settings: Settings) -> dict[str, Float[np.ndarray, " query"]]:
    """Return every metric of every query by its name."""
    ranks, rule = ranking.ranks, settings.rule(protocol)
    ties = {"for": ranking.optimistic, "against": ranking.pessimistic}
    return {
        **average_precisions(ranks, ties, rule),
        "AP_random": metrics.expected_average_precision(ranks.counts, ranking.candidates, rule=rule),
        **others_of(ranks, settings.ks, landmarks=protocol.name in LANDMARKS),
        **special_of(ranks, ties, settings.asked),
    }


def scores_of(
    features: Float[np.ndarray, "item dim"],
    protocol: Protocol,
    settings: Settings,
    *,
    steps: Sequence[Step] = (),
    learnt: Float[np.ndarray, "other _"] | None = None,
) -> Scorer:
    """Return the scores of a protocol's queries against its gallery.

    Args:
        features: one row per item.
        protocol: which items are queries, and which the gallery.
        settings: the similarity, and the memory for searches of the steps.
        steps: what is done to features first, see :data:`.postprocessing.STEPS`.
        learnt: the features of another set, for steps that learn on one.

    Raises:
        RetrievalError: a feature cannot be compared; there are steps, and the similarity is not cosine, or they
            cannot be had on the device.
    """
    gallery = taken(features, protocol.gallery)
    queries = gallery if np.array_equal(protocol.queries, protocol.gallery) else taken(features, protocol.queries)
    place = np.full(len(features), -1)
    place[protocol.gallery] = np.arange(len(gallery))
    return scores_between(queries, gallery, place[protocol.queries], settings, steps=steps, learnt=learnt)


def scores_between(
    queries: Float[np.ndarray, "query dim"],
    gallery: Float[np.ndarray, "member dim"],
    itself: Int[np.ndarray, " query"],
    settings: Settings,
    *,
    steps: Sequence[Step] = (),
    learnt: Float[np.ndarray, "other _"] | None = None,
) -> Scorer:
    """Return the scores of queries against a gallery: what :func:`scores_of` does, of two matrices.

    Args:
        queries: one row per query; the same object as ``gallery`` where they are the same items.
        gallery: one row per item.
        itself: the place of each query in the gallery, -1 where it is not in it.
        settings: see :func:`scores_of`, as of what follows and of errors.
        steps: the same.
        learnt: the same.
    """
    if not steps:
        return similarity_of(settings.similarity, queries, gallery)
    if settings.similarity != "cosine":
        raise RetrievalError(f"similarity is '{settings.similarity}', but the steps of a ranking are for cosine only")
    scoring = scoring_step(steps)
    if settings.device != "cpu" and scoring is not None:
        raise RetrievalError(f"device is '{settings.device}', but {scoring} computes its scores on the CPU only")
    items = unit_rows(gallery)
    asked = items if queries is gallery else unit_rows(queries)
    sets = Sets(asked, items, itself, settings.memory)
    return scores_after(steps, sets, learnt)
