"""Metrics and classes as the page loads them, against the runs they are of."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.results.per_query import read_metrics
from pipeline.results.retrievals import Retrieval, read_retrievals
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.measures import of_query
from pipeline.views.classes import instead_of, most_alike, read_classes
from pipeline.views.measures import hit_rates, measured, steps_to, values_of
from tests.conftest import Project
from tests.views.opening import metrics


def per_query(project: Project, run: str) -> Path:
    return project.top / f"metrics/per_query/digits/{run}.npz"


def test_the_mean_of_the_values_of_queries_is_the_metric_of_the_run(small_project: Project) -> None:
    run = metrics(small_project, "raw_pixels", "digits")
    kept = read_metrics(per_query(small_project, "raw_pixels"))
    found = measured({"raw_pixels": kept})
    names = [name for name, value in run.items() if isinstance(value, float) and of_query(name) in values_of(kept)]
    assert {"mAP", "MRR", "P@5", "recall@10", "mAP@5", "nDCG@1", "MAP@R", "R-precision"} <= set(names)
    for name in names:
        query = of_query(name)
        assert kept[query].mean() == pytest.approx(run[name])
        low, high = found["runs"]["raw_pixels"][query]
        assert low <= run[name] * (1 + 1e-12) and run[name] * (1 - 1e-12) <= high
        assert values_of(kept)[query] == [float(f"{value:.4f}") for value in kept[query]]
    narrow = run["intervals"]["queries"]
    assert found["runs"]["raw_pixels"]["AP"] == pytest.approx([narrow["low"], narrow["high"]])
    assert found["chance"]["AP"] == pytest.approx(run["mAP_random"])
    assert found["chance"]["P@5"] == pytest.approx(3 / 39)  # four of each digit, one of them the query
    assert "RR" not in found["chance"] and "AP_random" not in found["runs"]["raw_pixels"]


def test_hit_rates_are_recall_at_k(small_project: Project) -> None:
    run = metrics(small_project, "raw_pixels", "digits")
    kept = read_metrics(per_query(small_project, "raw_pixels"))
    found = hit_rates({"raw_pixels": kept})
    assert found["k"] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 39]
    rates = dict(zip(found["k"], found["runs"]["raw_pixels"]["share"], strict=True))
    for k in (1, 5, 10):
        assert rates[k] == run[f"recall@{k}"]
        low, high = measured({"raw_pixels": kept})["runs"]["raw_pixels"][f"recall@{k}"]
        place = found["k"].index(k)
        ends = [found["runs"]["raw_pixels"][name][place] for name in ("low", "high")]
        assert ends == pytest.approx([low, high])
    assert rates[39] == found["chance"][-1] == 1


def test_cutoffs() -> None:
    assert steps_to(3).tolist() == [1, 2, 3]
    assert steps_to(10).tolist() == list(range(1, 11))
    assert steps_to(2300).tolist() == [*range(1, 11), 20, 50, 100, 200, 500, 1000, 2000, 2300]


def test_a_dataset_without_queries() -> None:
    none = {"AP": np.zeros(0), "RR": np.zeros(0), "positives": np.zeros(0, int), "candidates": np.zeros(0, int)}
    assert measured({"a": none}) == {"chance": {}, "runs": {"a": {}}}
    assert hit_rates({"a": none})["k"] == []


@pytest.mark.parametrize(
    "change",
    [{"P@1": np.full(3, 1.5)}, {"P@1": np.zeros(2)}, {"candidates": np.ones(3, int)}, {"positives": np.zeros(3, int)}],
)
def test_results_of_another_form(tmp_path: Path, change: dict[str, np.ndarray]) -> None:
    (tmp_path / "d").mkdir()
    whole = {
        "queries": np.arange(3),
        "AP": np.zeros(3),
        "P@1": np.zeros(3),
        "positives": np.full(3, 2),
        "candidates": np.full(3, 9),
        "fine": np.zeros(3),
    }
    np.savez(tmp_path / "d/a.npz", **whole)
    assert set(read_metrics(tmp_path / "d/a.npz")) == {"AP", "P@1", "positives", "candidates"}
    np.savez(tmp_path / "d/a.npz", **{**whole, **change})
    with pytest.raises(RetrievalError, match="run dvc repro evaluate@a-d"):
        read_metrics(tmp_path / "d/a.npz")


def retrieval(query: int, items: list[int], hits: list[int]) -> Retrieval:
    scores = np.linspace(1, 0.5, len(items)) - query / 100
    return Retrieval(query, 0.5, np.array(items), scores, np.array(hits, bool))


def test_what_is_found_instead_and_what_is_most_alike() -> None:
    labels = [("a",), ("a", "b"), ("c",), (), ("a",)]
    manifest = Manifest("own", Path("r"), tuple(Item(f"{n}.jpg", each, 9, 9, "0") for n, each in enumerate(labels)))
    found = [retrieval(0, [1, 2, 3], [1, 0, 0]), retrieval(1, [2, 0, 4], [0, 1, 1]), retrieval(2, [1, 3, 0], [0, 0, 0])]
    # Queries 0 and 1 have the label a, 1 alone b: of a three are hits, c is found twice, and 3 has no label.
    assert instead_of(manifest, found, ["a", "b", "c"]) == [
        [6, 3, [["c", 2]]],
        [3, 2, [["c", 1]]],
        [3, 0, [["a", 2], ["b", 1]]],
    ]
    # Scores of query n are 1, 0.75 and 0.5, less n / 100. The pairs 0, 1 and 0, 2 and 1, 2 were found from both sides.
    assert most_alike(found) == [
        [0, 1, 1.0, 1],
        [1, 2, 0.99, 0],
        [0, 2, 0.75, 0],
        [2, 3, 0.73, 0],
        [0, 3, 0.5, 0],
        [1, 4, 0.49, 1],
    ]


def test_counts_of_all_classes_add_up(small_project: Project) -> None:
    manifest = read_manifest(small_project.top / "data/prepared/digits")
    found = read_retrievals(per_query(small_project, "raw_pixels"), manifest)
    classes = read_classes(small_project.top / "metrics/per_class/digits", ["raw_pixels", "color_histogram"])
    table = pd.read_csv(small_project.top / "metrics/per_class/digits/color_histogram.csv", dtype={"label": str})
    assert classes["labels"] == table["label"].tolist() and classes["queries"] == [4] * 10
    assert classes["runs"]["color_histogram"] == table["mAP"].tolist()
    instead = instead_of(manifest, found, classes["labels"])
    assert sum(hits for _, hits, _ in instead) == sum(int(one.hits.sum()) for one in found)
    assert all(shown == 40 and hits + sum(count for _, count in others) <= 40 for shown, hits, others in instead)


def test_tables_of_other_classes(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "a.csv").write_text("label,queries,mAP\nx,1,0.5\n")
    (folder / "b.csv").write_text("label,queries,mAP\ny,1,0.5\n")
    with pytest.raises(RetrievalError, match=r"its classes are not those of a.*: run dvc repro evaluate@b-d"):
        read_classes(folder, ["a", "b"])
    (folder / "b.csv").write_text("label,queries,mAP\nx,1,much\n")
    with pytest.raises(RetrievalError, match="run dvc repro evaluate@b-d"):
        read_classes(folder, ["a", "b"])
