"""From the bytes of an image file to an upright 8-bit RGB image, or an error."""

import hashlib
import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.frame.places import Place
from pipeline.manifest.items import Box, join_box, whole_pixels
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.reading.mistaken import mistaken
from pipeline.retrieval.reading.regular import regular_file

# What is opened. Others are rare, and one of them, EPS, would start Ghostscript on what it is given.
FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO"),
    *("PCX", "PNG", "PPM", "SGI", "TGA", "TIFF", "WEBP"),
)
REMEDY = "replace the file or remove it from the dataset"
# Wider than 8 bits a channel: Pillow's own convert("RGB") clips these at 255 instead of scaling them.
SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
SIGNED = 2
CODESTREAM = b"\xff\x4f\xff\x51"  # begins that of JPEG 2000: the markers SOC and SIZ


@cache
def formats() -> list[str]:
    """Return those of ``FORMATS`` that this Pillow was built with."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def decode_rgb(data: bytes, *, name: str, remedy: str = REMEDY) -> Image.Image:
    """Decode an image file to RGB, 8 bits a channel, turned upright by its EXIF orientation.

    Of an animation the first frame is taken. Greys of 9 to 16 bits are scaled from the file's own white to 255, 16 bits
    by 1/257; palettes and CMYK are converted by Pillow; an alpha channel is dropped, the colours below it kept, as
    ``convert("RGB")`` in torchvision, timm and transformers does.

    Args:
        data: the whole file.
        name: what to call it in an error, usually its path.
        remedy: the end of the error.

    Raises:
        RetrievalError: the file is empty, no image of one of ``FORMATS``, truncated or otherwise damaged, of a mode
            with no 8-bit reading (32-bit integer or float, signed), of a depth that Pillow does not scale, or larger
            than Pillow's limit against decompression bombs (``PIL.Image.MAX_IMAGE_PIXELS``, 89 megapixels).
    """
    try:
        with Image.open(io.BytesIO(data), formats=formats()) as image:
            refuse_bomb(image)
            white, inverted = scale_of(image, data)
            # Once only: after a failed load() a second one on the same object can succeed with the
            # missing part left black.
            image.load()
            return to_rgb(ImageOps.exif_transpose(image), format=image.format, white=white, inverted=inverted)
    except UnidentifiedImageError:
        what = mistaken(data) or "not an image that Pillow can identify"
        raise RetrievalError(f"{name} is {what}: {remedy}") from None
    except Exception as error:  # Pillow's plugins raise nearly every exception type on damaged files.
        problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise RetrievalError(f"{name} cannot be decoded ({problem}): {remedy}") from None


def refuse_bomb(image: Image.Image) -> None:
    """Raise ValueError if an image has more pixels than Pillow would open without a warning."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise ValueError(f"{image.width} x {image.height} pixels are more than the limit of {limit}")


def scale_of(image: Image.Image, data: bytes) -> tuple[int, bool]:
    """Return the white of a grey deeper than 8 bits, as Pillow loads it, and whether the file calls zero white.

    Raises:
        ValueError: Pillow reads the file's numbers as other brightnesses than they mean, and of this says nothing.
    """
    if image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]  # its plugin is loaded when it is needed
        if SIGNED in tags.get(SAMPLE_FORMAT, ()):
            raise ValueError("signed numbers have no defined white: convert to unsigned ones of 8 or 16 bits")
        if image.mode in ("L", *SIXTEEN_BIT) and PHOTOMETRIC not in tags:  # Pillow takes white, and libtiff black
            raise ValueError("it has no PhotometricInterpretation, so that zero may be black or white: add the tag")
        if image.mode in SIXTEEN_BIT:  # shallower ones Pillow scales and inverts itself
            return (1 << tags[BITS][0]) - 1, tags[PHOTOMETRIC] == 0
    if image.format == "JPEG2000":
        bits = depths(data)
        if image.mode in SIXTEEN_BIT and len(bits) == 1 and 8 < bits[0] <= 16:
            return ((1 << bits[0]) - 1) << (16 - bits[0]), False
        if set(bits) != {8}:
            found = ", ".join(str(depth) for depth in sorted(set(bits)))
            raise ValueError(f"channels of {found} bits in JPEG 2000 come out wrong: convert to 8 bits")
    return 65535, False


def depths(data: bytes) -> list[int]:
    """Return the bits of each channel in a JPEG 2000 (ISO 15444-1, A.5.1); IndexError or ValueError if it has none."""
    sizes = data.index(CODESTREAM) + 4
    channels = int.from_bytes(data[sizes + 36 : sizes + 38], "big")
    return [(data[sizes + 38 + 3 * channel] & 0x7F) + 1 for channel in range(channels)]


def to_rgb(image: Image.Image, *, format: str | None, white: int, inverted: bool) -> Image.Image:
    """Convert a loaded image to RGB, 8 bits a channel (see :func:`decode_rgb` and :func:`scale_of`).

    Raises:
        ValueError: the pixels are 32-bit integers or floats.
    """
    # Pillow reads a PGM deeper than 8 bits as mode I, scaled from the file's own white to 65535.
    if image.mode in SIXTEEN_BIT or (image.mode == "I" and format == "PPM"):
        grey = np.asarray(image).astype(np.uint32)
        scaled = ((grey * 255 + white // 2) // white).astype(np.uint8)
        return Image.fromarray(255 - scaled if inverted else scaled).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"32-bit pixels (mode {image.mode}) have no defined white: convert to 8 or 16 bits")
    if "transparency" in image.info:
        image = image.convert("RGBA")  # a palette's transparency in bytes is lost, with a warning, otherwise
    return image.convert("RGB")


def read_file(path: Place, *, name: str) -> bytes:
    """Return the bytes of a file.

    Raises:
        RetrievalError: it is missing, may not be read, or is no regular file.
    """
    try:
        if isinstance(path, Path):
            regular_file(path)
        return path.read_bytes()
    except OSError as error:
        problem = error.strerror or type(error).__name__
    except Exception as error:  # what is behind a URL fails as its client pleases
        if isinstance(path, Path):
            raise
        problem = f"{type(error).__name__}: {error}"
    raise RetrievalError(f"{name} cannot be read ({problem}): put the file there")


def read_prepared(path: Place, sha256: str, *, dataset: str) -> bytes:
    """Return the file of an image of a manifest, after a check that it is the one prepared.

    Args:
        path: where it is.
        sha256: of the file that was prepared.
        dataset: for the error.

    Raises:
        RetrievalError: it is missing or has changed.
    """
    name = str(path)
    data = read_file(path, name=name)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise RetrievalError(f"{name} has changed since it was prepared: run dvc repro -f prepare@{dataset}")
    return data


def decode_part(data: bytes, box: Box | None, *, name: str) -> Image.Image:
    """Return what :func:`decode_rgb` does, or the part of it that counts.

    Raises:
        RetrievalError: see there and :func:`refuse_empty`.
    """
    image = decode_rgb(data, name=name)
    if box is None:
        return image
    refuse_empty(box, name=name)
    return image.crop(box)


def refuse_empty(box: Box, *, name: str) -> None:
    """Raise :class:`RetrievalError` for a box that no pixel is left of where its sides are rounded to whole ones."""
    left, top, right, bottom = whole_pixels(box)
    if left >= right or top >= bottom:
        raise RetrievalError(
            f"{name}: its box {join_box(box)} (left, top, right, bottom) has no whole pixel: mend it in the dataset's "
            "annotations, or drop the image"
        )
