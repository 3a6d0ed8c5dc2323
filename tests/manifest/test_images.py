"""Decoding: every odd kind of image comes out upright in 8-bit RGB, or is an error."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.manifest.images import decode_rgb, read_file
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
        decode_rgb(b"<html>not found</html>", name="cat.jpg")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_truncated(format: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), format)
    with pytest.raises(RetrievalError, match=r"cat cannot be decoded|cat is not an image") as caught:
        decode_rgb(data[: len(data) // 2], name="cat")
    assert "\n" not in str(caught.value)


def test_thirty_two_bit_pixels_are_refused() -> None:
    for dtype, mode in ((np.float32, "F"), (np.int32, "I")):
        with pytest.raises(RetrievalError, match=f"32-bit pixels .mode {mode}. have no defined white"):
            decode_rgb(encoded(Image.fromarray(np.ones((4, 4), dtype)), "TIFF"), name="x")


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(RetrievalError, match="15 x 10 pixels are more than the limit of 100"):
        decode_rgb(encoded(Image.new("RGB", (15, 10)), "PNG"), name="x")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="cat.jpg cannot be read .No such file or directory.: put the file there"):
        read_file(tmp_path / "cat.jpg", name="cat.jpg")


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
