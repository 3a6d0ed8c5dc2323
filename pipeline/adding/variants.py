"""An encoder with other values of some of its keys: a YAML of its own, under a name that says which."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.adding.entry import Entry
from pipeline.adding.writing import composed, naming, text_of, write_both
from pipeline.frame.app import plain
from pipeline.frame.experiment import read_experiment
from pipeline.results.titles import without_title
from pipeline.retrieval.errors import RetrievalError

LONGEST = 80  # characters of what a name says of the changes


def name_of(encoder: str, changes: Mapping[str, Any]) -> str:
    """Return the name of an encoder with changes, such as ``clip_pooling_cls``; its own where there are none.

    What is changed to null is not in it, and what is no letter or digit is ``_``.
    """
    said = "_".join(part for key, value in changes.items() for part in words(key, value))
    said = re.sub(r"[^A-Za-z0-9]+", "_", said).strip("_")
    if len(said) > LONGEST:
        digest = hashlib.sha256(json.dumps(dict(changes), sort_keys=True).encode()).hexdigest()[:8]
        said = f"{said[:LONGEST]}_{digest}"
    return f"{encoder}_{said}" if said else encoder


def words(key: str, value: Any) -> Iterator[str]:
    """Yield a key and what is in its value, nothing for null."""
    if isinstance(value, Mapping):
        yield key
        for inner, one in value.items():
            yield from words(inner, one)
    elif value is not None:
        yield f"{key} {value}"


def variant_of(encoder: str, changes: Mapping[str, Any], conf: Path) -> Entry:
    """Return the YAML of an encoder with changes, without the title, which stays the encoder's.

    Args:
        encoder: its name.
        changes: values of keys, merged into those that are nested.
        conf: the folder of the YAMLs.

    Raises:
        RetrievalError: the changes are all to null, so that the name would be the encoder's own.
    """
    name = name_of(encoder, changes)
    if name == encoder:
        raise RetrievalError(f"encoder '{encoder}': {dict(changes)} has no value to be named by: write a YAML for it")
    before = without_title(composed(conf / "encoder" / f"{encoder}.yaml"))
    values = plain(OmegaConf.merge(dict(before), dict(changes)))
    # A null that takes nothing away is not in the name: with it and without, it is one variant.
    return Entry("encoder", name, {key: value for key, value in values.items() if value is not None or key in before})


def add_variant(entry: Entry, conf: Path, params: Path) -> bool:
    """Write the YAML of a variant and name it in params.yaml; return whether that changed anything.

    Raises:
        RetrievalError: a YAML of this name is there and says something else.
    """
    target = conf / "encoder" / f"{entry.name}.yaml"
    if target.exists() and composed(target) != entry.values:
        raise RetrievalError(f"{entry.where} is there and says something else than is asked for now: remove it")
    experiment = read_experiment(params)
    if entry.name in experiment.encoders:
        changed = params.read_bytes().decode("utf-8-sig")
        if target.exists():
            return False
    else:
        changed = naming(entry, experiment, params)
    write_both(target, text_of(entry), params, changed)
    return True
