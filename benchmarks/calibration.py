"""How often intervals hold the true value, and how often tests reject what is equal, by simulated sets.

    python -m benchmarks.calibration                     # about half an hour
    python -m benchmarks.calibration --simulations 100 --only classes
    python -m benchmarks.calibration --only runs         # 40 runs that are equal, or clearly differ

A set has classes with a centre each, and images around it, in 16 dimensions; some classes are wider than others. Two
encoders see centres and images partly alike. What could have been others is drawn anew each time: the classes with
their images; the images alone, around centres that stay; or queries alone, of any class, against a gallery that stays.
Each set is evaluated as the pipeline does it, and what its intervals should hold is known: the mean over many such
sets.

coverage: of the 95 % interval of mAP; difference: of that of the difference of two encoders; level: how often the test
at 5 % tells two apart that are as good, which is what the interval of their difference lacks; by queries: the same, if
queries had been drawn one by one; power: how often it tells an encoder apart that is worse by as much as stands before
it.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from os import cpu_count
from typing import Any

import numpy as np
from jaxtyping import Float
from tabulate import tabulate

from pipeline.results.pairs import Design, compare_pairs
from pipeline.retrieval.evaluation import scores_of
from pipeline.retrieval.left_out import leave_out_each
from pipeline.retrieval.metrics import average_precision, interpolated_precision
from pipeline.retrieval.protocols import by_labels
from pipeline.retrieval.ranking import Ranking, each_ranking
from pipeline.retrieval.uncertainty import (
    POPULATIONS,
    Estimates,
    LeftOut,
    Population,
    average_of,
    of_left_out,
    of_queries,
    populations_of,
)
from pipeline.retrieval.wanted import Settings

DIM = 16
SHARED = 0.5  # of the variance, between encoders
SETTINGS = Settings(cutoffs=(1,), top=0)
COLUMNS = ("classes", "images", "asked", "labels", "mAP", "coverage", "difference", "level", "by queries", "power")


@dataclass(frozen=True)
class Cell:
    """What is simulated.

    Attributes:
        population: what is drawn anew.
        classes: how many.
        images: of each.
        asked: ``all``, each against all others; ``some``, a quarter of each class against the rest.
        spread: of centres, in that of images: the larger, the higher mAP.
        second: the share of images that have a second label.
    """

    population: Population
    classes: int
    images: int
    asked: str = "all"
    spread: float = 0.5
    second: float = 0.0


def cells_of(population: Population) -> list[Cell]:
    """Return what is simulated for a population."""
    shapes = ((5, 20), (10, 20), (20, 20), (50, 5), (50, 20))
    asked = ("some",) if population == "queries" else ("all", "some")
    cells = [Cell(population, *shape, how) for shape, how in product(shapes, asked)]
    cells += [Cell(population, *shape, asked[0], spread=1.5) for shape in ((5, 20), (10, 20), (20, 20), (50, 20))]
    return cells + [Cell(population, *shape, asked[0], second=0.3) for shape in ((10, 20), (20, 20))]


@dataclass(frozen=True)
class World:
    """What stays when images are drawn: centres and widths of the classes, as each encoder sees them."""

    centres: Float[np.ndarray, "encoder class dim"]
    widths: Float[np.ndarray, "encoder class"]


def alike(rng: np.random.Generator, *shape: int, encoders: int) -> Float[np.ndarray, "encoder ..."]:
    """Return normal numbers that encoders see partly alike."""
    common = np.sqrt(SHARED) * rng.standard_normal(shape)
    return np.asarray(common + np.sqrt(1 - SHARED) * rng.standard_normal((encoders, *shape)))


def world_of(rng: np.random.Generator, cell: Cell, encoders: int) -> World:
    """Draw classes."""
    centres = cell.spread * alike(rng, cell.classes, DIM, encoders=encoders)
    return World(centres, np.exp(0.3 * alike(rng, cell.classes, encoders=encoders)))


@dataclass(frozen=True)
class Drawn:
    """A set: features as encoders see them, labels, which are one or two, and roles."""

    features: Float[np.ndarray, "encoder item dim"]
    labels: list[tuple[str, ...]]
    roles: list[str]


def drawn(rng: np.random.Generator, cell: Cell, world: World, *, mixed: bool = False) -> Drawn:
    """Draw images around the centres of classes; ``mixed``: each of any class, instead of as many of every one."""
    encoders = len(world.centres)
    first = np.repeat(np.arange(cell.classes), cell.images)
    first = rng.integers(0, cell.classes, len(first)) if mixed else first
    second = np.where(rng.random(len(first)) < cell.second, rng.integers(0, cell.classes, len(first)), first)
    middle = (world.centres[:, first] + world.centres[:, second]) / 2
    noise = alike(rng, len(first), DIM, encoders=encoders)
    features = middle + noise * world.widths[:, first, None]
    labels = [tuple({f"class {one}", f"class {other}"}) for one, other in zip(first, second, strict=True)]
    place = np.tile(np.arange(cell.images), cell.classes)
    few = max(1, cell.images // 4)
    roles = ["both" if cell.asked == "all" else "query" if one < few else "gallery" for one in place]
    return Drawn(features.astype(np.float32), labels, roles)


def with_gallery(one: Drawn, gallery: Drawn) -> Drawn:
    """Return the queries of a set against the gallery of another."""
    ranked = np.array(gallery.roles) == "gallery"
    features = np.where(ranked[:, None], gallery.features, one.features)
    labels = [theirs if stays else mine for mine, theirs, stays in zip(one.labels, gallery.labels, ranked, strict=True)]
    return Drawn(features, labels, gallery.roles)


@dataclass(frozen=True)
class Result:
    """Of the queries that have positives AP, and what it is without groups of what is drawn."""

    ap: Float[np.ndarray, " query"]
    left_out: dict[Population, LeftOut]


def evaluated(one: Drawn, *populations: Population) -> list[Result]:
    """Return the results of each encoder on a set, with groups of some populations left out."""
    protocol = by_labels(one.labels, roles=one.roles)
    known = protocol.partitions(0) if populations else {}
    chosen = {name: known[name] for name in populations if name in known}
    results = []
    for rows in one.features:
        scorer = scores_of(rows, protocol, SETTINGS)
        full = np.concatenate(list(each_ranking(columns_of, scorer, protocol.judge, top=0, threads=1)))
        left_out = leave_out_each(
            scorer, protocol.judge, chosen, full=full, rule=protocol.rule, measure=SETTINGS.measure, threads=1
        )
        results.append(Result(full[~np.isnan(full[:, 0]), 0], left_out))
    return results


def columns_of(ranking: Ranking) -> Float[np.ndarray, "query column"]:
    """Return AP, the curve, and AP as the metric, of some queries."""
    ap = average_precision(ranking.ranks)
    return np.column_stack([ap, interpolated_precision(ranking.ranks), ap])


def estimates_of(results: Sequence[Result], population: Population) -> Estimates:
    """Return the mAP of several encoders on a set and how they vary together."""
    aps = np.column_stack([one.ap for one in results])
    if population == "queries":
        return of_queries(aps)
    parts = [one.left_out[population] for one in results]
    values = np.stack([one.values[0] for one in parts])
    return of_left_out(aps.mean(axis=0), LeftOut(values, parts[0].shares, parts[0].units))


def blocks_of(cell: Cell, simulations: int) -> list[tuple[int, int]]:
    """Return numbers of draws that share what stays, each with a seed."""
    size = 1 if cell.population == "classes" else 40
    return [(seed, size) for seed in range(-(-simulations // size))]


def simulate(cell: Cell, block: tuple[int, int]) -> dict[str, Float[np.ndarray, "draw ..."]]:
    """Return what came of some draws: means, true values where they are known here, ends, and what was rejected."""
    seed, size = block
    rng = np.random.default_rng([seed, cell.classes, cell.images, int(10 * cell.spread), len(cell.asked)])
    # Where classes are drawn, there is a third encoder, which is worse: images lie further from their centres.
    encoders = 3 if cell.population == "classes" else 2
    world = world_of(rng, cell, encoders)
    world = replace(world, widths=world.widths * np.array([1, 1, 1.15])[:encoders, None])
    gallery = drawn(rng, cell, world)

    def again() -> Drawn:
        if cell.population == "queries":
            return with_gallery(drawn(rng, cell, world, mixed=True), gallery)
        return drawn(rng, cell, world)

    found: dict[str, list[Any]] = {"means": [], "ends": [], "differences": [], "narrow": [], "enough": []}
    for _ in range(size):
        results = evaluated(again(), cell.population)
        enough = cell.population in populations_of(results[0].left_out)
        estimates = estimates_of(results, cell.population if enough else "queries")
        pairs = np.zeros(encoders - 1, np.int64), np.arange(1, encoders)
        found["means"].append(estimates.means)
        found["ends"].append(estimates.intervals())
        found["differences"].append(estimates.differences(*pairs).intervals())
        found["narrow"].append(estimates_of(results, "queries").differences(*pairs).intervals())
        found["enough"].append(enough)
    truth = np.full((size, encoders), np.nan)
    if cell.population != "classes":
        more = np.array([[one.ap.mean() for one in evaluated(again())] for _ in range(24)])
        means = np.array(found["means"])
        # Of all draws but the one itself.
        truth = (means.sum(axis=0) + more.sum(axis=0) - means) / (size + len(more) - 1)
    return {**{name: np.array(values) for name, values in found.items()}, "truth": truth}


def holds(ends: Float[np.ndarray, "draw 2 ..."], truth: Float[np.ndarray, "draw ..."]) -> Any:
    """Return the share of draws whose interval holds the true value, by column."""
    return ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean(axis=0)


def row_of(cell: Cell, simulations: int, spread: Callable[..., Any] = map) -> dict[str, Any]:
    """Return a row of the table: see the module.

    Args:
        cell: what is simulated.
        simulations: how often.
        spread: ``map``, or that of a pool of processes.
    """
    parts = list(spread(partial(simulate, cell), blocks_of(cell, simulations)))
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    truth = joined["truth"]
    if cell.population == "classes":
        both = joined["means"][:, :2].mean()  # the two are as good
        truth = np.broadcast_to([both, both, joined["means"][:, 2].mean()], truth.shape)
    apart = truth[:, :1] - truth[:, 1:]
    covered = holds(joined["ends"], truth)
    differences, narrow = holds(joined["differences"], apart), holds(joined["narrow"], apart)
    return {
        "classes": cell.classes,
        "images": cell.images,
        "asked": cell.asked,
        "labels": "one" if not cell.second else "one or two",
        "mAP": f"{truth[:, 0].mean():.2f}",
        "coverage": f"{covered[:2].mean():.3f}",
        "difference": f"{differences.mean():.3f}",
        "level": f"{1 - differences[0]:.3f}",
        "by queries": f"{1 - narrow[0]:.3f}",
    } | (
        {"power": f"{apart[:, 1].mean():.3f}: {1 - holds(joined['differences'], np.zeros_like(apart))[1]:.2f}"}
        if apart.shape[1] > 1
        else {}
    )


def runs_apart(seed: int, *, equal: bool, runs: int = 40) -> tuple[bool, float]:
    """Return whether any of many runs is told from the best, and which share of all pairs is told apart, on one set.

    ``equal``: all are as good; else each is clearly better than the next.
    """
    rng = np.random.default_rng([seed, runs])
    cell = Cell("classes", 20, 20)
    world = world_of(rng, cell, runs)
    one = drawn(rng, cell, world)
    if not equal:
        # From hardly any noise to nothing but noise; what differs is the noise alone.
        common = world_of(rng, cell, 1)
        one = drawn(rng, cell, World(np.repeat(common.centres, runs, axis=0), np.repeat(common.widths, runs, axis=0)))
        middle = common.centres[0][np.repeat(np.arange(cell.classes), cell.images)]
        steps = np.geomspace(0.35, 2.5, runs)[:, None, None]
        noise = rng.standard_normal(middle.shape)
        one = replace(one, features=(middle + steps * noise).astype(np.float32))
    estimates = estimates_of(evaluated(one, "classes"), "classes")
    names = [str(run) for run in range(runs)]
    best = compare_pairs(names, {"set": estimates}, Design()).pairs
    every = compare_pairs(names, {"set": estimates}, Design(family="pairs")).pairs
    return bool(best["distinguishable"].any()), float(every["distinguishable"].mean())


def average_row(simulations: int, spread: Callable[..., Any] = map) -> dict[str, Any]:
    """Return coverage and level of the mean over three sets of different sizes."""
    found = np.concatenate(list(spread(simulated_average, range(simulations))))
    truth = found[:, 0, :2].mean()
    covered = ((found[:, 1, :2] <= truth) & (truth <= found[:, 2, :2])).mean()
    return {"mAP": f"{truth:.2f}", "coverage": f"{covered:.3f}", "level": f"{(found[:, 3, 0] < 0.05).mean():.3f}"}


def simulated_average(seed: int) -> Float[np.ndarray, "1 4 encoder"]:
    """Return means, ends and p-value of the mean over three sets."""
    several = []
    for place, (classes, images) in enumerate(((10, 20), (20, 20), (50, 5))):
        rng = np.random.default_rng([seed, place])
        cell = Cell("classes", classes, images)
        several.append(estimates_of(evaluated(drawn(rng, cell, world_of(rng, cell, 2)), "classes"), "classes"))
    average = average_of(several)
    p = average.differences(np.array([0]), np.array([1])).p_values()
    return np.stack([average.means, *average.intervals(), np.repeat(p, 2)])[None]


def ceiling_rows(simulations: int) -> list[dict[str, Any]]:
    """Return how intervals cover, and the percentile bootstrap's, where nine in ten of single queries have AP 1."""
    rng = np.random.default_rng(0)
    rows = []
    for count in (20, 50, 100, 500):
        hard = rng.random((simulations, count))
        values = np.where(rng.random((simulations, count)) < 0.9, 1, hard)
        ends = np.array([of_queries(one[:, None]).intervals()[:, 0] for one in values])
        drawn_again = np.array([one[rng.integers(0, count, (1000, count))].mean(axis=1) for one in values])
        theirs = np.quantile(drawn_again, [0.025, 0.975], axis=1).T
        covered, others = (float(holds(found, np.full(simulations, 0.95))) for found in (ends, theirs))
        rows.append({"queries": count, "coverage": f"{covered:.3f}", "percentile bootstrap": f"{others:.3f}"})
    return rows


