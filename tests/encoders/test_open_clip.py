"""Networks of open_clip: its own features, tokens and preprocessing, from the files of a repository."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from pipeline.checkpoints.providing import fetch, write_weights
from pipeline.encoders.building import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.extraction.runtime import Runtime
from pipeline.extraction.texts import encode_texts
from pipeline.retrieval.errors import RetrievalError
from tests.conftest import Web
from tests.encoders.test_encoders import config_of, photograph
from tests.official import unlike_initial
from tests.towers import siglip_tokeniser

TEXTS = ["a photo of a cat", " A  Red BUS ", "ein Bär, 三 &amp; é", "seven"]
RUNTIME = Runtime("cpu", 2, 0, 1)
VISION = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 20, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
CLIP = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT}
# As SigLIP's: an image tower of timm, a tokeniser of its own, no causal mask.
OF_TIMM = {"image_size": 160, "timm_model_name": "test_vit", "timm_pool": "avg", "timm_proj": "linear"}
HUB = {**TEXT, "vocab_size": 200, "hf_tokenizer_name": "nobody/tiny", "tokenizer_kwargs": {"clean": "canonicalize"},
       "no_causal_mask": True, "proj_bias": True, "pool_type": "last"}  # fmt: skip
SIGLIP = {"embed_dim": 24, "init_logit_bias": -10, "custom_text": True, "vision_cfg": OF_TIMM, "text_cfg": HUB}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "tiny-clip": CLIP,
    "tiny-clip-quickgelu": {**CLIP, "quick_gelu": True},
    # As PE-Core's: CLIP's tokeniser, and a text tower of its own class.
    "tiny-pe": {**CLIP, "custom_text": True, "vision_cfg": OF_TIMM, "text_cfg": {**TEXT, "context_length": 12}},
    "tiny-siglip": SIGLIP,
    "tiny-oblong": {**CLIP, "vision_cfg": {**VISION, "image_size": [32, 48]}},
    "tiny-hub": {**CLIP, "text_cfg": {"hf_model_name": "nobody/text", "hf_tokenizer_name": "nobody/text"}},
    "tiny-sep": {**SIGLIP, "text_cfg": {**HUB, "tokenizer_kwargs": {"strip_sep_token": True}}},
}
MARKS = {"padding": "<pad>", "end": "<eos>"}
ASKED: dict[str, Any] = {"tiny-clip": True, "tiny-pe": {}, "tiny-siglip": MARKS}
PREPROCESSING = {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.6, 0.7], "interpolation": "bilinear", "resize_mode": "squash"}
NATIVE = {"resize": [32, 32], "interpolation": "bilinear", "crop": None, "mean": [0.5] * 3, "std": [0.5] * 3}
RANDOM = {"kind": "random", "seed": 3}


@pytest.fixture(autouse=True, scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let open_clip know the architectures above."""
    folder = tmp_path_factory.mktemp("architectures")
    for name, config in ARCHITECTURES.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
    yield
    open_clip.factory._MODEL_CONFIG_PATHS.remove(folder)
    for name in ARCHITECTURES:
        del open_clip.factory._MODEL_CONFIGS[name]


