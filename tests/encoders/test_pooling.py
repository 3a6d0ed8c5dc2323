"""Poolings: against their definitions in plain loops, and against what the networks' own libraries give."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.encoders.building import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.encoders.layers import Anatomy, Layer, order_by_aspect, order_by_size
from pipeline.encoders.pooling import Pooled, read_pooling
from pipeline.encoders.poolings import KINDS, regions
from pipeline.extraction.provenance import flops_of
from pipeline.retrieval.errors import RetrievalError
from tests.official import unlike_initial

NATIVE = {"resize": [64, 64], "interpolation": "bilinear", "crop": None, "mean": [0.5] * 3, "std": [0.25] * 3}
TINY = {"num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 16, "image_size": 64, "hidden_size": 16}
SMALL = {**TINY, "intermediate_size": 32}
SWIN = {"image_size": 64, "patch_size": 4, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4}
RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
CONVNEXT = {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2}
# Networks of transformers: how many tokens come before the patches.
FAMILIES = {
    "Dinov2Model": (TINY, 1),
    "Dinov2WithRegistersModel": ({**TINY, "num_register_tokens": 4}, 5),
    "DINOv3ViTModel": ({**SMALL, "num_register_tokens": 4}, 5),
    "ViTModel": (SMALL, 1),
    "DeiTModel": (SMALL, 2),
    "CLIPVisionModel": (SMALL, 1),
    "CLIPVisionModelWithProjection": (SMALL, 1),
    "SiglipVisionModel": (SMALL, 0),
}
MAPS = {"ResNetModel": RESNET, "ConvNextModel": CONVNEXT, "ConvNextV2Model": CONVNEXT}


def layer_of(
    values: Any, *, extent: tuple[int, int] = (64, 64), channels_last: bool | None = False, **anatomy: Any
) -> Layer:
    return Layer(torch.as_tensor(values, dtype=torch.float32), extent, Anatomy(**anatomy), "network", channels_last)


def pooled(said: Any, layer: Layer) -> np.ndarray:
    [part] = read_pooling(said, where="x").parts
    return part.pool(layer).numpy()  # type: ignore[union-attr]


def images(side: int = 64, width: int | None = None, count: int = 2) -> Tensor:
    return torch.rand(count, 3, side, width or side, generator=torch.Generator().manual_seed(1))


def built(source: str, name: str, pooling: Any, settings: Mapping[str, Any] | None = None, **more: Any) -> Encoder:
    config: dict[str, Any] = {"source": source, "weights": {"kind": "random", "seed": 0}, "native": NATIVE, **more}
    if pooling is not None:
        config["pooling"] = pooling
    config |= {"network": name, "settings": settings} if source == "huggingface" else {"name": name}
    encoder = build_encoder("x", config, Path("no-weights-needed"))
    unlike_initial(inner(encoder))
    return encoder


def inner(encoder: Encoder) -> Any:
    return encoder.network.network if isinstance(encoder.network, Pooled) else encoder.network


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-4, atol=1e-5)


# ---- definitions, in plain loops -------------------------------------------------------------------------------------


def columns(values: np.ndarray) -> list[list[list[float]]]:
    """By image and dimension the values at all places of a map."""
    return [[[float(v) for row in channel for v in row] for channel in image] for image in values]


def naive_gem(values: np.ndarray, p: float) -> np.ndarray:
    def mean(places: list[float]) -> float:
        return (sum(max(v, 1e-6) ** p for v in places) / len(places)) ** (1 / p)

    return np.array([[mean(places) for places in image] for image in columns(values)])


def naive_rmac(values: np.ndarray, levels: int) -> np.ndarray:
    """As the paper has it: squares of 2 min(W, H) / (l + 1), l * (l + m - 1) of them, maxima, unit length, sum."""
    _, _, height, width = values.shape
    small, large = min(height, width), max(height, width)
    m = 1
    if small < large:
        overlaps = {n: 1 - (large - small) / (n - 1) / small for n in range(2, 8)}
        m = min(overlaps, key=lambda n: abs(overlaps[n] - 0.4))
    features = []
    for image in values:
        total = np.zeros(len(image))
        for level in range(1, levels + 1):
            side = int(np.floor(2 * small / (level + 1)))
            down, across = (level, level + m - 1) if height <= width else (level + m - 1, level)
            for i in range(down):
                for j in range(across):
                    top = int(np.floor(i * (height - side) / (down - 1))) if down > 1 else 0
                    left = int(np.floor(j * (width - side) / (across - 1))) if across > 1 else 0
                    best = np.array(
                        [max(c[y][x] for y in range(top, top + side) for x in range(left, left + side)) for c in image]
                    )
                    total += best / np.sqrt((best**2).sum())
        features.append(total)
    return np.array(features)


NAIVE = {
    "patch_mean": lambda values: np.array([[sum(p) / len(p) for p in image] for image in columns(values)]),
    "patch_max": lambda values: np.array([[max(p) for p in image] for image in columns(values)]),
    "gem": lambda values: naive_gem(values, 3),
    "rmac": lambda values: naive_rmac(values, 3),
}


@pytest.mark.parametrize("kind", NAIVE)
@pytest.mark.parametrize("shape", [(4, 4), (4, 6), (6, 4), (8, 5)])
@pytest.mark.parametrize("prefix", [None, 0, 1, 5])
def test_each_kind_by_its_definition(kind: str, shape: tuple[int, int], prefix: int | None) -> None:
    """On a map, and on the same as tokens after others, which are far from any patch."""
    values = np.random.default_rng(0).normal(size=(2, 3, *shape)).astype(np.float32)
    extent = (16 * shape[0], 16 * shape[1])
    given: Any = values
    if prefix is not None:
        patches = values.reshape(2, 3, -1).transpose(0, 2, 1)
        given = np.concatenate([np.full((2, prefix, 3), 1000, np.float32), patches], axis=1)
    layer = layer_of(given, extent=extent, prefix=prefix)
    close(pooled(kind, layer), NAIVE[kind](values))
    if prefix:
        close(pooled("cls", layer), np.full((2, 3), 1000))
    if prefix == 1:
        places = shape[0] * shape[1]
        close(pooled("token_mean", layer), (NAIVE["patch_mean"](values) * places + 1000) / (places + 1))


def test_by_hand() -> None:
    # Places 1, 2, 3, -4. GeM with p = 2: ((1 + 4 + 9 + 0) / 4)^(1/2) = 3.5^(1/2).
    layer = layer_of([[[[1.0, 2], [3, -4]]]])
    assert pooled("patch_mean", layer) == pytest.approx(0.5)
    assert pooled("patch_max", layer) == 3
    assert pooled({"kind": "gem", "p": 2}, layer) == pytest.approx(3.5**0.5)
    # Level 1 is the whole map, whose maximum, of one dimension, is 3 -> 1. At level 2 squares are of
    # floor(4 / 3) = 1 cell: 1, 2, 3 -> 1 and -4 -> -1: 1 + 1 + 1 + 1 - 1 = 3.
    assert pooled({"kind": "rmac", "levels": 2}, layer) == pytest.approx(3)


def test_regions_by_hand() -> None:
    # A square map of 14: sides 28 / 2, 28 / 3, 28 / 4; 1 + 4 + 9.
    square = regions(14, 14, levels=3)
    assert square[:5] == [(0, 0, 14), (0, 0, 9), (0, 5, 9), (5, 0, 9), (5, 5, 9)]
    assert len(square) == 14 and square[-1] == (7, 7, 7)
    # 7 x 10: two squares of 7 overlap by 4 / 7 = 57 %, three by 79 %: two are nearer to 40 %, so m is 2.
    wide = regions(7, 10, levels=2)
    assert wide == [(0, 0, 7), (0, 3, 7), *((top, left, 4) for top in (0, 3) for left in (0, 3, 6))]
    assert regions(10, 7, levels=2)[:2] == [(0, 0, 7), (3, 0, 7)]
    assert regions(1, 1, levels=3) == [(0, 0, 1)]


@pytest.mark.parametrize("p", [0.5, 1, 3, 4, 20])
def test_gem_is_what_pytorch_pools(p: float) -> None:
    """As Radenovic et al. write it in torch: average pooling of powers."""
    values = torch.rand(2, 5, 7, 7, generator=torch.Generator().manual_seed(0)) * 5 - 1
    expected = functional.avg_pool2d(values.double().clamp(min=1e-6).pow(p), 7).pow(1 / p).flatten(1)
    close(pooled({"kind": "gem", "p": p}, layer_of(values)), expected)


def test_gem_between_mean_and_maximum_for_any_p() -> None:
    layer = layer_of(100 * torch.rand(1, 4, 8, 8) + 1)
    close(pooled({"kind": "gem", "p": 1}, layer), pooled("patch_mean", layer))
    assert np.isfinite(pooled({"kind": "gem", "p": 100}, layer)).all()
    np.testing.assert_allclose(pooled({"kind": "gem", "p": 100}, layer), pooled("patch_max", layer), rtol=0.05)


def test_powers_and_unit_length_of_each_part_before_joining() -> None:
    class Fixed(nn.Module):
        num_prefix_tokens = 1

        def forward(self, pixels: Tensor) -> Tensor:
            return torch.tensor([[[9.0, -16], [0, 4], [0, 4], [0, 4], [0, 4]]]).expand(len(pixels), -1, -1)

    def feature(said: Any) -> Tensor:
        return Pooled(Fixed(), Anatomy(prefix=1), read_pooling(said, where="x"), where="x")(images())[0]

    join = ["cls", "patch_mean"]
    assert feature({"join": join}).tolist() == [9, -16, 0, 4]
    assert feature({"join": join, "power": 0.5}).tolist() == [3, -4, 0, 2]
    # sqrt(9 + 16) = 5 after the square roots.
    close(feature({"join": join, "power": 0.5, "normalise": True}), [0.6, -0.8, 0, 1])
    close(feature({"kind": "cls", "power": 0.5, "normalise": True}), [0.6, -0.8])


# ---- networks of transformers ----------------------------------------------------------------------------------------


def seen(encoder: Encoder, batch: Tensor) -> Any:
    with torch.inference_mode():
        return inner(encoder)(pixel_values=batch, output_hidden_states=True)


@pytest.mark.parametrize("network", FAMILIES)
def test_patches_of_transformers(network: str) -> None:
    settings, prefix = FAMILIES[network]
    join = ["patch_mean", {"kind": "gem", "p": 4}, "patch_max", "token_mean", *(["cls"] if prefix else [])]
    encoder, batch = built("huggingface", network, {"join": join}, settings), images()
    tokens = seen(encoder, batch).last_hidden_state
    assert tokens.shape[1] == prefix + 16  # 4 x 4 patches
    if network.startswith("CLIP"):
        with torch.inference_mode():
            tokens = next(m for n, m in inner(encoder).named_modules() if n.endswith("post_layernorm"))(tokens)
    patches = tokens[:, prefix:]
    whole = tokens.mean(dim=1)
    assert prefix == 0 or (patches.mean(dim=1) - whole).abs().max() > 0.01
    gem = naive_gem(patches.transpose(1, 2).reshape(2, 16, 4, 4).numpy(), 4)
    expected = [patches.mean(dim=1), gem, patches.amax(dim=1), whole, *([tokens[:, 0]] if prefix else [])]
    close(encoder.encode(batch), np.concatenate([np.asarray(one) for one in expected], axis=1))


@pytest.mark.parametrize("network", [one for one, (_, prefix) in FAMILIES.items() if prefix])
def test_the_last_layers_of_transformers(network: str) -> None:
    """As transformers' own hidden states, of which the one before the last has not been through the layer norm."""
    encoder = built("huggingface", network, {"kind": "cls", "layers": 2}, FAMILIES[network][0])
    batch = images()
    states = seen(encoder, batch).hidden_states
    names = ("norm", "layernorm", "post_layernorm")
    norm = next(module for name, module in inner(encoder).named_modules() if name.rpartition(".")[2] in names)
    last = built("huggingface", network, "cls", FAMILIES[network][0]).encode(batch)
    with torch.inference_mode():
        close(encoder.encode(batch), torch.cat([norm(states[-2])[:, 0], last], dim=1))
    if network.startswith("CLIP"):
        return
    close(last, seen(encoder, batch).last_hidden_state[:, 0])


