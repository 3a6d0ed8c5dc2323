"""``source: precomputed``: features that were made elsewhere, a file for each dataset, put beside those made here."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pipeline.checkpoints.checkpoint import Checkpoint
from pipeline.encoders.precomputed import NAME
from pipeline.frame.files import sha256_of
from pipeline.frame.places import located
from pipeline.manifest.labels import read_labels
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.labels import refuse_alike
from pipeline.retrieval.matrix import check_features
from pipeline.retrieval.reading.lists import Labelled, refuse_count
from pipeline.retrieval.reading.matrices import read_matrix
from pipeline.retrieval.reading.regular import regular_file
from pipeline.retrieval.settings import call


@dataclass(frozen=True)
class Files:
    """The features of one dataset.

    Attributes:
        features: a ``.npy`` with a row per item (see :func:`pipeline.retrieval.reading.matrices.read_matrix`).
        labels: the list of its items, in the order of the rows (see :func:`pipeline.manifest.labels.read_labels`).
        features_sha256: of the first, as in :class:`pipeline.checkpoints.checkpoint.Checkpoint`. DVC sees a change of
            the file only by a change of this.
        labels_sha256: of the second.
    """

    features: str
    labels: str
    features_sha256: str
    labels_sha256: str

    def checked(self, *, where: str) -> dict[str, str]:
        """Return the SHA-256 of both by their names; see :func:`checked`."""
        stated = ((self.features, self.features_sha256), (self.labels, self.labels_sha256))
        return {located(path).name: checked(located(path), digits, where=where) for path, digits in stated}

    def read(self) -> tuple[np.ndarray, str, Labelled]:
        """Return the matrix, the type of its numbers and the list; RetrievalError if they are of different lengths."""
        features, listed = located(self.features), located(self.labels)
        (matrix, kind), known = read_matrix(features), read_labels(listed)
        refuse_count(len(matrix), len(known.names), features=features, listed=listed)
        return matrix, kind, known


def datasets_of(config: Mapping[str, Any], *, where: str) -> Mapping[str, Any]:
    """Return the key ``datasets`` of an encoder's YAML, which may have no others but the source and its guards."""

    def given(datasets: Mapping[str, Any]) -> Mapping[str, Any]:
        return datasets

    # Nothing decodes or computes here, so that 'decoder' and 'precision' are unknown.
    options = {key: value for key, value in config.items() if key not in ("source", "without_guards")}
    return call(given, options, where=where)


def files_of(config: Mapping[str, Any], *, where: str) -> dict[str, Files]:
    """Return the files of every dataset of an encoder's YAML, by its name, after a check that they can be read.

    Raises:
        RetrievalError: there is none; see :func:`read_precomputed`.
    """
    found = {
        name: call(Files, files, where=f"{where}, datasets, {name}")
        for name, files in datasets_of(config, where=where).items()
    }
    if not found:
        raise RetrievalError(f"{where}: no dataset under 'datasets': add the features of one")
    for files in found.values():
        files.checked(where=where)
        files.read()
    return found


def read_precomputed(
    name: str, config: Mapping[str, Any], manifest: Manifest
) -> tuple[Float[np.ndarray, "item dim"], dict[str, Any]]:
    """Return the features of a dataset, in the order of its manifest, and how they came, for the provenance.

    Args:
        name: of the encoder.
        config: its YAML: ``datasets``, from the names of datasets to the keys of :class:`Files`.
        manifest: of the dataset.

    Raises:
        RetrievalError: there are none for this dataset; a file cannot be read or is not the one meant; the list
            does not name just the images of the manifest, or gives one other labels.
    """
    where = f"conf/encoder/{name}.yaml"
    datasets = datasets_of(config, where=where)
    if manifest.dataset not in datasets:
        raise RetrievalError(f"{where}: no features of '{manifest.dataset}' under 'datasets': add them, or drop it")
    files = call(Files, datasets[manifest.dataset], where=f"{where}, datasets, {manifest.dataset}")
    features, listed = located(files.features), located(files.labels)
    found = files.checked(where=where)
    matrix, kind, known = files.read()
    rows = matrix[order_of(known, manifest, where=str(listed))]
    check_features(rows, manifest.paths, where=str(features), cosine=False)  # evaluation knows by what to compare
    made = {
        "weights": {"kind": NAME, "files": found},
        "preprocessing": "unknown: made elsewhere",
        "precision": kind,
        "dim": matrix.shape[1],
    }
    return rows, made


def checked(path: Path, digits: str, *, where: str) -> str:
    """Return the SHA-256 of a file; RetrievalError if it is missing, no regular file or not as stated."""
    stated = Checkpoint(digits).digest_of(path.name)
    try:
        regular_file(path)
    except FileNotFoundError:
        raise RetrievalError(f"{where}: {path} is not there: put the file there or mend the path") from None
    found = sha256_of(path)
    if stated is not None and not found.startswith(digits):
        raise RetrievalError(f"{where}: {path} has the SHA-256 {found}, not {digits}: state it, or restore the file")
    return found


def order_of(known: Labelled, manifest: Manifest, *, where: str) -> list[int]:
    """Return the row of each item of a manifest.

    A distractor from a folder of its own is listed as ``<folder>/<path>``. An image that a manifest has twice, whole
    and cropped, is listed twice, in the manifest's order.

    Raises:
        RetrievalError: see :func:`read_precomputed`.
    """
    rows: dict[str, deque[int]] = {}
    for row, name in enumerate(known.names):
        rows.setdefault(name, deque()).append(row)
    order = []
    for item in manifest.items:
        # Distractors of several folders may have the same paths below them.
        name = item.path if item.root is None else (item.root / item.path).as_posix()
        if not rows.get(name):
            raise RetrievalError(f"{where} does not list {name} of {manifest.dataset}: make its feature too")
        row = rows[name].popleft()
        if manifest.queries is None and set(known.labels[row]) != set(item.labels):
            refuse_alike([*known.labels[row], *item.labels], what="labels")
            theirs, ours = "|".join(known.labels[row]), "|".join(item.labels)
            raise RetrievalError(f"{where}: {name} has the labels '{theirs}', in the manifest '{ours}': mend the list")
        order.append(row)
    left = [name for name, unused in rows.items() if unused]
    if left:
        raise RetrievalError(f"{where} lists {left[0]}, which is not in {manifest.dataset} ({len(left)} such)")
    return order
