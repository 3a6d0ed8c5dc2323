"""What a YAML that params.yaml names may not say, because DVC would not see an edit of it."""

import math
from collections.abc import Iterator
from pathlib import Path

from pipeline.frame.yamls import read_yaml
from pipeline.retrieval.errors import RetrievalError

# The groups whose files DVC tracks one by one.
LEAVES = ("encoder", "dataset", "ranking", "search")
# DVC leaves keys of these names, meant for sizes of files, out of the keys of its run-cache: after an edit of
# such a value it would bring back the results of the old one (treeverse/dvc issue 10296).
INVISIBLE = ("size", "nfiles")


def refuse_untracked(path: Path) -> None:
    """Check that DVC would see every edit of what the YAML of an encoder, a dataset, a ranking or a search says.

    Raises:
        RetrievalError: see :func:`pipeline.frame.yamls.read_yaml`; it is no mapping; has a ``defaults`` list, whose
            sources DVC does not track; or has a key that DVC's run-cache overlooks, a key that is no text, or a
            number that is not finite, at any depth: what hands it on as JSON would change it.
    """
    name = f"conf/{path.parent.name}/{path.name}"
    config = read_yaml(path, name=name)
    if not isinstance(config, dict):
        raise RetrievalError(f"{name}: expected keys and values")
    if "defaults" in config:
        raise RetrievalError(
            f"{name}: a 'defaults' list is not allowed here, because DVC would not see an edit of what it "
            "inherits: copy the inherited keys into this file"
        )
    for value in values_of(config):
        if isinstance(value, float) and not math.isfinite(value):
            raise RetrievalError(f"{name}: a value is {value}: give a finite number")
    for key in keys_of(config):
        if not isinstance(key, str):
            raise RetrievalError(f"{name}: a key is {key}, which YAML takes for no text: put it in quotes")
        if key in INVISIBLE:
            raise RetrievalError(
                f"{name}: a key named '{key}' is not allowed, because DVC's run-cache overlooks it and would bring "
                "back results of its old value: give it another name"
            )


def values_of(value: object) -> Iterator[object]:
    """Yield what is in a nest of mappings and lists but no mapping or list itself, at every depth."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from values_of(inner)
    else:
        yield value


def keys_of(value: object) -> Iterator[object]:
    """Yield the keys of a nest of mappings and lists, at every depth."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)