def test_clips_class_token_is_its_pooler() -> None:
    batch = images()
    cls, pooler = (built("huggingface", "CLIPVisionModel", kind, SMALL).encode(batch) for kind in ("cls", "pooler"))
    close(cls, pooler)
    both = built("huggingface", "CLIPVisionModelWithProjection", {"join": ["projection", "patch_mean"]}, SMALL)
    close(both.encode(batch)[:, :512], seen(both, batch).image_embeds)
    assert both.dim == 512 + 16


@pytest.mark.parametrize("network", MAPS)
def test_maps_of_transformers(network: str) -> None:
    encoder, batch = built("huggingface", network, {"join": ["patch_mean", "rmac"]}, MAPS[network]), images(64, 96)
    values = seen(encoder, batch).last_hidden_state.numpy()
    close(encoder.encode(batch), np.concatenate([NAIVE["patch_mean"](values), naive_rmac(values, 3)], axis=1))


@pytest.mark.parametrize("network", ["SwinModel", "Swinv2Model"])
def test_swin_of_transformers(network: str) -> None:
    encoder, batch = built("huggingface", network, {"join": ["patch_mean", "rmac"]}, SWIN), images()
    output = seen(encoder, batch)
    values = output.last_hidden_state.transpose(1, 2).reshape(2, 16, 8, 8).numpy()
    close(encoder.encode(batch), np.concatenate([output.pooler_output, naive_rmac(values, 3)], axis=1))


