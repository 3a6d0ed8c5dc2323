"""The same weights through an independent implementation, mapped name by name, give the same features."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from torch import Tensor, nn

from pipeline.encoders.building import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.manifest.images import decode_rgb
from tests.checkpoints.test_weights import own_weights


@pytest.fixture
def photographs(real_images: Path) -> list[Path]:
    return sorted((real_images / "mini_objects/images").glob("*/image_0003.jpg"))[:8]


def checkpoint_of(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    [path] = [path for path in folder.iterdir() if path.suffix in (".pth", ".bin", ".safetensors")]
    if path.suffix == ".safetensors":
        return load_file(path)
    tensors: dict[str, Tensor] = torch.load(path, weights_only=True)
    return tensors


def cosines(encoder: Encoder, other: nn.Module, photographs: list[Path], *, side: int = 224) -> np.ndarray:
    batch = torch.stack([encoder.preprocess(decode_rgb(path.read_bytes(), name=path.name)) for path in photographs])
    if side != batch.shape[-1]:
        batch = nn.functional.interpolate(batch, (side, side), mode="bilinear")
    with torch.inference_mode():
        ours, theirs = encoder.encode(batch), other(batch)
    assert theirs.shape == ours.shape
    return nn.functional.cosine_similarity(ours, theirs).numpy()


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_resnets_of_timm(name: str, official: Path, tmp_path: Path, photographs: list[Path]) -> None:
    encoder = build_encoder(name, *own_weights(name, official, tmp_path))
    other = timm.create_model(name, num_classes=1000)
    other.load_state_dict(checkpoint_of(tmp_path / name), strict=True)
    other.reset_classifier(0)
    assert cosines(encoder, other.eval(), photographs).min() > 0.9999


def test_clip_of_open_clip(official: Path, tmp_path: Path, photographs: list[Path]) -> None:
    encoder = build_encoder("clip", *own_weights("clip", official, tmp_path))
    other = open_clip.create_model("ViT-B-32-quickgelu", pretrained=None).visual
    other.load_state_dict(as_open_clip(checkpoint_of(tmp_path / "clip")), strict=True)
    assert cosines(encoder, other.eval(), photographs).min() > 0.9999


def as_open_clip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the image tower's tensors; queries, keys and values stand in one matrix there."""
    top = {
        "class_embedding": "embeddings.class_embedding",
        "positional_embedding": "embeddings.position_embedding.weight",
        "conv1.weight": "embeddings.patch_embedding.weight",
        **{f"ln_pre.{part}": f"pre_layrnorm.{part}" for part in ("weight", "bias")},
        **{f"ln_post.{part}": f"post_layernorm.{part}" for part in ("weight", "bias")},
    }
    renamed = {name: tensors[f"vision_model.{old}"] for name, old in top.items()}
    renamed["proj"] = tensors["visual_projection.weight"].T
    inside = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj",
              "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}  # fmt: skip
    for layer in range(12):
        old = f"vision_model.encoder.layers.{layer}"
        new = f"transformer.resblocks.{layer}"
        for part in ("weight", "bias"):
            for name, before in inside.items():
                renamed[f"{new}.{name}.{part}"] = tensors[f"{old}.{before}.{part}"]
            renamed[f"{new}.attn.in_proj_{part}"] = torch.cat(
                [tensors[f"{old}.self_attn.{which}_proj.{part}"] for which in "qkv"]
            )
    return renamed


def test_dinov2_of_timm(official: Path, tmp_path: Path, photographs: list[Path]) -> None:
    """Equal at 518 pixels, the size of the position embeddings.

    At 224 both interpolate these, timm with antialiasing and transformers without, which shows the more, the less
    smooth they are: the ones made up here are noise.
    """
    encoder = build_encoder("dinov2", *own_weights("dinov2", official, tmp_path))
    other = timm.create_model("vit_small_patch14_dinov2", dynamic_img_size=True, num_classes=0)
    other.load_state_dict(as_timm(checkpoint_of(tmp_path / "dinov2")), strict=True)
    assert cosines(encoder, other.eval(), photographs[:4], side=518).min() > 0.9999
    assert cosines(encoder, other.eval(), photographs).min() > 0.99


def as_timm(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename DINOv2's tensors; the mask token is for training only."""
    renames = (
        ("embeddings.cls_token", "cls_token"),
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
        ("encoder.layer.", "blocks."),
        ("attention.output.dense", "attn.proj"),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
        ("layernorm.", "norm."),
    )
    renamed = {}
    for name, tensor in tensors.items():
        if name == "embeddings.mask_token" or "attention.attention" in name:
            continue
        for before, after in renames:
            name = name.replace(before, after)
        renamed[name] = tensor
    for name in list(tensors):
        if match := re.fullmatch(r"encoder\.layer\.(\d+)\.attention\.attention\.query\.(\w+)", name):
            parts = [tensors[name.replace("query", which)] for which in ("query", "key", "value")]
            renamed[f"blocks.{match[1]}.attn.qkv.{match[2]}"] = torch.cat(parts)
    return renamed
