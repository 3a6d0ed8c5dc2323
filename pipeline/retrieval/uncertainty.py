"""How sure a mean over queries is, and a difference of two: bootstrap, randomisation, correction for many pairs.

Queries, or clusters of them, are what is drawn; the gallery stays as it is. An interval says what other queries of
the same kind would give, and nothing of other galleries or other training runs.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from os import cpu_count

import numpy as np
from jaxtyping import Bool, Float, Int

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.memory import refuse_memory
from pipeline.retrieval.settings import Draws, Seed


@dataclass(frozen=True)
class Resampling:
    """How often queries are drawn anew, and the seed of the draws."""

    resamples: Draws
    seed: Seed


# So many numbers are drawn at once.
DRAWN = 1 << 20


def bootstrap_means(
    values: Float[np.ndarray, "query column"],
    *,
    resamples: int,
    seed: int,
    clusters: Int[np.ndarray, " query"] | None = None,
) -> Float[np.ndarray, "resample column"]:
    """Return the means of queries drawn with replacement, as many as there are; the same draws for every column.

    With ``clusters``, the number of each query's cluster, whole clusters are drawn, and a mean is over all of their
    queries: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8.

    Raises:
        RetrievalError: there are no queries.
    """
    if not len(values):
        raise RetrievalError("no query to draw: there is nothing to estimate an interval from")
    # The means, and a copy while they are put together.
    refuse_memory(16 * resamples * values.shape[1], f"{resamples} 'resamples' of {values.shape[1]} means")
    groups = np.arange(len(values)) if clusters is None else np.unique(clusters, return_inverse=True)[1].reshape(-1)
    units = int(groups.max()) + 1
    sums = np.stack([np.bincount(groups, weights=column, minlength=units) for column in values.T], axis=1)
    amounts = np.bincount(groups, minlength=units).astype(float)

    def means(batch: tuple[int, np.random.Generator]) -> Float[np.ndarray, "row column"]:
        rows, rng = batch
        draws = rng.integers(0, units, (rows, units))
        if sums.shape[1] == 1:  # in threads side by side, which bincount does not let
            totals, drawn_queries = sums.take(draws, axis=0).sum(axis=1), amounts.take(draws).sum(axis=1)
        else:
            times = np.empty((rows, units))
            for row, drawn in zip(times, draws, strict=True):
                row[:] = np.bincount(drawn, minlength=units)
            totals, drawn_queries = times @ sums, times @ amounts
        mean: Float[np.ndarray, "row column"] = totals / drawn_queries[:, None]
        return mean

    with ThreadPoolExecutor(cpu_count()) as pool:
        return np.concatenate(list(pool.map(means, batches(resamples, units, seed))))


def interval(means: Float[np.ndarray, "resample column"], *, level: float = 0.95) -> Float[np.ndarray, "2 column"]:
    """Return the lower and the upper end of the percentile interval of each column."""
    tail = (1 - level) / 2
    ends: Float[np.ndarray, "2 column"] = np.quantile(means, [tail, 1 - tail], axis=0)
    return ends


def randomisation_p(
    differences: Float[np.ndarray, "query pair"], *, resamples: int, seed: int
) -> Float[np.ndarray, " pair"]:
    """Return the p-value of each mean difference of two encoders on the same queries, two-sided.

    If the two were one and the same, the sign of every query's difference would be a coin's. The p-value is the
    share of coin tosses, the one seen included, that give a mean at least as far from zero (R. Fisher; for retrieval
    M. Smucker et al., CIKM 2007); it is never less than 1 / (resamples + 1).

    Raises:
        RetrievalError: there are no queries.
    """
    queries = len(differences)
    if not queries:
        raise RetrievalError("no query in common: there is nothing to compare")
    seen = np.abs(differences.sum(axis=0))
    # Sums of the same numbers in another order differ by rounding, which must not decide.
    slack = 1e-12 * np.abs(differences).sum(axis=0)
    at_least = np.ones(differences.shape[1])
    for rows, rng in batches(resamples, queries, seed):
        signs = rng.integers(0, 2, (rows, queries), dtype=np.int8).astype(float) * 2 - 1
        at_least += (np.abs(signs @ differences) >= seen - slack).sum(axis=0)
    return at_least / (resamples + 1)


def holm(p_values: Float[np.ndarray, " pair"]) -> Float[np.ndarray, " pair"]:
    """Return the p-values corrected for their number by S. Holm's step-down method, 1979."""
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def label_clusters(labels: list[tuple[str, ...]]) -> Int[np.ndarray, " query"]:
    """Return the cluster of each query: queries with the same set of labels are in one."""
    numbers: dict[frozenset[str], int] = {}
    return np.array([numbers.setdefault(frozenset(names), len(numbers)) for names in labels], np.int64)


def linked_clusters(lists: list[Int[np.ndarray, " _"]], *, overlap: float = 0.25) -> Int[np.ndarray, " query"]:
    """Return the cluster of each query: those whose lists of positives overlap, or that are linked so, are in one.

    Two lists overlap if they have more than that share of their items in common. Some is not enough: an image may
    show two landmarks.
    """
    sets = [set(items.tolist()) for items in lists]
    clusters = np.arange(len(sets))
    for query, items in enumerate(sets):
        for other, theirs in enumerate(sets[:query]):
            if len(items & theirs) > overlap * len(items | theirs):
                clusters[clusters == clusters[query]] = clusters[other]
    return clusters


def batches(resamples: int, width: int, seed: int) -> Iterator[tuple[int, np.random.Generator]]:
    """Yield numbers of rows that add up to ``resamples`` and need bounded memory, each with a generator of its own.

    So the draws are the same whoever makes them, in whatever order.
    """
    most = max(1, DRAWN // max(width, 1))
    for start in range(0, resamples, most):
        yield min(most, resamples - start), np.random.default_rng([seed, start])


def distinguishable(p_values: Float[np.ndarray, " pair"], *, level: float = 0.95) -> Bool[np.ndarray, " pair"]:
    """Return which corrected p-values are below one minus the level."""
    below: Bool[np.ndarray, " pair"] = p_values < 1 - level
    return below
