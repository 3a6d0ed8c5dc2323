"""Text towers: the features of transformers, from the files of a repository, and texts that cannot be meant."""

import json
from collections.abc import Callable
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
from tests.encoders.test_encoders import photograph
from tests.towers import CLIP_TEXT, clip_config, siglip_config, write_clip, write_siglip

TEXTS = ["a photo of a cat", "A  Red BUS", "ein Bär, 三 und é", "seven"]
RUNTIME = Runtime("cpu", 2, 0, 1)
FAMILIES = {"clip": (write_clip, clip_config), "siglip": (write_siglip, siglip_config)}


@pytest.fixture(scope="module", params=FAMILIES)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, dict[str, Any]]:
    """A folder, the network that was saved there, and its YAML."""
    folder = tmp_path_factory.mktemp(request.param)
    write, config = FAMILIES[request.param]
    return folder, write(folder), config(folder)


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    write_clip(folder)
    return folder


def built(config: dict[str, Any], folder: Path) -> Encoder:
    write_weights("tiny", config, fetch("tiny", config, folder / "store", None), folder / "tiny", code={})
    return build_encoder("tiny", config, folder / "tiny")


def changed(config: dict[str, Any], **text: Any) -> dict[str, Any]:
    return {**config, "text": {**config["text"], **text}}


