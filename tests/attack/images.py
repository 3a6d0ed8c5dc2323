"""Images of all formats that are opened, damaged."""

import io
import struct
import zlib
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from pipeline.manifest.images import decode_rgb, formats
from pipeline.retrieval.errors import RetrievalError
from tests.attack import mutation
from tests.attack.verdicts import Wrong

MODES = {
    "PNG": ("RGB", "RGBA", "P", "L", "LA", "1", "I;16"),
    "JPEG": ("RGB", "L", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("P", "L"),
    "TIFF": ("RGB", "RGBA", "L", "I;16", "1", "CMYK", "P", "F", "LAB", "YCbCr"),
    "BMP": ("RGB", "L", "P", "1"),
    "PPM": ("RGB", "L", "1", "I"),
    "ICO": ("RGBA",),
    "TGA": ("RGB", "RGBA", "L", "P"),
    "SGI": ("RGB", "L"),
    "PCX": ("RGB", "P", "1"),
    "JPEG2000": ("RGB", "L"),
    "AVIF": ("RGB",),
    "DIB": ("RGB",),
}


@cache
def seeds() -> list[bytes]:
    """Return small valid images."""
    colours = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    made = []
    for name in formats():
        for mode in MODES.get(name, ()):
            image = Image.new("I;16", (16, 12), 40000) if mode == "I;16" else colours.convert(mode)
            for options in ({}, {"progressive": True, "exif": exif}, {"compression": "tiff_lzw"}, {"lossless": True}):
                if not options or (name, next(iter(options))) in (
                    ("JPEG", "progressive"),
                    ("TIFF", "compression"),
                    ("WEBP", "lossless"),
                ):
                    buffer = io.BytesIO()
                    image.save(buffer, name, **options)
                    made.append(buffer.getvalue())
    for name in ("GIF", "WEBP", "PNG", "TIFF"):
        buffer = io.BytesIO()
        colours.save(buffer, name, save_all=True, append_images=[colours.rotate(90), colours.convert("L")])
        made.append(buffer.getvalue())
    return made


def chunks_mended(rng: Random, png: bytes) -> bytes:
    """Return a PNG whose chunks were changed and have the right checksum again."""
    made, place = png[:8], 8
    while place + 12 <= len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        name, body = png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        if rng.random() < 0.4:
            body = mutation.data(rng, body)
        if rng.random() < 0.1:
            name = rng.choice(
                (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"iCCP", b"zTXt", b"acTL", b"fdAT", b"IEND")
            )
        made += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        place += 12 + length
    return made


def images(rng: Random, folder: Path) -> None:
    """Decode an image, twice: what is decoded at all is decoded to the same."""
    given = rng.choice(seeds())
    if given.startswith(b"\x89PNG") and rng.random() < 0.7:
        given = chunks_mended(rng, given)
    else:
        given = mutation.data(rng, given, seeds())
    first = decode_rgb(given, name="image")
    if first.mode != "RGB" or min(first.size) < 1:
        raise Wrong(f"decoded to {first.mode} {first.size}")
    try:
        again = decode_rgb(given, name="image")
    except RetrievalError as error:
        raise Wrong(f"decoded once, and then: {error}") from None
    if first.tobytes() != again.tobytes():
        raise Wrong("decoded to other pixels the second time")
