"""Flips and scales: each against a naive reading of its definition, and against another library's resize."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ImageOps
from skimage.transform import resize
from torch import Tensor, nn

from pipeline.encoders.encoder import Encoder
from pipeline.encoders.inputs import Sizes
from pipeline.encoders.views import Mirrored, Scaled, Scales, read_scales, with_views
from pipeline.extraction.provenance import flops_of
from pipeline.retrieval.errors import RetrievalError
from tests.encoders.test_encoders import build, config_of, feature, photograph
from tests.encoders.test_inputs import VIT


class Moments(nn.Module):
    """A feature of an image that is easily computed elsewhere: each channel's GeM with p = 3, not below zero."""

    def forward(self, images: Tensor) -> Tensor:
        return images.clamp(min=1e-6).pow(3).mean(dim=(2, 3)).pow(1 / 3)


class ByWidth(nn.Module):
    """A feature for each width."""

    def __init__(self, features: dict[int, list[float]]) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Tensor) -> Tensor:
        return torch.tensor([self.features[images.shape[3]]] * len(images))


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_a_mirror_image_counts_half() -> None:
    config = {**config_of("resnet18_random"), "input": {"side": 64, "fit": "squash"}}
    plain, both = build("x", config), build("x", {**config, "flips": True})
    image = photograph()
    one, other = feature(plain, image), feature(plain, ImageOps.mirror(image))
    assert np.abs(one - other).max() > 1e-3
    np.testing.assert_allclose(feature(both, image), (one + other) / 2, rtol=1e-3, atol=1e-5)
    assert flops_of(both) == 2 * flops_of(plain) and both.dim == plain.dim


