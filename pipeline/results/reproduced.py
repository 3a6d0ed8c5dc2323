"""Results made here beside those of a commit: what makes a number trustworthy is that others get it too."""

import json
import math
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.frame.experiment import Experiment
from pipeline.frame.runs import stage_of
from pipeline.results.per_query import read_results
from pipeline.results.runs import read_run
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.measures import measure_of


@dataclass(frozen=True)
class Compared:
    """A metric of a run on a dataset.

    Attributes:
        run: its name.
        dataset: on which.
        here: what was made here: of the values in the file of the run and of its queries' AP, the one that is further
            from the committed one, so that neither can differ unseen.
        committed: what the commit has; None: it has no such run.
        metric: mAP, or that by which runs on the dataset are told apart.
    """

    run: str
    dataset: str
    here: float
    committed: float | None
    metric: str = "mAP"

    @property
    def difference(self) -> float:
        """How far the two are apart; 0 where nothing is committed."""
        return 0.0 if self.committed is None else abs(self.here - self.committed)


@dataclass(frozen=True)
class Reproduction:
    """What counts as reproduced; conf/verify.yaml.

    Attributes:
        tolerance: the largest difference of mAP.
        revision: a commit, as Git names it.
    """

    tolerance: float
    revision: str

    def __post_init__(self) -> None:
        """Check the settings."""
        if not 0 <= self.tolerance <= 1:
            raise RetrievalError(f"conf/verify.yaml: 'tolerance' is {self.tolerance}: expected 0 to 1, as mAP is")
        if not self.revision or self.revision.startswith("-"):
            raise RetrievalError(f"conf/verify.yaml: 'revision' is '{self.revision}': expected a commit, such as HEAD")

    def holds(self, found: Sequence[Compared]) -> bool:
        """Return whether no run differs by more than the tolerance."""
        return all(one.difference <= self.tolerance for one in found)

    def said_of(self, found: Sequence[Compared]) -> str:
        """Return in words how many runs were compared, where they differ most, and which are beyond the tolerance."""
        known = [one for one in found if one.committed is not None]
        beyond = [one for one in known if not one.difference <= self.tolerance]
        largest = max(known, key=lambda one: one.difference)
        runs = len({(one.run, one.dataset) for one in known})
        lines = [
            f"{runs} runs compared with {self.revision}: the largest difference of {largest.metric} is "
            f"{largest.difference:.2g}, of {written(largest)}"
        ]
        if len(known) < len(found):
            others = ", ".join(f"{one.run} on {one.dataset}" for one in found if one.committed is None)
            lines.append(f"not in {self.revision}, so not compared: {others}")
        if beyond:
            lines.append(f"NOT reproduced: {len(beyond)} beyond {self.tolerance:g}: {'; '.join(map(written, beyond))}")
        else:
            lines.append(f"reproduced: all within {self.tolerance:g}")
        return "\n".join(lines)


def written(one: Compared) -> str:
    """Return both values of a run."""
    named = "" if one.metric == "mAP" else f", {one.metric}"
    return f"{one.run} on {one.dataset}{named} ({one.here:.6f} here, {one.committed:.6f} committed)"


def compare_with(revision: str, experiment: Experiment, *, runs: Path, per_query: Path) -> list[Compared]:
    """Return every run of an experiment, made here and as a commit has it.

    Args:
        revision: the commit.
        experiment: its encoders, rankings and datasets.
        runs: the folder of the runs' metrics, in the work tree and in the commit.
        per_query: the folder of their queries' results. Git does not have them, so that what is compared was made here
            and not checked out.

    Raises:
        RetrievalError: a run was not made here; the commit cannot be read, or has none of the runs.
    """
    found = []
    for run in experiment.runs:
        for dataset in experiment.datasets:
            made = read_results(per_query / dataset / f"{run}.npz", "AP", "metric", "value")
            metrics, committed = (
                read_run(runs, run, dataset, "headline"),
                committed_of(revision, runs / run / f"{dataset}.json"),
            )
            found.append(compared(run, dataset, "mAP", (float(made["AP"].mean()), float(metrics["mAP"])), committed))
            metric, most = metrics["headline"]["metric"], measure_of(str(made["metric"])).most
            if metric != "mAP":
                values = (most * float(made["value"]), float(metrics["headline"]["value"]))
                found.append(compared(run, dataset, metric, values, committed))
    if all(one.committed is None for one in found):
        raise RetrievalError(f"{revision} has the metrics of none of these runs: name another with revision=...")
    return found


def compared(
    run: str, dataset: str, metric: str, values: tuple[float, float], committed: dict[str, float] | None
) -> Compared:
    """Return a metric of a run as it was made here, in the file of the run and in that of its queries, and committed.

    Raises:
        RetrievalError: it is no number.
    """
    if not all(map(math.isfinite, values)):
        raise RetrievalError(f"the {metric} of {run} on {dataset} is no number: run dvc repro {stage_of(run, dataset)}")
    theirs = None if committed is None else committed.get(metric)
    here = values[0] if theirs is None else max(values, key=lambda value: abs(value - theirs))
    return Compared(run, dataset, here, theirs, metric)


def committed_of(revision: str, path: Path) -> dict[str, float] | None:
    """Return mAP and the dataset's own metric in a file as a commit has them; None if the commit has no such file.

    Raises:
        RetrievalError: Git does not know the commit; the file is damaged there.
    """
    if git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").returncode:
        raise RetrievalError(f"'{revision}' is no commit of this repository: name one with revision=...")
    shown = git("show", f"{revision}:./{path.as_posix()}")
    if shown.returncode:
        return None
    try:
        metrics = json.loads(shown.stdout)
        own = metrics.get("headline", {})
        return {"mAP": float(metrics["mAP"])} | ({own["metric"]: float(own["value"])} if own else {})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RetrievalError(f"{path} of {revision} is damaged ({error}): name another with revision=...") from None


def git(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Return what a command of Git gives.

    Raises:
        RetrievalError: there is no Git.
    """
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except OSError as error:
        raise RetrievalError(f"Git cannot be run ({error.strerror}): install it") from None