def test_a_layer_by_its_name() -> None:
    encoder = built("huggingface", "ViTModel", {"kind": "patch_mean", "layer": "layers.0"}, SMALL)
    close(encoder.encode(images()), seen(encoder, images()).hidden_states[1][:, 1:].mean(dim=1))
    assert any(kind == "layers.0" for kind, _ in inner(encoder).named_modules())


# ---- networks of timm ------------------------------------------------------------------------------------------------


def test_efficientnet_lite0_of_timm() -> None:
    own, mean = built("timm", "tf_efficientnet_lite0", None), built("timm", "tf_efficientnet_lite0", "patch_mean")
    batch = images(96, 64)
    close(mean.encode(batch), own.encode(batch))
    several = built("timm", "tf_efficientnet_lite0", {"join": ["gem", "rmac", {"kind": "gem", "layer": "blocks.4"}]})
    with torch.inference_mode():
        values = inner(several).forward_features(batch)
        early = inner(several).forward_intermediates(batch, indices=[3], intermediates_only=True)[0]
    expected = [naive_gem(values.numpy(), 3), naive_rmac(values.numpy(), 3), naive_gem(early.numpy(), 3)]
    close(several.encode(batch), np.concatenate(expected, axis=1))
    assert flops_of(several) == flops_of(own)