def test_features_are_averaged_in_float32() -> None:
    """Of a network that gives bfloat16: 1 and 1 + 2^-7 are neighbours there, and their mean lies between."""

    class Rounded(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.full((len(images), 1), 1 + 2.0**-7 * float(images[0, 0, 0, 0] > 0)).to(torch.bfloat16)

    images = torch.tensor([0.0, 1.0]).expand(1, 3, 1, 2)
    encoder = Encoder(Mirrored(Rounded()).eval(), lambda image: image, 1, {}, dtype=torch.bfloat16)
    assert encoder.encode(images).tolist() == [[1 + 2.0**-8]]
    assert replace(encoder, network=Rounded().eval()).encode(images).dtype == torch.float32


def test_scales_by_hand() -> None:
    """Of widths 4 and 2 (3, 4) and (0, 5), which are (0.6, 0.8) and (0, 1) at unit length."""
    network, images = ByWidth({4: [3.0, 4.0], 2: [0.0, 5.0]}), torch.zeros(1, 3, 4, 4)

    def found(**options: Any) -> list[float]:
        return Scaled(network, Scales([1.0, 0.5], **options), 1)(images)[0].tolist()

    assert found(unit=False) == pytest.approx([1.5, 4.5])
    assert found() == pytest.approx(unit(np.array([0.3, 0.9])).tolist())
    # (0.36 / 2, 1.64 / 2) = (0.18, 0.82), whose sum is 1, so that their roots are of unit length.
    assert found(power=2.0) == pytest.approx([0.18**0.5, 0.82**0.5])
    assert found(unit=False, power=2.0) == pytest.approx([4.5**0.5, 20.5**0.5])


@pytest.mark.parametrize("power", [1.0, 3.0])
@pytest.mark.parametrize("factors", [[1.0, 0.7, 0.5], [1.0, 0.7071067811865476, 0.5], [2.0]])
def test_scales_as_published(factors: list[float], power: float) -> None:
    """The definition, with features of NumPy, and images resized by scikit-image or from the formula."""
    images = torch.rand(2, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    found = Scaled(Moments(), Scales(factors, power=power), 1)(images).numpy()
    for row, image in zip(found, images.numpy(), strict=True):
        features = []
        for factor in factors:
            scaled = bilinear(image, factor)
            if all(side * factor % 1 == 0 for side in image.shape[1:]):
                shape = (3, *scaled.shape[1:])
                np.testing.assert_allclose(
                    scaled, resize(image, shape, order=1, mode="edge", anti_aliasing=False), atol=1e-5
                )
            features.append(unit(np.mean(np.clip(scaled, 1e-6, None) ** 3, axis=(1, 2)) ** (1 / 3)))
        np.testing.assert_allclose(row, unit(np.mean(np.array(features) ** power, axis=0) ** (1 / power)), atol=1e-5)


def bilinear(image: np.ndarray, factor: float) -> np.ndarray:
    """An image at floor(side * factor) pixels, pixel i at (i + 1/2) / factor - 1/2 of the old ones."""
    for axis in (1, 2):
        length = image.shape[axis]
        places = ((np.arange(int(length * factor)) + 0.5) / factor - 0.5).clip(0, length - 1)
        low = np.floor(places).astype(int)
        shares = (places - low).reshape((-1, 1) if axis == 1 else (-1,))
        high = np.minimum(low + 1, length - 1)
        image = image.take(low, axis) * (1 - shares) + image.take(high, axis) * shares
    return image


def test_scales_are_whole_patches() -> None:
    """32 and 48 times 0.7071 are 2.8 and 4.2 patches of 8: 3 and 4."""
    seen = []

    class Seen(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(tuple(images.shape[2:]))
            return images.mean(dim=(2, 3)) + 1

    Scaled(Seen(), Scales([1.0, 0.7071, 0.05]), 8)(torch.zeros(1, 3, 32, 48))
    assert seen == [(32, 48), (24, 32), (8, 8)]


def test_a_vision_transformer_at_scales() -> None:
    encoder = build("x", {**VIT, "scales": [1, 0.7071, 0.5], "flips": True})
    plain = build("x", {**VIT, "input": {"side": 32}})
    batch = plain.preprocess(photograph())[None]
    expected = []
    for side in (32, 24, 16):
        scaled = nn.functional.interpolate(batch, (side, side), mode="bilinear")
        expected.append(unit((plain.encode(scaled) + plain.encode(scaled.flip(-1))).numpy()[0]))
    np.testing.assert_allclose(encoder.encode(batch)[0], unit(np.mean(expected, axis=0)), atol=1e-5)


def test_scales_cost_their_pixels() -> None:
    config = {**config_of("resnet18_random"), "input": {"side": 128}}
    assert 4 * flops_of(build("x", {**config, "scales": [1, 0.5]})) == 5 * flops_of(build("x", config))


def test_the_only_scale_1_is_the_direction_of_the_feature() -> None:
    plain, scaled = build("x", VIT), build("x", {**VIT, "scales": {"factors": [1]}})
    np.testing.assert_allclose(feature(scaled, photograph()), unit(feature(plain, photograph())), rtol=1e-4, atol=1e-6)
    assert read_scales(None, where="x") is None


def test_a_feature_of_zeros_stays_one() -> None:
    network = Scaled(ByWidth({4: [0.0, 0.0]}), Scales([1.0]), 1)
    assert network(torch.zeros(1, 3, 4, 4)).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"scales": []}, "scales: there is no factor: give some, or drop 'scales'"),
        ({"scales": [1, 0.5, 1]}, r"scales: \[1, 0.5, 1\] has a factor twice: drop one"),
        (
            {"scales": [0]},
            r"scales: 'factors' is \[0\]: expected a list, each entry an integer or a number from 0.05 to 8",
        ),
        ({"scales": [float("nan")]}, "scales: 'factors' is .*: expected finite numbers"),
        ({"scales": 0.5}, "scales: 'factors' is 0.5"),
        (
            {"scales": {"factors": [1], "power": 0}},
            "scales: 'power' is 0: expected an integer or a number above 0 to 64",
        ),
        ({"scales": {"factors": [1], "msp": 3}}, "scales: unknown key 'msp'; its keys are factors, unit, power"),
        ({"scales": {"factors": [1, 0.5], "power": 3.0}}, "power 3.0: a feature has negative values"),
        ({"flips": 1}, "'flips' is 1: expected true or false"),
        ({"flips": None}, "'flips' is None: expected true or false"),
    ],
)
def test_wrong_views_are_said(config: dict[str, Any], match: str) -> None:
    with pytest.raises(RetrievalError, match=match):
        build("x", {**VIT, **config})


def test_a_descriptor_has_no_views() -> None:
    with pytest.raises(RetrievalError, match="a descriptor has no network to show views of an image: drop 'flips'"):
        build("x", {**config_of("hog"), "flips": True})
    with pytest.raises(RetrievalError, match="'handcrafted' has no network whose input has a size: drop 'scales'"):
        build("x", {**config_of("hog"), "scales": [1, 0.5]})


def test_a_network_of_one_size_is_refused() -> None:
    class Fixed(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            assert images.shape[2] == 32, "one size"
            return images.mean(dim=(2, 3))

    encoder = Encoder(Fixed().eval(), build("x", VIT).preprocess, 3, {"kind": "random"}, patch=8)
    with pytest.raises(RetrievalError, match=r"does not take an input of .*one size.*: drop 'scales', or take"):
        with_views(encoder, False, Scales([1.0, 0.5]), Sizes(scaled=True), where="x")
    assert isinstance(with_views(encoder, True, None, Sizes(), where="x").network, Mirrored)
