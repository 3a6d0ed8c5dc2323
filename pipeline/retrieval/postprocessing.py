"""What may be done to finished features before or while they are ranked: the steps of conf/ranking/*.yaml.

Every step works on unit features and cosines, knows no labels, and may use the whole gallery. Where the queries are
themselves in the gallery, as in the protocol of labels, no query is its own neighbour in a search, but it stays a
neighbour of others: the published definitions let it, and what they gain is then partly that.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int
from pydantic import Field

from .distances import similarity_of
from .errors import RetrievalError
from .neighbours import Neighbours, Reciprocal, nearest, reciprocal_neighbours
from .settings import Count, call, choose, fits
from .similarity import Scorer, unit_rows


@dataclass(frozen=True)
class Sets:
    """The features of queries and gallery.

    Attributes:
        queries: unit rows.
        gallery: unit rows.
        itself: the place of each query in the gallery; -1 where it is not in it.
        memory: GiB for scores in a search.
    """

    queries: Float32[np.ndarray, "query dim"]
    gallery: Float32[np.ndarray, "item dim"]
    itself: Int[np.ndarray, " query"]
    memory: float = 1.0

    def search(self, k: int) -> Neighbours:
        """Return the ``k`` nearest items of each query, without itself."""
        return nearest(self.queries, self.gallery, self.itself, k=k, memory=self.memory)

    @cached_property
    def everyone(self) -> Float32[np.ndarray, "member dim"]:
        """The gallery, then the queries that are not in it."""
        return np.concatenate([self.gallery, self.queries[self.itself < 0]])

    @cached_property
    def query_members(self) -> Int[np.ndarray, " query"]:
        """The row of each query in :attr:`everyone`."""
        apart = self.itself < 0
        members = self.itself.copy()
        members[apart] = len(self.gallery) + np.arange(int(apart.sum()))
        return members


@dataclass(frozen=True)
class Stored:
    """What an index keeps of one item of the gallery.

    Attributes:
        dim: numbers.
        bits: of each.
    """

    dim: int
    bits: float = 32

    @property
    def bytes(self) -> int:
        """Their size, in whole bytes."""
        return math.ceil(self.dim * self.bits / 8)


@runtime_checkable
class Step(Protocol):
    """One step of conf/ranking/<name>.yaml."""

    def stored(self, before: Stored) -> Stored:
        """Return what is kept of an item after the step."""

    def apply(self, sets: Sets, learnt: Float[np.ndarray, "other dim"] | None) -> Sets | Scorer:
        """Return the new features, or, as the last step, the scores.

        ``learnt`` are the features of the set that a step learns on.
        """


@dataclass(frozen=True)
class PcaWhitening:
    """Principal components of another set, each divided by its standard deviation there; then unit rows again.

    H. Jegou and O. Chum, "Negative evidences and co-occurences in image retrieval: the benefit of PCA and
    whitening", ECCV 2012. Mean and components are those of the other set's unit features.

    Attributes:
        dim: how many components are kept.
    """

    dim: Count

    def stored(self, before: Stored) -> Stored:
        """Return ``dim`` numbers."""
        return replace(before, dim=self.dim)

    def apply(self, sets: Sets, learnt: Float[np.ndarray, "other dim"] | None) -> Sets:
        """Whiten queries and gallery.

        Raises:
            RetrievalError: no other set is given; it has fewer than ``dim`` directions in which its features
                differ; its features have another length.
        """
        if learnt is None:
            raise RetrievalError("PCA-whitening learns on another set than it is evaluated on: give learn_on")
        if learnt.shape[1] != sets.gallery.shape[1]:
            raise RetrievalError(
                f"PCA-whitening: features of {sets.gallery.shape[1]} dimensions, but {learnt.shape[1]} to learn on"
            )
        unit = unit_rows(learnt).astype(np.float64)
        mean = unit.mean(axis=0)
        # The triangle of a QR decomposition has the same components, and at most as many rows as dimensions.
        _, deviations, components = np.linalg.svd(np.linalg.qr(unit - mean, mode="r"), full_matrices=False)
        deviations /= np.sqrt(max(len(unit) - 1, 1))
        known = int((deviations > 1e-6).sum())
        if self.dim > known:
            raise RetrievalError(
                f"PCA-whitening: 'dim' is {self.dim}, but the {len(unit)} features to learn on differ in {known} "
                "directions: lower it, or learn on a larger set"
            )
        # The sign of a component is arbitrary and changes no cosine.
        projection = components[: self.dim].T / deviations[: self.dim]

        def whitened(rows: Float32[np.ndarray, "item dim"]) -> Float32[np.ndarray, "item kept"]:
            parts = [(rows[start : start + 4096] - mean) @ projection for start in range(0, len(rows), 4096)]
            return unit_rows(np.concatenate(parts).astype(np.float32))

        gallery = whitened(sets.gallery)
        queries = gallery if sets.queries is sets.gallery else whitened(sets.queries)
        return replace(sets, queries=queries, gallery=gallery)


@dataclass(frozen=True)
class AlphaQueryExpansion:
    """A query becomes the sum of itself and its first neighbours, each times its cosine to the power of alpha.

    F. Radenovic, G. Tolias and O. Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2018.
    A negative cosine weighs nothing. With alpha 0 it is the average query expansion of O. Chum et al., ICCV 2007,
    without its spatial verification.

    Attributes:
        neighbours: how many.
        alpha: the power.
    """

    neighbours: Count
    alpha: Annotated[int | float, Field(ge=0, le=1000)]

    def stored(self, before: Stored) -> Stored:
        """Return the same: only queries change."""
        return before

    def apply(self, sets: Sets, learnt: Float[np.ndarray, "other dim"] | None) -> Sets:
        """Expand the queries."""
        found = sets.search(self.neighbours)
        weights = np.maximum(found.scores, 0).astype(np.float64) ** self.alpha
        return replace(sets, queries=summed(sets.queries, sets.gallery, found, weights))


@dataclass(frozen=True)
class DatabaseAugmentation:
    """An item of the gallery becomes the sum of itself and its neighbours, the r-th times (k + 1 - r) / (k + 1).

    The weights of A. Gordo et al., "End-to-end learning of deep visual representations for image retrieval",
    IJCV 2017, where an item itself, its own first neighbour, has weight 1 and the k + 1 weights fall linearly.
    Queries stay as they are.

    Attributes:
        neighbours: k, how many beside the item itself.
    """

    neighbours: Count

    def stored(self, before: Stored) -> Stored:
        """Return the same: a feature takes another's place."""
        return before

    def apply(self, sets: Sets, learnt: Float[np.ndarray, "other dim"] | None) -> Sets:
        """Augment the gallery."""
        own = np.arange(len(sets.gallery))
        found = nearest(sets.gallery, sets.gallery, own, k=self.neighbours, memory=sets.memory)
        fall = 1 - np.arange(1, self.neighbours + 1) / (self.neighbours + 1)
        weights = np.broadcast_to(fall[: found.items.shape[1]], found.items.shape)
        return replace(sets, gallery=summed(sets.gallery, sets.gallery, found, weights))


