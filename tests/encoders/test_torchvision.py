"""Networks of torchvision are built, and their weights loaded, as torchvision does it for its published weights."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn
from torchvision import models

from pipeline.encoders.building import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.encoders.torchvision_models import created
from pipeline.retrieval.errors import RetrievalError
from tests.encoders.test_encoders import RESNET_NATIVE, photograph

# RegNets compute their widths with tensors, hence not on a device without memory.
NAMES = [name for name in models.list_models(module=models) if not name.startswith("regnet")]
ALL = [entry for name in NAMES for entry in models.get_model_weights(name)]
# The smallest network of each module of torchvision's, with each kind of weights: IMAGENET1K_V1, ...
ENTRIES = {
    (type(entry).__module__, entry.name): entry
    for entry in sorted(ALL, key=lambda entry: entry.meta["num_params"], reverse=True)
}.values()
TRANSFORMING = [models.GoogLeNet_Weights.IMAGENET1K_V1, models.Inception_V3_Weights.IMAGENET1K_V1]


def name_of(entry: Any) -> str:
    return next(name for name in NAMES if models.get_model_weights(name) is type(entry))


def initial(name: str, **options: Any) -> dict[str, torch.Tensor]:
    """A state dict, and batch norms that do something."""
    torch.manual_seed(0)
    network = models.get_model(name, weights=None, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    tensors: dict[str, torch.Tensor] = network.state_dict()
    return tensors


def torchvisions_own(entry: Any, tensors: dict[str, torch.Tensor]) -> nn.Module:
    """What torchvision makes of published weights, these in their place, without its last linear layer."""
    with mock.patch.object(type(entry), "get_state_dict", lambda *_, **__: tensors):
        network: nn.Module = models.get_model(name_of(entry), weights=entry).eval()
    last = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    network.set_submodule(last, nn.Identity())
    return network


def put(tensors: Any, folder: Path, **config: Any) -> Encoder:
    """Build an encoder from a file of tensors."""
    torch.save(tensors, folder / "weights.pth")
    digest = hashlib.sha256((folder / "weights.pth").read_bytes()).hexdigest()
    origin = {"files": {"weights.pth": {"sha256": digest}}, "checkpoint": ["weights.pth"]}
    (folder / "origin.json").write_text(json.dumps(origin))
    weights = {"kind": "checkpoint", "sha256": digest, **config.pop("weights", {})}
    return build_encoder("x", {"source": "torchvision", "weights": weights, **config}, folder)


def same_features(encoder: Encoder, reference: nn.Module, entry: Any) -> None:
    image = photograph(301, 222)
    with torch.inference_mode():
        expected = reference(entry.transforms()(image)[None])
    found = encoder.encode(encoder.preprocess(image)[None])
    assert (found - expected).norm() < 1e-5 * expected.norm()


def settings_of(module: nn.Module) -> dict[str, Any]:
    kinds = (bool, int, float, str, tuple, list)
    # aux_logits: whether it has classifiers for training beside the last.
    return {key: value for key, value in vars(module).items() if isinstance(value, kinds) and key != "aux_logits"}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{type(entry).__name__}.{entry.name}")
def test_published_weights_get_the_network_that_torchvision_builds_for_them(entry: Any) -> None:
    """Compared are the settings of all its modules, on a device without memory."""
    with (
        torch.device("meta"),
        mock.patch.object(type(entry), "get_state_dict", lambda *_, **__: {}),
        mock.patch.object(nn.Module, "load_state_dict", lambda *_, **__: None),
    ):
        theirs, ours = models.get_model(name_of(entry), weights=entry), created(name_of(entry), entry)
    for name, module in theirs.named_modules():
        assert settings_of(module) == settings_of(ours.get_submodule(name)), name


@pytest.mark.parametrize("entry", TRANSFORMING, ids=lambda entry: type(entry).__name__)
def test_input_is_transformed_for_published_weights(entry: Any, tmp_path: Path) -> None:
    tensors = initial(name_of(entry), init_weights=True)
    encoder = put(tensors, tmp_path, name=name_of(entry), revision="IMAGENET1K_V1")
    same_features(encoder, torchvisions_own(entry, tensors), entry)


def test_input_is_transformed_for_a_file_of_a_published_hash(tmp_path: Path) -> None:
    entry = TRANSFORMING[0]
    tensors = initial("googlenet", init_weights=True)
    known = {"kind": "checkpoint", "sha256": re.findall("-([0-9a-f]{8})", entry.url)[0] + 56 * "0"}
    with mock.patch("pipeline.encoders.loading.locate", lambda folder: ([folder / "weights.pth"], known)):
        encoder = put(tensors, tmp_path, name="googlenet")
    same_features(encoder, torchvisions_own(entry, tensors), entry)


def test_input_is_not_transformed_for_weights_that_torchvision_does_not_know(tmp_path: Path) -> None:
    """Those fine-tuned from published ones say so by their mean and std: that is all the transform does."""
    entry = TRANSFORMING[0]
    tensors = initial("googlenet", init_weights=True)
    encoder = put(tensors, tmp_path, name="googlenet", native=RESNET_NATIVE)
    assert encoder.network.transform_input is False
    native = {**RESNET_NATIVE, "mean": [0.5] * 3, "std": [0.5] * 3}
    same_features(put(tensors, tmp_path, name="googlenet", native=native), torchvisions_own(entry, tensors), entry)


def test_random_weights_are_as_those_for_which_they_are_prepared() -> None:
    config = {"source": "torchvision", "name": "googlenet", "weights": {"kind": "random", "seed": 0}}
    none = Path("no-weights-needed")
    assert build_encoder("x", {**config, "revision": "IMAGENET1K_V1"}, none).network.transform_input
    assert not build_encoder("x", {**config, "native": RESNET_NATIVE}, none).network.transform_input


def test_a_vision_transformer_has_the_image_size_of_its_weights(tmp_path: Path) -> None:
    entry = models.ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1
    tensors = initial("vit_b_16", image_size=384)
    encoder = put(tensors, tmp_path, name="vit_b_16", revision=entry.name)
    assert encoder.preprocess(photograph()).shape == (3, 384, 384) and encoder.network.image_size == 384
    assert torch.equal(encoder.network.encoder.pos_embedding, tensors["encoder.pos_embedding"])


def test_former_names_of_a_densenet(tmp_path: Path) -> None:
    entry = models.DenseNet121_Weights.IMAGENET1K_V1
    tensors = initial("densenet121")
    former = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name): tensor
        for name, tensor in tensors.items()
        if not name.endswith("num_batches_tracked")  # younger than the files
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in former
    encoder = put(former, tmp_path, name="densenet121", revision=entry.name)
    same_features(encoder, torchvisions_own(entry, dict(former)), entry)
    same_features(put(tensors, tmp_path, name="densenet121", revision=entry.name), encoder.network, entry)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_versions_of_modules_are_kept(prefix: str, tmp_path: Path) -> None:
    """MNASNet does not load without: once in torchvision's file, and once from a parallel module in an entry."""
    entry = models.MNASNet0_5_Weights.IMAGENET1K_V1
    tensors = initial("mnasnet0_5")
    if prefix:
        network = models.mnasnet0_5(weights=None)
        network.load_state_dict(tensors)
        saved: Any = {"model": nn.ModuleDict({"module": network}).state_dict(), "epoch": 3}
        encoder = put(saved, tmp_path, name="mnasnet0_5", native=RESNET_NATIVE,
                      weights={"entry": "model", "prefix": prefix})  # fmt: skip
    else:
        encoder = put(tensors, tmp_path, name="mnasnet0_5", revision=entry.name)
    same_features(encoder, torchvisions_own(entry, tensors), entry)


@pytest.mark.parametrize("metadata", [None, 5, {"": 5}, {"": {"version": "2"}}, {5: {"version": 2}}, {"": {}}])
def test_missing_versions_are_said(metadata: Any, tmp_path: Path) -> None:
    tensors: Any = initial("mnasnet0_5")
    tensors._metadata = metadata
    match = r"does not say what the network needs to load it \(version should be .*\): save what its state_dict\(\)"
    with pytest.raises(RetrievalError, match=match):
        put(tensors, tmp_path, name="mnasnet0_5", native=RESNET_NATIVE)
