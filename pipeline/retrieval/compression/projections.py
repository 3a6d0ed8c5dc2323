"""Fewer dimensions: the first ones, principal components, random directions. Rows are unit rows again afterwards."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Float, Float32, Float64
from pydantic import Field

from ..errors import RetrievalError
from ..matrix import blocks, empty_rows
from ..settings import Count, Seed
from ..similarity import directions
from ..steps import GALLERY, LEAST, OTHER, QUERIES, Learner, LearnOn, Sets, Step, Stored, refuse_lost

Share = Annotated[int | float, Field(ge=0, le=1)]

ROWS = 65_536  # that a step learns on at a time


@dataclass(frozen=True)
class Project:
    """What is done to some rows.

    Attributes:
        of: returns the projections of rows.
        scale: by how much each of the new dimensions is stretched beside: divided by it, a projection is about as long
            as what it keeps of the row.
    """

    of: Callable[[Float32[np.ndarray, "row dim"]], Float[np.ndarray, "row kept"]]
    scale: float | Float64[np.ndarray, " kept"] = 1.0


class Projection(Step):
    """A step that makes of every row, of queries, gallery and the set to learn on, one of ``dim`` dimensions.

    Attributes:
        called: its name in errors.
        remedy: for a row of which it leaves nothing.
        dim: how many are kept.
    """

    called: ClassVar[str]
    remedy: ClassVar[str]

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
            RetrievalError: the settings do not go with the features or with the set to learn on; nothing but rounding
                is left of a row (see :func:`..steps.refuse_lost`).
        """
        project = self.learnt(sets)
        gallery = self._projected(sets.gallery, project, GALLERY)
        queries = gallery if sets.queries is sets.gallery else self._projected(sets.queries, project, QUERIES)
        other = None if sets.other is None else self._projected(sets.other, project, OTHER)
        return replace(sets, queries=queries, gallery=gallery, other=other)

    def _projected(
        self, rows: Float32[np.ndarray, "row dim"], project: Project, rows_of: str
    ) -> Float32[np.ndarray, "row kept"]:
        """Return the projections of rows, as unit rows."""
        made, left = empty_rows(len(rows), self.dim), np.empty(len(rows))
        for block in blocks(len(rows)):
            made[block] = found = project.of(rows[block])
            left[block] = np.linalg.norm(found / project.scale, axis=1)
        refuse_lost(left, self.called, rows_of=rows_of, remedy=self.remedy)
        for block in blocks(len(rows)):
            made[block] = directions(made[block])[0]
        return made


@dataclass(frozen=True)
class Truncate(Projection):
    """The first dimensions alone, for encoders that were trained for it.

    A. Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022.

    Attributes:
        dim: how many are kept.
    """

    called: ClassVar[str] = "truncate"
    remedy: ClassVar[str] = "raise 'dim', or take pca"

    dim: Count

    def learnt(self, sets: Sets) -> Project:
        """Return what takes the first dimensions; :class:`RetrievalError` where there are fewer."""
        refuse_dim(self.dim, sets, self.called)
        return Project(lambda rows: rows[:, : self.dim])


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

    called: ClassVar[str] = "pca"
    remedy: ClassVar[str] = "raise 'dim', or learn on a set that differs in what this row has"

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
        return components_of(sets.to_learn_on(self.learn_on, self.called), self, self.called)


@dataclass(frozen=True)
class PcaWhitening(Projection):
    """Principal components of another set, each divided by its standard deviation there; then unit rows again.

    H. Jegou and O. Chum, "Negative evidences and co-occurences in image retrieval: the benefit of PCA and
    whitening", ECCV 2012. Mean and components are those of the other set's unit features: :class:`Pca` of power 1.

    Attributes:
        dim: how many components are kept.
    """

    called: ClassVar[str] = "pca_whitening"
    remedy: ClassVar[str] = Pca.remedy

    dim: Count

    @property
    def learns(self) -> bool:
        """It needs another set."""
        return True

    def learnt(self, sets: Sets) -> Project:
        """Return what whitens; errors as of :class:`Pca`."""
        return components_of(sets.to_learn_on("another", self.called), Pca(self.dim, 1), self.called)


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
    scale = 1 / deviations[: settings.dim] ** settings.power
    # The sign of a component is arbitrary and changes no cosine.
    projection = components[: settings.dim].T / deviations[: settings.dim] ** settings.power
    return Project(lambda rows: (rows - mean) @ projection, scale)


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

    called: ClassVar[str] = "random_projection"
    remedy: ClassVar[str] = "raise 'dim', or take another 'seed'"

    dim: Count
    seed: Seed = 0

    def learnt(self, sets: Sets) -> Project:
        """Return what projects; :class:`RetrievalError` where the features have fewer dimensions."""
        width = refuse_dim(self.dim, sets, self.called)
        projection = np.random.default_rng(self.seed).standard_normal((width, self.dim)) / np.sqrt(self.dim)
        return Project(lambda rows: rows @ projection)


def refuse_dim(dim: int, sets: Sets, what: str) -> int:
    """Return how many dimensions the features have; :class:`RetrievalError` if these are fewer than a step keeps."""
    width = int(sets.gallery.shape[1])
    if dim > width:
        raise RetrievalError(f"{what}: 'dim' is {dim}, but the features have {width} dimensions: lower it")
    return width
