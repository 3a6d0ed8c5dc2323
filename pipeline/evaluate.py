"""Features + manifest -> the AP of every query, and the metrics of the run.

``python -m pipeline.evaluate encoder=hog dataset=digits`` writes ``metrics/runs/hog/digits.json``,
``metrics/per_query/digits/hog.npz`` and ``metrics/per_class/digits/hog.csv``. A dataset says what is asked and what is
relevant: by default every image is a query, all others are its gallery, and those that share a label are relevant.
With ``ranking=alpha_query_expansion`` the run is ``hog+alpha_query_expansion``: the stage ``rerank``.
"""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from pipeline.cluster.connection import connected, read_cluster
from pipeline.extraction.features import read_checked
from pipeline.frame.app import app, plain
from pipeline.frame.files import write_json, write_text
from pipeline.frame.runs import run_name
from pipeline.manifest.manifest import read_manifest
from pipeline.manifest.protocols import protocols_of
from pipeline.results.per_query import write_per_query
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import Settings, per_class, report, scores_of
from pipeline.retrieval.postprocessing import read_recipe
from pipeline.retrieval.settings import call

CONFIG = "conf/evaluate.yaml"

# What conf/ names the results by.
OmegaConf.register_new_resolver("run_name", run_name, replace=True)


def class_table(classes: Mapping[str, tuple[int, float]]) -> pd.DataFrame:
    """Return a row a label: its queries and their mean AP."""
    rows = [{"label": label, "queries": count, "mAP": ap} for label, (count, ap) in classes.items()]
    return pd.DataFrame(rows, columns=["label", "queries", "mAP"])


def read_settings(config: DictConfig) -> Settings:
    """Return the settings in a composed config; :class:`RetrievalError` for one that is wrong."""
    values = plain(config)
    try:
        return call(Settings, {field.name: values[field.name] for field in fields(Settings)}, where=CONFIG)
    except RetrievalError as error:
        raise RetrievalError(f"{CONFIG}: {str(error).removeprefix(f'{CONFIG}: ')}") from None


def cost_of(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return what features cost: bytes of each in float32, and, where they were made here, how fast and on what."""
    made = (
        *("device", "precision", "parameters", "flops_per_image", "images", "seconds", "images_per_second"),
        *("peak_memory_bytes", "peak_gpu_memory_bytes"),
    )
    bytes_each = {"feature_bytes": 4 * provenance["dim"]} if "dim" in provenance else {}
    return {**bytes_each, **{name: provenance[name] for name in made if name in provenance}}


@app("evaluate")
def main(config: DictConfig) -> None:
    """Run the stage."""
    settings = read_settings(config)
    recipe = read_recipe(plain(config.ranking), where=f"conf/ranking/{config.ranking_name}.yaml")
    prepared, features = Path(config.prepared), Path(config.features)
    manifest = read_manifest(prepared)
    other = recipe.other_dataset(manifest.dataset)
    learnt = None if other is None else read_checked(features.parent / other, read_manifest(prepared.parent / other))[0]
    protocols = protocols_of(manifest, difficulty=settings.difficulty)
    rows, provenance = read_checked(features, manifest)
    cluster = read_cluster(plain(config.runtime))
    with nullcontext() if cluster is None else connected(cluster) as nodes:
        evaluation, summary = report(
            scores_of(rows, protocols[0], settings, steps=recipe.steps, learnt=learnt),
            protocols,
            labels=manifest.labels,
            contents=manifest.contents,
            names=manifest.paths,
            settings=settings,
            nodes=nodes,
        )
    write_per_query(Path(config.per_query), evaluation, manifest_sha256=manifest.sha256)
    classes = class_table(per_class(evaluation, manifest.labels))
    write_text(Path(config.per_class), classes.to_csv(index=False, lineterminator="\n"))
    write_json(Path(config.metrics), {**recipe.described(other), **summary, "cost": cost_of(provenance)})


if __name__ == "__main__":
    main()
