"""Guards: what features of a working encoder never look like. Arrays in, findings out.

Each guard has a name, by which an encoder's YAML can switch it off: ``without_guards: [mean_cosine]``. It
then still measures, and the provenance has what it saw.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from jaxtyping import Float

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.matrix import blocks
from pipeline.retrieval.similarity import directions


@dataclass(frozen=True)
class Limits:
    """Beyond what features are refused; ``guards`` in conf/extract.yaml.

    Attributes:
        mean_cosine: the highest mean of the cosine over all pairs of images. Networks that were left
            in training mode, or have collapsed, see nearly the same in every image: the report's
            published ResNet features have 0.997 and 0.993, its CLIP features 0.55 to 0.61.
        constant_dimensions: the highest share of dimensions that have one value throughout. Trained networks
            have some that no image of a dataset stirs: EfficientNet-Lite0 a fifth of them on handwritten digits.
        batch_difference: the largest distance between an image's feature alone and in a batch,
            relative to its norm.
    """

    mean_cosine: float
    constant_dimensions: float
    batch_difference: float


@dataclass(frozen=True)
class Finding:
    """What a guard saw.

    Attributes:
        value: what it measures; goes into the provenance.
        problem: why the features are refused; empty if they are not.
    """

    value: float | int
    problem: str = ""


def mean_cosine(features: Float[np.ndarray, "item dim"], limit: float) -> Finding:
    """Return the mean cosine of all pairs of different items, in [-1, 1].

    With unit rows u it is (|sum u|^2 - n) / (n (n - 1)): no matrix of pairs is needed. A single item
    has no pairs and 0.
    """
    count = len(features)
    if count < 2:
        return Finding(0.0)
    total = np.zeros(features.shape[1])
    for block in blocks(count):
        total += directions(features[block], block.start)[0].sum(axis=0)
    mean = float((total @ total - count) / (count * (count - 1)))
    problem = (
        f"the mean cosine of all pairs of images is {mean:.4f}, above {limit}: nearly the same feature for everything, "
        "as from a network in training mode, or with the wrong weights or preprocessing"
    )
    return Finding(round(mean, 6), problem if mean > limit else "")


def constant_dimensions(features: Float[np.ndarray, "item dim"], limit: float) -> Finding:
    """Return the number of dimensions that have one value throughout; 0 for a single item."""
    if len(features) < 2:
        return Finding(0)
    same = np.ones(features.shape[1], bool)
    for block in blocks(len(features)):
        same &= (features[block] == features[0]).all(axis=0)
    constant = np.flatnonzero(same)
    problem = (
        f"{len(constant)} of {features.shape[1]} dimensions are constant, more than {limit:.0%}, among them "
        f"{constant[:5].tolist()}"
    )
    return Finding(len(constant), problem if len(constant) > limit * features.shape[1] else "")


def equal_features(features: Float[np.ndarray, "item dim"], names: Sequence[str], contents: Sequence[str]) -> Finding:
    """Return the number of items whose feature is exactly that of an earlier item with other content.

    Args:
        features: one row per item.
        names: of the items, for the message.
        contents: a hash of what each item shows; equal ones may have equal features.
    """
    first_with: dict[bytes, int] = {}
    pairs = []
    for item, row in enumerate(features):
        first = first_with.setdefault(blake2b(row.tobytes(), digest_size=16).digest(), item)
        if contents[first] != contents[item]:
            pairs.append((names[first], names[item]))
    if not pairs:
        return Finding(0)
    return Finding(
        len(pairs),
        f"{pairs[0][0]} and {pairs[0][1]} are different files with the very same feature ({len(pairs)} such)",
    )


def batch_difference(
    alone: Float[np.ndarray, "item dim"], together: Float[np.ndarray, "item dim"], limit: float
) -> Finding:
    """Return the largest distance between the features of some images alone and in one batch, over their norm."""
    rows = together.astype(np.float64)
    # A feature of zeros or NaN is refused elsewhere, with its name.
    norms = np.maximum(np.linalg.norm(rows, axis=1), np.finfo(np.float32).tiny)
    difference = float(np.nan_to_num(np.linalg.norm(alone - rows, axis=1) / norms).max(initial=0))
    problem = (
        f"an image's feature changes by {difference:.2g} of its norm with the other images of its batch, more than "
        f"{limit}: something in the network mixes images, such as batch norm in training mode"
    )
    return Finding(float(f"{difference:.2g}"), problem if difference > limit else "")


NAMES = ("mean_cosine", "constant_dimensions", "equal_features", "batch_difference")


def guard(findings: Mapping[str, Finding], without: Sequence[str], *, where: str) -> dict[str, Any]:
    """Refuse features on what the guards that are on have seen.

    Args:
        findings: by the guard's name.
        without: the guards that are off.
        where: what to call the features in an error.

    Returns:
        What each saw, and which were off, for the provenance.

    Raises:
        RetrievalError: a guard that is on refuses the features.
    """
    for name, finding in findings.items():
        if finding.problem and name not in without:
            raise RetrievalError(
                f"{where}: {finding.problem}; mend it, or, if this is meant, set without_guards: [{name}] in its YAML"
            )
    return {**{name: finding.value for name, finding in findings.items()}, "off": sorted(without)}


def refuse_unknown(without: object, *, where: str) -> None:
    """Raise :class:`RetrievalError` for the name of a guard that does not exist, or no list of names."""
    if not isinstance(without, list):
        raise RetrievalError(f"{where}: without_guards is '{without}': give a list, [{without}]")
    for name in without:
        if name not in NAMES:
            raise RetrievalError(f"{where}: without_guards names '{name}'; one of {', '.join(NAMES)}")