def written(name: str, folder: Path, preprocessing: dict[str, Any] | None = None) -> Any:
    """Write the files of a repository with an architecture and weights made up here; return the network."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(7)
    network: Any = unlike_initial(open_clip.create_model(name), 8)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    said = {"model_cfg": ARCHITECTURES[name], "preprocess_cfg": preprocessing or PREPROCESSING}
    (folder / "open_clip_config.json").write_text(json.dumps(said))
    if "hf_tokenizer_name" in ARCHITECTURES[name]["text_cfg"]:
        own = siglip_tokeniser()
        marks = {"pad_token": "<pad>", "eos_token": "<eos>", "padding_side": "right"}
        transformers.PreTrainedTokenizerFast(tokenizer_object=own, **marks).save_pretrained(folder)
    return network


def config(name: str, folder: Path, **changes: Any) -> dict[str, Any]:
    """Return the YAML of an encoder of images and, where the changes have ``text``, of texts."""
    ignore = ["logit_scale", "logit_bias"]
    if not changes.get("text") and changes.get("text") != {}:
        ignore += ["text", "transformer.", "token_embedding.", "positional_embedding", "ln_final."]
    weights = {"kind": "checkpoint", "path": str(folder), "sha256": "unverified", "ignore": ignore}
    return {"source": "open_clip", "name": name, "weights": weights, **changes}


def built(yaml: dict[str, Any], folder: Path) -> Encoder:
    write_weights("tiny", yaml, fetch("tiny", yaml, folder / "store", None), folder / "tiny", code={})
    return build_encoder("tiny", yaml, folder / "tiny")


@pytest.mark.parametrize("name", ASKED)
def test_features_are_those_of_open_clip(name: str, tmp_path: Path) -> None:
    """Tokens are made by open_clip's own tokeniser, which reads that of a repository through transformers."""
    folder = tmp_path / "saved"
    network = written(name, folder)
    encoder = built(config(name, folder, text=ASKED[name], dim=24), tmp_path)
    local = "tokenizer_kwargs" in ARCHITECTURES[name]["text_cfg"]
    tokenise = open_clip.get_tokenizer(f"local-dir:{folder}" if local else name)
    pixels = encoder.preprocess(photograph())[None]
    assert encoder.text is not None
    torch.testing.assert_close(encoder.text.tokenise(TEXTS), tokenise(TEXTS))
    with torch.inference_mode():
        texts, images = network.encode_text(tokenise(TEXTS)), network.encode_image(pixels)
    rows = encode_texts("tiny", encoder, TEXTS, RUNTIME)
    np.testing.assert_allclose(rows, texts, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(encoder.encode(pixels), images, rtol=1e-5, atol=1e-6)
    assert np.ptp(rows, axis=0).max() > 0.01  # texts differ
    assert encoder.weights["open_clip"] == open_clip.__version__ and len(encoder.weights["tokenizer_sha256"]) == 64


@pytest.mark.parametrize("name", ASKED)
def test_images_are_encoded_as_without_texts_to_the_bit(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    written(name, folder)
    encoder = built(config(name, folder, text=ASKED[name]), tmp_path / "with")
    other = built(config(name, folder), tmp_path / "without")
    assert other.text is None and not (tmp_path / "without/tiny/tokenizer.json").exists()
    pixels = encoder.preprocess(photograph())[None]
    assert torch.equal(encoder.encode(pixels), other.encode(pixels))
    assert set(encoder.weights) - set(other.weights) == {"tokenizer_sha256"}
    # The image tower is made first, so that its random weights are the same too.
    random = {"source": "open_clip", "name": "tiny-clip", "weights": RANDOM, "native": NATIVE}
    with_texts, without = (built({**random, **more}, tmp_path / "random") for more in ({"text": True}, {}))
    pixels = without.preprocess(photograph())[None]
    assert torch.equal(with_texts.encode(pixels), without.encode(pixels))
    reseeded = built({**random, "weights": {**RANDOM, "seed": 4}}, tmp_path / "random")
    assert not torch.equal(reseeded.encode(pixels), without.encode(pixels))


def test_the_formats_of_a_checkpoint(tmp_path: Path) -> None:
    """Safetensors, and a pickle as open_clip trains to: an entry, and a prefix before each name."""
    folder = tmp_path / "saved"
    written("tiny-clip", folder)
    first = built(config("tiny-clip", folder, text=True), tmp_path / "first")
    tensors = load_file(folder / "open_clip_model.safetensors")
    (folder / "open_clip_model.safetensors").unlink()
    named = {f"module.{name}": tensor for name, tensor in tensors.items()}
    torch.save({"epoch": 3, "state_dict": named}, folder / "open_clip_pytorch_model.bin")
    # The same weights as transformers would have them: not of open_clip, and not looked at.
    (folder / "model.safetensors").write_bytes(b"no tensors")
    yaml = config("tiny-clip", folder, text=True)
    yaml["weights"] |= {"entry": "state_dict", "prefix": "module."}
    second = built(yaml, tmp_path / "second")
    assert second.weights["file"] == "open_clip_pytorch_model.bin"
    pixels = first.preprocess(photograph())[None]
    assert torch.equal(first.encode(pixels), second.encode(pixels))
    rows = [encode_texts("tiny", encoder, TEXTS, RUNTIME) for encoder in (first, second)]
    np.testing.assert_array_equal(*rows)


@pytest.mark.parametrize("text", [None, True])
@pytest.mark.parametrize(
    ("change", "message", "only_with_text"),
    [
        (lambda tensors: tensors.pop("visual.proj"), r'Missing key.*"visual\.proj"', False),
        (lambda tensors: tensors.update({"visual.extra": torch.ones(1)}), r'Unexpected key.*"visual\.extra"', False),
        (lambda tensors: tensors.update({"extra": torch.ones(1)}), r'Unexpected key.*"extra"', False),
        (lambda tensors: tensors.pop("text_projection"), r'Missing key.*"text_projection"', True),
        (lambda tensors: tensors.update({"transformer.x": torch.ones(1)}), r'Unexpected.*"transformer\.x"', True),
    ],
)  # fmt: skip
def test_every_tensor_is_accounted_for(
    tmp_path: Path, text: bool | None, change: Callable[[Any], Any], message: str, only_with_text: bool
) -> None:
    folder = tmp_path / "saved"
    written("tiny-clip", folder)
    tensors = load_file(folder / "open_clip_model.safetensors")
    change(tensors)
    save_file(tensors, folder / "open_clip_model.safetensors")
    yaml = config("tiny-clip", folder, **({} if text is None else {"text": text}))
    if only_with_text and text is None:
        assert built(yaml, tmp_path).text is None
        return
    with pytest.raises(RetrievalError, match=f"the checkpoint does not fit the network .*{message}"):
        built(yaml, tmp_path)


def test_a_text_tower_that_is_not_ignored_is_too_many(tmp_path: Path) -> None:
    yaml = config("tiny-clip", tmp_path / "saved")
    written("tiny-clip", tmp_path / "saved")
    yaml["weights"]["ignore"] = ["logit_scale"]
    with pytest.raises(RetrievalError, match=r"Unexpected key.*name tensors to leave under weights"):
        built(yaml, tmp_path)


@pytest.mark.parametrize(
    ("name", "preprocessing"),
    [
        ("tiny-clip", PREPROCESSING),
        ("tiny-clip", {**PREPROCESSING, "resize_mode": "shortest"}),
        ("tiny-clip", {**PREPROCESSING, "resize_mode": "shortest", "interpolation": "bicubic"}),
        ("tiny-clip", {**PREPROCESSING, "interpolation": "random"}),
        ("tiny-clip", {"size": 224}),  # the rest by open_clip's defaults, and the size by the network
        ("tiny-siglip", {**PREPROCESSING, "interpolation": "bicubic"}),
        ("tiny-oblong", PREPROCESSING),
    ],
)
def test_preprocessing_is_that_of_open_clip_to_the_pixel(
    name: str, preprocessing: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "saved"
    network = written(name, folder, preprocessing)
    told = {**preprocessing, "size": network.visual.image_size}
    reference = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(**told), is_train=False)
    encoder = built(config(name, folder), tmp_path)
    for extent in [(60, 45), (45, 90), (20, 20), (333, 500)]:
        image = photograph(*extent)
        assert torch.equal(encoder.preprocess(image), reference(image))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("tiny-clip", {"resize_mode": "longest"}, r"followed \(resize_mode 'longest' to 32 x 32 in RGB\): write 'nat"),
        ("tiny-oblong", {"resize_mode": "shortest"}, r"resize_mode 'shortest' to 32 x 48 in RGB\): write 'native'"),
        ("tiny-clip", {"mode": "L"}, "resize_mode 'squash' to 32 x 32 in L"),
        ("tiny-clip", {"interpolation": "lanczos"}, "unknown interpolation 'lanczos'"),
        ("tiny-clip", {"mean": 0.5}, "'mean' is 0.5: expected a list, each entry a number"),
    ],
)
def test_preprocessing_that_cannot_be_followed(name: str, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    written(name, tmp_path / "saved", {**PREPROCESSING, **change})
    with pytest.raises(RetrievalError, match=message):
        built(config(name, tmp_path / "saved"), tmp_path)


def test_a_damaged_config(tmp_path: Path) -> None:
    written("tiny-clip", tmp_path / "saved")
    for content in ("{", "[]", '{"model_cfg": 3}', '{"preprocess_cfg": [1]}'):
        (tmp_path / "saved/open_clip_config.json").write_text(content)
        with pytest.raises(RetrievalError, match=r"open_clip_config.json cannot be followed .*: write 'native'"):
            built(config("tiny-clip", tmp_path / "saved"), tmp_path)


def test_an_activation_that_no_tensor_shows(tmp_path: Path) -> None:
    """QuickGELU and GELU have no weights: a repository of the one fits an architecture of the other."""
    written("tiny-clip-quickgelu", tmp_path / "saved")
    with pytest.raises(RetrievalError, match="says quick_gelu: true, .*: take the one with '-quickgelu' in its name"):
        built(config("tiny-clip", tmp_path / "saved"), tmp_path)
    encoder = built(config("tiny-clip-quickgelu", tmp_path / "saved"), tmp_path)
    pixels = encoder.preprocess(photograph())[None]
    other = built(config("tiny-clip", tmp_path / "saved", native=NATIVE), tmp_path / "other")
    assert not torch.allclose(encoder.encode(pixels), other.encode(pixels))


def test_no_config_beside_the_weights(tmp_path: Path) -> None:
    written("tiny-clip", tmp_path / "saved")
    (tmp_path / "saved/open_clip_config.json").unlink()
    with pytest.raises(RetrievalError, match=r"no open_clip_config.json beside .*: write 'native' in the YAML, or put"):
        built(config("tiny-clip", tmp_path / "saved"), tmp_path)
    random = {"source": "open_clip", "name": "tiny-clip", "weights": RANDOM}
    with pytest.raises(RetrievalError, match=r"no open_clip_config.json beside the weights .*: write 'native' in the"):
        built(random, tmp_path)


@pytest.mark.parametrize(("name", "side"), [("tiny-clip", 48), ("tiny-siglip", 192)])
def test_position_embeddings_are_interpolated_by_open_clip(name: str, side: int, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    written(name, folder)
    encoder = built(config(name, folder, input={"side": side, "fit": "squash"}), tmp_path)
    path = str(folder / "open_clip_model.safetensors")
    other = open_clip.create_model(name, pretrained=path, force_image_size=side).eval()
    pixels = encoder.preprocess(photograph())[None]
    assert pixels.shape == (1, 3, side, side)
    with torch.inference_mode():
        torch.testing.assert_close(encoder.encode(pixels), other.encode_image(pixels), rtol=1e-5, atol=1e-6)


def test_inputs_that_a_network_does_not_take(tmp_path: Path) -> None:
    written("tiny-clip", tmp_path / "saved")
    with pytest.raises(RetrievalError, match="side 50 is no multiple of the network's patches of 8 pixels: take 48 or"):
        built(config("tiny-clip", tmp_path / "saved", input={"side": 50}), tmp_path)
    with pytest.raises(RetrievalError, match=r"does not take an input of .*: take fit crop or squash in 'input', or"):
        built(config("tiny-clip", tmp_path / "saved", input={"side": 48, "fit": "shortest"}), tmp_path)


def test_too_many_tokens(tmp_path: Path) -> None:
    """20 tokens are two marks and 18 words, of CLIP's vocabulary; 19 words are cut as open_clip does it in silence."""
    written("tiny-clip", tmp_path / "saved")
    encoder = built(config("tiny-clip", tmp_path / "saved", text=True), tmp_path)
    assert encoder.text is not None and encoder.text.tokenise(["bus " * 18]).shape == (1, 20)
    with pytest.raises(
        RetrievalError, match=r"the text 'bus bus .*' has 21 tokens, more than the 20 .* or set too_long: cut"
    ):
        encoder.text.tokenise(["a", "bus " * 19])
    cutting = built(config("tiny-clip", tmp_path / "saved", text={"too_long": "cut"}), tmp_path / "cut")
    expected = open_clip.get_tokenizer("tiny-clip")(["bus " * 19, "a"])
    assert cutting.text is not None
    torch.testing.assert_close(cutting.text.tokenise(["bus " * 19, "a"]), expected)


@pytest.mark.parametrize(("name", "text"), [("tiny-clip", "&nbsp;"), ("tiny-clip", " "), ("tiny-siglip", "!?")])
def test_a_text_of_which_nothing_is_left(name: str, text: str, tmp_path: Path) -> None:
    """An entity is white space, and SigLIP's texts lose their punctuation."""
    written(name, tmp_path / "saved")
    encoder = built(config(name, tmp_path / "saved", text=ASKED[name]), tmp_path)
    with pytest.raises(RetrievalError, match="the text .* is empty: say what to look for"):
        encode_texts("tiny", encoder, ["a", text], RUNTIME)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("tiny-siglip", True, "its tokeniser is that of nobody/tiny, .* say 'padding' and 'end' under 'text'"),
        ("tiny-siglip", {"padding": "<pad>"}, "say 'padding' and 'end' under 'text'"),
        ("tiny-siglip", {**MARKS, "end": "</s>"}, "tokenizer.json has no token '</s>': mend 'padding' or 'end'"),
        ("tiny-clip", {"too_long": "ignore"}, "expected refuse or cut"),
        ("tiny-clip", {"tokens": 77}, "text: unknown key 'tokens'"),
        ("tiny-hub", MARKS, r"described at the hub only \(nobody/text\), .*: take 'text' out of the YAML"),
        ("tiny-sep", MARKS, "its tokeniser has strip_sep_token, which is not offered: take 'text' out"),
    ],
)
def test_texts_that_cannot_be_had(name: str, text: Any, message: str, tmp_path: Path) -> None:
    written("tiny-siglip" if name != "tiny-clip" else name, tmp_path / "saved")
    with pytest.raises(RetrievalError, match=message):
        built(config(name, tmp_path / "saved", text=text), tmp_path)