@dataclass(frozen=True)
class KReciprocal:
    """The distance is mixed with that of the sets of k-reciprocal neighbours; must be the last step.

    Z. Zhong, L. Zheng, D. Cao and S. Li, "Re-ranking person re-identification with k-reciprocal encoding", CVPR 2017,
    with the details of the authors' code: distances are squared Euclidean ones, divided by the query's largest.

    Attributes:
        k1: neighbours that must be mutual.
        k2: neighbours, the item itself among them, whose encodings are averaged.
        weight: of the original distance, lambda in the paper.
    """

    k1: Count
    k2: Count
    weight: Annotated[float, Field(ge=0, le=1)]

    def stored(self, before: Stored) -> Stored:
        """Return the features; the sets of neighbours, which an index would keep beside them, are not counted."""
        return before

    def apply(self, sets: Sets, learnt: Float[np.ndarray, "other dim"] | None) -> Reciprocal:
        """Return the scores: minus the mixed distances."""
        encoded = reciprocal_neighbours(sets.everyone, k1=self.k1, k2=self.k2, memory=sets.memory)
        return Reciprocal.of(encoded, sets.query_members, len(sets.gallery), self.weight)


STEPS: Mapping[str, type[Step]] = {
    "pca_whitening": PcaWhitening,
    "alpha_query_expansion": AlphaQueryExpansion,
    "database_augmentation": DatabaseAugmentation,
    "k_reciprocal": KReciprocal,
}