def test_swin_of_timm_has_channels_last() -> None:
    name = "swin_tiny_patch4_window7_224"
    native = {**NATIVE, "resize": [224, 224]}
    own = built("timm", name, None, native=native)
    mean = built(
        "timm", name, {"join": ["patch_mean", "patch_max", {"kind": "gem", "layer": "layers.0"}]}, native=native
    )
    batch = images(224, count=1)
    found = mean.encode(batch)
    close(found[:, :768], own.encode(batch))
    with torch.inference_mode():
        close(found[:, 768:1536], inner(mean).forward_features(batch).amax(dim=(1, 2)))
    assert mean.dim == 2 * 768 + 96


@pytest.mark.parametrize(
    ("name", "prefix", "side"),
    [
        ("vit_tiny_patch16_224", 1, 224),
        ("deit_tiny_distilled_patch16_224", 2, 224),
        ("vit_small_patch16_dinov3", 5, 256),
    ],
)
def test_vision_transformers_of_timm(name: str, prefix: int, side: int) -> None:
    """Class tokens of the last two blocks and the mean of patches, as in DINOv2's linear evaluation."""
    said = {"join": [{"kind": "cls", "layers": 2}, "patch_mean"]}
    encoder, batch = built("timm", name, said, native={**NATIVE, "resize": [side, side]}), images(side, count=1)
    network = inner(encoder)
    with torch.inference_mode():
        tokens = network.forward_features(batch)
        layers = network.forward_intermediates(
            batch, indices=2, norm=True, output_fmt="NLC", return_prefix_tokens=True, intermediates_only=True
        )
    assert layers[0][1].shape[1] == prefix
    expected = [*(before[:, 0] for _, before in layers), tokens[:, prefix:].mean(dim=1)]
    close(encoder.encode(batch), torch.cat(expected, dim=1))


