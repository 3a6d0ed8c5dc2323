"""``source: python``: a user's network through the same config; and what batch norm in training mode does to one."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pipeline.checkpoints.providing import fetch, write_weights
from pipeline.datasets.layouts import read_list
from pipeline.datasets.preparing import check_images
from pipeline.encoders.building import build_encoder
from pipeline.encoders.encoder import Encoder
from pipeline.extraction.extraction import extract, inspected, probe
from pipeline.extraction.guards import Limits, guard
from pipeline.extraction.runtime import Runtime
from pipeline.manifest.manifest import Manifest
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import evaluate, scores_of
from pipeline.retrieval.protocols import by_labels
from pipeline.retrieval.wanted import Settings
from tests.conftest import Project

LIMITS = Limits(
    effective_rank=1.5, mean_cosine=0.999999999, constant_dimensions=0.999, equal_features=0.5, batch_difference=1e-3
)
RUNTIME = Runtime("cpu", 64, 0)
CIFAR = {
    "resize": [32, 32],
    "interpolation": "bilinear",
    "crop": None,
    "mean": [0.4914, 0.4822, 0.4465],
    "std": [0.2470, 0.2435, 0.2616],
}


def config(weights: dict[str, Any], blocks: int = 3, **more: Any) -> dict[str, Any]:
    return {
        "source": "python",
        "factory": "tests.own_networks:cifar_resnet",
        "settings": {"blocks": blocks},
        "weights": weights,
        "native": CIFAR,
        "dim": 64,
        **more,
    }


def trained(real_images: Path, name: str) -> dict[str, Any]:
    [path] = (real_images / "weights").glob(f"{name}-*.th")
    return {
        "kind": "checkpoint",
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "entry": "state_dict",
        "prefix": "module.",
        "ignore": ["linear."],
    }


def built(options: dict[str, Any], folder: Path) -> Encoder:
    write_weights("own", options, fetch("own", options, folder / "store", None), folder / "own", code={})
    return build_encoder("own", options, folder / "own")


@pytest.fixture(scope="module")
def objects(real_images: Path) -> Manifest:
    return check_images("mini_objects", read_list(str(real_images / "mini_objects")), threads=2)


def mean_ap(features: np.ndarray, manifest: Manifest) -> float:
    protocol = by_labels(manifest.labels)
    scorer = scores_of(features, protocol, Settings())
    evaluation = evaluate(scorer, protocol, names=manifest.paths, settings=Settings())
    return float(evaluation.ap.mean())


@pytest.mark.parametrize(("name", "blocks"), [("resnet20", 3), ("resnet56", 9)])
def test_a_network_in_training_mode_is_ruined_and_its_mean_cosine_says_so(
    name: str, blocks: int, real_images: Path, objects: Manifest, tmp_path: Path
) -> None:
    weights = trained(real_images, name)
    encoder = built(config(weights, blocks), tmp_path)
    features, _ = extract(encoder, objects, RUNTIME)
    seen = {**inspected(features, objects, LIMITS), "batch_difference": probe(encoder, objects, RUNTIME, LIMITS)}
    guard(seen, [], where="trained")  # all of them pass

    published = built(config(weights, blocks, batch_norm="image"), tmp_path)
    ruined, _ = extract(published, objects, RUNTIME)
    by_hand = one_at_a_time_in_training_mode(built(config(weights, blocks), tmp_path), objects)
    np.testing.assert_allclose(ruined, by_hand, atol=1e-4)

    # One image at a time nothing is mixed, and the features spread over many dimensions: no guard refuses that.
    findings = inspected(ruined, objects, LIMITS)
    recorded = guard(findings, [], where="ruined")
    assert recorded["effective_rank"] > seen["effective_rank"].value > 5
    cosine = {"eval": seen["mean_cosine"].value, "image": recorded["mean_cosine"]}
    random, _ = extract(built(config({"kind": "random", "seed": 0}, blocks), tmp_path), objects, RUNTIME)
    scores = {"eval": mean_ap(features, objects), "image": mean_ap(ruined, objects), "random": mean_ap(random, objects)}
    print(f"{name}: mean cosine {cosine}, mAP {scores}")  # shown by pytest -rP; docs/report.md has them
    assert cosine["image"] > 0.98 > 0.8 > cosine["eval"]
    assert scores["eval"] > scores["image"]
    assert scores["eval"] > scores["random"] + 0.05


def one_at_a_time_in_training_mode(encoder: Encoder, manifest: Manifest) -> np.ndarray:
    """What the report's code did: the network never told to evaluate, one image a batch."""
    from pipeline.manifest.images import decode_rgb

    network = encoder.network.train()
    rows = []
    with torch.no_grad():
        for item in manifest.items:
            image = decode_rgb((manifest.root / item.path).read_bytes(), name=item.path)
            rows.append(network(encoder.preprocess(image)[None])[0].numpy())
    return np.stack(rows)


def test_through_the_graph(project: Project, real_images: Path) -> None:
    options = config(trained(real_images, "resnet20"))
    project.edit("conf/encoder/own.yaml", **options)
    project.edit("params.yaml", encoders=["raw_pixels", "own"])
    assert "extract@own-digits" in project.repro("evaluate@own-digits")


@pytest.mark.parametrize(
    ("factory", "match"),
    [
        ("tests.own_networks:resnet", "has no attribute 'resnet': give factory as package.module:function"),
        ("tests.nowhere:net", "No module named 'tests.nowhere'"),
        ("tests.own_networks", "give factory as package.module:function"),
        ("tests.own_networks:not_a_network", "it returned str, not a torch.nn.Module"),
    ],
)
def test_a_wrong_factory_is_said(factory: str, match: str, tmp_path: Path) -> None:
    settings = {} if factory.endswith("not_a_network") else {"blocks": 3}
    options = config({"kind": "random", "seed": 0}, factory=factory, settings=settings)
    with pytest.raises(RetrievalError, match=match):
        build_encoder("own", options, tmp_path)


def test_settings_go_to_the_factory_and_are_checked(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="unknown key 'depth'"):
        build_encoder("own", config({"kind": "random", "seed": 0}, settings={"depth": 3}), tmp_path)


def test_the_provenance_names_the_factorys_code(tmp_path: Path) -> None:
    encoder = build_encoder("own", config({"kind": "random", "seed": 0}), tmp_path)
    code = (Path(__file__).parents[1] / "own_networks.py").read_bytes()
    assert encoder.weights["factory_sha256"] == hashlib.sha256(code).hexdigest()
