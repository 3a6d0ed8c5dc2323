"""Features on disk: ``features/<encoder>/<dataset>/features.npy`` and the provenance beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from typing_extensions import TypedDict

from pipeline.frame.files import replacing_directory, write_json
from pipeline.frame.upstream import output_of, read_json
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.matrix import check_features
from pipeline.retrieval.reading.matrices import read_matrix


class Provenance(TypedDict, total=False):
    """What others read of a provenance; one without the manifest is that of another, see :func:`refuse_stale`."""

    encoder: str
    manifest_sha256: str


def write_features(directory: Path, features: Float[np.ndarray, "item dim"], provenance: Mapping[str, Any]) -> None:
    """Write features.npy and provenance.json as a directory that appears whole or not at all.

    Features are kept as float32 or, where that would change one, as float64.
    """
    with np.errstate(over="ignore"):
        single = np.asarray(features, np.float32)
    with replacing_directory(directory) as partial:
        same = np.array_equal(single, features)
        np.save(partial / "features.npy", single if same else features, allow_pickle=False)
        write_json(partial / "provenance.json", provenance)


def read_features(directory: Path) -> tuple[Float[np.ndarray, "item dim"], dict[str, Any]]:
    """Return the features and their provenance.

    Raises:
        RetrievalError: a file is missing, damaged or not a matrix of floating-point numbers.
    """
    with output_of(stage_of(directory), f"features in {directory}"):
        features, _ = read_matrix(directory / "features.npy")
    return features, read_provenance(directory)


def read_provenance(directory: Path) -> dict[str, Any]:
    """Return the provenance of features.

    Raises:
        RetrievalError: it is missing or of another form.
    """
    path = directory / "provenance.json"
    provenance: dict[str, Any] = read_json(path, Provenance, stage=stage_of(directory), what="features")
    return provenance


def stage_of(directory: Path) -> str:
    """Return the stage that makes the features in a folder."""
    return f"extract@{directory.parent.name}-{directory.name}"


def refuse_stale(provenance: dict[str, Any], manifest: Manifest) -> None:
    """Check that features were made from this very manifest."""
    if provenance.get("manifest_sha256") != manifest.sha256:
        raise RetrievalError(
            f"the features of {provenance.get('encoder')} were made from another manifest of {manifest.dataset}: "
            f"run dvc repro extract@{provenance.get('encoder')}-{manifest.dataset}"
        )


def read_checked(
    features: Path, manifest: Manifest, *, cosine: bool
) -> tuple[Float[np.ndarray, "item dim"], dict[str, Any]]:
    """Return features that were made from this very manifest, every row of them usable, and their provenance.

    ``cosine``: whether they are compared by cosine, which a row of zeros has not.

    Raises:
        RetrievalError: they were not, or one is not; see also :func:`read_features`.
    """
    matrix, provenance = read_features(features)
    refuse_stale(provenance, manifest)
    check_features(matrix, manifest.paths, where=str(features), cosine=cosine)
    return matrix, provenance