def test_a_register_token_is_no_class_token() -> None:
    native = {**NATIVE, "resize": [256, 256]}
    with pytest.raises(RetrievalError, match="it has no class token: use pooling: patch_mean"):
        built("timm", "vit_little_patch16_reg1_gap_256", "cls", native=native)


def test_timms_own_pooling_leaves_out_what_is_no_patch() -> None:
    """Networks whose global_pool is avg: the mean of patches, then a norm."""
    encoder = built("timm", "vit_little_patch16_reg1_gap_256", None, native={**NATIVE, "resize": [256, 256]})
    with torch.inference_mode():
        tokens = encoder.network.forward_features(images(256, count=1))
        expected = encoder.network.fc_norm(tokens[:, 1:].mean(dim=1))
    close(encoder.encode(images(256, count=1)), expected)


# ---- networks of torchvision -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "mobilenet_v2", "regnet_y_400mf", "swin_t"])
def test_torchvisions_own_feature_is_the_mean_of_its_last_map(name: str) -> None:
    own, several = built("torchvision", name, None), built("torchvision", name, {"join": ["patch_mean", "patch_max"]})
    batch = images(96, 64)
    found = several.encode(batch)
    close(found[:, : own.dim], own.encode(batch))
    assert several.dim == 2 * own.dim and (found[:, own.dim :] >= found[:, : own.dim]).all()


def test_convnext_of_torchvision_has_a_norm_after_its_mean() -> None:
    own, mean = built("torchvision", "convnext_tiny", None), built("torchvision", "convnext_tiny", "patch_mean")
    with torch.inference_mode():
        close(inner(mean).classifier[0](mean.encode(images())[:, :, None, None]).flatten(1), own.encode(images()))


def test_the_vision_transformer_of_torchvision() -> None:
    native = {**NATIVE, "resize": [224, 224]}
    said = {"join": ["cls", "patch_mean", {"kind": "cls", "layers": 2}]}
    encoder, batch = built("torchvision", "vit_b_32", said, native=native), images(224, count=1)
    network = inner(encoder)
    with torch.inference_mode():
        own = network(batch)
        tokens = torch.cat([network.class_token, network._process_input(batch)], dim=1) + network.encoder.pos_embedding
        for block in network.encoder.layers[:-1]:
            tokens = block(tokens)
        before, last = network.encoder.ln(tokens), network.encoder.ln(network.encoder.layers[-1](tokens))
    close(encoder.encode(batch), torch.cat([own, last[:, 1:].mean(dim=1), before[:, 0], last[:, 0]], dim=1))


# ---- what holds for all ----------------------------------------------------------------------------------------------


def test_one_pass_gives_all() -> None:
    said = {"join": ["cls", "patch_mean", "gem", {"kind": "cls", "layers": 3}, {"kind": "gem", "layer": "layers.1"}]}
    several, alone = (built("huggingface", "ViTModel", one, SMALL) for one in (said, "cls"))
    calls: list[str] = []
    inner(several).embeddings.register_forward_hook(lambda *_: calls.append("called"))
    several.encode(images())
    assert calls == ["called"]
    assert flops_of(several) == flops_of(alone) > 0


