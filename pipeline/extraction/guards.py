"""Guards: what features of a working encoder hardly ever look like. Arrays in, findings out.

Each guard has a name, by which an encoder's YAML can switch it off: ``without_guards: [effective_rank]``. It
then still measures, and the provenance has what it saw. No guard sees features that are only noise: their shape is
that of good ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from jaxtyping import Float, UInt64

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.matrix import blocks
from pipeline.retrieval.similarity import directions, sample_of

# Of fewer images, or for the rank of fewer dimensions, nothing is refused: what they share may be chance.
FEW = 10
# The rank is that of so many images at most, and of so many numbers: 128 MiB in float64.
SAMPLE, NUMBERS = 2048, 2**24
# Unit rows that lie nearer to their mean than this are equal but for float64's rounding.
ROUNDING = 1e-14


@dataclass(frozen=True)
class Limits:
    """Beyond what features are refused; ``guards`` in conf/extract.yaml. docs/encoders.md has what they were chosen by.

    Attributes:
        effective_rank: the lowest. Two points or one line, with noise of up to a tenth, stay below 1.4; of the encoders
            measured, trained ones have 3 and more, untrained ones 1.7 and more.
        mean_cosine: the highest. It is no sign of a fault by itself: white pages have 0.9998 with raw pixels, features
            that all lie far from the origin as much. Nearer to 1 than this limit, float32 has little but rounding left.
        constant_dimensions: the highest share of dimensions that have one value throughout. Networks with ReLU and
            histograms have many: colour histograms of grey digits vary in 8 of 512.
        equal_features: the highest share of the different images that have one and the same feature. Binary codes
            and copies in other formats have some equal ones.
        batch_difference: the largest distance between an image's feature alone and in a batch,
            relative to its norm.
    """

    effective_rank: float
    mean_cosine: float
    constant_dimensions: float
    equal_features: float
    batch_difference: float


@dataclass(frozen=True)
class Finding:
    """What was measured.

    Attributes:
        value: goes into the provenance.
        problem: why the features are refused; empty if they are not.
    """

    value: float | int
    problem: str = ""


def sampled(features: Float[np.ndarray, "item dim"]) -> Float[np.ndarray, "sampled dim"]:
    """Return the rows that the effective rank is computed from: all, or so many as bound its cost, evenly spaced."""
    most = min(SAMPLE, max(FEW, NUMBERS // features.shape[1]))
    return features if len(features) <= most else sample_of(features, most)


def effective_rank(features: Float[np.ndarray, "item dim"], limit: float) -> Finding:
    """Return how many directions the features spread along: from 1 to min(n - 1, D), or 0 where all point one way.

    It is the exponential of the entropy of the principal components' shares of the variance, of unit rows, since cosine
    compares these and a single long row would hide all others. Rotating all rows, reordering or scaling them changes
    nothing.

    Roy and Vetterli, "The effective rank: a measure of effective dimensionality" (EUSIPCO 2007), take the shares of
    singular values. Their squares are used here (n1 in Del Giudice, "Effective dimensionality: a tutorial", 2021):
    two points with noise of a tenth in 256 dimensions have 1.2 by variances and 65 by singular values. The
    participation ratio, 1 / sum of squared shares, sees little beside the largest share: two classes far apart, whose
    images differ by three tenths as much in every dimension, have 1.4, and here 3.1.

    Raises:
        RetrievalError: a row is zero or not finite.
    """
    count, dim = features.shape
    if count < 2:
        return Finding(0.0)
    rows = directions(features)[0]
    rows -= rows.mean(axis=0)
    # The larger of the two products has the same eigenvalues, and zeros.
    variances = np.linalg.eigvalsh(rows @ rows.T if count < dim else rows.T @ rows)
    shares = variances[variances > 0] / max(variances.sum(), np.finfo(np.float64).tiny)
    spread = variances.sum() > count * ROUNDING**2
    rank = float(np.exp(-(shares * np.log(shares)).sum())) if spread else 0.0
    problem = (
        f"their effective rank is {rank:.2f}, below {limit}: nearly all images lie on two points or one line, as from "
        "a network that has collapsed, or with the wrong weights"
    )
    return Finding(round(rank, 3), problem if rank < limit and min(count, dim) >= FEW else "")


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
        f"the mean cosine of all pairs of images is {mean:.12f}, above {limit}: features differ by little more than "
        "rounding"
    )
    return Finding(round(mean, 10), problem if mean > limit and count >= FEW else "")


def constant_dimensions(features: Float[np.ndarray, "item dim"], limit: float) -> Finding:
    """Return the number of dimensions that have one value throughout; 0 for a single item."""
    if len(features) < 2:
        return Finding(0)
    same = np.ones(features.shape[1], bool)
    for block in blocks(len(features)):
        same &= (features[block] == features[0]).all(axis=0)
    constant = np.flatnonzero(same)
    problem = (
        f"{len(constant)} of {features.shape[1]} dimensions are constant, more than {limit:.1%}, among them "
        f"{constant[:5].tolist()}"
    )
    refused = len(constant) > limit * features.shape[1] and len(features) >= FEW
    return Finding(len(constant), problem if refused else "")


def hashes_of(features: Float[np.ndarray, "item dim"]) -> UInt64[np.ndarray, " item"]:
    """Return a number for each row: equal rows have equal ones, others hardly ever."""
    hashes = (blake2b(row.tobytes(), digest_size=8).digest() for row in features)
    return np.fromiter((int.from_bytes(one, "little") for one in hashes), np.uint64, len(features))


def equal_features(
    hashes: UInt64[np.ndarray, " item"], names: Sequence[str], contents: Sequence[str], limit: float
) -> Finding:
    """Return how many different images have the most frequent feature; 1 where all of them have their own.

    Args:
        hashes: of the features; see :func:`hashes_of`.
        names: of the items, for the message.
        contents: a hash of what each item shows; those with equal ones count as one image.
        limit: the highest share of the different images.
    """
    _, feature, items_with = np.unique(hashes, return_inverse=True, return_counts=True)
    # For each feature that several items have, the first item of each content.
    images: dict[int, dict[str, int]] = {}
    for item in np.flatnonzero(items_with[feature] > 1).tolist():
        images.setdefault(int(feature[item]), {}).setdefault(contents[item], item)
    most = list(max(images.values(), key=len, default={"": 0}).values())
    different = len(set(contents))
    if len(most) <= limit * different or different < FEW:
        return Finding(len(most))
    return Finding(
        len(most),
        f"{len(most)} of {different} different images have the very same feature, more than {limit:.0%}, among them "
        f"{' and '.join(names[item] for item in most[:2])}",
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


NAMES = ("effective_rank", "mean_cosine", "constant_dimensions", "equal_features", "batch_difference")


def guard(findings: Mapping[str, Finding], without: Sequence[str], *, where: str) -> dict[str, Any]:
    """Refuse features on what the guards that are on have seen.

    Args:
        findings: by the guard's name, or the measure's.
        without: the guards that are off.
        where: what to call the features in an error.

    Returns:
        What each saw, and which were off, for the provenance.

    Raises:
        RetrievalError: guards that are on refuse the features; all of them are named.
    """
    refused = [name for name, finding in findings.items() if finding.problem and name not in without]
    if refused:
        raise RetrievalError(
            f"{where}: {'; '.join(findings[name].problem for name in refused)}; mend it, or, if this is meant, set "
            f"without_guards: [{', '.join([*without, *refused])}] in its YAML"
        )
    return {**{name: finding.value for name, finding in findings.items()}, "off": sorted(without)}


def refuse_unknown(without: object, *, where: str) -> None:
    """Raise :class:`RetrievalError` for the name of a guard that does not exist, or no list of names."""
    if not isinstance(without, list):
        raise RetrievalError(f"{where}: without_guards is '{without}': give a list, [{without}]")
    for name in without:
        if name not in NAMES:
            raise RetrievalError(f"{where}: without_guards names '{name}'; one of {', '.join(NAMES)}")