def test_the_tokeniser_of_the_package_needs_no_marks(tmp_path: Path) -> None:
    random = {"source": "open_clip", "name": "tiny-clip", "weights": RANDOM, "native": NATIVE, "text": MARKS}
    with pytest.raises(RetrievalError, match="open_clip has its tokeniser: drop 'padding' and 'end' under 'text'"):
        built(random, tmp_path)
    random = {"source": "open_clip", "name": "tiny-siglip", "weights": RANDOM, "native": NATIVE, "text": MARKS}
    with pytest.raises(RetrievalError, match="no tokenizer.json beside the weights"):
        built({**random, "native": {**NATIVE, "resize": [160, 160]}}, tmp_path)


def test_images_of_a_network_whose_texts_are_the_hubs(tmp_path: Path) -> None:
    """Its text tower is not made: open_clip would ask the hub what it is like."""
    random = {"source": "open_clip", "name": "tiny-hub", "weights": RANDOM, "native": NATIVE}
    assert built(random, tmp_path).dim == 24 and built({**random, "text": False}, tmp_path).text is None


@pytest.mark.parametrize("name", ["ViT-B/32", "hf-hub:laion/CLIP", "local-dir:.", "PE-Core"])
def test_an_unknown_name(name: str, tmp_path: Path) -> None:
    random = {"source": "open_clip", "name": name, "weights": RANDOM, "native": NATIVE}
    with pytest.raises(RetrievalError, match=f"open_clip has no architecture '{name}'; see open_clip.list_models"):
        built(random, tmp_path)


