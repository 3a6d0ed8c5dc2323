"""Features on disk: ``features/<encoder>/<dataset>/features.npy`` and the provenance beside it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pipeline.errors import RetrievalError
from pipeline.files import replacing_directory, write_json


def check_features(features: Float[np.ndarray, "item dim"], names: Sequence[str], *, where: str) -> None:
    """Check that every row is a usable feature.

    Raises:
        RetrievalError: the number of rows is not that of ``names``; a row has a NaN or an infinity, or
            is zero throughout, so that its cosine with anything is undefined. The first such row is
            named and all are counted.
    """
    if len(features) != len(names):
        raise RetrievalError(f"{where}: {len(features)} rows of features for {len(names)} images: extract them again")
    norms = np.linalg.norm(features.astype(np.float64), axis=1)
    for wrong, what in ((~np.isfinite(norms), "NaN or infinite values"), (norms == 0, "only zeros")):
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise RetrievalError(
                f"{where}: the feature of item {first} ({names[first]}) has {what}, as have {int(wrong.sum())} "
                "in all: remove the image from the dataset, or mend the encoder or its weights"
            )


def write_features(directory: Path, features: Float[np.ndarray, "item dim"], provenance: Mapping[str, Any]) -> None:
    """Write features.npy (float32) and provenance.json as a directory that appears whole or not at all."""
    with replacing_directory(directory) as partial:
        np.save(partial / "features.npy", features.astype(np.float32), allow_pickle=False)
        write_json(partial / "provenance.json", provenance)


def read_features(directory: Path) -> tuple[Float[np.ndarray, "item dim"], dict[str, Any]]:
    """Return the features and their provenance.

    Raises:
        RetrievalError: a file is missing, damaged or not a matrix of floating-point numbers.
    """
    again = f"run dvc repro extract@{directory.parent.name}-{directory.name}"
    try:
        with (directory / "features.npy").open("rb") as file:
            features = np.lib.format.read_array(file, allow_pickle=False)
        provenance = json.loads((directory / "provenance.json").read_text(encoding="utf-8"))
    except Exception as error:  # NumPy raises nearly every exception type on damaged files.
        raise RetrievalError(f"no usable features in {directory} ({error}): {again}") from None
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating):
        raise RetrievalError(
            f"{directory / 'features.npy'} is {features.dtype} of shape {features.shape}, "
            f"not a floating-point matrix: {again}"
        )
    return features, provenance
