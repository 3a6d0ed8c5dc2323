"""The photographs that ship inside the packages this project depends on, and random views of them."""

import io
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

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


def opened(photograph: str, side: int) -> Image.Image:
    """Return a photograph in RGB, its longer side at most ``side`` pixels."""
    package, name = PHOTOGRAPHS[photograph]
    image = Image.open(io.BytesIO(files(package).joinpath(name).read_bytes())).convert("RGB")
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


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
