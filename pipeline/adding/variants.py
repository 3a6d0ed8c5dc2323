"""An encoder with other settings than its YAML has: a YAML of its own, named after what differs."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.adding.entry import Entry
from pipeline.adding.writing import composed, naming, refuse_other, text_of, write_both
from pipeline.frame.experiment import read_experiment

OVERRIDE = re.compile(r"\+{0,2}encoder\.(.+)")  # of a key inside the encoder's YAML, as Hydra takes it
UNFIT = re.compile(r"[^A-Za-z0-9_.]+")  # for a name


def variant_of(name: str, config: Mapping[str, Any], overrides: Sequence[str], conf: Path, params: Path) -> str:
    """Return the name of the encoder with a config: ``name``, or that of a YAML which is written for it, and named.

    Args:
        name: of the encoder as it is.
        config: as Hydra composed it.
        overrides: from the command line.
        conf: the folder of all YAMLs.
        params: params.yaml, which is to have the name.

    Raises:
        RetrievalError: a YAML of the name is there and says something else; see also
            :func:`pipeline.adding.writing.naming`.
    """
    before = composed(conf / "encoder" / f"{name}.yaml")
    if dict(config) == before:
        return name
    changes = [match[1] for match in map(OVERRIDE.fullmatch, overrides) if match]
    values = dict(config)
    if "title" in values and values["title"] == before.get("title"):  # no two may look the same
        values["title"] = f"{values['title']} ({', '.join(changes)})"
    entry = Entry("encoder", "_".join([name, *(UNFIT.sub("_", change).strip("_") for change in changes)]), values)
    target = conf / "encoder" / f"{entry.name}.yaml"
    refuse_other(entry, values, target)
    experiment = read_experiment(params)
    if entry.name not in experiment.encoders:
        write_both(target, text_of(entry), params, naming(entry, experiment, params))
    return entry.name