def test_features_are_those_of_transformers(saved: tuple[Path, Any, dict[str, Any]], tmp_path: Path) -> None:
    """The tokeniser is read by transformers' own class, and padded by it."""
    folder, network, config = saved
    encoder = built(config, tmp_path)
    text = config["text"]
    own = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token=text["padding"], padding_side="right"
    )
    asked = [one.lower() for one in TEXTS] if text.get("lowercase") else TEXTS
    ids = own(asked, padding="max_length", max_length=text["tokens"], return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        expected = network.get_text_features(input_ids=ids).pooler_output
        pixels = encoder.preprocess(photograph())[None]
        images = network.get_image_features(pixel_values=pixels).pooler_output
    rows = encode_texts("tiny", encoder, TEXTS, RUNTIME)
    np.testing.assert_allclose(rows, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(encoder.encode(pixels), images, rtol=1e-5, atol=1e-6)
    assert np.ptp(rows, axis=0).max() > 0.01  # texts differ


def test_images_are_encoded_as_without_texts_to_the_bit(
    saved: tuple[Path, Any, dict[str, Any]], tmp_path: Path
) -> None:
    _, _, config = saved
    without = {key: value for key, value in config.items() if key != "text"}
    ignored = [*config["weights"]["ignore"], "text_model.", "text_projection."]
    without["weights"] = {**config["weights"], "ignore": ignored}
    encoder, other = built(config, tmp_path / "with"), built(without, tmp_path / "without")
    assert other.text is None and not (tmp_path / "without/tiny/tokenizer.json").exists()
    pixels = encoder.preprocess(photograph())[None]
    assert torch.equal(encoder.encode(pixels), other.encode(pixels))
    assert set(encoder.weights) - set(other.weights) == {"tokenizer_sha256"}


def test_clip_of_open_clip(tmp_path: Path) -> None:
    """The same tensors, mapped by name, in open_clip's text transformer give the same features of the same tokens."""
    network = write_clip(tmp_path)
    encoder = built(clip_config(tmp_path), tmp_path)
    tensors = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("text_")}
    end = encoder.text.tokenise(["a"])[0, -1].item() if encoder.text else 0
    sizes = {"context_length": 20, "vocab_size": end + 1, "width": 32, "heads": 2, "layers": 2, "mlp_ratio": 2}
    other = open_clip.transformer.TextTransformer(**sizes, output_dim=24, act_layer=open_clip.transformer.QuickGELU)
    other.load_state_dict(as_open_clip(tensors), strict=True)
    ids = encoder.text.tokenise(TEXTS) if encoder.text else torch.empty(0)
    with torch.inference_mode():
        torch.testing.assert_close(encoder.encode_tokens(ids), other.eval()(ids), rtol=1e-4, atol=1e-5)


def as_open_clip(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a text tower of transformers under open_clip's names, its three attention matrices as one."""
    found = {
        "token_embedding.weight": tensors["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": tensors["text_model.embeddings.position_embedding.weight"],
        "ln_final.weight": tensors["text_model.final_layer_norm.weight"],
        "ln_final.bias": tensors["text_model.final_layer_norm.bias"],
        "text_projection": tensors["text_projection.weight"].T,
    }
    names = {"attn.out_proj": "self_attn.out_proj", "ln_1": "layer_norm1", "ln_2": "layer_norm2",
             "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}  # fmt: skip
    for layer in range(2):
        ours, theirs = f"text_model.encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        for kind in ("weight", "bias"):
            parts = [tensors[f"{ours}.self_attn.{which}_proj.{kind}"] for which in "qkv"]
            found[f"{theirs}.attn.in_proj_{kind}"] = torch.cat(parts)
            found |= {f"{theirs}.{new}.{kind}": tensors[f"{ours}.{old}.{kind}"] for new, old in names.items()}
    return found


def test_a_text_does_not_change_with_its_batch(tiny_clip: Path, tmp_path: Path) -> None:
    encoder = built(clip_config(tiny_clip), tmp_path)
    together = encode_texts("tiny", encoder, TEXTS, Runtime("cpu", 4, 0, 1))
    alone = np.concatenate([encode_texts("tiny", encoder, [text], RUNTIME) for text in TEXTS])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


def test_tokens_by_hand(tiny_clip: Path, tmp_path: Path) -> None:
    """A mark, the words, a mark, and padding by the second mark up to 20; capitals and spaces make no difference."""
    encoder = built(clip_config(tiny_clip), tmp_path)
    assert encoder.text is not None
    vocabulary = json.loads((tiny_clip / "tokenizer.json").read_text())["model"]["vocab"]
    words = [vocabulary[f"{word}</w>"] for word in ("a", "red", "bus")]
    end = encoder.text.tokenise(["a"])[0, -1].item()
    [[start, *found]] = encoder.text.tokenise([" A  red BUS "]).tolist()
    assert found == [*words, *[end] * 16] and start == end - 1


def test_too_many_tokens(tiny_clip: Path, tmp_path: Path) -> None:
    """20 tokens are two marks and 18 words; of 19 words the last is left out where the YAML says so."""
    encoder = built(clip_config(tiny_clip), tmp_path)
    assert encoder.text is not None and encoder.text.tokenise(["bus " * 18]).shape == (1, 20)
    with pytest.raises(
        RetrievalError, match=r"the text 'bus bus .*' has 21 tokens, more than the 20 .* or set too_long: cut"
    ):
        encoder.text.tokenise(["a", "bus " * 19])
    cutting = built(changed(clip_config(tiny_clip), too_long="cut"), tmp_path / "cut")
    assert cutting.text is not None
    torch.testing.assert_close(cutting.text.tokenise(["bus " * 19]), encoder.text.tokenise(["bus " * 18]))


@pytest.mark.parametrize("text", ["", "  ", "\u200b", "\n"])
def test_a_text_in_which_there_is_nothing(tiny_clip: Path, tmp_path: Path, text: str) -> None:
    encoder = built(clip_config(tiny_clip), tmp_path)
    with pytest.raises(RetrievalError, match=r"the text '.*' is empty: say what to look for"):
        encode_texts("tiny", encoder, ["a", text], RUNTIME)


def test_an_encoder_without_a_text_tower() -> None:
    config = {"source": "handcrafted", "name": "raw_pixels", "settings": {"side": 4}}
    encoder = build_encoder("raw_pixels", config, Path("unused"))
    with pytest.raises(RetrievalError, match="encoder 'raw_pixels' has no text tower: use one with 'text' in its YAML"):
        encode_texts("raw_pixels", encoder, ["a"], RUNTIME)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_precision_is_that_of_both_towers(tiny_clip: Path, tmp_path: Path, precision: str) -> None:
    exact = encode_texts("tiny", built(clip_config(tiny_clip), tmp_path), TEXTS, RUNTIME)
    encoder = built({**clip_config(tiny_clip), "precision": precision}, tmp_path / "less")
    rows = encode_texts("tiny", encoder, TEXTS, RUNTIME)
    assert rows.dtype == np.float32 and 1e-5 < np.abs(rows - exact).max() < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"padding": "<pad>"}, "tokenizer.json has no token '<pad>': mend 'padding' or 'end' under 'text'"),
        ({"end": "<eos>"}, "tokenizer.json has no token '<eos>'"),
        ({"end": "<|startoftext|>"}, "does not end a text with '<|startoftext|>': it is not the network's"),
        ({"pooling": "pooler"}, r"shape \(1, 32\), not \(1, 24\)|gives no feature"),
        ({"tokens": 21}, "the text network gives no feature"),
        ({"tokens": 1}, "'tokens' is 1: expected an integer from 2 to 8192"),
        ({"network": "CLIPText"}, "text: transformers has no network class 'CLIPText'"),
        ({"too_long": "ignore"}, "expected refuse or cut"),
        ({"lower": True}, "text: unknown key 'lower'"),
    ],
)
def test_text_settings_that_do_not_fit(tiny_clip: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RetrievalError, match=message):
        built(changed(clip_config(tiny_clip), **change), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("text_projection.weight"), r"missing \['text_projection.weight'\]"),
        (
            lambda tensors: tensors.update({"text_model.extra": tensors["logit_scale"]}),
            r"too many \['text_model.extra'\]",
        ),
        (lambda tensors: tensors.update({"extra": tensors["logit_scale"]}), r"too many \['extra'\]"),
    ],
)
def test_every_tensor_of_both_towers_is_accounted_for(
    tiny_clip: Path, tmp_path: Path, change: Callable[[Any], Any], message: str
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    for name in ("config.json", "preprocessor_config.json", "tokenizer.json"):
        (folder / name).write_bytes((tiny_clip / name).read_bytes())
    tensors = load_file(tiny_clip / "model.safetensors")
    change(tensors)
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, folder / "model.safetensors")
    with pytest.raises(RetrievalError, match=message):
        built(clip_config(folder), tmp_path)


