"""What follows when a dataset or an encoder has been added: the stages that are new, and what will not fit."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from pipeline.adding.entry import Entry
from pipeline.encoders.fitting import misfit
from pipeline.frame.experiment import Experiment
from pipeline.frame.yamls import read_yaml
from pipeline.retrieval.errors import RetrievalError


def stages_of(entry: Entry, experiment: Experiment, graph: Path) -> list[str]:
    """Return the stages of dvc.yaml that the name of an entry adds, those of a kind as one, in their order.

    Raises:
        RetrievalError: the file is no such graph.
    """
    names = {
        "dataset": experiment.datasets,
        "encoder": experiment.encoders,
        "ranking": experiment.rankings,
        "search": experiment.searches,
    }
    names[entry.group] = (entry.name,)
    content = read_yaml(graph, name=str(graph))
    if not isinstance(content, dict) or not isinstance(content.get("stages"), dict):
        raise RetrievalError(f"{graph} has no stages: run from the top of the project")
    added = []
    for stage, described in content["stages"].items():
        matrix = described.get("matrix", {}) if isinstance(described, dict) else {}
        if entry.group in matrix:
            combined = ["-".join(some) for some in product(*(names.get(key, ()) for key in matrix))]
            more = f" and {len(combined) - 1} more" if len(combined) > 1 else ""
            added += [f"{stage}@{combined[0]}{more}"] if combined else []
    return added


def misfits(entry: Entry, config: Mapping[str, Any], experiment: Experiment, conf: Path) -> list[str]:
    """Return in a line each with what in params.yaml an entry does not go together, so that ``check`` will stop."""

    def said(group: str, name: str) -> Mapping[str, Any]:
        path = conf / group / f"{name}.yaml"
        found = read_yaml(path, name=str(path)) if path.is_file() else {}
        return found if isinstance(found, dict) else {}

    if entry.group == "dataset":
        found = [misfit(encoder, said("encoder", encoder), entry.name, config) for encoder in experiment.encoders]
    else:
        found = [misfit(entry.name, config, dataset, said("dataset", dataset)) for dataset in experiment.datasets]
    return [str(wrong) for wrong in found if wrong is not None]
