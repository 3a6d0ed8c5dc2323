"""Images of different sizes: batches of one size each, rows in the manifest's order, and the same guards."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.encoders.encoder import Encoder
from pipeline.encoders.views import Scaled, Scales, resized
from pipeline.encoders.whole_image import WholeImage
from pipeline.extraction.encoding import DecodedImages, counted, turns
from pipeline.extraction.extraction import extract, probe
from pipeline.extraction.guards import Limits
from pipeline.extraction.parts import Part
from pipeline.extraction.provenance import costs_of
from pipeline.extraction.runtime import Runtime
from pipeline.extraction.scratch import Scratch
from pipeline.manifest.images import decode_part
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.errors import RetrievalError
from pipeline.search.searching import encode

PLAIN = Runtime(device="cpu", batch_size=3, workers=0)
LIMITS = Limits(1.5, 0.999999999, 0.999, 0.5, 0.001)
WHOLE = WholeImage(24, "shortest", "round", 8, "bilinear", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
# Width and height of the images, and of what they become: the shorter side 24, both multiples of 8.
SIZES = {(48, 48): (24, 24), (60, 40): (24, 40), (40, 60): (40, 24), (62, 40): (24, 40), (90, 30): (24, 72)}
ORDER = [0, 1, 1, 2, 3, 0, 1, 2, 4, 1, 3, 0, 1]


class Seen(nn.Module):
    """Means of quarters of an image, and the shapes of the batches it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, batch: Tensor) -> Tensor:
        self.shapes.append((len(batch), *batch.shape[2:]))
        return nn.functional.adaptive_avg_pool2d(batch, 2).flatten(1)


def sized() -> Encoder:
    return Encoder(Seen().eval(), WHOLE, 12, {"kind": "random"})


@pytest.fixture
def manifest(draw: Callable[..., Path], tmp_path: Path) -> Manifest:
    items = []
    for seed, kind in enumerate(ORDER):
        width, height = list(SIZES)[kind]
        path = draw(f"{seed}.png", seed=seed, size=(width, height))
        items.append(Item(path.name, ("a",), width, height, hashlib.sha256(path.read_bytes()).hexdigest()))
    # Of the last one a part counts, of 23 x 32 pixels as Pillow rounds its sides: 24 x 33.4, hence 24 x 32.
    items[-1] = replace(items[-1], box=(1.4, 2.5, 24.4, 34.4))
    return Manifest("own", tmp_path, tuple(items))


def one_by_one(encoder: Encoder, manifest: Manifest) -> np.ndarray:
    rows = []
    for item in manifest.items:
        image = decode_part((manifest.root / item.path).read_bytes(), item.box, name=item.path)
        rows.append(encoder.encode(encoder.preprocess(image)[None]).numpy()[0])
    return np.array(rows)


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (3, 0), (32, 0), (3, 2)])
def test_rows_are_in_the_order_of_the_manifest(manifest: Manifest, batch_size: int, workers: int) -> None:
    features, _ = extract(sized(), manifest, Runtime("cpu", batch_size, workers))
    np.testing.assert_allclose(features, one_by_one(sized(), manifest), atol=1e-6)


def test_nothing_is_padded_and_batches_are_full(manifest: Manifest) -> None:
    encoder = sized()
    extract(encoder, manifest, PLAIN)
    # Five of 24 x 40 with the 62 x 40 ones: 24 / 40 * 62 = 37.2, which is 4.65 times 8.
    inputs = Counter([*(list(SIZES.values())[kind] for kind in ORDER[:-1]), (32, 24)])
    assert inputs == {(24, 24): 3, (24, 40): 6, (40, 24): 2, (24, 72): 1, (32, 24): 1}
    seen: Any = encoder.network
    assert seen.shapes == [(3, 24, 24), (3, 24, 40), (3, 24, 40), (2, 40, 24), (1, 24, 72), (1, 32, 24)]


def test_the_part_that_counts_is_as_pillow_crops_it(manifest: Manifest) -> None:
    last = manifest.items[-1]
    image = decode_part((manifest.root / last.path).read_bytes(), last.box, name="x")
    assert counted(60, 40, last.box) == image.size == (23, 32)
    assert counted(60, 40, None) == (60, 40)


def test_inputs_of_one_size_are_batched_as_they_come(manifest: Manifest) -> None:
    images = DecodedImages.of(manifest, replace(sized(), preprocess=nn.Identity()))
    assert Part(2, range(4, 11)).batches(3, images) == [range(4, 7), range(7, 10), range(10, 11)]


def test_short_batches_share_a_turn() -> None:
    """Four full batches of 3 are 12 images; full ones alone come by four."""
    lengths = [3, 3, 3, 2, 1, 1, 3, 3, 1, 3, 3, 3]
    places = [range(length) for length in lengths]
    assert [[len(batch) for batch in turn] for turn in turns(places)] == [
        [3, 3, 3, 2, 1],  # 12
        [1, 3, 3, 1, 3],  # 11, and 3 more are too many
        [3, 3],
    ]
    assert [len(turn) for turn in turns([range(3)] * 10)] == [4, 4, 2] and not list(turns([]))