def test_the_tokeniser_comes_with_the_weights(tiny_clip: Path, tmp_path: Path) -> None:
    config = clip_config(tiny_clip)
    encoder = built(config, tmp_path)
    origin = json.loads((tmp_path / "tiny/origin.json").read_text())
    assert origin["checkpoint"] == ["model.safetensors"]
    assert encoder.weights["tokenizer_sha256"] == origin["files"]["tokenizer.json"]["sha256"]
    (tmp_path / "tiny/tokenizer.json").write_text("{}")
    with pytest.raises(RetrievalError, match="tokenizer.json is not the file that origin.json .* run dvc repro"):
        build_encoder("tiny", config, tmp_path / "tiny")
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        (bare / name).write_bytes((tiny_clip / name).read_bytes())
    with pytest.raises(RetrievalError, match="no tokenizer.json beside .*: take 'text' out of the YAML, or put"):
        built(clip_config(bare), tmp_path)
    (bare / "tokenizer.json").write_text("[]")
    with pytest.raises(RetrievalError, match="tokenizer.json is no tokeniser"):
        built(clip_config(bare), tmp_path)


def test_settings_in_the_yaml_need_no_config(tiny_clip: Path, tmp_path: Path) -> None:
    """Random weights have no tokeniser; a checkpoint of both towers needs none but that."""
    config = clip_config(tiny_clip)
    said = json.loads((tiny_clip / "config.json").read_text())
    known = {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "projection_dim"}
    text = {**said["text_config"], **CLIP_TEXT}
    marks = {"vocab_size", "max_position_embeddings", "eos_token_id", "bos_token_id"}
    described = {
        **config,
        "settings": {key: said["vision_config"][key] for key in {*known, "image_size", "patch_size"}},
        "text": {**CLIP_TEXT, "settings": {key: text[key] for key in known | marks}},
    }
    folder = tmp_path / "other"
    folder.mkdir()
    for name in ("model.safetensors", "preprocessor_config.json", "tokenizer.json"):
        (folder / name).write_bytes((tiny_clip / name).read_bytes())
    described["weights"] = {**config["weights"], "path": str(folder)}
    rows = encode_texts("tiny", built(described, tmp_path), TEXTS, RUNTIME)
    np.testing.assert_array_equal(rows, encode_texts("tiny", built(config, tmp_path / "own"), TEXTS, RUNTIME))
    native = {"resize": 32, "interpolation": "bilinear", "crop": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
    untrained = {**described, "weights": {"kind": "random", "seed": 0}, "native": native}
    with pytest.raises(RetrievalError, match="no tokenizer.json beside the weights"):
        built(untrained, tmp_path / "random")
