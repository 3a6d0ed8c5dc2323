"""Decoders other than Pillow: the same pixels of every JPEG, nearly the same features, and never unnoticed."""

import hashlib
import io
import struct
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms.functional import pil_to_tensor

from pipeline.encoders.decoding import decoding_on_cpu, with_decoder
from pipeline.encoders.tensor_decoding import decoded, plain_jpeg
from pipeline.extraction.encoding import DecodedImages, batches
from pipeline.extraction.extraction import extract, probe
from pipeline.extraction.guards import Limits
from pipeline.extraction.provenance import made_by
from pipeline.extraction.runtime import Runtime
from pipeline.manifest.images import decode_part
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.errors import RetrievalError
from tests.encoders.test_encoders import build, config_of

PLAIN = Runtime(device="cpu", batch_size=4, workers=0)
NAMES = ["resnet18_random", "clip_random", "dinov2_random"]


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photograph(width: int, height: int, mode: str = "RGB") -> Image.Image:
    coarse = np.random.default_rng(width).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def upside_down() -> bytes:
    tags = Image.Exif()
    tags[0x0112] = 6
    return encoded(photograph(40, 30), exif=tags)


@pytest.mark.parametrize(
    "data",
    [
        encoded(photograph(301, 203)),
        encoded(photograph(64, 64), subsampling=2, quality=30),
        encoded(photograph(31, 17), progressive=True),
        encoded(photograph(31, 17, "L")),
        encoded(photograph(31, 17, "CMYK")),
        encoded(photograph(31, 17), "PNG"),
        encoded(photograph(31, 17).quantize(8), "GIF"),
        upside_down(),
    ],
    ids=["odd", "subsampled", "progressive", "grey", "cmyk", "png", "gif", "turned"],
)
@pytest.mark.parametrize("box", [None, (3.0, 2.0, 20.5, 11.0)])
def test_the_same_pixels_as_pillow(data: bytes, box: tuple[float, ...] | None) -> None:
    expected = pil_to_tensor(decode_part(data, box, name="x"))
    assert torch.equal(decoded(data, box, name="x", device="cpu"), expected)


def test_the_same_pixels_of_real_photographs(real_images: Path) -> None:
    paths = sorted((real_images / "mini_voc").rglob("*.jpg"))[:100]
    assert paths
    for path in paths:
        data = path.read_bytes()
        expected = pil_to_tensor(decode_part(data, None, name=str(path)))
        assert torch.equal(decoded(data, None, name=str(path), device="cpu"), expected), path


def with_segments(*segments: bytes) -> bytes:
    """A JPEG of 40 x 30 pixels with these APP1 segments before all others."""
    data = encoded(photograph(40, 30))
    return data[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(one) + 2) + one for one in segments) + data[2:]


def exif(*tags: bytes, order: str = "<") -> bytes:
    """EXIF with tags of 12 bytes each."""
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return b"Exif\0\0" + start + b"".join(tags) + b"\0\0\0\0"


def orientation(value: int, kind: str = "HH", code: int = 3, order: str = "<") -> bytes:
    return struct.pack(f"{order}HHI{kind}", 0x112, code, 1, value, *[0] * (len(kind) - 1))


XMP = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="%d"/>'
SIX, ONE = exif(orientation(6)), exif(orientation(1))
ORIENTED = {
    "xmp": [XMP % 6],
    "xmp beside exif without an orientation": [exif(), XMP % 6],
    "exif after another segment": [b"http://ns.adobe.com/xap/1.0/\0<x/>", SIX],
    "exif twice": [ONE, SIX],
    "a big-endian LONG": [exif(orientation(6, "I", 4, ">"), order=">")],
    "a BYTE": [exif(orientation(6, "BBBB", 1))],
    "the tag twice": [exif(orientation(6), orientation(1))],
    "the tag twice, the other way round": [exif(orientation(1), orientation(6))],
    "a plain 6": [SIX],
    "big-endian": [exif(orientation(6, order=">"), order=">")],
    "cut": [SIX[:18]],
    "no end": [SIX[:-4]],
    "nothing": [b""],
}


@pytest.mark.parametrize("segments", ORIENTED.values(), ids=list(ORIENTED))
def test_what_pillow_turns_is_turned(segments: list[bytes]) -> None:
    """Also as an input that keeps the aspect ratio, whose size the manifest foretells."""
    data = with_segments(*segments)
    image = decode_part(data, None, name="x")
    assert torch.equal(decoded(data, None, name="x", device="cpu"), pil_to_tensor(image))
    config = {**config_of("resnet18_random"), "pooling": "patch_mean"}
    whole = build("x", {**config, "input": {"side": 32, "fit": "shortest", "multiple": 8}, "decoder": "torchcodec"})
    assert whole.extent is not None
    made = whole.preprocess(whole.decode(data, None, name="x"))
    assert made.shape[1:] == whole.extent(*image.size) and torch.equal(made, whole.preprocess(image))


