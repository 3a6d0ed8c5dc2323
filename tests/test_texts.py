"""Texts through the whole graph: prepared, encoded, evaluated and shown; and asked on the command line and the page."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import transformers

from pipeline.extraction.features import read_features
from pipeline.extraction.runtime import Runtime
from pipeline.manifest.manifest import read_manifest
from pipeline.search.server import Collection, create_app
from tests.conftest import Project
from tests.towers import clip_config, write_clip

PROMPT = "a drawing of the digit {label}"


@pytest.fixture
def asking(on_digits: Project, tmp_path: Path) -> Project:
    """The project with a tiny CLIP, of made-up weights, and digits that are asked for by texts."""
    write_clip(tmp_path / "clip")
    config = clip_config(tmp_path / "clip")
    on_digits.edit("conf/encoder/tiny_clip.yaml", **config, without_guards=["effective_rank", "mean_cosine"])
    on_digits.edit("conf/dataset/digits.yaml", text_queries={"templates": [PROMPT]})
    return on_digits


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def average_precision(relevant: np.ndarray) -> float:
    """Return the mean of precision at each relevant item of a ranking."""
    places = np.flatnonzero(relevant)
    return float(np.mean([relevant[: place + 1].mean() for place in places]))


def test_labels_ask_as_texts(asking: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = asking.stage("check", check=False)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1
    assert "encoder 'raw_pixels' has no text tower, and dataset 'digits' asks by texts: drop one" in refused.stderr
    asking.edit("params.yaml", encoders=["tiny_clip"], encoder="tiny_clip")
    asking.repro()

    # The rows of texts are those of transformers, in the order of the labels; those of images are not touched.
    manifest = read_manifest(asking.top / "data/prepared/digits")
    features, provenance = read_features(asking.top / "features/tiny_clip/digits")
    network = transformers.CLIPModel.from_pretrained(tmp_path / "clip")
    own = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "clip/tokenizer.json"), pad_token="<|endoftext|>"
    )
    texts = [PROMPT.format(label=label) for label in range(10)]
    assert list(manifest.texts.values()) == texts and len(manifest.pictures) == 40
    with torch.inference_mode():
        ids = own(texts, padding="max_length", max_length=20, return_tensors="pt")["input_ids"]
        expected = network.get_text_features(input_ids=ids).pooler_output.numpy()
    np.testing.assert_allclose(features[40:], expected, rtol=1e-4, atol=1e-5)
    assert provenance["images"] == 40 and provenance["texts"] == 10
    assert "tokenizers" in provenance["versions"]
    assert set(provenance["guards"]["texts"]) > {"effective_rank", "mean_cosine", "equal_features"}
    costs = json.loads((asking.top / "metrics/costs/tiny_clip/digits.json").read_text())
    assert costs["images"] == 40

    # mAP by its definition, over ten texts and forty images, four of each digit.
    scores = unit(expected.astype(np.float64)) @ unit(features[:40].astype(np.float64)).T
    labels = np.array([manifest.labels[item][0] for item in manifest.pictures])
    ranked = labels[np.argsort(-scores, axis=1, kind="stable")]
    precisions = [average_precision(row == str(label)) for label, row in enumerate(ranked)]
    metrics = json.loads((asking.top / "metrics/runs/tiny_clip/digits.json").read_text())
    assert metrics["mAP"] == pytest.approx(np.mean(precisions), abs=1e-4)
    assert (metrics["queries"], metrics["gallery"]) == (10, 40)
    classes = pd.read_csv(asking.top / "metrics/per_class/digits/tiny_clip.csv", dtype={"label": str})
    assert len(classes) == 10

    # What shows a query shows its text.
    assert len(list((asking.top / "plots/report/thumbnails/digits").glob("*.jpg"))) == 50
    assert list((asking.top / "plots/gallery/digits").iterdir())
    shown = asking.stage("show", "encoder=tiny_clip", "dataset=digits", f"query='text/{texts[7]}'").stdout
    assert f"query 47: text/{texts[7]} (7), AP {precisions[7]:.4f}" in shown

    asked_on_the_command_line(asking, texts[7], ranked[7])
    asked_on_the_page(asking, texts[7], np.argsort(-scores, axis=1, kind="stable")[7], monkeypatch)


def asked_on_the_command_line(project: Project, text: str, labels: np.ndarray) -> None:
    """The same ranking as that of evaluation; and errors of one line."""
    arguments = ["encoder=tiny_clip", "dataset=digits", "k=5"]
    found = project.stage("query", *arguments, f"text='{text}'", "out=q.png").stdout
    rows = re.findall(r"^ *\d+ +-?\d\.\d+ +(\S+) +(\S+)$", found, flags=re.MULTILINE)
    assert found.startswith(f"{text}\n") and [label for label, _ in rows] == labels[:5].tolist()
    assert all(path.startswith("images/") for _, path in rows) and (project.top / "q.png").is_file()
    several = project.stage("query", *arguments, "text=['a red bus','ein Bär']", "out=q.png").stdout
    assert several.startswith("a red bus\n") and "\nein Bär\n" in several
    for change, message in (
        ([], "neither 'image' nor 'text' is given"),
        (["text=a", "image=b.jpg"], "both 'image' and 'text' is given"),
        (["text=[]"], "'text' has none"),
        (["text=' '"], "the text ' ' is empty: say what to look for"),
        ([f"text='{'bus ' * 30}bus'"], "has 33 tokens, more than the 20 that"),
        (["text=7"], "'text' is 7: expected a string or a list"),
        (["text=a", "encoder=raw_pixels"], "encoder 'raw_pixels' has no text tower: use one with 'text' in its YAML"),
    ):
        done = project.stage("query", *arguments, *change, check=False)
        assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1


def asked_on_the_page(project: Project, text: str, items: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ranking; and what is refused is said on the page."""
    monkeypatch.chdir(project.top)
    monkeypatch.setattr("pipeline.search.server.CONF", project.top / "conf")
    folders = {"prepared": "data/prepared", "weights": "data/weights", "features": "features", "runs": "metrics/runs"}
    client = create_app(Collection.read(folders, Runtime("cpu", 8, 0, 1)), megabytes=1, k=4).test_client()
    assert '<input type="text" name="text"' in client.get("/").text
    form = {"dataset": "digits", "encoder": ["tiny_clip"]}
    answer = client.post("/", data={**form, "text": text})
    found = re.findall(r'src="/thumbnails/digits/(\d+)\.jpg', answer.text)
    assert answer.status_code == 200 and f"<q>{text}</q>" in answer.text
    assert found == [str(item) for item in items[:4]]
    for asked, status, message in (
        ({"text": " "}, 400, "Choose an image, or write a text."),
        ({"text": "bus " * 30}, 200, "has 32 tokens, more than the 20 that"),
        ({"text": "a" * 1001}, 400, "The text is longer than 1000 letters"),
        ({"text": "\u200b"}, 200, "is empty: say what to look for"),
        ({"text": "a", "image": (project.top.joinpath("README.md").open("rb"), "a.jpg")}, 400, "not with both"),
    ):
        answer = client.post("/", data={**form, **asked}, content_type="multipart/form-data")
        assert answer.status_code == status and message in answer.text and "<ol" not in answer.text
    nasty = client.post("/", data={**form, "text": "<b>'"}).text
    assert "&lt;b&gt;" in nasty and "<b>" not in nasty
    assert client.get("/thumbnails/digits/47.jpg").status_code == 200
