"""How large a dataset must be for the paired t test to tell two runs apart, from what two runs on one dataset show.

With K classes of m images each, the variance of a difference of mAP is taken to be :math:`\\sigma_c^2 / K + \\sigma_i^2
/ (K m)`: classes differ, and so do the images of a class. Over other queries against one gallery it falls as one over
their number. The test is the one of :mod:`pipeline.results.pairs` for a single pair, two-sided at the level 0.05.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import special

from pipeline.results.estimates import read_estimates, read_left_out
from pipeline.results.per_query import read_results
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.measures import measure_of
from pipeline.retrieval.partitions import GROUPS
from pipeline.retrieval.uncertainty import (
    FEWEST,
    LEAST_DF,
    LEVEL,
    Differences,
    Estimates,
    Population,
    critical_t,
    populations_of,
)

# AP needs a positive beside the query.
FEWEST_IMAGES = 2


@dataclass(frozen=True)
class Asked:
    """What the test asks of a population.

    Attributes:
        fewest: units.
        least_df: degrees of freedom.
        groups: that units are dealt into, at most; infinite: each is one.
    """

    fewest: int
    least_df: int
    groups: int | float

    def df_after(self, df: float, units: int, later: int) -> float:
        """Return the degrees of freedom with other numbers of units, in groups as uneven as now."""
        return df * (min(later, self.groups) - 1) / (min(units, self.groups) - 1)


ASKED: dict[Population, Asked] = {
    "classes": Asked(FEWEST["classes"], LEAST_DF, GROUPS),
    "images": Asked(FEWEST["images"], LEAST_DF, GROUPS),
    "queries": Asked(2, 1, math.inf),
}


@dataclass(frozen=True)
class Wanted:
    """What is to be told apart; conf/power.yaml.

    Attributes:
        difference: of mAP, that the runs truly have. Tables show four decimals: there are no smaller ones.
        power: the probability that the test then says so.
        images_per_class: for each of these numbers the classes that suffice are given.
    """

    difference: Annotated[float, Field(ge=0.0001, le=1)]
    power: Annotated[float, Field(gt=0.5, le=0.999)]
    images_per_class: Sequence[Annotated[int, Field(ge=FEWEST_IMAGES, le=1_000_000)]] = ()


@dataclass(frozen=True)
class Components:
    """Variances of a difference of AP.

    Attributes:
        between: of the means of classes with endless images, sigma_c^2.
        within: of the images of a class, sigma_i^2.
    """

    between: float
    within: float

    def variance(self, classes: int, images: int | float) -> float:
        """Return that of the mean over so many classes, each of so many images."""
        return (self.between + self.within / images) / classes


@dataclass(frozen=True)
class Need:
    """The least number that is enough, None if none is, and what it is at the ends of the variance's 95 % interval."""

    number: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True)
class Part:
    """What two runs show of one population, and what the wanted difference needs.

    Attributes:
        units: how many classes, images that are queries, or queries there are.
        difference: the observed one, of mAP.
        low: the lower end of its 95 % interval.
        high: the upper end.
        least: the least difference that would be told apart here with the wanted power.
        needed: how many units are enough: classes with as many images each as today, images over today's classes,
            queries against today's gallery.
    """

    units: int
    difference: float
    low: float
    high: float
    least: float
    needed: Need


@dataclass(frozen=True)
class Plan:
    """What the wanted difference needs.

    Attributes:
        parts: by population, those that there is enough of.
        images_per_class: queries by classes; None, as what follows, where there are too few classes or images.
        components: of the variance.
        images_needed: how many images per class are enough for the test over classes, with as many classes as today.
        sufficient: by images per class how many classes are enough.
    """

    parts: Mapping[Population, Part]
    images_per_class: float | None = None
    components: Components | None = None
    images_needed: Need | None = None
    sufficient: Mapping[int, int] | None = None


def multiple(df: float, power: float) -> float:
    """Return by how many standard errors means must differ for the t test to say so with some power.

    That is the noncentrality of t for which the chance to exceed the critical value is ``power``; that of being
    significant on the wrong side is left out, which is below 0.0001 for powers above 0.5 and 3 degrees of freedom.
    """
    return float(special.nctdtrinc(df, 1 - power, critical_t(df)))


def components_of(of_classes: float, of_images: float, *, classes: int, images: int | float) -> Components:
    """Return the components of the variance of a difference.

    Args:
        of_classes: its variance over other classes with other images.
        of_images: over other images of the same classes; what the former is below it counts as none between classes.
        classes: from which it was estimated.
        images: of each class.
    """
    return Components(classes * max(of_classes - of_images, 0.0), classes * images * of_images)


def variance_factors(df: float) -> tuple[float, float]:
    """Return what to multiply an estimated variance with for the ends of its 95 % interval, by chi-square."""
    tail = (1 - LEVEL) / 2
    return float(df / special.chdtri(df, tail)), float(df / special.chdtri(df, 1 - tail))


