"""What gets a dataset's files: what ``fetch`` in its YAML lists, and what the package that its kind is of can do."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pipeline.datasets.getting.huggingface import fetch_huggingface
from pipeline.datasets.getting.torchvision import fetch_torchvision
from pipeline.datasets.huggingface import Asked
from pipeline.datasets.parcels import fetch, read_parcels
from pipeline.datasets.readers import OF_ANY_KIND
from pipeline.frame.places import place_of
from pipeline.retrieval.settings import call

PACKAGES = ("huggingface", "torchvision")  # kinds that a package of that name fetches
SHARED_ROOTS = ("torchvision",)  # kinds whose root says nothing of a single dataset


def ways_to_get(name: str, config: Mapping[str, Any]) -> list[Callable[[], None]]:
    """Return what there is to call, in this order, to get the files of the dataset of ``conf/dataset/<name>.yaml``.

    Raises:
        RetrievalError: there is nothing to download (see :func:`pipeline.datasets.parcels.read_parcels`); a key of the
            YAML is missing, unknown or wrong.
    """
    kind, where = config.get("kind"), f"conf/dataset/{name}.yaml"
    parcels = [] if kind in PACKAGES and "fetch" not in config else read_parcels(name, config)
    ways: list[Callable[[], None]] = [partial(fetch, parcel) for parcel in parcels]
    options = {key: value for key, value in config.items() if key not in OF_ANY_KIND}
    if kind == "huggingface":
        ways.append(partial(fetch_huggingface, call(Asked, options, where=where)))
    if kind == "torchvision":
        ways.append(partial(call, fetch_torchvision, options, where=where))
    return ways


def may_be_missing(config: Mapping[str, Any]) -> bool:
    """Return whether the files of a dataset are to be fetched, or may be: its root is no folder, or says nothing."""
    return "root" in config and (config.get("kind") in SHARED_ROOTS or not place_of(config["root"]).is_dir())
