"""Features on disk: ``features/<encoder>/<dataset>/features.npy`` and the provenance beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from typing_extensions import TypedDict

from pipeline.frame.files import regular_file, replacing_directory, write_json
from pipeline.frame.mistaken import mistaken_at
from pipeline.frame.upstream import output_of, read_json
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval import matrix as matrices
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.matrix import check_features


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


def read_matrix(path: Path) -> tuple[Float[np.ndarray, "item dim"], str]:
    """Return the matrix in a ``.npy`` and the name of its type; bfloat16 comes as float32.

    A large one (:data:`pipeline.retrieval.matrix.LARGE`) stays on the disk and is mapped into memory.

    Raises:
        RetrievalError: it is no regular file, cannot be read, is pickled, or is no matrix of floating-point numbers.
    """
    try:
        regular_file(path)
        if what := mistaken_at(path):
            raise RetrievalError(f"{path} is {what}: get it again")
        if path.stat().st_size >= matrices.LARGE:
            matrix = np.asarray(np.lib.format.open_memmap(path, mode="r"))
        else:
            with path.open("rb") as file:
                matrix = np.lib.format.read_array(file, allow_pickle=False)
    except RetrievalError:
        raise
    except Exception as error:  # NumPy raises nearly every exception type on damaged files.
        problem = " ".join(str(error).split())
        raise RetrievalError(f"{path} cannot be read ({problem}): save it by numpy.save, one float per value") from None
    kind = str(matrix.dtype)
    if matrix.dtype == np.dtype("V2"):  # NumPy has no bfloat16 of its own: the upper half of a float32
        kind = "bfloat16"
        matrix = (matrix.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    if matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.floating) or matrix.dtype.itemsize > 8:
        raise RetrievalError(
            f"{path} is {kind} of shape {matrix.shape}: expected a matrix of float16, bfloat16, float32 or float64"
        )
    return matrix, kind
