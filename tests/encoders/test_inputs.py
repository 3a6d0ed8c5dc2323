"""The input as an axis: its size by hand, its pixels by Pillow, and position embeddings as each library has them."""

from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
from PIL import Image
from timm.models.beit import Beit
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, interpolate
from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

from pipeline.encoders import timm_models, torchvision_models
from pipeline.encoders.encoder import Encoder, measured
from pipeline.encoders.inputs import Input, Sizes, read_input
from pipeline.encoders.preprocessing import build_preprocessing
from pipeline.encoders.tensor_decoding import on_tensors
from pipeline.encoders.whole_image import WholeImage
from pipeline.extraction.provenance import flops_of
from pipeline.retrieval.errors import RetrievalError
from tests.encoders.test_encoders import build, config_of, photograph

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
NATIVE = {"resize": 40, "interpolation": "bicubic", "crop": 32, "mean": list(MEAN), "std": list(STD)}
TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
VIT: dict[str, Any] = {
    "source": "huggingface",
    "network": "ViTModel",
    "settings": TINY,
    "pooling": "cls",
    "weights": {"kind": "random", "seed": 0},
    "native": NATIVE,
}


def prepared(native: dict[str, Any], said: Input | None, patch: int = 1) -> Any:
    return build_preprocessing("native", native, lambda: native, where="x", sized=said, patch=patch)


@pytest.mark.parametrize("name", ["resnet18", "clip", "dinov2", "efficientnet_lite0"])
def test_the_native_side_is_the_native_preprocessing(name: str) -> None:
    native = config_of(name)["native"]
    assert str(prepared(native, Input(native["crop"]))) == str(prepared(native, None))


def test_another_side_keeps_the_margin_that_is_cropped() -> None:
    made = str(prepared(config_of("resnet18")["native"], Input(112)))  # 112 * 256 / 224 = 128
    assert "Resize(size=128, interpolation=bilinear" in made and "CenterCrop(size=(112, 112))" in made
    squared = {**NATIVE, "resize": [32, 32], "crop": None}  # nothing is cropped natively: no margin
    made = str(prepared(squared, Input(48)))
    assert "Resize(size=48" in made and "CenterCrop(size=(48, 48))" in made


@pytest.mark.parametrize(
    ("resize", "crop", "side", "expected"),
    [
        ([256, 256], 224, 224, [256, 256]),
        ([256, 256], 224, 112, [128, 128]),
        ([256, 288], 224, 448, [512, 576]),
        ([256, 288], [224, 192], 224, [256, 336]),  # 224 * 288 / 192 = 336
        (256, [192, 224], 448, 512),
    ],
)
def test_the_margin_of_an_image_that_is_squashed_before_the_crop(
    resize: Any, crop: Any, side: int, expected: Any
) -> None:
    made = str(prepared({**NATIVE, "resize": resize, "crop": crop}, Input(side)))
    assert f"Resize(size={expected}, " in made and f"CenterCrop(size=({side}, {side}))" in made


def test_a_crop_that_is_no_square() -> None:
    made = prepared({**NATIVE, "resize": 40, "crop": [32, 24]}, None)(photograph(60, 45))
    assert made.shape == (3, 32, 24)
    whole = prepared({**NATIVE, "resize": 40, "crop": None}, None)(photograph(60, 45))
    torch.testing.assert_close(made, whole[:, 4:36, 14:38])  # of 40 x 53, whose margins are 8 and 29
    squashed = build_preprocessing("no_crop", {**NATIVE, "crop": [32, 24]}, lambda: NATIVE, where="x")
    assert squashed(photograph(60, 45)).shape == (3, 32, 24)


def test_a_squash_is_the_whole_image() -> None:
    image = photograph(60, 45)
    found = prepared(NATIVE, Input(48, "squash"))(image)
    np.testing.assert_allclose(found, by_pillow(image, 48, 48), atol=1e-6)


