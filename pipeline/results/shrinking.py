"""Features that were made smaller beside those that they were made from: what is lost, and whether that is noise.

Each smaller run is tested against the plain run of its own encoder, and p-values are corrected for those pairs alone:
the fewer pairs, the sooner a loss is seen, and a loss that is overlooked is the error to fear here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from typing_extensions import TypedDict

from pipeline.frame.experiment import Experiment
from pipeline.frame.runs import PLAIN, run_name
from pipeline.results.cost import MEAN
from pipeline.results.pairs import Design, tested
from pipeline.retrieval.uncertainty import Estimates, distinguishable, holm


class Change(TypedDict):
    """What a smaller feature changes on a dataset: its metric minus that of the whole feature, and the interval."""

    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    distinguishable: bool


class Smaller(TypedDict):
    """A run whose features take fewer bytes than those of its encoder.

    ``changes`` are by dataset, and under ``mean over datasets`` where there are several.
    """

    encoder: str
    run: str
    bytes: int
    whole: int
    changes: dict[str, Change]


def smaller_runs(
    experiment: Experiment,
    sizes: Mapping[str, int],
    found: Mapping[str, Estimates],
    design: Design,
    *,
    most: Mapping[str, float],
) -> list[Smaller]:
    """Return the runs with smaller features than their encoder's, from the largest to the smallest of each encoder.

    Args:
        experiment: which runs there are.
        sizes: bytes that are kept of an item of the gallery, by run.
        found: by dataset, and under ``mean over datasets``, the means of the runs.
        design: of the tests; its family and correction are not used.
        most: of each dataset the largest value of its metric, by which its means are divided.
    """
    listed: list[Smaller] = []
    for encoder in experiment.encoders:
        runs = [run_name(encoder, ranking) for ranking in experiment.rankings]
        runs = sorted((run for run in runs if sizes[run] < sizes[encoder]), key=lambda run: -sizes[run])
        changes = {name: changes_of(experiment, encoder, runs, found[name], design) for name in found} if runs else {}
        for place, run in enumerate(runs):
            scaled = {name: times(of_all[place], most.get(name, 1.0)) for name, of_all in changes.items()}
            listed.append(
                {"encoder": encoder, "run": run, "bytes": sizes[run], "whole": sizes[encoder], "changes": scaled}
            )
    return listed


def changes_of(
    experiment: Experiment, encoder: str, runs: Sequence[str], estimates: Estimates, design: Design
) -> list[Change]:
    """Return what each run changes against the plain run of its encoder, p-values corrected for these runs."""
    places = {run: place for place, run in enumerate(experiment.runs)}
    plain = places[run_name(encoder, PLAIN)]
    tests = tested(estimates, [(places[run], plain) for run in runs], design)
    corrected = holm(tests.p_values)
    columns = (tests.values, *tests.ends, tests.p_values, corrected)
    apart = distinguishable(corrected)
    return [
        Change(difference=value, low=low, high=high, p=p, p_holm=p_holm, distinguishable=bool(seen))
        for value, low, high, p, p_holm, seen in zip(*np.stack(columns).tolist(), apart, strict=True)
    ]


def times(change: Change, most: float) -> Change:
    """Return a change in units of the metric, whose largest value is ``most``."""
    scaled: Any = {name: most * change[name] for name in ("difference", "low", "high")}
    return {**change, **scaled}


def least_without_loss(smaller: Sequence[Smaller]) -> dict[str, Smaller | None]:
    """Return for each encoder the smallest feature that is distinguishable from the whole one nowhere; None if none is.

    Nowhere: on no dataset, nor by the mean over them.
    """
    least: dict[str, Smaller | None] = {}
    for one in smaller:
        least.setdefault(one["encoder"], None)
        if not any(change["distinguishable"] for change in one["changes"].values()):
            least[one["encoder"]] = one  # they come from the largest to the smallest
    return least


def overall(one: Smaller) -> Change:
    """Return what a smaller feature changes by the mean over datasets, or on the only one."""
    return one["changes"].get(MEAN) or next(iter(one["changes"].values()))
