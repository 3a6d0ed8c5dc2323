"""A small run as stages write it, without the stages."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.extraction.features import write_features
from pipeline.frame.files import write_json
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Given, Manifest, read_manifest, write_manifest
from pipeline.manifest.protocols import protocols_of
from pipeline.results.evaluated import write_per_query
from pipeline.retrieval.evaluation import scores_of
from pipeline.retrieval.postprocessing import read_recipe
from pipeline.retrieval.queries import Query
from pipeline.retrieval.summary import report
from pipeline.retrieval.wanted import Settings
from pipeline.sharing.outcome import Outcome, read_outcome

Make = Callable[..., Outcome]


def item(path: str, *labels: str, **known: Any) -> Item:
    """Return an image of 64 x 48 pixels."""
    return Item(path, labels, 64, 48, (path.encode().hex() * 64)[:64], **known)


def folders_of(top: Path, dataset: str) -> dict[str, Path]:
    """Return where the stages write below a folder."""
    return {
        "prepared": top / "data/prepared" / dataset,
        "features": top / "features",
        "runs": top / "metrics/runs",
        "per_query": top / "metrics/per_query" / dataset,
    }


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Write what stages write of a dataset and the features of an encoder ``mine``; read it again."""

    def written(
        items: list[Item],
        features: np.ndarray,
        *,
        queries: tuple[Query, ...] | None = None,
        given: Given = "revisited",
        steps: list[dict[str, Any]] | None = None,
        **settings: Any,
    ) -> Outcome:
        from pathlib import Path as Place

        folders = folders_of(tmp_path, "photos")
        manifest = Manifest("photos", Place("data/raw/photos"), items, queries=queries, given=given)
        folders["prepared"].mkdir(parents=True, exist_ok=True)
        write_manifest(manifest, folders["prepared"])
        manifest = read_manifest(folders["prepared"])
        provenance = {
            "encoder": "mine",
            "manifest_sha256": manifest.sha256,
            "weights": {"kind": "checkpoint", "sha256": "abc"},
            "dim": features.shape[1],
        }
        write_features(folders["features"] / "mine/photos", features, provenance)
        chosen = replace(Settings(queries_without_positives="skip", left_out=False), **settings)
        recipe = read_recipe({"steps": steps or []}, where="steps")
        protocols = protocols_of(manifest, difficulty=chosen.difficulty)
        evaluation, summary = report(
            scores_of(features, protocols[0], chosen, steps=recipe.steps),
            protocols,
            labels=manifest.labels,
            contents=manifest.contents,
            names=manifest.paths,
            settings=chosen,
        )
        write_per_query(folders["per_query"] / "mine.npz", evaluation, manifest_sha256=manifest.sha256)
        write_json(folders["runs"] / "mine/photos.json", {**recipe.described(None), **summary})
        return read_outcome("mine", **folders)

    return written


@pytest.fixture
def by_labels(make: Make) -> Outcome:
    """Three classes, a distractor, a lone one, roles, groups, odd names and many equal scores."""
    names = ["a b.jpg", "100%.jpg", "c\td.jpg", "é/ü.jpg", "x#2.jpg", "x\u00a0y.jpg"]
    items = [
        item(names[i] if i < len(names) else f"n/{i}.jpg", f"class {i % 3}", group=f"g{i // 2}") for i in range(40)
    ]
    items += [item("lone.jpg", "lone"), item("far.jpg", role="gallery"), item("asks.jpg", "class 1", role="query")]
    features = np.random.default_rng(0).integers(-1, 2, (len(items), 3)).astype(np.float32)
    features[~features.any(axis=1)] = 1
    return make(items, features)


@pytest.fixture
def by_landmarks(make: Make) -> Outcome:
    """Two queries with easy and hard items and junk."""
    items = [item(f"{i}.jpg") for i in range(30)]
    queries = (Query(0, (2, 3, 4), (5, 6), (7, 8)), Query(1, (9,), (10, 11, 12), (2, 29)))
    return make(items, np.random.default_rng(1).standard_normal((30, 5)).astype(np.float32), queries=queries)
