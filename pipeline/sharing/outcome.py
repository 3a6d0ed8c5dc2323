"""A run on a dataset as stages wrote it, and its full rankings, made again and held against what was written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pipeline.extraction.features import read_checked, read_provenance, refuse_stale
from pipeline.frame.runs import JOINED, stage_of
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.manifest.protocols import protocols_of
from pipeline.results.per_query import read_results
from pipeline.results.runs import read_run
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.evaluation import scores_of
from pipeline.retrieval.metrics import Rule, average_precision
from pipeline.retrieval.postprocessing import read_steps
from pipeline.retrieval.protocols import DIFFICULTIES, Protocol
from pipeline.retrieval.ranking import Ranking, rank
from pipeline.retrieval.settings import call
from pipeline.retrieval.similarity import Scorer
from pipeline.retrieval.wanted import Settings

WRITTEN = ("protocol", "ap", "similarity", "device", "steps", "learn_on", "queries", "gallery")
SAME = 1e-9  # two APs of one ranking differ by less


@dataclass(frozen=True)
class Outcome:
    """A run on a dataset.

    Attributes:
        run: the name of the encoder, and of its ranking if it has one.
        manifest: of the dataset.
        metrics: of the run, see :mod:`pipeline.results.runs`.
        features: the folder of the encoder's features of the dataset.
        prepared: the folder of the dataset's manifest.
        per_query: the file of the results of every query.
    """

    run: str
    manifest: Manifest
    metrics: Mapping[str, Any]
    features: Path
    prepared: Path
    per_query: Path

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What the features were made from."""
        found = read_provenance(self.features)
        refuse_stale(found, self.manifest)
        return found

    @cached_property
    def protocol(self) -> Protocol:
        """How the run was judged."""
        name = self.metrics["protocol"]
        difficulty = name if name in DIFFICULTIES else DIFFICULTIES[0]
        found = protocols_of(self.manifest, difficulty=difficulty)[0]
        if found.name != name:
            raise RetrievalError(
                f"the metrics of {self.run} are by another protocol, {name}: run dvc repro {self.stage}"
            )
        return found

    @property
    def stage(self) -> str:
        """The stage that evaluated the run."""
        return stage_of(self.run, self.manifest.dataset)

    @cached_property
    def scorer(self) -> Scorer:
        """The scores that the run ranks by."""
        where = f"the metrics of {self.run} on {self.manifest.dataset}"
        settings = call(Settings, {name: self.metrics[name] for name in ("similarity", "device")}, where=where)
        rows, _ = read_checked(self.features, self.manifest, cosine=settings.similarity == "cosine")
        steps, other = read_steps(self.metrics["steps"], where=where), self.metrics["learn_on"]
        learnt = None
        if other is not None:
            manifest = read_manifest(self.prepared.parent / other)
            learnt, _ = read_checked(self.features.parent / other, manifest, cosine=True)
        return scores_of(rows, self.protocol, settings, steps=steps, learnt=learnt)

    def rankings(self, *, top: int | None) -> Iterator[Ranking]:
        """Yield the rankings of all queries in their order, some queries at a time.

        Args:
            top: how many of the first items of each to return; None for all.

        Raises:
            RetrievalError: a query has another AP than the stage wrote, as where it was ranked on a GPU.
        """
        written = read_results(self.per_query, "manifest_sha256", "queries", "AP")
        if str(written["manifest_sha256"]) != self.manifest.sha256:
            raise RetrievalError(f"{self.per_query} is of another manifest: run dvc repro {self.stage}")
        known = dict(zip(written["queries"].tolist(), written["AP"].tolist(), strict=True))
        rule: Rule = self.metrics["ap"]
        for ranking in rank(self.scorer, self.protocol.judge, top=self.scorer.items if top is None else top):
            self._hold_against(known, ranking.first, average_precision(ranking.ranks, rule=rule))
            yield ranking

    def _hold_against(self, known: Mapping[int, float], first: int, found: Float[np.ndarray, " query"]) -> None:
        """Raise :class:`RetrievalError` if the AP of a query is not the one that the stage wrote."""
        for query, ap in zip(self.protocol.queries[first:].tolist(), found.tolist(), strict=False):
            if not np.isnan(ap) and not abs(known.get(query, np.inf) - ap) <= SAME:
                name, stated = shown(self.manifest.paths[query]), known.get(query)
                raise RetrievalError(
                    f"query {query} ({name}) has AP {ap:.6f} here, and {stated} in {self.per_query}: run dvc repro "
                    f"{self.stage}, on the CPU (device in conf/evaluate.yaml is {self.metrics['device']})"
                )


def read_outcome(run: str, *, prepared: Path, features: Path, runs: Path, per_query: Path) -> Outcome:
    """Return a run on a dataset as stages wrote it.

    Args:
        run: its name.
        prepared: the folder of the dataset's manifest.
        features: the folder that has one of each encoder.
        runs: the folder that has one of each run's metrics.
        per_query: the folder of the results of every query on this dataset.

    Raises:
        RetrievalError: something is missing, or made from something else.
    """
    manifest = read_manifest(prepared)
    metrics = read_run(runs, run, manifest.dataset, *WRITTEN)
    folder = features / run.partition(JOINED)[0] / manifest.dataset
    return Outcome(run, manifest, metrics, folder, prepared, per_query / f"{run}.npz")