def least_number(
    wanted: Wanted, variance: Callable[[int], float], df: Callable[[int], float], *, fewest: int, least_df: int
) -> int:
    """Return the least number of units with which the wanted difference is told apart.

    Args:
        wanted: the difference and the power.
        variance: of the difference by the number of units, falling towards 0.
        df: the degrees of freedom of its estimate, rising.
        fewest: units that the test is done with.
        least_df: degrees of freedom that it is done with.
    """

    def enough(units: int) -> bool:
        return df(units) >= least_df and (
            multiple(df(units), wanted.power) * math.sqrt(variance(units)) <= wanted.difference
        )

    low, high = fewest - 1, fewest
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def needed_classes(wanted: Wanted, components: Components, images: int | float, *, df: float, classes: int) -> int:
    """Return how many classes with so many images each are enough.

    Args:
        wanted: the difference and the power.
        components: of the variance.
        images: of each class.
        df: the degrees of freedom from so many classes as there are now.
        classes: as there are now.
    """
    asked = ASKED["classes"]
    return least_number(
        wanted,
        lambda later: components.variance(later, images),
        lambda later: asked.df_after(df, classes, later),
        fewest=asked.fewest,
        least_df=asked.least_df,
    )


def needed_images(wanted: Wanted, components: Components, classes: int, *, df: float) -> int | None:
    """Return how many images of each of so many classes are enough; None if the classes alone vary too much."""
    room = classes * (wanted.difference / multiple(df, wanted.power)) ** 2 - components.between
    return max(math.ceil(components.within / room), FEWEST_IMAGES) if room > 0 else None


def part_of(
    population: Population, seen: Differences, units: int, variances: tuple[float, ...], wanted: Wanted
) -> Part:
    """Return what the wanted difference needs of a population, the variance falling as one over its units.

    Args:
        population: which one.
        seen: the difference of the two runs.
        units: there are now.
        variances: of the difference: as estimated, and the ends of its interval.
        wanted: the difference and the power.
    """
    asked = ASKED[population]
    low, high = seen.intervals()[:, 0].tolist()

    def number(variance: float) -> int:
        return least_number(
            wanted,
            lambda later: variance * units / later,
            lambda later: asked.df_after(seen.df, units, later),
            fewest=asked.fewest,
            least_df=asked.least_df,
        )

    least = multiple(seen.df, wanted.power) * math.sqrt(variances[0])
    return Part(units, float(seen.values[0]), low, high, least, Need(*map(number, variances)))


def plan_of(found: Mapping[Population, Estimates], wanted: Wanted) -> Plan:
    """Return what the wanted difference needs, from two runs.

    An image counts where it is a query; what is only ranked is taken to grow with them. The classes' variance is taken
    to be at least that of their images; its interval is by its own degrees of freedom, which are by far the fewest,
    with that of the images as it is.

    Args:
        found: by population the means of the two and how these vary together; of queries always.
        wanted: the difference and the power.
    """
    seen = {name: one.differences(np.array([0]), np.array([1])) for name, one in found.items()}
    queries = found["queries"].units
    units = {name: found[name].units if name == "classes" else queries for name in found}
    variances = {
        name: tuple(float(one.variances[0]) * factor for factor in (1.0, *variance_factors(one.df)))
        for name, one in seen.items()
    }
    known = "classes" in found and "images" in found
    if known:
        variances["classes"] = tuple(max(one, variances["images"][0]) for one in variances["classes"])
    parts = {name: part_of(name, seen[name], units[name], variances[name], wanted) for name in found}
    if not known:
        return Plan(parts)
    classes, df = units["classes"], seen["classes"].df
    images = queries / classes
    possible = [
        components_of(variance, variances["images"][0], classes=classes, images=images)
        for variance in variances["classes"]
    ]
    return Plan(
        parts,
        images,
        possible[0],
        Need(*(needed_images(wanted, components, classes, df=df) for components in possible)),
        {m: needed_classes(wanted, possible[0], m, df=df, classes=classes) for m in wanted.images_per_class},
    )


def read_pair(per_query: Path, dataset: str, first: str, second: str) -> tuple[dict[Population, Estimates], str]:
    """Return the means of two runs on a dataset and how they vary together, by the populations there is enough of.

    And the metric that they are of, mAP or that which the dataset's YAML names.

    Args:
        per_query: the folder of all results.
        dataset: its name.
        first: the name of a run.
        second: that of another.

    Raises:
        RetrievalError: the two are one; there are no results of a run or the dataset; a file is damaged; the runs were
            evaluated on different queries, or differ by the same on every query.
    """
    if first == second:
        raise RetrievalError(f"a and b both are {shown(first)}: name two runs")
    datasets = sorted(folder.name for folder in per_query.glob("*") if folder.is_dir())
    if dataset not in datasets:
        raise RetrievalError(
            f"there are no results on {shown(dataset)} in {per_query}: run dvc repro, or name one of "
            f"{', '.join(datasets) or 'those that are then there'}"
        )
    runs = sorted(path.stem for path in (per_query / dataset).glob("*.npz"))
    for run in (first, second):
        if run not in runs:
            raise RetrievalError(
                f"there are no results of {shown(run)} on {dataset}: name one of {', '.join(runs)}, or add it to "
                "params.yaml and run dvc repro"
            )
    metric = measure_of(str(read_results(per_query / dataset / f"{first}.npz", "metric")["metric"]))
    if metric.column is None or metric.most > 1:
        raise RetrievalError(
            f"runs on {dataset} are told apart by {metric.name}, for which there is no plan: set metric: mAP in "
            "conf/evaluate.yaml and run dvc repro, or name another dataset"
        )
    populations = populations_of(read_left_out(per_query / dataset / f"{first}.npz"))
    found = {name: read_estimates(per_query, dataset, (first, second), name)[1] for name in populations}
    if not found["queries"].differences(np.array([0]), np.array([1])).variances[0] > 0:
        raise RetrievalError(
            f"{first} and {second} differ by the same on every query of {dataset}: there is no variance to plan by, "
            "name two other runs"
        )
    return found, metric.name
