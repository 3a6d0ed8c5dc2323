"""What encoders, datasets and rankings are called where people read of them: the optional ``title`` of their YAMLs.

Files, and what stands in CSV and JSON, keep the names of the YAMLs. A stage that hands a config on leaves the title out
and writes it to a file of its own, so that an edit of a title makes anew what shows it, and nothing else.
"""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from typing_extensions import TypedDict

from pipeline.frame.experiment import Experiment
from pipeline.frame.files import write_json
from pipeline.frame.runs import JOINED
from pipeline.frame.upstream import read_json
from pipeline.frame.yamls import read_yaml
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.labels import seen

Value = TypeVar("Value")

TITLE = "title"
# The stage that writes the title of each kind.
STAGES = {"encoder": "weights", "dataset": "prepare", "ranking": "recipe"}


class Titled(TypedDict):
    """What the file of a title has."""

    title: str


@dataclass(frozen=True)
class Titles:
    """What names are shown as, by the name; one that is not there is shown as it is."""

    encoders: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    rankings: Mapping[str, str] = field(default_factory=dict)

    def run(self, run: str) -> str:
        """Return what a run is shown as: the title of its encoder, and of its ranking if it has one."""
        encoder, joined, ranking = run.partition(JOINED)
        return self.encoders.get(encoder, encoder) + joined + self.rankings.get(ranking, ranking)

    def dataset(self, dataset: str) -> str:
        """Return what a dataset is shown as."""
        return self.datasets.get(dataset, dataset)


def titled(runs: Mapping[str, Value], titles: Titles) -> dict[str, Value]:
    """Return values by what their runs are shown as."""
    return {titles.run(run): value for run, value in runs.items()}


def without_title(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the YAML of an encoder, a dataset or a ranking without its title."""
    return {key: value for key, value in config.items() if key != TITLE}


def title_of(group: str, name: str, config: Mapping[str, Any]) -> str:
    """Return the title in the YAML of an encoder, a dataset or a ranking, as it is seen; without one its name.

    Raises:
        RetrievalError: it is no text, or one in which there is nothing to see.
    """
    title = config.get(TITLE, name)
    if not isinstance(title, str) or not seen(title):
        where, given = f"conf/{group}/{name}.yaml", reprlib.repr(title)
        raise RetrievalError(
            f"{where}: 'title' is {given}: give a text in which there is something to see, in quotes if it looks "
            "like a number, or leave the key out"
        )
    return seen(title)


def write_title(group: str, name: str, config: Mapping[str, Any], target: Path) -> None:
    """Write the title of an encoder, a dataset or a ranking (see :func:`title_of`)."""
    write_json(target, {"title": title_of(group, name, config)})


def read_titles(directory: Path, experiment: Experiment) -> Titles:
    """Return the titles of an experiment that stages wrote to ``<directory>/<group>/<name>.json``.

    Raises:
        RetrievalError: one is missing; see :func:`distinct`.
    """

    def read(group: str, name: str) -> str:
        path = directory / group / f"{name}.json"
        return str(read_json(path, Titled, stage=f"{STAGES[group]}@{name}", what="title")["title"])

    names = names_in(experiment)
    return distinct({group: {name: read(group, name) for name in names[group]} for group in STAGES}, experiment)


def check_titles(conf: Path, experiment: Experiment) -> None:
    """Check the titles in the YAMLs of an experiment.

    Raises:
        RetrievalError: see :func:`title_of` and :func:`distinct`.
    """
    titles: dict[str, dict[str, str]] = {group: {} for group in STAGES}
    for group, names in names_in(experiment).items():
        for name in names:
            config = read_yaml(conf / group / f"{name}.yaml", name=f"conf/{group}/{name}.yaml")
            titles[group][name] = title_of(group, name, config)
    distinct(titles, experiment)


def names_in(experiment: Experiment) -> dict[str, tuple[str, ...]]:
    """Return the names in params.yaml by the group of conf/ that their YAMLs are in."""
    return dict(zip(STAGES, (experiment.encoders, experiment.datasets, experiment.rankings), strict=True))


def distinct(titles: Mapping[str, Mapping[str, str]], experiment: Experiment) -> Titles:
    """Return the titles of an experiment.

    Args:
        titles: by group and name.
        experiment: whose runs are named by them.

    Raises:
        RetrievalError: two of one kind look the same, or those of two runs.
    """
    found = Titles(*(titles[group] for group in STAGES))
    for group in STAGES:
        refuse_same(group, titles[group])
    refuse_same("encoder", {run: found.run(run) for run in experiment.runs})
    return found


def refuse_same(group: str, titles: Mapping[str, str]) -> None:
    """Raise :class:`RetrievalError` for two titles that look the same; the YAML that is named has a title."""
    first: dict[str, str] = {}
    for name in sorted(titles, key=lambda name: titles[name] != name):
        other = first.setdefault(seen(titles[name]), name)
        if other != name:
            where, title = f"conf/{group}/{name.partition(JOINED)[0]}.yaml", reprlib.repr(titles[name])
            raise RetrievalError(f"{where}: by its title {name} looks like {other}, {title}: give it another")