def printed(rows: list[dict[str, Any]]) -> None:
    """Print a Markdown table."""
    print(f"\n{tabulate(rows, headers='keys', tablefmt='pipe', disable_numparse=True)}\n", flush=True)


def main() -> None:
    """Run the simulations."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--only", nargs="*", default=("classes", "images", "queries", "ceiling", "mean", "runs"))
    asked = parser.parse_args()
    with ProcessPoolExecutor(cpu_count()) as pool:
        spread = partial(pool.map, chunksize=4)
        for population in POPULATIONS:
            if population in asked.only:
                print(f"\nDrawn anew: {population}", flush=True)
                rows = []
                for cell in cells_of(population):
                    rows.append(row_of(cell, asked.simulations, spread))
                    print(".", end="", flush=True)
                printed(rows)
        if "ceiling" in asked.only:
            print("\nNine queries in ten with AP 1, the others evenly from 0 to 1", flush=True)
            printed(ceiling_rows(asked.simulations))
        if "mean" in asked.only:
            print("\nThe mean over three sets of 10 x 20, 20 x 20 and 50 x 5", flush=True)
            printed([average_row(asked.simulations, spread)])
        if "runs" in asked.only:
            print("\n40 runs, 20 classes of 20", flush=True)
            equal = list(spread(partial(runs_apart, equal=True), range(asked.simulations // 2)))
            differ = list(spread(partial(runs_apart, equal=False), range(asked.simulations // 50)))
            any_told, pairs = np.mean([told for told, _ in equal]), np.mean([share for _, share in differ])
            printed(
                [{"equal: any told from the best": f"{any_told:.3f}", "different: pairs told apart": f"{pairs:.4f}"}]
            )


if __name__ == "__main__":
    main()