def bytes_after(steps: Sequence[Step], dim: int) -> int:
    """Return the bytes that are kept of an item of the gallery whose feature had ``dim`` dimensions in float32."""
    stored = Stored(dim)
    for step in steps:
        stored = step.stored(stored)
    return stored.bytes


def summed(
    rows: Float32[np.ndarray, "row dim"],
    items: Float32[np.ndarray, "item dim"],
    found: Neighbours,
    weights: Float[np.ndarray, "row k"],
) -> Float32[np.ndarray, "row dim"]:
    """Return each row plus its neighbours times their weights, as unit rows; a missing neighbour weighs nothing."""
    made = np.empty_like(rows)
    for start in range(0, len(rows), 256):
        part = slice(start, start + 256)
        kept = found.items[part] >= 0
        weighed = np.where(kept, weights[part], 0)
        neighbours = items[np.where(kept, found.items[part], 0)]
        made[part] = rows[part] + np.einsum("rk,rkd->rd", weighed, neighbours, dtype=np.float64)
    return unit_rows(made)


@dataclass(frozen=True)
class Recipe:
    """A way to rank features; conf/ranking/<name>.yaml.

    Attributes:
        steps: what is done to them, one after the other.
        learn_on: for each dataset that is evaluated, the other one whose features a step learns on.
        where: what to call the YAML in an error.
    """

    steps: Sequence[Step]
    learn_on: Mapping[str, str]
    where: str

    def described(self, other: str | None) -> dict[str, Any]:
        """Return what goes into the metrics: the steps, and the dataset that they learn on, if any."""
        names = {kind: name for name, kind in STEPS.items()}
        steps = [{"name": names[type(step)], **asdict(step)} for step in self.steps]  # type: ignore[call-overload]
        return {"steps": steps, "learn_on": other}

    @property
    def learns(self) -> bool:
        """Whether a step needs the features of another set."""
        return any(isinstance(step, PcaWhitening) for step in self.steps)

    def other_dataset(self, dataset: str) -> str | None:
        """Return the dataset that is learnt on where another is evaluated; None if nothing is learnt.

        Raises:
            RetrievalError: none is named, or the evaluated one itself.
        """
        if not self.learns:
            return None
        other = self.learn_on.get(dataset)
        if other is None or other == dataset:
            said = "no dataset" if other is None else "the very one that is evaluated"
            raise RetrievalError(
                f"{self.where}: learn_on names {said} for '{dataset}': "
                f"write learn_on: {{{dataset}: <another of params.yaml>}}"
            )
        return other


def read_recipe(config: Any, *, where: str) -> Recipe:
    """Return what a YAML of conf/ranking says.

    Raises:
        RetrievalError: see :func:`read_steps`; ``learn_on`` is there for nothing.
    """

    def recipe(steps: Sequence[Mapping[str, Any]], learn_on: Mapping[str, str] | None = None) -> Recipe:
        return Recipe(read_steps(steps, where=where), learn_on or {}, where)

    made = call(recipe, config, where=where)
    if made.learn_on and not made.learns:
        raise RetrievalError(f"{where}: learn_on is given, but no step learns: leave it out, or add pca_whitening")
    return made


def read_steps(entries: Sequence[Any], *, where: str) -> list[Step]:
    """Return the steps in a YAML's list, each a mapping of its ``name`` and its settings.

    Raises:
        RetrievalError: a name or setting is unknown or out of range; k-reciprocal re-ranking is not the last step.
    """
    if not fits(entries, Sequence[Mapping[str, Any]]):
        raise RetrievalError(f"{where}: expected a list of steps, each with its 'name' and settings, got '{entries}'")
    steps = []
    for entry in entries:
        options = {str(key): value for key, value in entry.items() if key != "name"}
        kind = choose(STEPS, entry.get("name"), key="name", where=where)
        steps.append(call(kind, options, where=f"{where}, {entry['name']}"))
    if any(isinstance(step, KReciprocal) for step in steps[:-1]):
        raise RetrievalError(f"{where}: k_reciprocal makes no features, so it must be the last step")
    return steps


def scores_after(steps: Sequence[Step], sets: Sets, learnt: Float[np.ndarray, "other dim"] | None = None) -> Scorer:
    """Return the scores after all steps; cosines if none of them makes scores itself."""
    for step in steps:
        made = step.apply(sets, learnt)
        if not isinstance(made, Sets):
            return made
        sets = made
    return similarity_of("cosine", sets.queries, sets.gallery)
