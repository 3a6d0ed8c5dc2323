"""Edited copies, as in Copydays' strong set: which picture was this one made from?"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from pipeline.datasets.listing import Listing
from pipeline.datasets.photographs import PHOTOGRAPHS, opened, save
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Role
from pipeline.retrieval.settings import Seed, Side

# Without those whose quarters nobody could tell apart.
ORIGINALS = tuple(name for name in PHOTOGRAPHS if name not in ("cell", "clock", "grass", "gravel"))
QUARTERS = ((0, 0), (1, 0), (0, 1), (1, 1))  # column and row
Edited = tuple[Image.Image, str]


def make_copies(directory: Path, side: Side, seed: Seed) -> Listing:
    """Write quarters of photographs, and of one quarter of each, five copies edited beyond easy recognition.

    The copies are the queries, and the quarter that each was made from is its one positive. The other quarters are
    distractors: as like the positive as another picture of the same place. Which quarter, which edit and how strong
    it is, is in the attributes.

    Args:
        directory: where to write ``images/<photograph>/quarter_<number>.jpg`` and ``<edit>.jpg``.
        side: pixels of a quarter's longer side.
        seed: of the edits.

    Raises:
        RetrievalError: the side is too small to edit.
    """
    if side < 16:
        raise RetrievalError(f"copies: side must be at least 16, not {side}")
    entries: list[tuple[str, tuple[str, ...]]] = []
    roles: dict[int, Role] = {}
    attributes: dict[int, Mapping[str, object]] = {}
    for number, photograph in enumerate(ORIGINALS):
        whole = opened(photograph, 2 * side)
        quarters = [quarter(whole, *place) for place in QUARTERS]
        # The one with the most contrast: of a blank sky no copy could be told.
        chosen = int(np.argmax([np.asarray(ImageOps.grayscale(image)).std() for image in quarters]))
        for place, image in enumerate(quarters):
            path = f"images/{photograph}/quarter_{place}.jpg"
            save(image, directory / path, quality=95)
            roles[len(entries)] = "gallery"
            attributes[len(entries)] = {"photograph": photograph, "quarter": place}
            entries.append((path, (photograph,) if place == chosen else ()))
        for place, (edit, function) in enumerate(EDITS.items()):
            rng = np.random.default_rng([seed, number, place])
            image, frame = framed(quarters[chosen], rng)
            image, strength = function(image, rng)
            path = f"images/{photograph}/{edit}.jpg"
            quality = int(rng.integers(10, 50))
            image, light = relit(image, rng)
            save(image, directory / path, quality=quality)
            roles[len(entries)] = "query"
            known = {"photograph": photograph, "quarter": chosen, "edit": edit, "strength": strength}
            attributes[len(entries)] = {**known, **frame, **light, "jpeg_quality": quality}
            entries.append((path, (photograph,)))
    return Listing(directory, tuple(entries), roles=roles, attributes=attributes)


def quarter(whole: Image.Image, column: int, row: int) -> Image.Image:
    """Return a quarter of an image."""
    width, height = whole.width // 2, whole.height // 2
    return whole.crop((column * width, row * height, (column + 1) * width, (row + 1) * height))


def relit(image: Image.Image, rng: Generator) -> tuple[Image.Image, Mapping[str, object]]:
    """Return an image with other brightness, contrast and colour, and by which factors."""
    ranges = {
        "brightness": (ImageEnhance.Brightness, 0.6, 1.4),
        "contrast": (ImageEnhance.Contrast, 0.5, 1.5),
        "colour": (ImageEnhance.Color, 0.0, 2.0),
    }
    factors = {}
    for name, (enhance, low, high) in ranges.items():
        factors[name] = round(float(rng.uniform(low, high)), 3)
        image = enhance(image).enhance(factors[name])
    return image, factors


def framed(image: Image.Image, rng: Generator) -> tuple[Image.Image, Mapping[str, object]]:
    """Return an image cut by up to a tenth on each side, half the time mirrored, so that nothing keeps its place.

    What is cut from left, top, right and bottom is returned too, in pixels before the image is mirrored.
    """
    margins = tuple(round(float(rng.uniform(0, 0.1)) * extent) for extent in image.size * 2)
    part = ImageOps.crop(image, margins)
    mirrored = bool(rng.random() < 0.5)
    known = {"cut": " ".join(map(str, margins)), "mirrored": mirrored}
    return ImageOps.mirror(part) if mirrored else part, known


def cropped(image: Image.Image, rng: Generator) -> Edited:
    """Return a part of 25 to 60 % of the area."""
    share = float(rng.uniform(0.25, 0.6))
    width, height = (max(1, round(extent * share**0.5)) for extent in image.size)
    left, top = (
        int(rng.integers(0, whole - part + 1)) for whole, part in zip(image.size, (width, height), strict=True)
    )
    return image.crop((left, top, left + width, top + height)), f"{share:.0%} of the area"


def printed(image: Image.Image, rng: Generator) -> Edited:
    """Return what a bad print in grey, scanned, looks like: pale, noisy and a little soft."""
    deviation, contrast = float(rng.uniform(15, 40)), float(rng.uniform(0.5, 0.8))
    grey = np.asarray(ImageOps.grayscale(image), dtype=np.float64)
    noisy = grey * contrast + 50 + rng.normal(0, deviation, grey.shape)
    scan = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1))
    return scan.convert("RGB"), f"noise of {deviation:.0f} of 255"


def blurred(image: Image.Image, rng: Generator) -> Edited:
    """Return the image out of focus, by 0.8 to 2 % of its shorter side."""
    radius = float(rng.uniform(0.008, 0.02)) * min(image.size)
    return image.filter(ImageFilter.GaussianBlur(radius)), f"{radius:.1f} pixels"


def painted_over(image: Image.Image, rng: Generator) -> Edited:
    """Return the image under three to seven rectangles of random colours."""
    covered = image.copy()
    draw = ImageDraw.Draw(covered)
    count = int(rng.integers(3, 8))
    for _ in range(count):
        width, height = image.width * rng.uniform(0.15, 0.5), image.height * rng.uniform(0.1, 0.35)
        left, top = image.width * rng.uniform(-0.1, 0.9), image.height * rng.uniform(-0.1, 0.9)
        draw.rectangle((left, top, left + width, top + height), fill=random_colour(rng))
    return covered, f"{count} rectangles"


def seen_askew(image: Image.Image, rng: Generator) -> Edited:
    """Return the image as a print on a table: in perspective, turned by up to 40 degrees, with what is around it."""
    width, height = image.size
    corners = [(0, 0), (width, 0), (width, height), (0, height)]
    inwards = [(1, 1), (-1, 1), (-1, -1), (1, -1)]
    moved = [
        (x + right * rng.uniform(0, 0.3) * width, y + down * rng.uniform(0, 0.3) * height)
        for (x, y), (right, down) in zip(corners, inwards, strict=True)
    ]
    # Pillow asks for the eight coefficients that lead from the new place of a pixel to its old one.
    rows, values = [], []
    for (x, y), (u, v) in zip(moved, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    coefficients = np.linalg.solve(np.array(rows), np.array(values))
    table, angle = random_colour(rng), float(rng.uniform(-40, 40))
    bent = image.transform(
        image.size, Image.Transform.PERSPECTIVE, coefficients.tolist(), Image.Resampling.BICUBIC, fillcolor=table
    )
    return bent.rotate(angle, resample=Image.Resampling.BICUBIC, fillcolor=table), f"turned by {angle:.0f} degrees"


def random_colour(rng: Generator) -> tuple[int, int, int]:
    """Return a colour."""
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


EDITS: Mapping[str, Callable[[Image.Image, Generator], Edited]] = {
    "crop": cropped,
    "print": printed,
    "blur": blurred,
    "overlay": painted_over,
    "perspective": seen_askew,
}