def by_pillow(image: Image.Image, width: int, height: int) -> np.ndarray:
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC), np.float32) / 255
    return ((pixels - np.float32(MEAN)) / np.float32(STD)).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("width", "height", "said", "resized", "extent"),
    [
        (600, 400, Input(336, "shortest", None, 14), (336, 504), (336, 504)),  # 600 * 336 / 400 = 504 = 36 * 14
        (500, 333, Input(224, "shortest", None, 16), (224, 336), (224, 336)),  # 336.3 = 21.02 * 16
        (333, 500, Input(224, "shortest", None, 16), (336, 224), (336, 224)),
        (300, 200, Input(8, "shortest", None, 8), (8, 16), (8, 16)),  # 12 = 1.5 * 8: halves upwards
        (1000, 10, Input(64, "longest", None, 8), (8, 64), (8, 64)),  # 0.64: at least once
        (500, 333, Input(100, "longest", "pad", 16), (67, 100), (80, 112)),  # 66.6
        (500, 500, Input(96, "longest", "pad", 16), (96, 96), (96, 96)),
        (10, 5, Input(64, "longest", None, None), (32, 64), (32, 64)),  # enlarged; 32 for a network without patches
    ],
)
def test_sizes_by_hand(width: int, height: int, said: Input, resized: tuple[int, int], extent: tuple[int, int]) -> None:
    whole = prepared(NATIVE, said)
    assert (whole.resized(width, height), whole.extent(width, height)) == (resized, extent)
    assert whole(photograph(width, height)).shape == (3, *extent)


@pytest.mark.parametrize("edges", ["round", "pad"])
def test_the_whole_image_by_pillow(edges: Any) -> None:
    image = photograph(60, 45)
    found = prepared(NATIVE, Input(50, "longest", edges, 8))(image)
    if edges == "round":  # 50 = 6.25 * 8; 37.5 = 4.7 * 8
        np.testing.assert_allclose(found, by_pillow(image, 48, 40), atol=1e-6)
        return
    # 37.5 to 38 rows of 40, hence one of the two above; 50 columns of 56, hence three before. Zero is the mean colour.
    assert found.shape == (3, 40, 56)
    np.testing.assert_allclose(found[:, 1:39, 3:53], by_pillow(image, 50, 38), atol=1e-6)
    found[:, 1:39, 3:53] = 0
    assert not found.any()


def test_on_tensors_it_is_nearly_the_same() -> None:
    image = photograph(60, 45)
    whole = prepared(NATIVE, Input(50, "longest", "pad", 8))
    other = on_tensors(whole)
    assert isinstance(other, WholeImage) and other.extent(60, 45) == whole.extent(60, 45)
    found = other(torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1))
    assert found.shape == whole(image).shape
    assert (found - whole(image)).abs().max() <= 2.01 / 255 / min(STD)  # two grey levels


def test_what_was_done_is_in_the_provenance() -> None:
    encoder = build("x", {**VIT, "input": {"side": 48, "fit": "shortest"}})
    assert encoder.preprocessing == (
        "WholeImage(side=48, fit='shortest', edges='round', multiple=8, interpolation='bicubic', "
        "mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))"
    )


FAMILIES: dict[str, tuple[str, Any]] = {
    "ViTModel": ("cls", lambda output: output.last_hidden_state[:, 0]),
    "CLIPVisionModelWithProjection": ("projection", lambda output: output.image_embeds),
    "SiglipVisionModel": ("pooler", lambda output: output.pooler_output),
}


def small(network: str, **config: Any) -> Encoder:
    return build("x", {**VIT, "network": network, "pooling": FAMILIES[network][0], **config})


@pytest.mark.parametrize("network", FAMILIES)
@pytest.mark.parametrize(("width", "height"), [(48, 48), (96, 64)])
def test_position_embeddings_as_transformers_interpolates_them(network: str, width: int, height: int) -> None:
    encoder = small(network, input={"side": min(width, height), "fit": "shortest"})
    batch = encoder.preprocess(photograph(width, height))[None]
    assert batch.shape == (1, 3, height, width)
    with torch.inference_mode():
        output = reference(network)(pixel_values=batch, interpolate_pos_encoding=True)
        with pytest.raises((ValueError, RuntimeError), match="match"):  # it takes its own side alone
            reference(network)(pixel_values=batch)
    assert cosine_similarity(encoder.encode(batch), FAMILIES[network][1](output)).min() > 0.9999


def reference(network: str, **settings: Any) -> nn.Module:
    """The class's own, with the weights of seed 0."""
    network_class = getattr(transformers, network)
    torch.manual_seed(0)
    made: nn.Module = network_class(network_class.config_class(**{**TINY, **settings})).eval()
    return made