def test_a_part_that_is_lost_is_made_again_to_the_bit(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.extraction.extraction.PART", 5)
    scratch = Scratch(tmp_path / "scratch", "key")
    features, _ = extract(sized(), manifest, PLAIN, scratch)
    scratch.path(1).unlink()
    encoder = sized()
    again, _ = extract(encoder, manifest, PLAIN, scratch)
    seen: Any = encoder.network
    assert again.tobytes() == features.tobytes()
    assert sum(count for count, *_ in seen.shapes) == 5  # images of that part alone
    np.testing.assert_allclose(features, one_by_one(sized(), manifest), atol=1e-6)


class BatchMean(nn.Module):
    """Takes the mean of the batch off: what no encoder should do."""

    def forward(self, batch: Tensor) -> Tensor:
        quarters = nn.functional.adaptive_avg_pool2d(batch, 2).flatten(1)
        return quarters - quarters.mean(dim=0)


@pytest.mark.parametrize("count", [len(ORDER), 2])
def test_neighbours_in_a_batch_are_seen(manifest: Manifest, count: int) -> None:
    """Also where no two images are of a size: then it is the mirror image that is the neighbour."""
    few = replace(manifest, items=manifest.items[:count])
    assert not probe(sized(), few, PLAIN, LIMITS).problem
    wrong = replace(sized(), network=BatchMean().eval())
    assert "something in the network mixes images" in probe(wrong, few, PLAIN, LIMITS).problem


def test_operations_are_those_of_the_mean_image(manifest: Manifest) -> None:
    """Inputs of 576, 960 and 1728 pixels: three, eight and one, and 768 of the last; 912 on the average."""
    images = DecodedImages.of(manifest, sized())
    assert pytest.approx(915.7, abs=0.1) == (3 * 576 + 8 * 960 + 1728 + 768) / 13
    assert images.typical() == (40, 60)  # of 960, the first of those that are as near
    layer = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    encoder = replace(sized(), network=layer, dim=2)
    costs = costs_of(encoder, 13, 1.0, {}, typical=images.typical())
    assert costs["flops_per_image"] == 2 * 3 * 2 * 960


def test_a_panorama_is_named(manifest: Manifest) -> None:
    long = replace(manifest.items[3], width=100_000, height=10)
    items = (*manifest.items[:3], long, *manifest.items[4:])
    with pytest.raises(RetrievalError, match=r"3\.png: an image of 100000 x 10 pixels would become .*: take fit"):
        extract(sized(), replace(manifest, items=items), PLAIN)


def test_different_sizes_without_an_input_are_said(manifest: Manifest) -> None:
    def as_it_is(image: Any) -> Tensor:
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float()

    with pytest.raises(
        RetrievalError,
        match=r"of one batch became inputs of 3 x 40 x 60 \(.*/1\.png\) and 3 x 48 x 48 \(.*/0\.png\): write",
    ):
        extract(replace(sized(), preprocess=as_it_is), manifest, PLAIN)


LONGEST = replace(WHOLE, fit="longest")  # of 90 x 30 pixels, the image 8.png, it makes 8 x 24
MEAN = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def refused(manifest: Manifest, network: nn.Module, match: str, batch_size: int = 3, workers: int = 0) -> None:
    encoder = Encoder(network.eval(), LONGEST, 3, {"kind": "random"}, where="conf/encoder/x.yaml")
    with pytest.raises(RetrievalError, match=match):
        extract(encoder, manifest, Runtime("cpu", batch_size, workers))


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (32, 0), (3, 2)])
def test_an_image_that_the_network_does_not_take_is_named(manifest: Manifest, batch_size: int, workers: int) -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 10), MEAN)
    match = (
        r"^\S*/8\.png: the network of conf/encoder/x\.yaml does not take an input of \(3, 8, 24\) \(.*\): take a "
        "larger side in 'input', larger or fewer 'scales', or fit: crop"
    )
    refused(manifest, network, match, batch_size, workers)
    with pytest.raises(RetrievalError, match=match):
        image = decode_part((manifest.root / "8.png").read_bytes(), None, name="x")
        encode(Encoder(network.eval(), LONGEST, 3, {}, where="conf/encoder/x.yaml"), [image], ["/8.png"], PLAIN)


def test_at_a_scale_too(manifest: Manifest) -> None:
    """8 x 24 at half the size is 4 x 12, and at 0.1 it is 1 x 2: no side is lost."""
    convolution = nn.Sequential(nn.Conv2d(3, 3, 5), MEAN)
    refused(
        manifest, Scaled(convolution, Scales([1, 0.5]), 1), r"/8\.png: .* of \(3, 8, 24\) \(.*\): take a larger side"
    )
    assert [*resized(torch.zeros(1, 3, 8, 24), 0.1, 1).shape[2:]] == [1, 2]


def test_an_image_whose_feature_has_no_power_is_named(manifest: Manifest) -> None:
    """Of one image in the middle of a batch."""

    class Brighter(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            return MEAN(batch) - lightest

    read = [decode_part((manifest.root / f"{n}.png").read_bytes(), None, name="x") for n in (1, 2, 6)]
    lightest = min(float(MEAN(LONGEST(image)[None]).min()) for image in read) + 1e-6
    refused(
        manifest,
        Scaled(Brighter(), Scales([1], power=2), 1, where="conf/encoder/x.yaml, scales"),
        r"^\S*/\d+\.png: conf/encoder/x\.yaml, scales, power 2: a feature has negative values, .*: drop 'power'",
    )


def test_a_feature_of_another_length_is_named(manifest: Manifest) -> None:
    class ByHeight(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            return batch.mean(dim=3).flatten(1)[:, : 3 if batch.shape[2] > 8 else 2]

    match = (
        r"^\S*/8\.png: conf/encoder/x\.yaml gave features of shape \(1, 2\), not \(1, 3\): take a network or a pooling"
    )
    refused(manifest, ByHeight(), match)


def test_errors_of_inputs_that_are_all_alike_are_not_hidden(manifest: Manifest) -> None:
    """One of them has been tried, so that it is something else that is wrong."""

    class Wrong(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            raise RuntimeError("a fault")

    encoder = Encoder(Wrong().eval(), lambda image: WHOLE(image.resize((24, 24))), 3, {"kind": "random"})
    with pytest.raises(RuntimeError, match="a fault"):
        extract(encoder, manifest, PLAIN)
