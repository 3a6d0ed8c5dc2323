"""Features + manifest -> the AP of every query, and the metrics of the run.

``python -m pipeline.evaluate encoder=hog dataset=digits`` writes ``metrics/runs/hog/digits.json``,
``metrics/per_query/digits/hog.npz``, ``metrics/per_class/digits/hog.csv``, and ``metrics/similarities/digits/hog.csv``,
how alike queries are to their positives and to all others. A dataset says what is asked and what is relevant: by
default every image is a query, all others are its gallery, and those that share a label are relevant. Its YAML may name
the metric by which runs are told apart. With
``ranking=alpha_query_expansion`` the run is ``hog+alpha_query_expansion``, the stage ``rerank``, which has no
similarities of its own.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

from omegaconf import DictConfig

from pipeline.cluster.choice import ranking_by
from pipeline.cluster.connection import read_cluster
from pipeline.extraction.features import read_checked
from pipeline.frame.app import app, path_of, plain
from pipeline.frame.files import write_json
from pipeline.frame.runs import PLAIN
from pipeline.manifest.manifest import read_manifest
from pipeline.manifest.protocols import protocols_of
from pipeline.manifest.rules import as_ruled, read_rules
from pipeline.results.by_attribute import read_attributes
from pipeline.results.by_positives import by_positives
from pipeline.results.evaluated import write_classes, write_per_query
from pipeline.results.tables import write_table
from pipeline.results.titles import without_title
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import scores_of
from pipeline.retrieval.histogram import Sample, histogram
from pipeline.retrieval.postprocessing import bytes_after, read_recipe
from pipeline.retrieval.settings import call
from pipeline.retrieval.summary import per_class, report
from pipeline.retrieval.wanted import Settings

CONFIG = "conf/evaluate.yaml"
Checked = TypeVar("Checked")


def checked(kind: Callable[..., Checked], options: dict[str, Any], *, where: str) -> Checked:
    """Return settings made from options of a YAML; :class:`RetrievalError`, which names it, for one that is wrong."""
    try:
        return call(kind, options, where=where)
    except RetrievalError as error:
        raise RetrievalError(f"{where}: {str(error).removeprefix(f'{where}: ')}") from None


@app("evaluate")
def main(config: DictConfig) -> None:
    """Run the stage."""
    values = plain(config)
    written = {field.name: values[field.name] for field in fields(Settings)}
    checked(Settings, as_ruled(written, None), where=CONFIG)
    sample = checked(Sample, values["sample"], where=CONFIG)
    recipe = read_recipe(without_title(plain(config.ranking)), where=f"conf/ranking/{config.ranking_name}.yaml")
    prepared, features = path_of(config, "prepared"), path_of(config, "features")
    manifest, rules = read_manifest(prepared), read_rules(path_of(config, "rules"))
    settings = checked(Settings, as_ruled(written, rules), where=CONFIG)
    other = recipe.other_dataset(manifest.dataset)
    learnt = None
    if other is not None:
        learnt, _ = read_checked(features.parent / other, read_manifest(prepared.parent / other), cosine=True)
    protocols = protocols_of(manifest, difficulty=settings.difficulty)
    rows, _ = read_checked(features, manifest, cosine=settings.similarity == "cosine")
    attributes = read_attributes(prepared, len(manifest.items)) if rules.by_positives else {}
    with ranking_by(read_cluster(plain(config.runtime)), settings) as rank:
        scorer = scores_of(rows, protocols[0], settings, steps=recipe.steps, learnt=learnt)
        evaluation, summary = report(
            scorer,
            protocols,
            labels=manifest.labels,
            contents=manifest.contents,
            names=manifest.paths,
            settings=settings,
            rank=rank,
        )
        parts = by_positives(
            rules.by_positives, attributes, scorer, protocols[0], settings, names=manifest.paths, rank=rank
        )
    if parts:
        summary["by_positives"] = parts
    counted = histogram(rows, protocols[0], sample) if config.ranking_name == PLAIN else None
    write_per_query(path_of(config, "per_query"), evaluation, manifest_sha256=manifest.sha256)
    write_classes(path_of(config, "per_class"), per_class(evaluation, manifest.labels))
    if counted is not None:
        write_table(path_of(config, "similarities"), {name: values.tolist() for name, values in counted.items()})
    size = {"feature_bytes": bytes_after(recipe.steps, rows.shape[1])}
    write_json(path_of(config, "metrics"), {**recipe.described(other), **summary, **size})


if __name__ == "__main__":
    main()
