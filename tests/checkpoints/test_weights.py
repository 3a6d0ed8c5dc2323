"""Weights as data: fetched once, checked by hash, read without running anything, and never replaced in silence."""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import transformers
import yaml
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from pipeline.checkpoints.checkpoint import read_checkpoint
from pipeline.checkpoints.providing import fetch, write_weights
from pipeline.checkpoints.published import torchvision_file
from pipeline.checkpoints.tensors import read_file
from pipeline.encoders.building import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.retrieval.errors import RetrievalError
from tests import official as made
from tests.conftest import TOP, Project, Web
from tests.encoders.test_encoders import config_of, photograph

FOUR = tuple(made.FILES)


def put(config: dict[str, Any], path: Path, folder: Path) -> tuple[dict[str, Any], Path]:
    """Return the config with the hash of ``path`` in it, and the folder that the stage makes of both."""
    weights = {**config["weights"], "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    if "bytes" in weights:
        weights["bytes"] = path.stat().st_size
    config = {**config, "weights": weights}
    files = fetch(folder.name, config, folder.parent / "store", str(path))
    write_weights(folder.name, config, files, folder, code={})
    return config, folder


def own_weights(name: str, official: Path, folder: Path) -> tuple[dict[str, Any], Path]:
    """Return config and weights of a shipped encoder, with our checkpoint in place of the published one."""
    return put(config_of(name), official / made.FILES[name][0].lstrip("/"), folder / name)


def test_the_checkpoints_have_the_published_names(official: Path) -> None:
    for name, (address, _) in made.FILES.items():
        path = official / address.lstrip("/")
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                names = set(file.keys())
        else:
            names = set(torch.load(path, weights_only=True))
        assert set(made.NAMES[name]) <= names


@pytest.mark.parametrize("name", FOUR)
def test_the_addresses_are_the_published_ones(name: str) -> None:
    config = config_of(name)
    checkpoint = read_checkpoint(config, where=name)
    assert len(checkpoint.sha256) == 64
    if name.startswith("resnet"):
        remote = torchvision_file(config, checkpoint, name)
        assert remote.url == f"https://download.pytorch.org{made.FILES[name][0]}"
        assert remote.digest == f"sha256:{checkpoint.sha256}"
    else:
        file = checkpoint.file
        assert f"/{config['name']}/resolve/{config['revision']}/{file}" == made.FILES[name][0]


@pytest.mark.parametrize("name", FOUR)
def test_every_tensor_of_the_checkpoint_counts(name: str, official: Path, tmp_path: Path) -> None:
    """Another value in any tensor of the image tower gives other features, or another value of the classifier not."""
    config, folder = own_weights(name, official, tmp_path)
    encoder = build_encoder(name, config, folder)
    assert encoder.dim == config["dim"]
    assert encoder.weights["verified"] is True
    assert encoder.weights["sha256"] == config["weights"]["sha256"]
    assert encoder.weights["origin"] == str(official / made.FILES[name][0].lstrip("/"))
    batch = encoder.preprocess(photograph())[None]
    expected = encoder.encode(batch)
    random = config_of(f"{name}_random")
    assert (build_encoder(name, random, folder).encode(batch) - expected).abs().max() > 1e-3


def test_the_whole_graph_from_a_server(
    project: Project, web: Web, official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """weights -> extract -> ... -> compare for the four, the hosts stood in for by a server on this machine."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "huggingface"))
    off = ["effective_rank", "mean_cosine"]  # weights like these have no reason to tell images apart
    for name, (address, _) in made.FILES.items():
        content = (official / address.lstrip("/")).read_bytes()
        web.files[address] = content
        config = config_of(name)
        weights = {**config["weights"], "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        project.edit(f"conf/encoder/{name}.yaml", weights=weights, without_guards=off)
    project.edit("conf/runtime/default.yaml", weights={"path": web.url})
    project.edit("conf/dataset/digits.yaml", per_class=2)
    project.edit("params.yaml", encoders=[*FOUR, "raw_pixels"], datasets=["digits"], encoder="dinov2")
    web.cut_after = [20_000_000]
    assert {f"weights@{name}" for name in FOUR} <= project.repro("compare")
    assert any("Range" in request for request in web.requests)
    asked = len(web.requests)
    for name in FOUR:
        provenance = json.loads((project.top / f"features/{name}/digits/provenance.json").read_text())
        assert provenance["weights"]["sha256"] == hashlib.sha256(web.files[made.FILES[name][0]]).hexdigest()
        assert provenance["guards"]["off"] == off
    table = (project.top / "metrics/table.md").read_text()
    assert all(f"| {name} " in table for name in FOUR)
    # Another encoder of the same weights does not fetch them again, nor does any later run without a network.
    project.edit("conf/runtime/default.yaml", weights={"path": None})
    project.edit("conf/encoder/squashed.yaml", **{**yaml.safe_load(
        (project.top / "conf/encoder/resnet18.yaml").read_text()), "preprocessing": "squash"})  # fmt: skip
    project.edit("params.yaml", encoders=[*FOUR, "squashed", "raw_pixels"])
    assert "extract@squashed-digits" in project.repro("compare")
    assert len(web.requests) == asked
    squashed = json.loads((project.top / "features/squashed/digits/provenance.json").read_text())
    assert squashed["config"]["preprocessing"] == "squash" and "CenterCrop" not in squashed["preprocessing"]


def test_a_wrong_hash_is_refused(web: Web, official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    address = made.FILES["resnet18"][0]
    web.files[address] = (official / address.lstrip("/")).read_bytes()
    config = config_of("resnet18")
    config["weights"]["bytes"] = len(web.files[address])
    with pytest.raises(RetrievalError, match=r"has the sha256 [0-9a-f]{64}, not f37072fd.*damaged or another file"):
        fetch("resnet18", config, tmp_path / "store", web.url)
    assert list((tmp_path / "torch/hub/checkpoints").iterdir()) == []


def safetensors(header: bytes, data: int) -> bytes:
    return len(header).to_bytes(8, "little") + header + bytes(data)


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (
            {"conv1.weight": Hostile()},
            r"tensors only \(it names (ray\.\S+\.safe_)?print, and what names code can run it",
        ),
        (nn.Linear(1, 1), r"it names torch\.nn\.modules\.linear\.Linear, and .*: save the network's state_dict"),
        ({"a": np.ones(1)}, r"it names numpy\S*\._reconstruct"),
        ({5: torch.ones(1), "5": torch.ones(1)}, "has a tensor under a key of type int: name all by strings"),
        ({b"a": torch.ones(1)}, "under a key of type bytes"),
        ({("a", "b"): torch.ones(1)}, "under a key of type tuple"),
        ({torch.ones(2): torch.ones(1)}, "under a key of type Tensor"),
        ({"conv1.weight": [1, 2]}, "is not a dictionary of tensors: name the one inside it"),
        ([torch.ones(1)], "is not a dictionary of tensors"),
    ],
)
def test_what_is_not_tensors_is_refused_and_not_run(
    content: object, match: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(RetrievalError, match=match) as caught:
        put(config_of("resnet18"), tmp_path / "w.pth", tmp_path / "resnet18")
    assert not re.search("weights_only|trust|safe_globals|pytorch.org", str(caught.value))
    assert "executed" not in capsys.readouterr().out
    assert not (tmp_path / "resnet18").exists()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer .*run git lfs pull"),
        (b"\xef\xbb\xbf\n <!DOCTYPE HTML>", "is an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied', "is an XML text"),
        (b'{"error": "gated"}', "is a JSON text"),
        (b"cos\nsystem\n(S'true'\ntR.", r"cannot be read .*it names os\.system, and"),
        (b"c\x1b[2J\nx\n.", r"cannot be read .*it names '\\x1b\[2J\.x', and"),
        (b"\x80\x04N.", "cannot be read as a file of tensors only"),
        (b"\x80\x02X\xff\xff\xff\x7f.", "cannot be read as a file of tensors only"),
        (b"\xff" * 8 + b"{", "is no safetensors file .*header too large"),
        (b"\x02" + bytes(7) + b"{", "is no safetensors file"),
        (safetensors(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', 8), "is no safetensors file"),
        (safetensors(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,8]}}', 8), "is no safetensors file"),
        (
            safetensors(b'{"a":{"dtype":"F6_E2M3","shape":[4],"data_offsets":[0,3]}}', 3),
            "is no safetensors file .Dtype not",
        ),
        (safetensors(b'{"a":' + b"[" * 100_000, 0), "is no safetensors file .*recursion"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path: Path, data: bytes, what: str) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    with pytest.raises(RetrievalError, match=rf"^{path} {what}") as caught:
        read_file(path, None)
    assert str(caught.value).isprintable()


def test_a_safetensors_file_that_begins_like_json(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(0x7B20)
    (tmp_path / "w").write_bytes(safetensors(header, 4))
    assert read_file(tmp_path / "w", None)["a"].tolist() == [0]


def test_a_program_is_no_checkpoint(tmp_path: Path) -> None:
    """TorchScript, by the names in its archive."""
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        for name in ("w/data.pkl", "w/constants.pkl", "w/version"):
            archive.writestr(name, b"3\n" if name.endswith("version") else b"\x80\x02N.")
    with pytest.raises(RetrievalError, match=r"tensors only \(it is a TorchScript archive, a program\)"):
        read_file(tmp_path / "w.pt", None)


@pytest.mark.parametrize("kind", ["pipe", "loop", "device"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w.pth"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "w.pth")
    config = config_of("resnet18")
    own = {key: value for key, value in config["weights"].items() if key in ("kind", "sha256")} | {"path": str(path)}
    said = r"w\.pth is (a named pipe|a link that leads back|a device).*, not a file"
    with pytest.raises(RetrievalError, match=said):
        fetch("x", {**config, "revision": None, "weights": own}, tmp_path, None)
    if kind != "loop":
        with pytest.raises(RetrievalError, match=said):
            fetch("x", config, tmp_path, str(path))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_damaged_file_is_one_error(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"w.{suffix}").write_bytes(
        b"\x10\0\0\0\0\0\0\0{not tensors" if suffix == "safetensors" else b"PK not tensors"
    )
    config = config_of("resnet18")
    with pytest.raises(RetrievalError, match="is no safetensors file|cannot be read as a file of tensors only"):
        put(config, tmp_path / f"w.{suffix}", tmp_path / "resnet18")


def built(tensors: Mapping[str, Any], folder: Path, **weights: Any) -> Encoder:
    torch.save(tensors, folder / "w.pth")
    config = config_of("resnet18")
    return build_encoder(
        "x", *put({**config, "weights": {**config["weights"], **weights}}, folder / "w.pth", folder / "x")
    )


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_checkpoint_gives_its_own_features(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(9)
    network = models.resnet18(weights=None).eval()
    path = tmp_path / f"w.{suffix}"
    if suffix == "safetensors":
        save_file(network.state_dict(), path)
    else:
        torch.save(network.state_dict(), path)
    config = config_of("resnet18")
    encoder = build_encoder("x", *put(config, path, tmp_path / "x"))
    network.fc = nn.Identity()
    batch = encoder.preprocess(photograph())[None]
    with torch.inference_mode():
        torch.testing.assert_close(encoder.encode(batch), network(batch), rtol=1e-4, atol=1e-5)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    tensors = models.resnet18(weights=None).state_dict()
    tensors["extra"] = tensors.pop("conv1.weight")
    with pytest.raises(RetrievalError, match=r"does not fit the network .*conv1\.weight"):
        built(tensors, tmp_path)


def test_an_entry_a_prefix_and_what_to_leave(tmp_path: Path) -> None:
    torch.manual_seed(3)
    tensors = models.resnet18(weights=None).state_dict()
    wrapped = {
        "epoch": 3,
        "state_dict": {f"module.{name}": t for name, t in {**tensors, "head.w": tensors["fc.bias"]}.items()},
    }
    encoder = built(wrapped, tmp_path, entry="state_dict", prefix="module.", ignore=["head."])
    torch.testing.assert_close(encoder.network.state_dict()["conv1.weight"], tensors["conv1.weight"])
    for wrong, match in (
        ({"entry": "model", "prefix": "module."}, "has no entry 'model'"),
        ({"entry": "state_dict", "prefix": "net."}, "does not begin with 'net.'"),
        ({"entry": "state_dict", "prefix": "module."}, r"does not fit .*head\.w"),
    ):
        with pytest.raises(RetrievalError, match=match):
            built(wrapped, tmp_path, **wrong)


@pytest.mark.parametrize("family", ["clip", "dinov2"])
def test_a_tensor_missing_or_too_many_for_transformers(family: str, official: Path, tmp_path: Path) -> None:
    source = official / made.FILES[family][0].lstrip("/")
    if family == "clip":
        tensors = torch.load(source, weights_only=True)
        tensors["vision_model.extra"] = tensors.pop("visual_projection.weight")
    else:
        from safetensors.torch import load_file

        tensors = load_file(source)
        tensors["extra"] = tensors.pop("layernorm.weight")
    torch.save(tensors, tmp_path / "w.bin")
    config, folder = put(config_of(family), tmp_path / "w.bin", tmp_path / family)
    with pytest.raises(RetrievalError, match=r"missing \['(visual_projection|layernorm)\.weight'\].*extra"):
        build_encoder(family, config, folder)


def test_weights_that_changed_after_the_stage(official: Path, tmp_path: Path) -> None:
    config, folder = own_weights("resnet18", official, tmp_path)
    with next(folder.glob("*.pth")).open("r+b") as file:
        file.write(b"x")
    with pytest.raises(RetrievalError, match="not the file that origin.json .* -f -s weights@resnet18"):
        build_encoder("resnet18", config, folder)
    with pytest.raises(RetrievalError, match="no usable weights in .*elsewhere"):
        build_encoder("resnet18", config, tmp_path / "elsewhere")


def test_an_encoder_without_a_checkpoint_needs_no_file(tmp_path: Path) -> None:
    write_weights("hog", config_of("hog"), fetch("hog", config_of("hog"), tmp_path, None), tmp_path / "hog", code={})
    assert json.loads((tmp_path / "hog/origin.json").read_text()) == {"kind": "none", "files": {}}


@pytest.mark.parametrize("sha256", ["", "F37072FD", "f37072f", "none"])
def test_a_hash_has_a_form(sha256: str) -> None:
    config = config_of("resnet18")
    config["weights"]["sha256"] = sha256
    with pytest.raises(RetrievalError, match="x, weights: sha256 is .* give its 64 lower-case hexadecimal digits"):
        read_checkpoint(config, where="x")


TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 16, "image_size": 64}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 1,
    "vocab_size": 60000,
}


@pytest.mark.parametrize(
    ("network", "pooling", "make", "ignore", "read"),
    [
        (
            None,
            "cls",
            lambda: transformers.Dinov2Model(transformers.Dinov2Config(**TINY)),
            [],
            lambda network, pixels: network(pixel_values=pixels).last_hidden_state[:, 0],
        ),
        (
            None,
            "cls",
            lambda: transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**TINY)),
            [],
            lambda network, pixels: network(pixel_values=pixels).last_hidden_state[:, 0],
        ),
        (
            "SiglipVisionModel",
            "pooler",
            lambda: transformers.SiglipModel(
                transformers.SiglipConfig(vision_config={**TINY, "intermediate_size": 64}, text_config=TEXT)
            ),
            ["text_model.", "logit_scale", "logit_bias"],
            lambda network, pixels: network.vision_model(pixel_values=pixels).pooler_output,
        ),
    ],
    ids=["dinov2", "dinov2 with registers", "siglip"],
)
def test_any_repository_by_one_yaml(
    network: str | None, pooling: str, make: Any, ignore: list[str], read: Any, web: Web, tmp_path: Path
) -> None:
    """Name, revision and pooling: network and preprocessing are what the repository declares."""
    reference = made.unlike_initial(make())
    reference.save_pretrained(tmp_path / "saved")
    processor = {"size": {"height": 64, "width": 64}, "resample": 2, "do_resize": True,
                 "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}  # fmt: skip
    (tmp_path / "saved/preprocessor_config.json").write_text(json.dumps(processor))
    for name in ("model.safetensors", "config.json", "preprocessor_config.json"):
        web.files[f"/owner/tiny/resolve/v1/{name}"] = (tmp_path / "saved" / name).read_bytes()
    config: dict[str, Any] = {
        "source": "huggingface",
        "name": "owner/tiny",
        "revision": "v1",
        "pooling": pooling,
        "weights": {"kind": "checkpoint", "sha256": "unverified", "ignore": ignore},
        **({} if network is None else {"network": network}),
    }
    write_weights("tiny", config, fetch("tiny", config, tmp_path / "store", web.url), tmp_path / "tiny", code={})
    encoder = build_encoder("tiny", config, tmp_path / "tiny")
    assert encoder.weights["verified"] is False and len(encoder.weights["sha256"]) == 64
    pixels = encoder.preprocess(photograph())[None]
    assert pixels.shape == (1, 3, 64, 64) and encoder.dim == 32
    with torch.inference_mode():
        torch.testing.assert_close(encoder.encode(pixels), read(reference, pixels), rtol=1e-4, atol=1e-5)


def test_a_network_of_timm_by_one_yaml(web: Web, tmp_path: Path) -> None:
    torch.manual_seed(4)
    reference = timm.create_model("resnet18.a1_in1k", pretrained=False).eval()
    save_file(reference.state_dict(), tmp_path / "model.safetensors")
    web.files["/timm/resnet18.a1_in1k/resolve/main/model.safetensors"] = (tmp_path / "model.safetensors").read_bytes()
    weights = {"kind": "checkpoint", "sha256": "unverified"}
    config = {"source": "timm", "name": "resnet18.a1_in1k", "revision": "main", "weights": weights}
    write_weights("t", config, fetch("t", config, tmp_path / "store", web.url), tmp_path / "t", code={})
    encoder = build_encoder("t", config, tmp_path / "t")
    pixels = encoder.preprocess(photograph())[None]
    with torch.inference_mode():
        torch.testing.assert_close(reference.fc(encoder.encode(pixels)), reference(pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet50", "vit_b_16", "convnext_tiny", "resnet50_timm"])
def test_the_starting_set_by_its_yaml_but_for_the_weights(name: str, tmp_path: Path) -> None:
    config = config_of(name)
    encoder = build_encoder(name, {**config, "weights": {"kind": "random", "seed": 0}}, tmp_path)
    assert encoder.dim == config["dim"]


UNVERIFIED = [
    "clip_vit_l_14", "dinov2_base", "dinov2_registers", "dinov3_base", "dinov3_large", "dinov3_small",
    "perception_encoder_base", "perception_encoder_base_text", "perception_encoder_large", "resnet50_timm",
    "siglip2_base", "siglip2_so400m",
]  # fmt: skip


def test_what_nobody_has_verified_says_so() -> None:
    found = []
    for path in sorted((TOP / "conf/encoder").glob("*.yaml")):
        if "sha256: unverified" in path.read_text():
            assert "# UNVERIFIED" in path.read_text()
            found.append(path.stem)
    assert found == UNVERIFIED
