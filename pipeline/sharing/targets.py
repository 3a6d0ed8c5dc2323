"""Tasks of others, and in what a run here differs from them.

A number is written under the name of another's task only if nothing differs. The table has what mteb 2.26 says of its
tasks of images alone: https://github.com/embeddings-benchmark/mteb, ``tasks/retrieval/eng`` and ``descriptive_stats``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.manifest.items import Item, whole_pixels
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import choose
from pipeline.sharing.outcome import Outcome

Ends = tuple[int, int]


@dataclass(frozen=True)
class Target:
    """A task of mteb, with the one split ``test``.

    Attributes:
        name: of the task.
        dataset: the repository that has its images.
        revision: of that.
        main_score: the metric that it is known by.
        protocol: how rankings are judged, by the names here.
        queries: with a positive.
        gallery: items to rank.
        widths: of its narrowest and its widest image, in pixels, as its repository has them.
        heights: the same.
        drops_first: whether the first hit of each query is left out, taken for the query itself.
    """

    name: str
    dataset: str
    revision: str
    main_score: str
    protocol: str
    queries: int
    gallery: int
    widths: Ends
    heights: Ends
    drops_first: bool = False


SMALL, SMALLER = (256, 256), (224, 224)
# fmt: off
TARGETS = {target.name: target for target in (
    Target("ROxfordEasyI2IRetrieval", "mteb/r-oxford-easy-multi", "063cf78b598275e0454311a329651eb708c6ccd7",
           "map_at_5", "easy", 70, 4993, SMALL, SMALL),
    Target("ROxfordMediumI2IRetrieval", "mteb/r-oxford-medium-multi", "b2f6a469e6d8126872049711e24c191f40698b04",
           "map_at_5", "medium", 70, 4993, SMALL, SMALL),
    Target("ROxfordHardI2IRetrieval", "mteb/r-oxford-hard-multi", "d9d88e44ebba295dc660a2c7b1ce618a7e953375",
           "map_at_5", "hard", 70, 4993, SMALL, SMALL),
    Target("RParisEasyI2IRetrieval", "mteb/r-paris-easy-multi", "868eac192da81e6b8e478f4d30bdb8b4a24e871b",
           "map_at_5", "easy", 70, 6322, SMALL, SMALL),
    Target("RParisMediumI2IRetrieval", "mteb/r-paris-medium-multi", "43d85ffeec4bacbfc9e1fe047e1eaf61c36fd8d6",
           "map_at_5", "medium", 70, 6322, SMALL, SMALL),
    Target("RParisHardI2IRetrieval", "mteb/r-paris-hard-multi", "8a96e2c66a1ad6d0035df60accba4838c9d4e79f",
           "map_at_5", "hard", 70, 6322, SMALL, SMALL),
    Target("CUB200I2IRetrieval", "mteb/cub200_retrieval", "ad08c1307b15a226bf1b64e62656a17f1f85f7ec",
           "hit_rate_at_1", "labels", 5794, 5794, (140, 500), (134, 500), drops_first=True),
    Target("StanfordCarsI2IRetrieval", "mteb/stanford_cars_retrieval", "b27a0612211af3598bd11fe28af20928f20cce06",
           "hit_rate_at_1", "labels", 8041, 8041, (78, 7800), (41, 5400), drops_first=True),
    Target("SOPI2IRetrieval", "mteb/stanford-online-products", "9556adace66a20ac7ef034b6b9dd854c0ed9779f",
           "hit_rate_at_1", "labels", 22634, 120053, SMALLER, SMALLER, drops_first=True),
    Target("METI2IRetrieval", "mteb/met", "c4994f2da3df0a6e20a310048a04be49da7282c3",
           "hit_rate_at_1", "labels", 87942, 260655, SMALLER, SMALLER, drops_first=True),
    Target("GLDv2I2IRetrieval", "mteb/gld-v2", "04ec40ce10b27c291cbc329045ecdfd01e06c4a7",
           "ndcg_at_10", "listed", 1129, 761757, (7, 800), (7, 800)),
    Target("NIGHTSI2IRetrieval", "mteb/mbeir_nights_task4", "c798fa2f5173dc9fe0c727fd0abfd2f94cbc2f23",
           "ndcg_at_10", "listed", 2120, 40038, SMALL, SMALL),
)}
# fmt: on


def target_of(name: str, outcome: Outcome) -> Target:
    """Return the task of a name, which a run is one of.

    Raises:
        RetrievalError: there is no such task; the run differs from it, and in what.
    """
    target = choose(TARGETS, name, key="task", where="task")
    found = list(differences(target, outcome))
    if found:
        raise RetrievalError(
            f"{outcome.run} on {outcome.manifest.dataset} is no run of {name}: {'; '.join(found)}. Leave out task=, "
            "and it is written under this project's own name"
        )
    return target


def differences(target: Target, outcome: Outcome) -> Iterator[str]:
    """Yield in what a run differs from a task, in words."""
    metrics = outcome.metrics
    if metrics["protocol"] != target.protocol:
        yield f"the protocol is '{metrics['protocol']}' here, '{target.protocol}' there"
    for name, there in (("queries", target.queries), ("gallery", target.gallery)):
        if metrics[name] != there:
            yield f"{name}: {metrics[name]} here, {there} there, another split"
    if not outcome.manifest.has_images:
        yield "the images are not known here"
        return
    sides = [sides_of(item) for item in outcome.manifest.items if item.text is None]
    ends = {"wide": target.widths, "high": target.heights}
    for seen, (name, (least, most)) in zip(zip(*sides, strict=True), ends.items(), strict=True):
        if (min(seen), max(seen)) != (least, most):
            yield f"images are {min(seen)} to {max(seen)} pixels {name} here, {least} to {most} there"
    if target.drops_first and (metrics["exact_duplicates"] or metrics["similarity"] == "dot"):
        yield (
            "there the first hit is dropped as the query itself, which another item can be where images have copies or "
            "the similarity is a dot product; here the query is left out by its identity"
        )


def sides_of(item: Item) -> tuple[int, int]:
    """Return how wide and high an image is, or the part of it that counts."""
    assert item.width is not None and item.height is not None
    if item.box is None:
        return item.width, item.height
    left, top, right, bottom = whole_pixels(item.box)
    return right - left, bottom - top
