"""Checkpoints in the formats and under the names of the published ones, with weights made up here."""

from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision import models

CLIP_VISION = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
               "image_size": 224, "patch_size": 32}  # fmt: skip
# The text tower's size does not matter: nothing reads it.
CLIP_TEXT = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1,
             "vocab_size": 60000}  # fmt: skip
DINOV2 = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6, "image_size": 518, "patch_size": 14}


def unlike_initial(network: nn.Module, seed: int = 0) -> nn.Module:
    """Move every tensor away from zero, one and its neighbours', so that none can be left out or swapped unseen."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.add_(0.1 * noise.abs() if name.endswith("running_var") else 0.02 * noise)
    return network.eval()


def resnet(name: str, path: Path) -> None:
    torch.manual_seed(1)
    torch.save(unlike_initial(models.get_model(name)).state_dict(), path)


def clip(path: Path) -> None:
    torch.manual_seed(2)
    config = transformers.CLIPConfig(vision_config=CLIP_VISION, text_config=CLIP_TEXT, projection_dim=512)
    tensors = unlike_initial(transformers.CLIPModel(config)).state_dict()
    # The published file is of a time when these were saved too.
    for tower, count in (("text", 77), ("vision", 50)):
        tensors[f"{tower}_model.embeddings.position_ids"] = torch.arange(count)[None]
    torch.save(tensors, path)


def dinov2(path: Path) -> None:
    torch.manual_seed(3)
    network = unlike_initial(transformers.Dinov2Model(transformers.Dinov2Config(**DINOV2)))
    network.save_pretrained(path.parent / "saved")
    tensors: dict[str, Tensor] = load_file(path.parent / "saved" / "model.safetensors")
    save_file(tensors, path, metadata={"format": "pt"})


# Where the host has it -> what makes it. The addresses are those in facts that the project did not make.
FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "resnet18": ("/models/resnet18-f37072fd.pth", lambda path: resnet("resnet18", path)),
    "resnet34": ("/models/resnet34-b627a593.pth", lambda path: resnet("resnet34", path)),
    "clip": (
        "/openai/clip-vit-base-patch32/resolve/3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268/pytorch_model.bin",
        clip,
    ),
    "dinov2": (
        "/facebook/dinov2-small/resolve/ed25f3a31f01632728cabb09d1542f84ab7b0056/model.safetensors",
        dinov2,
    ),
}
# Some of the names in the published files; transformers has renamed several of them since.
NAMES = {
    "resnet18": ["conv1.weight", "layer4.1.bn2.running_var", "fc.bias"],
    "resnet34": ["conv1.weight", "layer3.5.conv2.weight", "fc.bias"],
    "clip": ["vision_model.pre_layrnorm.weight", "vision_model.encoder.layers.11.self_attn.q_proj.weight",
             "vision_model.embeddings.position_ids", "visual_projection.weight", "text_projection.weight",
             "logit_scale"],
    "dinov2": ["embeddings.cls_token", "embeddings.mask_token", "encoder.layer.11.attention.attention.query.weight",
               "encoder.layer.0.attention.output.dense.bias", "encoder.layer.5.layer_scale1.lambda1",
               "layernorm.weight"],
}  # fmt: skip
