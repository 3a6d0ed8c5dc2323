"""Objects in clutter: photographs to be found where they are a small part of another picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageOps
from pydantic import Field

from pipeline.datasets.listing import Listing
from pipeline.datasets.photographs import PHOTOGRAPHS, continued, opened, random_view, save
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Role
from pipeline.retrieval.settings import Count, Seed, Side

OBJECTS = (
    "camera", "cat", "clock", "coins", "flower", "hubble", "motorcycle", "page", "retina", "rocket", "text", "tissue",
)  # fmt: skip
# What lies around them. No object is among these, so that a scene shows one object or none.
SURROUNDINGS = tuple(name for name in PHOTOGRAPHS if name not in OBJECTS)
SHARE = (0.1, 0.3)  # of a scene's area that is the object


def make_clutter(
    directory: Path,
    queries: Count,
    scenes: Count,
    scenes_without: Annotated[int, Field(ge=0, le=1_000_000)],
    side: Side,
    seed: Seed,
) -> Listing:
    """Write views of objects, and scenes in which another view of one is 10 to 30 % of the area.

    A scene is a photograph with up to four pieces of others on it, and the object above them all. The views are the
    queries, the scenes the gallery; distractors are scenes without an object. The share of the object, its box, what
    is behind it and how many pieces lie around it are in the attributes.

    Args:
        directory: where to write ``images/<object>/query_<number>.jpg``, ``images/<object>/scene_<number>.jpg`` and
            ``images/distractors/<number>.jpg``.
        queries: views of each object.
        scenes: that show each object.
        scenes_without: scenes that show none, the distractors.
        side: pixels of a scene, which is square, and of a view's longer side.
        seed: of all that is random.

    Raises:
        RetrievalError: a count or the side is too small.
    """
    if min(queries, scenes) < 1 or scenes_without < 0 or side < 16:
        raise RetrievalError(
            "clutter: queries and scenes must be at least 1, scenes_without at least 0 and side at least 16, not "
            f"{queries}, {scenes}, {scenes_without} and {side}"
        )
    whole = {name: opened(name, side) for name in PHOTOGRAPHS}
    photographs = {name: continued(image) for name, image in whole.items()}  # for pieces
    entries: list[tuple[str, tuple[str, ...]]] = []
    roles: dict[int, Role] = {}
    attributes: dict[int, Mapping[str, object]] = {}

    def add(path: str, image: Image.Image, label: str | None, role: Role, known: Mapping[str, object]) -> None:
        save(image, directory / path, quality=90)
        roles[len(entries)] = role
        attributes[len(entries)] = known
        entries.append((path, () if label is None else (label,)))

    for number, name in enumerate(OBJECTS):
        large = continued(opened(name, 2 * side))
        for view in range(queries):
            rng = np.random.default_rng([seed, 0, number, view])
            image = random_view(large, side=side, rng=rng)
            add(f"images/{name}/query_{view:02d}.jpg", image, name, "query", {"object": name})
        for view in range(scenes):
            rng = np.random.default_rng([seed, 1, number, view])
            scene, known = surroundings(whole, photographs, side=side, pieces=int(rng.integers(1, 5)), rng=rng)
            share = float(rng.uniform(*SHARE))
            box = lay(scene, piece(photographs[name], share, side=side, rng=rng), rng, inside=True)
            known = {"object": name, "share": round(share, 3), "box": " ".join(map(str, box)), **known}
            add(f"images/{name}/scene_{view:02d}.jpg", scene, name, "gallery", known)
    for view in range(scenes_without):
        rng = np.random.default_rng([seed, 2, view])
        scene, known = surroundings(whole, photographs, side=side, pieces=int(rng.integers(2, 6)), rng=rng)
        add(f"images/distractors/{view:02d}.jpg", scene, None, "gallery", known)
    return Listing(directory, tuple(entries), roles=roles, attributes=attributes)


def surroundings(
    whole: Mapping[str, Image.Image], photographs: Mapping[str, Image.Image], *, side: int, pieces: int, rng: Generator
) -> tuple[Image.Image, dict[str, object]]:
    """Return a scene without an object, and of what it is made.

    Args:
        whole: the photographs, one of which is behind all.
        photographs: the same as :func:`pipeline.datasets.photographs.continued`, for the pieces.
        side: pixels of the scene.
        pieces: how many lie on it.
        rng: the source of all that is random here.
    """
    behind = SURROUNDINGS[int(rng.integers(len(SURROUNDINGS)))]
    centre = (float(rng.uniform()), float(rng.uniform()))
    scene = ImageOps.fit(whole[behind], (side, side), Image.Resampling.BICUBIC, centering=centre)
    for _ in range(pieces):
        other = SURROUNDINGS[int(rng.integers(len(SURROUNDINGS)))]
        lay(scene, piece(photographs[other], float(rng.uniform(0.05, 0.2)), side=side, rng=rng), rng, inside=False)
    return scene, {"background": behind, "pieces": pieces}


def piece(photograph: Image.Image, share: float, *, side: int, rng: Generator) -> Image.Image:
    """Return a random view of a photograph that has this share of the area of a scene."""
    view = random_view(photograph, side=max(1, round(0.6 * side)), rng=rng)
    scale = (share * side * side / (view.width * view.height)) ** 0.5
    size = (max(1, round(view.width * scale)), max(1, round(view.height * scale)))
    return view.resize(size, Image.Resampling.BICUBIC)


def lay(scene: Image.Image, part: Image.Image, rng: Generator, *, inside: bool) -> tuple[int, int, int, int]:
    """Lay a piece onto a scene, whole or over its edge, and return its box: left, top, right, bottom in pixels."""
    over = 0 if inside else min(part.size) // 2
    left = int(rng.integers(-over, max(1, scene.width - part.width + 1 + over)))
    top = int(rng.integers(-over, max(1, scene.height - part.height + 1 + over)))
    scene.paste(part, (left, top))
    return left, top, left + part.width, top + part.height
