"""Decoding: every odd kind of image comes out upright in 8-bit RGB, or is an error."""

import csv
import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.manifest.images import decode_part, decode_rgb, read_file
from pipeline.retrieval.errors import RetrievalError


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    image = decode_rgb(data, name="x")
    assert image.mode == "RGB"
    return np.asarray(image)


def ramp(dtype: type, high: int) -> np.ndarray:
    return np.linspace(0, high, 16 * 16).astype(dtype).reshape(16, 16)


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(format: str) -> None:
    grey = ramp(np.uint16, 65535)
    pixels = decode(encoded(Image.fromarray(grey), format))
    np.testing.assert_array_equal(pixels[..., 0], np.round(grey / 257).astype(np.uint8))
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("white", [65535, 1023, 256])
@pytest.mark.parametrize("magic", ["P2", "P5"])
def test_a_deep_pgm_is_scaled_by_its_own_white(magic: str, white: int) -> None:
    """16 bits, most significant byte first, or decimal numbers, as in netpbm's description of the format."""
    grey = ramp(np.uint16, white)
    values = grey.astype(">u2").tobytes() if magic == "P5" else " ".join(map(str, grey.ravel())).encode()
    pixels = decode(f"{magic} 16 16 {white}\n".encode() + values)
    assert (pixels[..., 0].min(), pixels[..., 0].max()) == (0, 255)
    # Scaled twice, to 16 bits and to 8, a value may be rounded the other way where it lies halfway.
    np.testing.assert_allclose(pixels[..., 0], grey / white * 255, atol=0.503)


def tiff(grey: np.ndarray, bits: int, photometric: int | None, *, order: str = "<", **more: Any) -> bytes:
    """A grey TIFF by hand: its pixels packed to ``bits`` each, rows padded to bytes (TIFF 6.0)."""
    kind, deflate = more.get("kind", "u"), more.get("deflate", False)
    if bits % 8:
        rows = ["".join(f"{value:0{bits}b}" for value in row) for row in grey.tolist()]
        rows = [row + "0" * (-len(row) % 8) for row in rows]
        pixels = b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in rows)
    else:
        pixels = grey.astype(f"{order}{kind}{bits // 8}").tobytes()
    pixels = zlib.compress(pixels) if deflate else pixels
    height, width = grey.shape
    tags = {256: width, 257: height, 258: bits, 259: 8 if deflate else 1, 262: photometric, 273: 0, 277: 1, 278: height}
    tags |= {279: len(pixels), 339: "_uif".index(kind)}
    tags = {tag: value for tag, value in tags.items() if value is not None}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    directory = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, len(tags))
    return head + directory + bytes(4) + pixels


@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10, 12, 14, 16])
def test_a_grey_tiff_is_full_scale_whatever_its_depth_and_polarity_or_refused(
    bits: int, photometric: int, order: str, deflate: bool
) -> None:
    grey = ramp(np.uint16, (1 << bits) - 1)
    data = tiff(grey, bits, photometric, order=order, deflate=deflate)
    # Pillow has no reading of the others.
    if (
        bits in (10, 14)
        or (bits == 12 and (order, photometric) != ("<", 1))
        or (bits, photometric, order) == (16, 0, ">")
    ):
        with pytest.raises(RetrievalError, match="x is not an image that Pillow can identify"):
            decode(data)
        return
    expected = grey / ((1 << bits) - 1) * 255
    np.testing.assert_allclose(decode(data)[..., 0], expected if photometric else 255 - expected, atol=0.501)


@pytest.mark.parametrize(("kind", "bits"), [("i", 8), ("i", 16), ("i", 32), ("u", 32), ("f", 16), ("f", 32)])
def test_numbers_without_a_defined_white_are_refused(kind: str, bits: int) -> None:
    data = tiff(np.ones((4, 4)), bits, 1, kind=kind)
    with pytest.raises(RetrievalError, match="no defined white|Pillow can identify"):  # floats of 16 bits
        decode(data)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_that_does_not_say_what_is_white(bits: int) -> None:
    with pytest.raises(RetrievalError, match="no PhotometricInterpretation, so that zero may be black or white"):
        decode(tiff(np.ones((4, 4)), bits, None))