def test_the_dimension_of_a_yaml_is_checked() -> None:
    assert built("huggingface", "ViTModel", {"join": ["cls", "gem"]}, SMALL, dim=32).dim == 32
    with pytest.raises(RetrievalError, match="a feature has 32 dimensions, not the 16 that 'dim' says"):
        built("huggingface", "ViTModel", {"join": ["cls", "gem"]}, SMALL, dim=16)


def test_bfloat16_is_pooled_in_float32() -> None:
    said = {"join": ["gem", {"kind": "gem", "layer": "layer3"}], "power": 0.5, "normalise": True}
    exact, rounded = (built("torchvision", "resnet18", said, precision=precision) for precision in ("fp32", "bf16"))
    found = rounded.encode(images())
    assert found.dtype == torch.float32
    assert len(found[0].to(torch.bfloat16).float().eq(found[0]).nonzero()) < len(found[0]) / 2
    assert functional.cosine_similarity(found, exact.encode(images())).min() > 0.99


def test_batch_norm_by_image() -> None:
    encoder = built("torchvision", "resnet18", "gem", batch_norm="image")
    batch = images()
    close(encoder.encode(batch), torch.cat([encoder.encode(one[None]) for one in batch]))
    running = built("torchvision", "resnet18", "gem")
    assert not np.allclose(encoder.encode(batch), running.encode(batch), rtol=1e-2)


def test_a_layer_that_is_changed_in_place_afterwards() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True)).eval()
    batch = images()
    feature = Pooled(network, Anatomy(), read_pooling({"kind": "patch_mean", "layer": "0"}, where="x"), where="x")
    with torch.inference_mode():
        close(feature(batch), network[0](batch).mean(dim=(2, 3)))


def test_tokens_on_the_grid_of_a_wide_image() -> None:
    tokens = torch.arange(1.0, 25)[None, :, None]
    wide = layer_of(tokens, extent=(60, 90), prefix=0).patches  # patches of 14: 4 x 6, and margins
    assert wide.shape == (1, 1, 4, 6) and wide[0, 0, 1].tolist() == [7, 8, 9, 10, 11, 12]
    assert layer_of(tokens, extent=(90, 60), prefix=0).patches.shape == (1, 1, 6, 4)


def test_the_order_of_a_map_by_the_images_aspect() -> None:
    """Of 64 x 64, and of 320 x 640: 8 x 18 is what valid convolutions leave of 10 x 20."""
    for shape, extent, order in (
        ((2, 6, 4, 4), (64, 64), False),
        ((2, 4, 4, 6), (64, 64), True),
        ((2, 4, 4, 4), (64, 64), None),
        ((2, 9, 2, 5), (64, 64), None),
        ((1, 2048, 8, 18), (320, 640), None),
    ):
        assert order_by_aspect(shape, extent) is order


def test_the_order_of_a_map_by_two_sizes() -> None:
    assert order_by_size((1, 96, 96, 96), (1, 96, 48, 48)) is False
    assert order_by_size((1, 96, 96, 96), (1, 48, 48, 96)) is True
    for other in ((1, 96, 96, 96), (1, 96, 48, 96), (1, 48, 48, 48)):
        assert order_by_size((1, 96, 96, 96), other) is None


def test_a_map_of_unknown_order_is_said() -> None:
    values = torch.rand(2, 6, 4, 4)
    torch.testing.assert_close(layer_of(values.permute(0, 2, 3, 1), channels_last=True).patches, values)
    for shape, match in (
        (
            (2, 9, 2, 5),
            r"\(2, 9, 2, 5\) for images of \(64, 64\), which is no feature map of their aspect: name another",
        ),
        ((2, 4, 4, 4), "whose channels may come first or last: name another layer, or take another side in 'input'"),
    ):
        with pytest.raises(RetrievalError, match=match):
            _ = layer_of(torch.rand(*shape), channels_last=None).patches


