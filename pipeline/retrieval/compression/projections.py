"""Fewer dimensions: the first ones, principal components, random directions. Rows are unit rows again afterwards."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from jaxtyping import Float, Float32, Float64
from pydantic import Field

from ..errors import RetrievalError
from ..matrix import blocks, empty_rows, nonzero
from ..settings import Count, Seed
from ..similarity import directions
from ..steps import Learner, LearnOn, Sets, Step, Stored

Share = Annotated[int | float, Field(ge=0, le=1)]
Project = Callable[[Float32[np.ndarray, "row dim"]], Float[np.ndarray, "row kept"]]

ROWS = 65_536  # that a step learns on at a time
LEAST = 1e-6  # the standard deviation of unit rows along a direction in which they differ


class Projection(Step):
    """A step that makes of every row, of queries, gallery and the set to learn on, one of ``dim`` dimensions.

    Attributes:
        dim: how many are kept.
    """

    dim: Count

    def stored(self, before: Stored) -> Stored:
        """Return ``dim`` numbers."""
        return replace(before, dim=self.dim)

    @abstractmethod
    def learnt(self, sets: Sets) -> Project:
        """Return what is done to some rows."""

    def apply(self, sets: Sets) -> Sets:
        """Project all rows.

        Raises:
            RetrievalError: the settings do not go with the features or with the set to learn on.
        """
        project = self.learnt(sets)
        gallery = self._projected(sets.gallery, project)
        queries = gallery if sets.queries is sets.gallery else self._projected(sets.queries, project)
        other = None if sets.other is None else self._projected(sets.other, project)
        return replace(sets, queries=queries, gallery=gallery, other=other)

    def _projected(self, rows: Float32[np.ndarray, "row dim"], project: Project) -> Float32[np.ndarray, "row kept"]:
        """Return the projections of rows, as unit rows."""
        made = empty_rows(len(rows), self.dim)
        for block in blocks(len(rows)):
            made[block] = directions(project(rows[block]).astype(np.float32), block.start)[0]
        return made


@dataclass(frozen=True)
class Truncate(Projection):
    """The first dimensions alone, for encoders that were trained for it.

    A. Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022.

    Attributes:
        dim: how many are kept.
    """

    dim: Count

    def learnt(self, sets: Sets) -> Project:
        """Return what takes the first dimensions.

        Raises:
            RetrievalError: there are fewer, or a row has only zeros in them.
        """
        refuse_dim(self.dim, sets, "truncate")
        for what, rows in (("query", sets.queries), ("item of the gallery", sets.gallery), ("row", sets.other)):
            kept = np.ones(1, bool) if rows is None else nonzero(rows[:, : self.dim])
            if not kept.all():
                raise RetrievalError(
                    f"truncate: the first {self.dim} dimensions of {what} {kept.argmin()} are zeros, as are those of "
                    f"{(~kept).sum()} in all: raise 'dim', or take pca"
                )
        return lambda rows: rows[:, : self.dim]


@dataclass(frozen=True)
class Pca(Projection, Learner):
    """Principal components, each divided by its standard deviation to a power; mean and components are of unit rows.

    Power 1 whitens, 0 leaves the components as they are, 1/2 lies between. It is twice the exponent of the variance
    that deep-image-retrieval calls whitenp and DINO whit (0.5 there whitens, 0.25 is half of it), and the "shrinkage"
    of HOW and Met. What is called shrinkage here moves the variances towards their mean before, as in O. Ledoit and
    M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004: (1 - s) v + s mean(v).

    Attributes:
        dim: how many components are kept.
        power: of the standard deviation that a component is divided by.
        shrinkage: s, of the variances towards their mean over all dimensions.
        learn_on: another set, or the gallery itself.
    """

    dim: Count
    power: Share
    shrinkage: Share = 0
    learn_on: LearnOn = "another"

    def learnt(self, sets: Sets) -> Project:
        """Return what takes the components.

        Raises:
            RetrievalError: no other set is given, and it learns on one; that has fewer than ``dim`` directions in
                which its features differ.
        """
        return components_of(sets.to_learn_on(self.learn_on, "pca"), self, "pca")


@dataclass(frozen=True)
class PcaWhitening(Projection):
    """Principal components of another set, each divided by its standard deviation there; then unit rows again.

    H. Jegou and O. Chum, "Negative evidences and co-occurences in image retrieval: the benefit of PCA and
    whitening", ECCV 2012. Mean and components are those of the other set's unit features: :class:`Pca` of power 1.

    Attributes:
        dim: how many components are kept.
    """

    dim: Count

    @property
    def learns(self) -> bool:
        """It needs another set."""
        return True

    def learnt(self, sets: Sets) -> Project:
        """Return what whitens; errors as of :class:`Pca`."""
        return components_of(sets.to_learn_on("another", "PCA-whitening"), Pca(self.dim, 1), "PCA-whitening")


def components_of(unit: Float32[np.ndarray, "row dim"], settings: Pca, what: str) -> Project:
    """Return what centres rows and takes their components; see :class:`Pca`."""
    mean = mean_of(unit)
    _, deviations, components = np.linalg.svd(triangle_of(unit, mean), full_matrices=False)
    deviations /= np.sqrt(max(len(unit) - 1, 1))
    known = int((deviations > LEAST).sum())
    if settings.dim > known:
        raise RetrievalError(
            f"{what}: 'dim' is {settings.dim}, but the {len(unit)} features to learn on differ in {known} "
            "directions: lower it, or learn on a larger set"
        )
    if settings.shrinkage:
        variances = np.square(deviations)
        variances += settings.shrinkage * (variances.sum() / unit.shape[1] - variances)
        deviations = np.sqrt(variances)
    # The sign of a component is arbitrary and changes no cosine.
    projection = components[: settings.dim].T / deviations[: settings.dim] ** settings.power
    return lambda rows: (rows - mean) @ projection


def mean_of(rows: Float32[np.ndarray, "row dim"]) -> Float64[np.ndarray, " dim"]:
    """Return the mean of rows, in float64."""
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), ROWS):
        total += rows[start : start + ROWS].astype(np.float64).sum(axis=0)
    return total / len(rows)


def triangle_of(
    rows: Float32[np.ndarray, "row dim"], mean: Float64[np.ndarray, " dim"]
) -> Float64[np.ndarray, "least dim"]:
    """Return the triangle of a QR decomposition of centred rows.

    It has the same components, and at most as many rows as dimensions. That of many rows is put together from blocks
    of them, so that they need not all be there in float64.
    """
    triangle = np.empty((0, rows.shape[1]))
    for start in range(0, len(rows), ROWS):
        centred = rows[start : start + ROWS].astype(np.float64) - mean
        triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, centred]), mode="r"))
    return triangle


@dataclass(frozen=True)
class RandomProjection(Projection):
    """Directions drawn at random, which keep distances on average: entries are Gaussian, of variance 1 / dim.

    W. Johnson and J. Lindenstrauss, 1984; S. Dasgupta and A. Gupta, "An elementary proof of a theorem of Johnson and
    Lindenstrauss", 2003. Cosines are off by about 1 / sqrt(dim). It learns nothing.

    Attributes:
        dim: how many directions.
        seed: of the draw.
    """

    dim: Count
    seed: Seed = 0

    def learnt(self, sets: Sets) -> Project:
        """Return what projects; :class:`RetrievalError` where the features have fewer dimensions."""
        width = refuse_dim(self.dim, sets, "random_projection")
        projection = np.random.default_rng(self.seed).standard_normal((width, self.dim)) / np.sqrt(self.dim)
        return lambda rows: rows @ projection


def refuse_dim(dim: int, sets: Sets, what: str) -> int:
    """Return how many dimensions the features have; :class:`RetrievalError` if these are fewer than a step keeps."""
    width = int(sets.gallery.shape[1])
    if dim > width:
        raise RetrievalError(f"{what}: 'dim' is {dim}, but the features have {width} dimensions: lower it")
    return width
