"""What may be done to finished features before or while they are ranked: the steps of conf/ranking/*.yaml.

Every step works on unit features and cosines, knows no labels, and may use the whole gallery. Where the queries are
themselves in the gallery, as in the protocol of labels, no query is its own neighbour in a search, but it stays a
neighbour of others: the published definitions let it, and what they gain is then partly that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float, Float32, Float64
from pydantic import Field

from .compression.binary import Binary, BinaryRescored
from .compression.products import ProductQuantisation
from .compression.projections import Pca, PcaWhitening, RandomProjection, Truncate
from .compression.scalars import Float16, Int8Codes
from .distances import similarity_of
from .errors import RetrievalError
from .neighbours import Neighbours, Reciprocal, nearest, reciprocal_neighbours
from .settings import Count, call, choose, fits
from .similarity import Scorer, unit_rows
from .steps import GALLERY, QUERIES, Learner, Sets, Step, Stored, refuse_lost


@dataclass(frozen=True)
class AlphaQueryExpansion(Step):
    """A query becomes the sum of itself and its first neighbours, each times its cosine to the power of alpha.

    F. Radenovic, G. Tolias and O. Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2018.
    With alpha above 0 a negative cosine weighs nothing. With alpha 0 every neighbour weighs 1, whatever its cosine:
    that is the average query expansion of O. Chum et al., ICCV 2007, without its spatial verification.

    Attributes:
        neighbours: how many.
        alpha: the power.
    """

    neighbours: Count
    alpha: Annotated[int | float, Field(ge=0, le=1000)]

    def apply(self, sets: Sets) -> Sets:
        """Expand the queries; :class:`RetrievalError` where a query and its neighbours cancel out, with alpha 0."""
        found = sets.search(self.neighbours)
        weights = np.maximum(found.scores, 0).astype(np.float64) ** self.alpha
        queries, left = summed(sets.queries, sets.gallery, found, weights)
        remedy = "raise 'alpha', so that opposite neighbours weigh nothing, or change 'neighbours'"
        refuse_lost(left, "alpha_query_expansion", rows_of=QUERIES, remedy=remedy)
        return replace(sets, queries=unit_rows(queries))


@dataclass(frozen=True)
class DatabaseAugmentation(Step):
    """An item of the gallery becomes the sum of itself and its neighbours, the r-th times (k + 1 - r) / (k + 1).

    The weights of A. Gordo et al., "End-to-end learning of deep visual representations for image retrieval",
    IJCV 2017, where an item itself, its own first neighbour, has weight 1 and the k + 1 weights fall linearly.
    Queries stay as they are.

    Attributes:
        neighbours: k, how many beside the item itself.
    """

    neighbours: Count

    def apply(self, sets: Sets) -> Sets:
        """Augment the gallery; :class:`RetrievalError` where an item and its neighbours cancel out."""
        own = np.arange(len(sets.gallery))
        found = nearest(sets.gallery, sets.gallery, own, k=self.neighbours, memory=sets.memory)
        fall = 1 - np.arange(1, self.neighbours + 1) / (self.neighbours + 1)
        weights = np.broadcast_to(fall[: found.items.shape[1]], found.items.shape)
        gallery, left = summed(sets.gallery, sets.gallery, found, weights)
        refuse_lost(left, "database_augmentation", rows_of=GALLERY, remedy="lower 'neighbours'")
        return replace(sets, gallery=unit_rows(gallery))


@dataclass(frozen=True)
class KReciprocal(Step):
    """The distance is mixed with that of the sets of k-reciprocal neighbours; must be the last step.

    Z. Zhong, L. Zheng, D. Cao and S. Li, "Re-ranking person re-identification with k-reciprocal encoding", CVPR 2017,
    with the details of the authors' code: distances are squared Euclidean ones, divided by the query's largest. The
    sets of neighbours, which an index would keep beside the features, are not counted as stored.

    Attributes:
        k1: neighbours that must be mutual.
        k2: neighbours, the item itself among them, whose encodings are averaged.
        weight: of the original distance, lambda in the paper.
    """

    makes_scores: ClassVar[bool] = True

    k1: Count
    k2: Count
    weight: Annotated[float, Field(ge=0, le=1)]

    def apply(self, sets: Sets) -> Reciprocal:
        """Return the scores: minus the mixed distances."""
        encoded = reciprocal_neighbours(sets.everyone, k1=self.k1, k2=self.k2, memory=sets.memory)
        return Reciprocal.of(encoded, sets.query_members, len(sets.gallery), self.weight)


STEPS: Mapping[str, type[Step]] = {
    "truncate": Truncate,
    "pca": Pca,
    "pca_whitening": PcaWhitening,
    "random_projection": RandomProjection,
    "alpha_query_expansion": AlphaQueryExpansion,
    "database_augmentation": DatabaseAugmentation,
    "k_reciprocal": KReciprocal,
    "float16": Float16,
    "int8": Int8Codes,
    "binary": Binary,
    "binary_rescored": BinaryRescored,
    "product_quantisation": ProductQuantisation,
}
NAMES = {kind: name for name, kind in STEPS.items()}


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
) -> tuple[Float32[np.ndarray, "row dim"], Float64[np.ndarray, " row"]]:
    """Return each row plus its neighbours times their weights, and how long the sum is beside all that are summed.

    A missing neighbour weighs nothing.
    """
    made, left = np.empty_like(rows), np.empty(len(rows))
    for start in range(0, len(rows), 256):
        part = slice(start, start + 256)
        kept = found.items[part] >= 0
        weighed = np.where(kept, weights[part], 0)
        neighbours = items[np.where(kept, found.items[part], 0)]
        made[part] = together = rows[part] + np.einsum("rk,rkd->rd", weighed, neighbours, dtype=np.float64)
        left[part] = np.linalg.norm(together, axis=1) / (1 + weighed.sum(axis=1))
    return made, left


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
        steps = [{"name": NAMES[type(step)], **asdict(step)} for step in self.steps]  # type: ignore[call-overload]
        return {"steps": steps, "learn_on": other}

    @property
    def learns(self) -> bool:
        """Whether a step needs the features of another set."""
        return any(step.learns for step in self.steps)

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
    if made.learn_on:
        refuse_learn_on(made.steps, where=f"{where}: ")
    return made


def refuse_learn_on(steps: Sequence[Step], *, where: str = "") -> None:
    """Raise :class:`RetrievalError`, which begins with ``where``, if no step learns on what learn_on names."""
    if any(step.learns for step in steps):
        return
    own = next((NAMES[type(step)] for step in steps if isinstance(step, Learner)), None)
    remedy = "add pca_whitening" if own is None else f"set learn_on: another in {own}"
    raise RetrievalError(f"{where}learn_on is given, but no step learns on another set: leave it out, or {remedy}")


def read_steps(entries: Sequence[Any], *, where: str) -> list[Step]:
    """Return the steps in a YAML's list, each a mapping of its ``name`` and its settings.

    Raises:
        RetrievalError: a name or setting is unknown or out of range; a step that makes scores is not the last one.
    """
    if not fits(entries, Sequence[Mapping[str, Any]]):
        raise RetrievalError(f"{where}: expected a list of steps, each with its 'name' and settings, got '{entries}'")
    steps = []
    for entry in entries:
        options = {str(key): value for key, value in entry.items() if key != "name"}
        kind = choose(STEPS, entry.get("name"), key="name", where=where)
        steps.append(call(kind, options, where=f"{where}, {entry['name']}"))
    scoring = scoring_step(steps[:-1])
    if scoring is not None:
        raise RetrievalError(f"{where}: {scoring} makes no features, so it must be the last step")
    return steps


def scoring_step(steps: Sequence[Step]) -> str | None:
    """Return the name of the first step that makes scores itself; None where the features are compared."""
    return next((NAMES[type(step)] for step in steps if step.makes_scores), None)


def scores_after(steps: Sequence[Step], sets: Sets, learnt: Float[np.ndarray, "other _"] | None = None) -> Scorer:
    """Return the scores after all steps; cosines if none of them makes scores itself.

    Args:
        steps: what is done, one after the other.
        sets: the features.
        learnt: those of the set that steps learn on; each sees it as the steps before have left it.

    Raises:
        RetrievalError: those to learn on have other dimensions; see also the steps.
    """
    if learnt is not None:
        if learnt.shape[1] != sets.gallery.shape[1]:
            raise RetrievalError(
                f"features of {sets.gallery.shape[1]} dimensions, but {learnt.shape[1]} to learn on: give those of the "
                "same encoder"
            )
        sets = replace(sets, other=unit_rows(learnt))
    for step in steps:
        made = step.apply(sets)
        if not isinstance(made, Sets):
            return made
        sets = made
    return similarity_of("cosine", sets.queries, sets.gallery)