@pytest.mark.parametrize(
    ("source", "name", "layer", "side", "channels_last"),
    [
        ("torchvision", "swin_t", "features.0.0", 64, False),  # a convolution of a network that has channels last
        ("torchvision", "swin_t", "features.1", 64, True),
        ("timm", "swin_tiny_patch4_window7_224", "patch_embed.proj", 224, False),
        ("torchvision", "convnext_tiny", "features.1.0.block.2", 224, True),
        ("torchvision", "convnext_tiny", "features.1.0.block.2", 384, True),  # 96 x 96 x 96
        ("torchvision", "convnext_tiny", "features.1.0.block.0", 384, False),
    ],
)
def test_layers_whose_order_is_not_that_of_the_network(
    source: str, name: str, layer: str, side: int, channels_last: bool
) -> None:
    encoder = built(source, name, {"kind": "patch_mean", "layer": layer}, native={**NATIVE, "resize": [side, side]})
    assert encoder.dim == 96
    kept: list[Tensor] = []
    inner(encoder).get_submodule(layer).register_forward_hook(lambda *given: kept.append(given[2].clone()))
    found = encoder.encode(images(side, count=1))
    close(found, kept[0].mean(dim=(1, 2) if channels_last else (2, 3)))


def test_a_layer_whose_order_none_can_tell_is_refused() -> None:
    """4 x 4 x 4 of a network that takes images of one size."""

    class OneSize(nn.Conv2d):
        def forward(self, pixels: Tensor) -> Tensor:
            assert pixels.shape[2:] == (64, 64), "another size"
            return super().forward(pixels)

    pooled = Pooled(OneSize(3, 4, 16, stride=16), Anatomy(), read_pooling("patch_mean", where="x"), where="x")
    with pytest.raises(RetrievalError, match="whose channels may come first or last"):
        pooled(images())


def test_valid_convolutions_of_oblong_images() -> None:
    """Each leaves a margin out, more and more of the shorter side: of 10 x 20 cells 2 x 12."""
    network = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), *(nn.Conv2d(4, 4, 3) for _ in range(4))).eval()
    feature = Pooled(network, Anatomy(), read_pooling({"join": ["patch_mean", "rmac"]}, where="x"), where="x")
    with torch.inference_mode():
        feature(images(80))  # as it is tried
        batch = images(80, 160)
        assert network(batch).shape == (2, 4, 2, 12)
        close(feature(batch)[:, :4], network(batch).mean(dim=(2, 3)))
        other = Pooled(network, Anatomy(), read_pooling("patch_mean", where="x"), where="x")
        close(other(batch), network(batch).mean(dim=(2, 3)))  # known from images twice as large


def test_a_class_token_among_the_patches_is_noticed() -> None:
    """17 tokens are no grid of a square image; nor are 16 less one."""
    for count, prefix in ((17, 0), (16, 1)):
        layer = layer_of(torch.rand(1, count, 3), prefix=prefix)
        with pytest.raises(RetrievalError, match=rf"{count - prefix} tokens after the first {prefix} are no grid"):
            pooled("patch_mean", layer)


@pytest.mark.parametrize(
    ("source", "name", "layer", "more"),
    [
        ("huggingface", "Dinov2Model", "embeddings.patch_embeddings", {"settings": TINY}),
        ("huggingface", "ViTModel", "embeddings.patch_embeddings", {"settings": SMALL}),
        ("timm", "cait_xxs24_224", "blocks.3", {"native": {**NATIVE, "resize": [224, 224]}}),
    ],
)
def test_the_first_patch_is_no_class_token(source: str, name: str, layer: str, more: dict[str, Any]) -> None:
    match = r"a layer gives (16|196) tokens for images of .*, which are no class token and a grid of patches: name"
    with pytest.raises(RetrievalError, match=match):
        built(source, name, {"kind": "cls", "layer": layer}, **more)


