"""Real images that ship inside the packages this project depends on, so that it runs with no download."""

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.datasets.listing import Listing
from pipeline.datasets.photographs import PHOTOGRAPHS, continued, opened, random_view, save
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import Count, Seed, Side


def make_digits(directory: Path, per_class: Count) -> Listing:
    """Write scikit-learn's handwritten digits (8 x 8, 17 greys) as PNGs, the first ``per_class`` of each.

    Args:
        directory: where to write ``images/<digit>/<number in the set>.png``.
        per_class: images a digit; the set has 174 to 183.

    Raises:
        RetrievalError: there are not so many.
    """
    from sklearn.datasets import load_digits  # takes a second to import, for other datasets in vain

    digits = load_digits()
    entries = []
    for label in range(10):
        rows = np.flatnonzero(digits.target == label)
        if not 1 <= per_class <= len(rows):
            raise RetrievalError(f"digits: per_class must be 1 to {len(rows)} (the digit {label}), not {per_class}")
        for row in rows[:per_class]:
            path = f"images/{label}/{row:04d}.png"
            grey = np.round(digits.images[row] * (255 / 16)).astype(np.uint8)
            save(Image.fromarray(grey), directory / path)
            entries.append((path, (str(label),)))
    return Listing(directory, tuple(entries))


def make_photo_views(directory: Path, views: Count, side: Side, seed: Seed) -> Listing:
    """Write random views of each photograph as JPEGs: an instance-retrieval set with known answers.

    A view is the photograph cropped, rotated, perhaps mirrored, lit differently and compressed (see
    :func:`random_view`). Each photograph has a random stream of its own, so that its views do not
    depend on the others.

    Args:
        directory: where to write ``images/<photograph>/<view>.jpg``.
        views: a photograph.
        side: pixels of a view's longer side.
        seed: of the views.
    """
    if views < 1 or side < 16:
        raise RetrievalError(f"photo_views: views must be at least 1 and side at least 16, not {views} and {side}")
    entries = []
    for number, label in enumerate(PHOTOGRAPHS):
        scene = continued(opened(label, 2 * side))
        for view in range(views):
            rng = np.random.default_rng([seed, number, view])
            path = f"images/{label}/{view:03d}.jpg"
            quality = int(rng.integers(35, 96))
            save(random_view(scene, side=side, rng=rng), directory / path, quality=quality)
            entries.append((path, (label,)))
    return Listing(directory, tuple(entries))