@pytest.mark.parametrize("network", FAMILIES)
def test_position_embeddings_are_those_of_a_network_made_for_the_side(network: str) -> None:
    """Its grid of 6 x 6 is the bicubically resized one of 4 x 4; all other weights are the same."""
    encoder = small(network, input={"side": 48})
    own, made_for = encoder.network.network.state_dict(), reference(network, image_size=48)
    tensors = {}
    for name in made_for.state_dict():
        if "position_embedding" in name and "position_ids" not in name:
            tensors[name] = enlarged(own[name], 6)
        elif "position_ids" not in name:
            tensors[name] = own[name]
    made_for.load_state_dict(tensors, strict=False)
    batch = encoder.preprocess(photograph())[None]
    with torch.inference_mode():
        expected = FAMILIES[network][1](made_for(pixel_values=batch))
    assert cosine_similarity(encoder.encode(batch), expected).min() > 0.9999
    torch.testing.assert_close(encoder.encode(batch), expected, rtol=1e-3, atol=1e-4)


def enlarged(positions: Tensor, side: int) -> Tensor:
    """Position embeddings of 4 x 4 patches, maybe with one before them, for side x side."""
    rows = positions.reshape(-1, positions.shape[-1])
    first = len(rows) - 16
    grid = rows[first:].T.reshape(1, -1, 4, 4)
    resized = interpolate(grid, (side, side), mode="bicubic", align_corners=False)
    flat = torch.cat([rows[:first], resized.reshape(rows.shape[1], -1).T])
    return flat if positions.dim() == 2 else flat[None]


@pytest.mark.parametrize(
    ("said", "size", "shape"),
    [
        ({"side": 224}, (60, 45), (224, 224)),
        ({"side": 336}, (60, 45), (336, 336)),
        ({"side": 224, "fit": "shortest"}, (60, 40), (224, 336)),
    ],
)
def test_dinov2_small_as_transformers(said: dict[str, Any], size: tuple[int, int], shape: tuple[int, int]) -> None:
    config = config_of("dinov2_random")
    encoder = build("x", {**config, "input": said})
    batch = encoder.preprocess(photograph(*size))[None]
    assert batch.shape == (1, 3, *shape)
    torch.manual_seed(0)
    other = transformers.Dinov2Model(transformers.Dinov2Config(**config["settings"])).eval()
    with torch.inference_mode():
        expected = other(pixel_values=batch).last_hidden_state[:, 0]
    assert cosine_similarity(encoder.encode(batch), expected).min() > 0.9999


@pytest.mark.parametrize(("said", "size"), [({"side": 96}, (60, 45)), ({"side": 64, "fit": "shortest"}, (60, 40))])
def test_a_vit_of_timm(said: dict[str, Any], size: tuple[int, int]) -> None:
    name = "vit_tiny_patch16_224"
    config = {"source": "timm", "name": name, "weights": {"kind": "random", "seed": 0}, "native": NATIVE}
    encoder = build("x", {**config, "input": said})
    torch.manual_seed(0)
    other = timm.create_model(name, pretrained=False)
    other.reset_classifier(0)
    batch = encoder.preprocess(photograph(*size))[None]
    other.set_input_size(img_size=tuple(batch.shape[2:]))  # once and for all, where ours does so as it goes
    with torch.inference_mode():
        expected = other.eval()(batch)
    assert cosine_similarity(encoder.encode(batch), expected).min() > 0.9999
    assert encoder.patch == 16


def test_a_network_of_timm_with_one_size_gets_another() -> None:
    network = Beit(img_size=32, patch_size=8, embed_dim=32, depth=1, num_heads=2, num_classes=0).eval()
    timm_models.fit_to(network, 48)
    assert network(torch.zeros(1, 3, 48, 48)).shape == (1, 32)


