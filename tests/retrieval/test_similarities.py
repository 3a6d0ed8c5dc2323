"""How alike positives and negatives are: counted as a naive reading does, and drawn."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from pipeline.extraction.features import read_features, write_features
from pipeline.manifest.manifest import read_manifest
from pipeline.results.breakdown import read_similarities
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.histogram import Sample, histogram
from pipeline.retrieval.protocols import by_labels, by_landmarks
from pipeline.retrieval.queries import Query
from pipeline.views.breakdown import draw_similarities
from pipeline.views.style import Style
from tests.conftest import Project

STYLE = Style(6.0, 4.0, 60, ["#000000", "#111111"], ["o", "s"])


def test_every_pair_is_counted_once() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(150, 8)).astype(np.float32)
    labels = [(str(number),) for number in random.integers(0, 5, 150)]
    table = histogram(features, by_labels(labels), Sample(1000, 20, 0))
    cosines = cosine_similarity(features.astype(np.float64))
    same = np.array([[a == b for b in labels] for a in labels])
    other = ~np.eye(150, dtype=bool)
    edges = np.append(table["low"], table["high"][-1])
    assert (edges[0], edges[-1]) == pytest.approx((cosines[other].min(), cosines[other].max()), abs=1e-6)
    for column, chosen in (("positives", same & other), ("negatives", ~same)):
        assert table[column].sum() == chosen.sum()
        # A cosine at an edge may fall on either side.
        assert np.abs(np.histogram(cosines[chosen], bins=edges)[0] - table[column]).max() <= 2


def test_what_a_protocol_leaves_out_is_not_counted() -> None:
    features = np.eye(6, dtype=np.float32) + np.float32(0.1)
    protocol = by_landmarks([Query(0, (1,), (2,), (3,))], 6, difficulty="medium")
    table = histogram(features, protocol, Sample(10, 4, 0))
    assert (table["positives"].sum(), table["negatives"].sum()) == (2, 2)  # 1 and 2; 4 and 5, but not the junk


def test_features_of_zeros_have_no_cosine() -> None:
    features = np.random.default_rng(2).normal(size=(30, 4)).astype(np.float32)
    labels = [("a",), ("b",), ("c",)] * 10
    kept = [item for item in range(30) if item not in (0, 7, 29)]
    expected = histogram(features[kept], by_labels([labels[item] for item in kept]), Sample(30, 12, 0))
    features[[0, 7, 29]] = 0
    found = histogram(features, by_labels(labels), Sample(30, 12, 0))
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-7)
    nothing = histogram(0 * features, by_labels(labels), Sample(30, 2, 0))
    assert {name: values.tolist() for name, values in nothing.items()} == {
        "low": [-1, 0],
        "high": [0, 1],
        "positives": [0, 0],
        "negatives": [0, 0],
    }


def test_a_sample_of_queries_is_drawn_by_its_seed() -> None:
    features = np.random.default_rng(1).normal(size=(40, 3))
    protocol = by_labels([("a",), ("b",)] * 20)
    tables = [histogram(features, protocol, Sample(7, 10, seed)) for seed in (0, 0, 1)]
    assert (
        all((tables[0][name] == tables[1][name]).all() for name in tables[0])
        and tables[0]["low"][0] != tables[2]["low"][0]
    )
    assert tables[0]["positives"].sum() == 7 * 19 and tables[0]["negatives"].sum() == 7 * 20


def test_equal_features_are_one_interval() -> None:
    table = histogram(np.ones((3, 2)), by_labels([("a",)] * 3), Sample(9, 3, 0))
    assert table["positives"].tolist() == [6, 0, 0]


@pytest.mark.parametrize("wrong", [(0, 1, 0), (1, 0, 0), (1, 1, -1)])
def test_wrong_samples(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(RetrievalError, match="sample: 'queries' and 'bins' must be positive"):
        Sample(*wrong)


def test_the_figure_has_shares() -> None:
    columns = {"low": [0.0, 0.5], "high": [0.5, 1.0], "positives": [1, 3], "negatives": [30, 10]}
    table = {name: np.array(values) for name, values in columns.items()}
    figure = draw_similarities({"a": table, "$b_": table}, title="t", style=STYLE)
    first, second = figure.axes
    assert [patch.get_data().values.tolist() for patch in first.patches] == [[0.25, 0.75], [0.75, 0.25]]
    assert second.get_ylabel().strip("\u200b") == r"\$b_" and first.get_xlim() == second.get_xlim()


def test_a_histogram_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match=r"run dvc repro evaluate@a-d"):
        read_similarities(tmp_path, "d", ["a"])


def test_the_stage_takes_a_feature_of_zeros_by_distance(small_project: Project, tmp_path: Path) -> None:
    rows, provenance = read_features(small_project.top / "features/raw_pixels/digits")
    rows[3] = 0
    write_features(tmp_path / "features", rows, provenance)
    names = ("features", "per_query", "per_class", "similarities", "metrics")
    outputs = [f"{name}={tmp_path}/{name}" for name in names]
    arguments = ["evaluate", "encoder=raw_pixels", "dataset=digits", *outputs]
    done = small_project.stage(*arguments, check=False)
    name = read_manifest(small_project.top / "data/prepared/digits").paths[3]
    assert done.returncode == 2 and f"item 3 ({name}) has only zeros, and so no cosine" in done.stderr
    small_project.stage(*arguments, "similarity=euclidean")
    summary = json.loads((tmp_path / "metrics").read_text())
    assert summary["queries"] == 40 and 0 < summary["mAP"] < 1
    table = pd.read_csv(tmp_path / "similarities")
    assert table["positives"].sum() == 40 * 3 - 2 * 3 and table["negatives"].sum() == 40 * 36 - 2 * 36


def test_the_stage_counts_all_pairs(small_project: Project) -> None:
    table = pd.read_csv(small_project.top / "metrics/similarities/digits/raw_pixels.csv")
    assert table["positives"].sum() == 40 * 3 and table["negatives"].sum() == 40 * 36