def test_where_it_is_not_known_what_a_patch_is() -> None:
    with pytest.raises(RetrievalError, match="which of its tokens are patches is not known here"):
        built("huggingface", "BeitModel", "patch_mean", SMALL)
    assert built("huggingface", "BeitModel", "token_mean", SMALL).dim == 16


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ("mean", "'mean' was the mean of all tokens, class and register tokens too: write patch_mean"),
        ("gemm", "pooling: unknown kind 'gemm'; one of cls, gem, patch_max, patch_mean, pooler, projection, rmac"),
        (["cls", "gem"], r"'pooling' is \['cls', 'gem'\]: expected a string or keys and values"),
        ({"p": 3}, "missing key 'kind'"),
        ({"kind": "cls", "p": 3}, "pooling 'cls': unknown key 'p'; its keys are layers, layer"),
        ({"kind": "gem", "p": 0}, "pooling 'gem': 'p' is 0: expected an integer or a number above 0 to 100"),
        ({"kind": "rmac", "levels": 0}, "'levels' is 0"),
        ({"kind": "pooler", "p": 3}, "'pooler' is the network's own and has no 'p'"),
        ({"kind": "projection"}, "no feature by pooling"),
        ({"kind": "cls", "layers": 4}, "it has 3 blocks, of which 'layers' asks for 4"),
        ({"kind": "cls", "layers": 2, "layer": "layers.1"}, "'layers' and 'layer' say two things"),
        ({"kind": "cls", "layer": "layers.7"}, "no layer 'layers.7': name one below embeddings, layers"),
        ({"kind": "cls", "layer": "layers"}, "layer 'layers' is not run on images"),
        ({"kind": "cls", "layer": ""}, "'layer' is empty: name one, or leave the key out"),
        ({"kind": "cls", "power": 2}, "'power' is 2: expected an integer or a number above 0 to 1"),
        ({"join": []}, "'join' is empty"),
        ({"join": "cls"}, "'join' is 'cls': expected a list"),
        ({"join": ["cls", {"join": ["cls"]}]}, "missing key 'kind'"),
        ({"join": ["cls"], "normalize": True}, "unknown key 'normalize'; its keys are join, power, normalise"),
        ({"join": ["cls"], "where": "x"}, "unknown key 'where'"),
        ({"join": [{"kind": "cls", "power": 0.5}]}, "unknown key 'power'"),
    ],
)
def test_a_wrong_pooling_is_said(said: Any, match: str) -> None:
    with pytest.raises(RetrievalError, match=match):
        built("huggingface", "ViTModel", said, SMALL)


def test_wrong_poolings_of_other_sources_are_said() -> None:
    for source, name, said, match in (
        ("torchvision", "densenet121", "gem", "the network gives .* neither tokens .* nor a feature map: name another"),
        ("torchvision", "resnet18", "cls", "it has no class token: use pooling: patch_mean"),
        ("torchvision", "resnet18", {"kind": "gem", "layers": 2}, "no transformer whose blocks are known here"),
        ("torchvision", "resnet18", {"kind": "gem", "layer": "fc"}, r"layer 'fc' gives \(1, 512\), neither"),
        ("timm", "resnet18", "mean", "'mean' was the mean of all tokens"),
        ("timm", "resnet18", "sum", "pooling 'sum' is none of cls, patch_mean, .* nor what timm has here"),
        ("timm", "vit_tiny_patch16_224", "sum", "pooling 'sum' is none of cls, patch_mean"),
    ):
        with pytest.raises(RetrievalError, match=match):
            built(source, name, said)
    with pytest.raises(RetrievalError, match="'projection' keeps the last layer, which this 'pooling' is before"):
        built("timm", "resnet18", "gem", projection=True)


def test_a_function_of_ones_own_may_return_maps() -> None:
    config = {"source": "python", "factory": "tests.encoders.test_pooling:small_network", "native": NATIVE,
              "weights": {"kind": "random", "seed": 0}, "pooling": {"kind": "gem", "p": 2}}  # fmt: skip
    encoder = build_encoder("x", config, Path("none"))
    with torch.inference_mode():
        close(encoder.encode(images()), naive_gem(inner(encoder)(images()).numpy(), 2))


def small_network() -> nn.Module:
    return nn.Conv2d(3, 4, 16, stride=16)


def test_all_kinds_have_a_test() -> None:
    assert {*NAIVE, "cls", "token_mean"} == {*KINDS}
