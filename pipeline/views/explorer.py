"""The results of a dataset in pieces, as the page loads them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.frame.files import write_text
from pipeline.frame.runs import stage_of
from pipeline.frame.upstream import output_of
from pipeline.manifest.manifest import Manifest
from pipeline.results.estimates import read_curve, read_left_out
from pipeline.results.retrievals import Retrieval
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.levels import RECALL_LEVELS
from pipeline.retrieval.settings import Count
from pipeline.retrieval.uncertainty import populations_of


@dataclass(frozen=True)
class Division:
    """How results are divided into files; ``division`` in conf/explore.yaml.

    Attributes:
        chunk: queries in a file.
    """

    chunk: Count


def read_curves(path: Path, runs: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Return ``{run: {precision, low, high}}``, lists over recall 0, 0.1, ..., 1.

    Raises:
        RetrievalError: the file is missing, or a run in it, or one of its points.
    """
    with output_of(f"pr@{path.stem}", f"curves in {path}"):
        found = dict(iter(pd.read_csv(path, keep_default_na=False).groupby("encoder")))
        return {run: curve_of(found[run]) for run in runs}


def curve_of(table: pd.DataFrame) -> dict[str, list[float]]:
    """Return the curve of one run; ValueError or KeyError for anything else."""
    if table["recall"].astype(float).tolist() != list(RECALL_LEVELS):
        raise ValueError("recall is not 0, 0.1, ..., 1")
    return {name: table[name].astype(float).tolist() for name in ("precision", "low", "high")}


def with_populations(curve: Mapping[str, list[float]], per_query: Path) -> dict[str, Any]:
    """Return a curve, ``population``: what its interval is about, and the interval by population.

    Raises:
        RetrievalError: the results of the run are missing or damaged.
    """
    known = populations_of(read_left_out(per_query))
    others = {name: read_curve(per_query, name) for name in known}
    same = (name for name, other in others.items() if np.allclose(other.low, curve["low"]))
    intervals = {name: {"low": other.low.tolist(), "high": other.high.tolist()} for name, other in others.items()}
    return {**curve, "population": next(same, None), "intervals": intervals}


def items_of(manifest: Manifest, queries: Sequence[int], *, chunk: int) -> dict[str, Any]:
    """Return what the page knows of a dataset: paths, labels, the labels of each item by number, the queries."""
    numbers: dict[str, int] = {}
    labels = [[numbers.setdefault(label, len(numbers)) for label in names] for names in manifest.labels]
    return {"paths": manifest.paths, "names": list(numbers), "labels": labels, "queries": list(queries), "chunk": chunk}


def ranking_of(retrieval: Retrieval) -> list[list[Any]]:
    """Return the first of a ranking: items, scores, and 1 for each hit."""
    scores = [round(score, 4) for score in retrieval.scores.tolist()]  # as they are shown: rounded once
    return [retrieval.items.tolist(), scores, [int(hit) for hit in retrieval.hits.tolist()]]


def results_of(manifest: Manifest, runs: Mapping[str, Sequence[Retrieval]], *, chunk: int) -> Iterator[tuple[str, Any]]:
    """Yield the name and the content of each file of results of a dataset.

    Raises:
        RetrievalError: two runs were evaluated on different queries.
    """
    first, *_ = runs
    queries = [one.query for one in runs[first]]
    yield "items", items_of(manifest, queries, chunk=chunk)
    for run, retrievals in runs.items():
        if [one.query for one in retrievals] != queries:
            again = f"run dvc repro {stage_of(run, manifest.dataset)}"
            raise RetrievalError(f"{run} was evaluated on other queries of {manifest.dataset} than {first}: {again}")
        yield f"{run}/ap", [one.ap for one in retrievals]
        for number, start in enumerate(range(0, len(queries), chunk)):
            yield f"{run}/{number}", [ranking_of(one) for one in retrievals[start : start + chunk]]


def write_results(folder: Path, name: str, content: Any, *, dataset: str) -> None:
    """Write a file that hands its content to the page: a page opened from a disk may load scripts, not data."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    write_text(folder / f"{name}.js", f"received({json.dumps(f'{dataset}/{name}')},{text})\n")