def jpeg2000(samples: np.ndarray, bits: int, *, bare: bool) -> bytes:
    """A lossless JPEG 2000 of other depths than Pillow writes: the depth patched, and the samples for their offset.

    The standard takes half of the depth's range off before it transforms (ISO 15444-1, G.1).
    """
    deep = 16 if bits > 8 else 8
    moved = samples.astype(int) - (1 << bits >> 1) + (1 << deep >> 1)
    image = Image.fromarray(moved.astype(np.uint16 if deep == 16 else np.uint8))
    data = bytearray(encoded(image, "JPEG2000", no_jp2=bare, num_resolutions=1))
    sizes = data.index(b"\xff\x4f\xff\x51") + 4
    for channel in range(len(image.getbands())):
        data[sizes + 38 + 3 * channel] = bits - 1
    if not bare:
        data[data.index(b"ihdr") + 14] = bits - 1
    return bytes(data)


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize(
    ("bits", "channels"), [*((bits, 1) for bits in (1, 4, 7, 8, 9, 10, 12, 15, 16)), (1, 3), (4, 3), (8, 3)]
)
def test_a_jpeg_2000_is_full_scale_or_refused(bits: int, channels: int, bare: bool) -> None:
    grey = ramp(np.uint16, (1 << bits) - 1)
    data = jpeg2000(grey if channels == 1 else np.stack([grey] * 3, axis=-1), bits, bare=bare)
    # Pillow shifts these: 4 bits end at 240, and where 9 become 8 white is rounded to black.
    if bits < 8 or (bits == 9 and not bare):
        with pytest.raises(RetrievalError, match=f"channels of {bits} bits in JPEG 2000 come out wrong"):
            decode(data)
        return
    np.testing.assert_allclose(decode(data)[..., -1], grey / ((1 << bits) - 1) * 255, atol=0.501)


def test_a_jpeg_2000_of_deep_colours_is_refused() -> None:
    """Pillow rounds 4095 of 12 bits up to 256, which is 0."""
    data = bytearray(encoded(Image.new("RGB", (8, 8)), "JPEG2000"))
    data[data.index(b"\xff\x4f\xff\x51") + 42] = 11
    with pytest.raises(RetrievalError, match="channels of 8, 12 bits in JPEG 2000 come out wrong"):
        decode(bytes(data))


@pytest.mark.parametrize("white", [1, 15, 100, 255])
@pytest.mark.parametrize("magic", ["P5", "P6"])
def test_a_shallow_netpbm_is_scaled_by_its_own_white(magic: str, white: int) -> None:
    grey = ramp(np.uint8, white)
    values = grey if magic == "P5" else np.repeat(grey, 3)
    pixels = decode(f"{magic} 16 16 {white}\n".encode() + values.tobytes())
    np.testing.assert_allclose(pixels[..., 1], grey / white * 255, atol=0.501)


def test_grey_and_bilevel_have_three_equal_channels() -> None:
    grey = ramp(np.uint8, 255)
    assert (decode(encoded(Image.fromarray(grey), "PNG")) == grey[..., None]).all()
    assert set(np.unique(decode(encoded(Image.fromarray(grey).convert("1"), "PNG")))) == {0, 255}


