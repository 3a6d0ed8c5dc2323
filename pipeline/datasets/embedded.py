"""Real images that ship inside the packages this project depends on, so that it runs with no download."""

import io
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from pipeline.datasets.listing import Listing
from pipeline.retrieval.errors import RetrievalError

# Photographs and scans inside the wheels. Left out: drawings, test patterns and motorcycle_right, which
# is motorcycle_left seen from 20 cm beside it.
PHOTOGRAPHS = {
    "astronaut": ("skimage.data", "astronaut.png"),
    "brick": ("skimage.data", "brick.png"),
    "camera": ("skimage.data", "camera.png"),
    "cat": ("skimage.data", "chelsea.png"),
    "cell": ("skimage.data", "cell.png"),
    "china": ("sklearn.datasets.images", "china.jpg"),
    "clock": ("skimage.data", "clock_motion.png"),
    "coffee": ("skimage.data", "coffee.png"),
    "coins": ("skimage.data", "coins.png"),
    "flower": ("sklearn.datasets.images", "flower.jpg"),
    "grass": ("skimage.data", "grass.png"),
    "gravel": ("skimage.data", "gravel.png"),
    "hubble": ("skimage.data", "hubble_deep_field.jpg"),
    "moon": ("skimage.data", "moon.png"),
    "motorcycle": ("skimage.data", "motorcycle_left.png"),
    "page": ("skimage.data", "page.png"),
    "retina": ("skimage.data", "retina.jpg"),
    "rocket": ("skimage.data", "rocket.jpg"),
    "text": ("skimage.data", "text.png"),
    "tissue": ("skimage.data", "ihc.png"),
}


def make_digits(directory: Path, per_class: int) -> Listing:
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


def make_photo_views(directory: Path, views: int, side: int, seed: int) -> Listing:
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
    for number, (label, (package, name)) in enumerate(PHOTOGRAPHS.items()):
        data = files(package).joinpath(name).read_bytes()
        photograph = Image.open(io.BytesIO(data)).convert("RGB")
        photograph.thumbnail((2 * side, 2 * side), Image.Resampling.LANCZOS)
        scene = continued(photograph)
        for view in range(views):
            rng = np.random.default_rng([seed, number, view])
            path = f"images/{label}/{view:03d}.jpg"
            quality = int(rng.integers(35, 96))
            save(random_view(scene, side=side, rng=rng), directory / path, quality=quality)
            entries.append((path, (label,)))
    return Listing(directory, tuple(entries))


def continued(photograph: Image.Image) -> Image.Image:
    """Return an RGB photograph with a quarter of its shorter side added all round, by reflection."""
    margin = min(photograph.size) // 4
    pixels = np.pad(np.asarray(photograph), ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    return Image.fromarray(pixels)


def random_view(scene: Image.Image, *, side: int, rng: np.random.Generator) -> Image.Image:
    """Return a view of a photograph as another camera might have taken it.

    Rotation by up to 25 degrees, a crop of 15 to 90 % of the photograph's area with an aspect ratio of
    3/4 to 4/3, mirrored every other time, brightness and contrast changed by up to 40 %, colour by up
    to 50 %, longer side ``side`` pixels.

    Args:
        scene: the photograph as :func:`continued`, so that no black corner betrays the rotation.
        side: pixels.
        rng: the source of all that is random here.
    """
    turned = scene.rotate(float(rng.uniform(-25, 25)), resample=Image.Resampling.BILINEAR)
    turned = ImageOps.crop(turned, min(scene.size) // 6)  # a sixth of the scene is a quarter of the photograph

    area = float(rng.uniform(0.15, 0.9)) * turned.width * turned.height
    aspect = float(np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3))))
    width = min(round((area * aspect) ** 0.5), turned.width)
    height = min(round((area / aspect) ** 0.5), turned.height)
    left = int(rng.integers(0, turned.width - width + 1))
    top = int(rng.integers(0, turned.height - height + 1))
    scale = side / max(width, height)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    view = turned.resize(target, resample=Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))

    if rng.random() < 0.5:
        view = ImageOps.mirror(view)
    for enhance, amount in (
        (ImageEnhance.Brightness, 0.4),
        (ImageEnhance.Contrast, 0.4),
        (ImageEnhance.Color, 0.5),
    ):
        view = enhance(view).enhance(1 + float(rng.uniform(-amount, amount)))
    return view


def save(image: Image.Image, path: Path, **options: Any) -> None:
    """Write an image, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