def test_plain_ones_are_decoded_by_torchcodec() -> None:
    """Among them those of cameras, whose EXIF says that they are upright."""
    tag = struct.pack("<HHIHH", 0x110, 3, 1, 6, 0)  # another one
    for plain in ([], [ONE], [exif()], [exif(tag)], [exif(tag, orientation(1, order="<"))]):
        assert plain_jpeg(with_segments(*plain))
    assert plain_jpeg(with_segments(exif(orientation(1, order=">"), order=">")))
    assert not any(plain_jpeg(with_segments(*segments)) for segments in ORIENTED.values())


def test_more_pixels_than_pillow_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1100)
    with pytest.raises(RetrievalError, match=r"^a\.jpg cannot be decoded .* more than the limit of 1100"):
        decoded(encoded(photograph(40, 30)), None, name="a.jpg", device="cpu")


@pytest.mark.parametrize("data", [b"", b"\xff\xd8\xff", encoded(photograph(90, 90))[:600], b"no image"])
def test_what_cannot_be_decoded_is_named(data: bytes) -> None:
    with pytest.raises(RetrievalError, match=r"^a\.jpg "):
        decoded(data, None, name="a.jpg", device="cpu")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    items = []
    for side in range(200, 206):
        data = encoded(photograph(side, 300))
        (tmp_path / f"{side}.jpg").write_bytes(data)
        items.append(Item(f"{side}.jpg", ("a",), side, 300, hashlib.sha256(data).hexdigest()))
    return Manifest("own", tmp_path, tuple(items))


@pytest.mark.parametrize("name", NAMES)
def test_features_are_nearly_those_by_pillow(manifest: Manifest, name: str) -> None:
    usual, other = (build("x", {**config_of(name), "decoder": decoder}) for decoder in ("pillow", "torchcodec"))
    expected, _ = extract(usual, manifest, PLAIN)
    features, _ = extract(other, manifest, PLAIN)
    assert not np.array_equal(features, expected)  # resized pixels differ by a grey level here and there
    cosine = (features * expected).sum(1) / np.linalg.norm(features, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > 0.9999
    again, _ = extract(other, manifest, replace(PLAIN, workers=2, batch_size=3))
    np.testing.assert_allclose(again, features, atol=1e-5 * np.abs(features).max())
    # A search passes Pillow's image.
    image = decode_part((manifest.root / "200.jpg").read_bytes(), None, name="x")
    stacked = next(batches(DecodedImages.of(manifest, other), [[0]], PLAIN))
    assert torch.equal(other.preprocess(image), stacked[0])


def test_the_provenance_names_the_decoder() -> None:
    config = config_of("resnet18_random")
    for decoder in ("pillow", "torchcodec"):
        made = made_by(build("x", {**config, "decoder": decoder}), {})
        assert made["decoder"] == decoder
        assert ("OnTensors" in made["preprocessing"]) == (decoder == "torchcodec")


def test_a_decoder_that_cannot_be_had(manifest: Manifest) -> None:
    config = config_of("resnet18_random")
    with pytest.raises(RetrievalError, match="unknown decoder 'fast'; one of nvjpeg, pillow, torchcodec"):
        build("x", {**config, "decoder": "fast"})
    with pytest.raises(RetrievalError, match="prepared by Pillow only: remove 'decoder'"):
        build("x", {**config_of("hog"), "decoder": "torchcodec"})
    usual = build("x", config)
    flipped = transforms.Compose([*usual.preprocess.transforms, transforms.RandomHorizontalFlip(p=1)])
    with pytest.raises(RetrievalError, match="^here: these images are prepared by Pillow only: remove 'decoder'"):
        with_decoder(replace(usual, preprocess=flipped), "torchcodec", where="here")
    on_gpu = build("x", {**config, "decoder": "nvjpeg"})
    limits = Limits(
        effective_rank=1.5, mean_cosine=0.98, constant_dimensions=0.0, equal_features=0.5, batch_difference=0.001
    )
    for encode in (lambda: extract(on_gpu, manifest, PLAIN), lambda: probe(on_gpu, manifest, PLAIN, limits)):
        with pytest.raises(RetrievalError, match="decoder 'nvjpeg' needs a CUDA GPU and no workers"):
            encode()
    # Where a cluster encodes, its driver tries some images without one.
    assert probe(decoding_on_cpu(on_gpu), manifest, PLAIN, limits).problem == ""


def test_without_torchcodec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    monkeypatch.delitem(sys.modules, "pipeline.encoders.tensor_decoding")
    build("x", config_of("resnet18_random"))
    with pytest.raises(RetrievalError, match=r"decoder 'torchcodec' needs TorchCodec \(.*\): pip install torchcodec"):
        build("x", {**config_of("resnet18_random"), "decoder": "torchcodec"})


def test_on_a_gpu(manifest: Manifest) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU to decode on")
    usual, other = (
        build("x", {**config_of("resnet18_random"), "decoder": decoder}) for decoder in ("pillow", "nvjpeg")
    )
    runtime = Runtime(device="cuda", batch_size=4, workers="auto")
    expected, _ = extract(usual, manifest, runtime)
    features, _ = extract(other, manifest, runtime)
    cosine = (features * expected).sum(1) / np.linalg.norm(features, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > 0.999