def test_cmyk_keeps_its_colours() -> None:
    red = decode(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(red.astype(int) - [255, 0, 0]).max() < 12


def test_a_palette_keeps_its_colours_with_and_without_transparency() -> None:
    image = Image.new("RGB", (4, 4), (10, 200, 30)).quantize(4)
    assert (decode(encoded(image, "PNG")) == [10, 200, 30]).all()
    assert (decode(encoded(image, "PNG", transparency=bytes([0, 255, 255, 255]))) == [10, 200, 30]).all()


def test_transparency_is_dropped_and_the_colour_kept() -> None:
    assert (decode(encoded(Image.new("RGBA", (4, 4), (1, 2, 3, 0)), "PNG")) == [1, 2, 3]).all()


def test_of_an_animation_the_first_frame() -> None:
    frames = [Image.new("RGB", (6, 6), color) for color in ("red", "lime", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)
    assert (decode(data) == [255, 0, 0]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = np.zeros((8, 12, 3), np.uint8)
    upright[:4, :4] = 255  # the upper left corner is white
    undo = {  # how a camera held that way stores the picture
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    np.testing.assert_array_equal(decode(encoded(stored, "PNG", exif=exif)), upright)


def test_an_empty_file() -> None:
    with pytest.raises(RetrievalError, match=r"cat\.jpg is empty \(0 bytes\): replace the file"):
        decode_rgb(b"", name="cat.jpg")


def test_not_an_image() -> None:
    with pytest.raises(RetrievalError, match=r"cat\.jpg is not an image that Pillow can identify: replace"):
        decode_rgb(b"<svg>no pixels</svg>", name="cat.jpg")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\n<!DOCTYPE html><html>not found", "an HTML page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n",
            "a Git LFS pointer .* .run git lfs pull.",
        ),
        (b'{"message": "Not Found"}', "a JSON text"),
    ],
)
def test_what_came_in_place_of_an_image_is_named(data: bytes, what: str) -> None:
    with pytest.raises(RetrievalError, match=rf"^cat\.jpg is {what}.*: replace the file"):
        decode_rgb(data, name="cat.jpg")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_truncated(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)
    with pytest.raises(RetrievalError, match=r"cat cannot be decoded|cat is not an image") as caught:
        decode_rgb(data[: len(data) // 2], name="cat")
    assert "\n" not in str(caught.value)


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(RetrievalError, match="15 x 10 pixels are more than the limit of 100"):
        decode_rgb(encoded(Image.new("RGB", (15, 10)), "PNG"), name="x")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="cat.jpg cannot be read .No such file or directory.: put the file there"):
        read_file(tmp_path / "cat.jpg", name="cat.jpg")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zeros.jpg").symlink_to("/dev/zero")
    for name, what in (("pipe.jpg", r"a named pipe \(FIFO\)"), ("zeros.jpg", "a device")):
        with pytest.raises(RetrievalError, match=f"{name} is {what}, not a file"):
            read_file(tmp_path / name, name=name)


def test_real_odd_files(real_images: Path) -> None:
    """Pillow's own collection: what loads there comes out upright here, what does not is an error."""
    folder = real_images / "odd_images"
    with (folder / "manifest.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) > 40
    for row in rows:
        data = (folder / row["path"]).read_bytes()
        if row["loads"] != "ok":
            with pytest.raises(RetrievalError, match="replace the file or remove it"):
                decode_rgb(data, name=row["path"])
            continue
        image = decode_rgb(data, name=row["path"])
        size = (int(row["width"]), int(row["height"]))
        turned = row["exif_orientation"] in {"5", "6", "7", "8"}
        assert (image.mode, image.size) == ("RGB", size[::-1] if turned else size), row["path"]


def test_real_rotated_copies_show_the_same_scene(real_images: Path) -> None:
    folder = real_images / "odd_images/pillow"
    upright = Image.open(folder / "hopper.jpg").convert("RGB")
    for orientation in (2, 3, 5, 6, 8):
        data = (folder / f"hopper_orientation_{orientation}.jpg").read_bytes()
        difference = np.abs(decode(data).astype(float) - np.asarray(upright, float)).mean()
        assert difference < 8, orientation


def test_draw_makes_different_pictures(draw: Callable[..., Path]) -> None:
    assert draw("a.png", seed=1).read_bytes() != draw("b.png", seed=2).read_bytes()


def test_a_part_that_has_no_pixel_is_refused() -> None:
    """As Pillow rounds: 10.4 to 10, 2.5 to 2."""
    data = encoded(Image.new("RGB", (40, 30)), "PNG")
    assert decode_part(data, (2.5, 10.1, 2.6, 10.6), name="x").size == (1, 1)
    for box in ((10.1, 10.1, 10.4, 10.4), (2.2, 1.0, 2.5, 9.0), (1.0, 2.2, 9.0, 2.5)):
        with pytest.raises(RetrievalError, match=r"^a\.png: its box \d.* has no whole pixel"):
            decode_part(data, box, name="a.png")