def test_a_vision_transformer_of_torchvision() -> None:
    def made(side: int) -> VisionTransformer:
        torch.manual_seed(0)
        network = VisionTransformer(side, 8, 2, 2, 32, 64, num_classes=1000)
        nn.init.normal_(network.heads[-1].weight)  # zero as it comes
        return network.eval()

    network, other = made(32), made(48)
    other.load_state_dict(interpolate_embeddings(48, 8, made(32).state_dict()))
    torchvision_models.fit_to(network, 48)
    batch = torch.randn(2, 3, 48, 48)
    with torch.inference_mode():
        torch.testing.assert_close(network(batch), other(batch))
    whole = prepared(NATIVE, Input(48, "shortest"), 8)
    remedy = Sizes(Input(48, "shortest")).remedy
    with pytest.raises(RetrievalError, match=r"does not take an input of \(3, 48, 72\) .*: take fit crop or squash"):
        measured(network, whole, {"kind": "random"}, dim=None, where="x", patch=8, remedy=remedy)


def test_the_cost_follows_from_the_input() -> None:
    config = config_of("resnet18_random")
    one, two = (flops_of(build("x", {**config, "input": {"side": side}})) for side in (64, 128))
    assert two == 4 * one  # convolutions throughout, whose sides are all divisible
    whole = build("x", {**config, "input": {"side": 64, "fit": "shortest"}})
    assert flops_of(whole) == one and flops_of(whole, (150, 100)) == one * 96 // 64


def test_nothing_changes_where_nothing_is_said() -> None:
    encoder = build("x", VIT)
    assert encoder.extent is None and not encoder.network.network._forward_pre_hooks
    same = build("x", {**VIT, "input": {"side": 32}})
    batch = encoder.preprocess(photograph())[None]
    assert encoder.encode(batch).equal(same.encode(batch))
    assert encoder.preprocessing == same.preprocessing


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"input": {"side": 44}}, "side 44 is no multiple of the network's patches of 8 pixels: take 40 or 48"),
        ({"input": {"side": 5}}, "side 5 is no multiple of the network's patches of 8 pixels: take 8"),
        ({"input": {"side": 5, "fit": "shortest"}}, "side 5 is less than 8, of which sides are multiples: take more"),
        (
            {"input": {"side": 48, "fit": "longest", "multiple": 12}},
            "'multiple' is 12, and the network has patches of 8",
        ),
        ({"input": {"side": 48, "edges": "pad"}}, "'edges' does nothing with fit 'crop': drop it"),
        ({"input": {"side": 48, "fit": "squash", "multiple": 8}}, "'multiple' does nothing with fit 'squash'"),
        ({"input": {"side": 48}, "preprocessing": "squash"}, "both 'preprocessing: squash' and 'input' say how large"),
        ({"input": {"side": 48}, "preprocessing": "no_crop"}, "both 'preprocessing: no_crop' and 'input'"),
        ({"input": {"side": 0}}, "input: 'side' is 0: expected an integer from 1 to 16384"),
        ({"input": {"side": float("nan")}}, "input: 'side' is nan: expected finite numbers"),
        ({"input": {"side": 48.0}}, "input: 'side' is 48.0: expected an integer"),
        (
            {"input": {"side": 48, "fit": "shorter"}},
            "'fit' is 'shorter': expected crop or squash or shortest or longest",
        ),
        ({"input": {"fit": "crop"}}, "input: missing key 'side'"),
        ({"input": {"side": 48, "resize": 3}}, "input: unknown key 'resize'; its keys are side, fit, edges, multiple"),
        ({"input": 48}, "input: expected keys and values, got '48'"),
    ],
)
def test_a_wrong_input_is_said(config: dict[str, Any], match: str) -> None:
    with pytest.raises(RetrievalError, match=match):
        build("x", {**VIT, **config})


def test_a_descriptor_has_no_such_input() -> None:
    with pytest.raises(RetrievalError, match="'handcrafted' has no network whose input has a size: drop 'input'"):
        build("x", {**config_of("hog"), "input": {"side": 48}})


def test_a_panorama_is_refused() -> None:
    whole = prepared(NATIVE, Input(400, "shortest"))
    with pytest.raises(RetrievalError, match=r"an image of 5000 x 100 pixels would become 20000 x 416 by input"):
        whole.extent(5000, 100)


def test_nothing_said_is_nothing() -> None:
    assert read_input(None, where="x") is None and Sizes().native and Sizes().square is None
    assert Sizes(Input(48)).square == 48 and Sizes(Input(48), scaled=True).square is None
