"""A dataset or an encoder of one's own, without editing a YAML.

``python -m pipeline.add dataset=photos root=/home/me/photos`` writes ``conf/dataset/photos.yaml``, after the checks
that its stages make, and adds ``photos`` to ``params.yaml``; ``encoder=tuned source=timm name=resnet18 weights=my.pth``
does so with an encoder. Any other key of the YAML is given as ``key=value``. Nothing is written unless all is right.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pipeline.adding.entry import Entry, read_entry
from pipeline.adding.following import misfits, stages_of
from pipeline.adding.writing import composed, draft, naming, refuse_other, text_of, write_both
from pipeline.frame.app import app, path_of
from pipeline.frame.experiment import read_experiment
from pipeline.frame.files import unfinished
from pipeline.frame.mistakes import literal
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import fits

SETTINGS = ("conf", "given", "graph", "params", "scratch")  # of conf/add.yaml


def main() -> None:
    """Hand what is no setting of this command, but a key of the YAML, to Hydra as texts; then run."""
    own: list[str] = []
    given: list[str] = []
    for argument in sys.argv[1:]:
        of_hydra = argument.startswith(("-", "hydra")) or argument.partition("=")[0] in SETTINGS
        (own if of_hydra else given).append(argument)
    sys.argv[1:] = [*own, *([f"given=[{','.join(map(literal, given))}]"] if given else [])]
    add()


@app("add")
def add(config: DictConfig) -> None:
    """Run the command."""
    conf, params = path_of(config, "conf"), path_of(config, "params")
    experiment, entry = read_experiment(params), read_entry(texts_in(config))
    changed = naming(entry, experiment, params)
    target, stages = conf / entry.group / f"{entry.name}.yaml", stages_of(entry, experiment, path_of(config, "graph"))
    with unfinished(path_of(config, "scratch")) as folder:
        folder.mkdir()
        completed, checked = rules_of(entry.group)
        entry, options = described(entry, target, folder, completed)
        found, doubts = checked(entry, options, folder)
    new, wrong = not target.exists(), misfits(entry, options, experiment, conf)
    write_both(target, text_of(entry), params, changed)
    print(f"{found}\n{params} names {target}{', which is new: git add it' if new else ''}")
    if wrong:
        print("Before dvc repro, which stops at this:", *wrong, "Then it runs:", sep="\n  ")
    else:
        print("Next: dvc repro, which runs")
    for stage in (*stages, "and what is made of all runs: the table, the figures and the page"):
        print(f"  {stage}")
    for doubt in doubts:
        print(f"warning: {doubt}", file=sys.stderr)


def texts_in(config: DictConfig) -> list[str]:
    """Return what was given, to the letter; RetrievalError if it is no list of texts."""
    given = OmegaConf.to_container(config, resolve=False)
    assert isinstance(given, dict)
    if not fits(given["given"], Sequence[str]):
        raise RetrievalError(f"given is {given['given']!r}: write key=value for each key of the YAML instead")
    return list(given["given"])


def rules_of(group: str) -> tuple[Callable[..., dict[str, Any]], Callable[..., tuple[str, list[str]]]]:
    """Return what completes the keys of a YAML, and what checks it. An encoder's take seconds to import, with torch."""
    if group == "dataset":
        from pipeline.adding.datasets import check_dataset, with_kind

        return with_kind, check_dataset
    from pipeline.adding.encoders import check_encoder, with_source

    return with_source, check_encoder


def described(
    entry: Entry, target: Path, folder: Path, completed: Callable[..., dict[str, Any]]
) -> tuple[Entry, dict[str, Any]]:
    """Return an entry with all its keys, and its YAML as the stages will read it: the one there if no keys are given.

    Raises:
        RetrievalError: the YAML is there, and says something else.
    """
    if not entry.values and target.is_file():
        return entry, composed(target)
    entry = replace(entry, values=completed(entry.values, where=entry.where))
    options = draft(entry, folder)
    refuse_other(entry, options, target)
    return entry, options


if __name__ == "__main__":
    main()
