"""How sure means over queries are, and differences of two: of mAP, of runs side by side, of means over datasets.

What is generalised to is a choice, the population: ``queries``, others like these, against this very gallery;
``images``, others of these classes, as queries and in the gallery; ``classes``, others, each with its images. Classes
and images are left out in groups (:mod:`.left_out`), and how far means move gives their covariance.
benchmarks/calibration.py shows how often the intervals cover, and how often the tests reject what is equal.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from .errors import RetrievalError

Population = Literal["classes", "images", "queries"]
POPULATIONS: tuple[Population, ...] = get_args(Population)  # the widest first
LEVEL = 0.95  # of intervals
ALPHA = 0.05  # of tests
# Fewer units, or degrees of freedom, say too little of others: the interval of two classes is nearly all of [0, 1].
FEWEST = {"classes": 5, "images": 10}
LEAST_DF = 3
# Sign flips are enumerated where there are no more units.
ENUMERATED = 16


@dataclass(frozen=True)
class LeftOut:
    """Means over queries with each group of a partition left out.

    Attributes:
        values: AP, then the interpolated precision at recall 0, 0.1, ..., 1, then the metric by which runs are told
            apart. Where kinds are held as they are, the mean of all moves by what each of its strata does, as if the
            group had been of the kind's usual mixture.
        shares: the share of queries that go with each group; what has several groups counts for each in equal parts.
        units: how many units the groups were dealt from.
    """

    values: Float[np.ndarray, "column group"]
    shares: Float[np.ndarray, " group"]
    units: int


@dataclass(frozen=True)
class Estimates:
    """Means over the same queries, such as the mAP of several runs, and how they vary together.

    Attributes:
        means: one value a column.
        covariance: of these means.
        df: degrees of freedom of the covariance: that of t.
        units: how many units could have been others.
        parts: pseudo-values of the units or groups, whose mean has that covariance; None where they are not known.
    """

    means: Float[np.ndarray, " column"]
    covariance: Float[np.ndarray, "column column"]
    df: float
    units: int
    parts: Float[np.ndarray, "part column"] | None = None

    @property
    def variances(self) -> Float[np.ndarray, " column"]:
        """Of each mean."""
        return np.maximum(np.diag(self.covariance), 0)

    def intervals(self) -> Float[np.ndarray, "2 column"]:
        """Return the ends of the 95 % interval of each mean, which are in [0, 1] as means are."""
        return ends(self.means, self.variances, self.df)

    def differences(self, first: Int[np.ndarray, " pair"], second: Int[np.ndarray, " pair"]) -> "Differences":
        """Return the differences of columns two by two."""
        variances = self.variances
        joint = variances[first] + variances[second] - 2 * self.covariance[first, second]
        # What is left of two equal numbers by rounding is no variance.
        joint = np.where(joint > 1e-12 * (variances[first] + variances[second]), joint, 0)
        return Differences(self.means[first] - self.means[second], joint, self.df)


@dataclass(frozen=True)
class Differences:
    """Differences of means, their variances, and the degrees of freedom of these."""

    values: Float[np.ndarray, " pair"]
    variances: Float[np.ndarray, " pair"]
    df: float

    def intervals(self) -> Float[np.ndarray, "2 pair"]:
        """Return the ends of the 95 % interval of each difference, by t: 0 is outside just where p is below 0.05."""
        if self.df <= 0:  # all that differences of means in [0, 1] can be
            return np.stack([np.full(len(self.values), -1.0), np.full(len(self.values), 1.0)])
        half = critical_t(self.df) * np.sqrt(self.variances)
        found: Float[np.ndarray, "2 pair"] = np.stack([self.values - half, self.values + half])
        return found

    def p_values(self) -> Float[np.ndarray, " pair"]:
        """Return the two-sided p-value of each difference by t, which no number of pairs is too many for."""
        if self.df <= 0:
            return np.ones(len(self.values))
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.abs(self.values) / np.sqrt(self.variances)
        # Equal everywhere: nothing tells the two apart.
        p: Float[np.ndarray, " pair"] = 2 * special.stdtr(self.df, -np.where(self.values == 0, 0, t))
        return p


def of_queries(values: Float[np.ndarray, "query column"]) -> Estimates:
    """Return means of queries that are drawn one by one; one alone has no degree of freedom and says nothing of others.

    Raises:
        RetrievalError: there are no queries.
    """
    count = len(values)
    if not count:
        raise RetrievalError("no query to draw: there is nothing to estimate an interval from")
    means = values.mean(axis=0)
    apart = values - means
    scale = count * max(count - 1, 1)
    return Estimates(means, apart.T @ apart / scale, float(count - 1), count, values)


def of_left_out(means: Float[np.ndarray, " column"], left_out: LeftOut) -> Estimates:
    """Return means with the covariance that leaving out groups gives them.

    The covariance is (G - 1) / G times the sum over groups of products of deviations; its degrees of freedom are G - 1
    for groups of one size, and fewer where a few hold most queries (F. Satterthwaite, 1946).

    Args:
        means: with nothing left out, one a row of ``left_out.values``.
        left_out: the same means without each group.
    """
    groups = len(left_out.shares)
    apart = left_out.values - left_out.values.mean(axis=1, keepdims=True)
    parts = means - (groups - 1) * (left_out.values.T - left_out.values.mean(axis=1))
    return Estimates(means, (groups - 1) / groups * apart @ apart.T, df_of(left_out.shares), left_out.units, parts)


def of_runs(values: Float[np.ndarray, "query run"], left_out: Sequence[LeftOut] | None) -> Estimates:
    """Return the means of runs on the same queries.

    Args:
        values: of the metric that they are told apart by.
        left_out: of each run, by the same groups; None: queries are drawn.
    """
    if left_out is None:
        return of_queries(values)
    rows = np.stack([one.values[-1] for one in left_out])
    return of_left_out(values.mean(axis=0), replace(left_out[0], values=rows))


def chosen_of_runs(
    values: Float[np.ndarray, "query run"],
    left_out: Sequence[Mapping[Population, LeftOut]],
    population: str,
    *,
    remedy: str,
) -> tuple[Population, Estimates]:
    """Return the population that is asked for, and the means of runs on the same queries and how they vary over it.

    Args:
        values: of the metric that they are told apart by; where that is of all queries together, a row of it.
        left_out: of each run by population, by the same groups; ``queries`` is there where that is of all queries
            together, else queries are drawn one by one.
        population: see :func:`choose`, as of errors.
        remedy: the same.
    """
    about = choose(left_out[0], population, remedy=remedy)
    return about, of_runs(values, [one[about] for one in left_out] if about in left_out[0] else None)


def df_of(shares: Float[np.ndarray, " group"]) -> float:
    """Return the degrees of freedom of the variance of a mean over groups that have these shares of it.

    With the mean of a group drawn from one distribution, and the weights w of groups, each squared deviation from the
    weighted mean has the coefficient w^2 / (1 - w), and the deviations have the covariances
    :math:`\\delta_{kl} - w_k - w_l + \\sum w^2`. Satterthwaite's df is the squared trace of the product of both over
    the trace of its square: G - 1 where all w are equal.
    """
    w = shares[(shares > 0) & (shares < 1)]
    if len(w) < 2:
        return 0.0
    square = float((w**2).sum())
    g = w**2 / (1 - w)
    diagonal = g * (1 - 2 * w + square)
    off = (square - w[:, None] - w) ** 2 * np.outer(g, g)
    np.fill_diagonal(off, 0)
    return float(diagonal.sum() ** 2 / ((diagonal**2).sum() + off.sum()))


def average_of(several: Sequence[Estimates]) -> Estimates:
    """Return the mean over sets, such as datasets, that were drawn apart from each other; the sets stay as they are.

    The degrees of freedom are those of a sum of variances (B. Welch, 1947), of that column in which they are fewest.
    """
    count = len(several)
    covariance = np.sum([one.covariance for one in several], axis=0) / count**2
    variances = np.stack([one.variances for one in several])
    with np.errstate(divide="ignore", invalid="ignore"):
        df = variances.sum(axis=0) ** 2 / (variances**2 / np.array([[one.df] for one in several])).sum(axis=0)
    least = min(one.df for one in several)
    pooled = None
    if all(one.parts is not None for one in several):
        # Each set has the same weight in the mean of all parts.
        total = sum(len(one.parts) for one in several if one.parts is not None)
        pooled = np.concatenate(
            [one.parts * (total / len(one.parts) / count) for one in several if one.parts is not None]
        )
    return Estimates(
        np.mean([one.means for one in several], axis=0),
        covariance,
        float(np.nanmin(df)) if np.isfinite(df).any() else least,
        min(one.units for one in several),
        pooled,
    )


def average_of_drawn(several: Sequence[Estimates]) -> Estimates:
    """Return the mean over sets that could have been others: each is one draw, whatever is known of its own mean.

    The covariance is that of the sets' means over their number, which holds what varies within them too.
    """
    values = np.stack([one.means for one in several])
    return of_queries(values)


def populations_of(left_out: Mapping[Population, LeftOut]) -> list[Population]:
    """Return the populations that there is enough of, the widest first; queries always."""
    return [
        population
        for population in POPULATIONS
        if population == "queries"
        or (population in left_out and left_out[population].units >= FEWEST[population])
        and df_of(left_out[population].shares) >= LEAST_DF
    ]


def choose(left_out: Mapping[Population, LeftOut], population: str, *, remedy: str) -> Population:
    """Return the population that is asked for, or the widest that there is enough of.

    Args:
        left_out: by population.
        population: one of ``POPULATIONS``, or ``widest``.
        remedy: what an error says of why one is not there.

    Raises:
        RetrievalError: there is too little of it.
    """
    known = populations_of(left_out)
    for one in known:
        if population in (one, "widest"):
            return one
    raise RetrievalError(
        f"population is '{population}', but {remedy}: there {known[0]} are the widest that intervals can be about: set "
        "population to that, or to widest"
    )


def critical_t(df: float, *, level: float = LEVEL) -> float:
    """Return how many standard errors an interval by t reaches to each side; without a degree of freedom infinitely."""
    return float(special.stdtrit(df, (1 + level) / 2)) if df > 0 else math.inf


def ends(
    means: Float[np.ndarray, " column"], variances: Float[np.ndarray, " column"], df: float, *, level: float = LEVEL
) -> Float[np.ndarray, "2 column"]:
    """Return the ends of the interval of means of values in [0, 1].

    It is that of t on the scale of log(m / (1 - m)): within [0, 1], and longer towards the middle, as means near an end
    vary. Where all units have 0, or all 1, nothing is known of how they vary, and the interval is E. Wilson's, 1927, of
    as many draws of 0 and 1, with t. Without a degree of freedom it is all of [0, 1].
    """
    t = critical_t(df, level=level)
    inside = (means > 0) & (means < 1)
    spread = np.where(inside, means * (1 - means), 1)
    half = t * np.sqrt(variances) / spread if df > 0 else np.full(len(means), np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = special.logit(np.clip(means, 0, 1))
        found = np.stack([special.expit(middle - half), special.expit(middle + half)])
    count = df + 1
    far = t**2 / (count + t**2) if np.isfinite(t) else 1.0
    found[:, ~inside & (means >= 1)] = [[1 - far], [1]]
    found[:, ~inside & (means <= 0)] = [[0], [far]]
    # Rounding puts no mean outside its own interval.
    return np.stack([np.minimum(found[0], means), np.maximum(found[1], means)])


def sign_flip_p(
    parts: Float[np.ndarray, "part pair"], *, resamples: int, seed: int
) -> tuple[Float[np.ndarray, " pair"], float]:
    """Return the p-value of each mean difference if the sign of every part were a coin's, and the least there can be.

    R. Fisher; for retrieval M. Smucker et al., CIKM 2007. All signs are tried where they are at most 2^16, else
    ``resamples`` random ones, the one seen included.
    """
    count = len(parts)
    seen = np.abs(parts.sum(axis=0))
    slack = 1e-12 * np.abs(parts).sum(axis=0)  # sums in another order differ by rounding, which must not decide
    at_least = np.zeros(parts.shape[1])
    if count <= ENUMERATED:
        tried = 1 << count
        for start in range(0, tried, 4096):
            codes = np.arange(start, min(start + 4096, tried))
            signs = 1.0 - 2 * ((codes[:, None] >> np.arange(count)) & 1)
            at_least += (np.abs(signs @ parts) >= seen - slack).sum(axis=0)
        return at_least / tried, 2 / tried
    rng = np.random.default_rng(seed)
    at_least += 1
    step = max(1, (1 << 22) // count)
    for start in range(0, resamples, step):
        signs = rng.integers(0, 2, (min(step, resamples - start), count), dtype=np.int8).astype(float) * 2 - 1
        at_least += (np.abs(signs @ parts) >= seen - slack).sum(axis=0)
    return at_least / (resamples + 1), 1 / (resamples + 1)


def holm(p_values: Float[np.ndarray, " pair"]) -> Float[np.ndarray, " pair"]:
    """Return the p-values corrected for their number by S. Holm's step-down method, 1979."""
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def distinguishable(p_values: Float[np.ndarray, " pair"]) -> Bool[np.ndarray, " pair"]:
    """Return which corrected p-values are below 0.05."""
    below: Bool[np.ndarray, " pair"] = p_values < ALPHA
    return below
