"""Tiny CLIP and SigLIP with both towers, in the files of a repository, with weights and tokenisers made up here."""

import json
from pathlib import Path
from typing import Any

import transformers
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tests.official import unlike_initial

SIDE, DIM = 32, 24
VISION = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
          "image_size": SIDE, "patch_size": 8}  # fmt: skip
WORDS = ["a photo of a cat", "a red bus", "a drawing of the digit seven", "zero one two three four five six eight nine"]
START, END = "<|startoftext|>", "<|endoftext|>"
CLIP_TEXT = {
    "network": "CLIPTextModelWithProjection", "pooling": "projection", "tokens": 20, "padding": END, "end": END,
}  # fmt: skip
SIGLIP_TEXT = {
    "network": "SiglipTextModel", "pooling": "pooler", "tokens": 16, "padding": "<pad>", "end": "<eos>",
    "lowercase": True,
}  # fmt: skip


def clip_tokeniser() -> Tokenizer:
    """Return byte-level BPE in lower case between two marks, as CLIP's."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {piece: number for number, piece in enumerate([*letters, *(f"{letter}</w>" for letter in letters)])}
    merges: list[tuple[str, str]] = []
    for word in dict.fromkeys(" ".join(WORDS).split()):
        pieces = [*word[:-1], f"{word[-1]}</w>"]
        while len(pieces) > 1:
            pair, pieces = (pieces[0], pieces[1]), ["".join(pieces[:2]), *pieces[2:]]
            if pieces[0] not in vocabulary:
                vocabulary[pieces[0]] = len(vocabulary)
                merges.append(pair)
    tokeniser = Tokenizer(models.BPE(vocabulary, merges, unk_token=END, end_of_word_suffix="</w>"))
    tokeniser.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = pre_tokenizers.Split(Regex(r"\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"), "removed", invert=True)
    tokeniser.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokeniser.decoder = decoders.ByteLevel()
    tokeniser.add_special_tokens([START, END])  # after all others, as CLIP's
    start, end = tokeniser.token_to_id(START), tokeniser.token_to_id(END)
    tokeniser.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, start), (END, end)]
    )
    return tokeniser


def siglip_tokeniser() -> Tokenizer:
    """Return BPE with spaces written as a mark and an end, as SigLIP 2's; it knows nothing of capitals."""
    tokeniser = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=False))
    tokeniser.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<pad>", "<eos>", "<bos>", "<unk>"])
    tokeniser.train_from_iterator(WORDS, trainer)
    tokeniser.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", tokeniser.token_to_id("<eos>"))]
    )
    return tokeniser


def described(folder: Path, tokeniser: Tokenizer) -> None:
    """Write the tokeniser, and how images are prepared."""
    tokeniser.save(str(folder / "tokenizer.json"))
    processor = {"size": {"height": SIDE, "width": SIDE}, "resample": 2, "do_resize": True,
                 "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


def text_config(tokeniser: Tokenizer, **changes: Any) -> dict[str, Any]:
    """Return what a text tower is like; wide enough to tell texts apart."""
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return {**sizes, "vocab_size": tokeniser.get_vocab_size(), **changes}


def write_clip(folder: Path) -> Any:
    """Write a tiny CLIP as ``save_pretrained`` does, and return it."""
    tokeniser = clip_tokeniser()
    marks = {"bos_token_id": tokeniser.token_to_id(START), "eos_token_id": tokeniser.token_to_id(END)}
    text = text_config(tokeniser, max_position_embeddings=20, projection_dim=DIM, **marks)
    config = transformers.CLIPConfig(
        vision_config={**VISION, "projection_dim": DIM}, text_config=text, projection_dim=DIM
    )
    network = unlike_initial(transformers.CLIPModel(config), 5)
    network.save_pretrained(folder)  # type: ignore[operator]
    described(folder, tokeniser)
    return network


def write_siglip(folder: Path) -> Any:
    """Write a tiny SigLIP as ``save_pretrained`` does, and return it."""
    tokeniser = siglip_tokeniser()
    text = text_config(
        tokeniser, max_position_embeddings=16, projection_size=16, pad_token_id=0, eos_token_id=1, bos_token_id=2
    )
    config = transformers.SiglipConfig(vision_config=VISION, text_config=text)
    network = unlike_initial(transformers.SiglipModel(config), 6)
    network.save_pretrained(folder)  # type: ignore[operator]
    described(folder, tokeniser)
    return network


def clip_config(folder: Path) -> dict[str, Any]:
    """Return the YAML of the tiny CLIP in a folder."""
    weights = {"kind": "checkpoint", "path": str(folder), "sha256": "unverified", "ignore": ["logit_scale"]}
    network = "CLIPVisionModelWithProjection"
    return {"source": "huggingface", "network": network, "pooling": "projection", "weights": weights, "text": CLIP_TEXT}


def siglip_config(folder: Path) -> dict[str, Any]:
    """Return the YAML of the tiny SigLIP in a folder."""
    ignore = ["logit_scale", "logit_bias"]
    weights = {"kind": "checkpoint", "path": str(folder), "sha256": "unverified", "ignore": ignore}
    own = {"network": "SiglipVisionModel", "pooling": "pooler", "text": SIGLIP_TEXT}
    return {"source": "huggingface", "weights": weights, **own}