def test_open_clip_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pipeline.encoders.open_clip_models", raising=False)
    monkeypatch.setitem(sys.modules, "open_clip", None)
    random = {"source": "open_clip", "name": "ViT-B-32", "weights": RANDOM, "native": NATIVE}
    with pytest.raises(
        RetrievalError, match=r"source 'open_clip' needs open_clip .*: pip install 'open-clip-torch>=3'"
    ):
        built(random, tmp_path)


def test_open_clip_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would warn of random weights, and give the root logger a handler, so that others would be heard as well."""
    root = logging.getLogger()
    handlers, disabled = list(root.handlers), root.manager.disable
    random = {"source": "open_clip", "name": "tiny-clip", "weights": RANDOM, "native": NATIVE, "input": {"side": 48}}
    built(random, tmp_path)
    assert root.handlers == handlers and root.manager.disable == disabled
    assert "".join(capsys.readouterr()) == ""


@pytest.mark.parametrize(
    ("name", "text", "described"),
    [("tiny-clip", True, ["open_clip_config.json"]),
     ("tiny-siglip", MARKS, ["open_clip_config.json", "tokenizer.json"])],
)  # fmt: skip
def test_a_repository_of_the_hub(name: str, text: Any, described: list[str], web: Web, tmp_path: Path) -> None:
    """What is fetched is open_clip's file, and not that of transformers beside it, under its usual name."""
    folder = tmp_path / "saved"
    written(name, folder)
    for path in folder.iterdir():
        web.files[f"/owner/{name}/resolve/main/{path.name}"] = path.read_bytes()
    web.files[f"/owner/{name}/resolve/main/model.safetensors"] = b"of transformers"
    published = {"kind": "checkpoint", "sha256": "unverified", "ignore": ["logit_scale", "logit_bias"]}
    yaml = {"source": "open_clip", "name": name, "weights": published, "text": text}
    with pytest.raises(RetrievalError, match="needs 'repository: owner/repository' and 'revision'"):
        fetch("tiny", yaml, tmp_path / "store", web.url)
    yaml |= {"repository": f"owner/{name}", "revision": "main"}
    write_weights("tiny", yaml, fetch("tiny", yaml, tmp_path / "store", web.url), tmp_path / "tiny", code={})
    origin = json.loads((tmp_path / "tiny/origin.json").read_text())
    assert origin["checkpoint"] == ["open_clip_model.safetensors"]
    assert sorted(origin["files"]) == sorted([*described, "open_clip_model.safetensors"])
    encoder = build_encoder("tiny", yaml, tmp_path / "tiny")
    assert encode_texts("tiny", encoder, ["a"], RUNTIME).shape == (1, 24)
    with pytest.raises(RetrievalError, match="repository and revision name published weights, and weights: {path"):
        fetch("tiny", {**yaml, "weights": {**published, "path": str(folder)}}, tmp_path, None)


def test_the_yaml_that_is_there() -> None:
    """Its repository is the one that open_clip itself names, whose preprocessing its table has as well."""
    yaml = config_of("perception_encoder_base_text")
    told = open_clip.pretrained.get_pretrained_cfg(yaml["name"], "meta")
    assert told["hf_hub"] == f"{yaml['repository']}/" and yaml["text"] is True
    known = open_clip.get_model_config(yaml["name"])
    assert known["embed_dim"] == yaml["dim"] and "hf_tokenizer_name" not in known["text_cfg"]
    assert not known.get("quick_gelu")
