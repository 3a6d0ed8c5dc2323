"""What searches find and how fast, put together from what stages wrote, and what is an error."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.frame.experiment import Experiment
from pipeline.results.searches import MEASURED, Point, read_points, search_table, titled_points
from pipeline.results.tables import write_table
from pipeline.results.titles import Titles
from pipeline.retrieval.errors import RetrievalError

EXPERIMENT = Experiment(("a",), ("d",), "a", (), ("flat", "hnsw"))
# Of each setting recall, mAP and queries per second.
FLAT = [({}, {"1": 1.0}, 0.8, 100.0)]
HNSW = [({"ef_search": 10}, {"1": 0.5}, 0.4, 900.0), ({"ef_search": 99}, {"1": 0.9}, 0.7, 90.0)]


def write(folder: Path, search: str, settings: list[Any], **changes: Any) -> None:
    """Write what the stage leaves of an index."""
    searched = {"kind": search, "k": 10, "links": 32}
    quality = {
        **searched,
        "exact_mAP": 0.8,
        "index_bytes": 2**21,
        "settings": [{"setting": one[0], "recall": one[1], "mAP": one[2]} for one in settings],
    }
    costs = {
        **searched,
        "device": "a chip",
        "cores": 2,
        "build_seconds": 1.5,
        "settings": [{"setting": one[0], **dict.fromkeys(MEASURED, one[3])} for one in settings],
    }
    for kind, value in (("runs", quality), ("costs", costs)):
        path = folder / kind / f"a/d/{search}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**value, **changes.get(kind, {})}))


def table_in(folder: Path, experiment: Experiment = EXPERIMENT) -> dict[str, list[Any]]:
    return search_table(experiment, folder / "runs", folder / "costs")


def test_a_row_is_a_setting(tmp_path: Path) -> None:
    write(tmp_path, "flat", FLAT)
    write(tmp_path, "hnsw", HNSW)
    table = table_in(tmp_path)
    assert table["search"] == ["flat", "hnsw", "hnsw"]
    assert table["setting"] == ["", "ef_search=10", "ef_search=99"]
    assert table["recall@1"] == [1.0, 0.5, 0.9] and table["mAP@k"] == [0.8, 0.4, 0.7]
    assert table["exact_mAP@k"] == [0.8] * 3 and table["index_bytes"] == [2**21] * 3 and table["k"] == [10] * 3
    # With 99 candidates it is slower and worse than comparing all.
    assert table["pareto"] == [1, 1, 0]


def test_without_searches_there_are_columns_and_no_rows(tmp_path: Path) -> None:
    table = table_in(tmp_path, Experiment(("a",), ("d",), "a"))
    assert "mAP@k" in table and not any(table.values())
    write_table(tmp_path / "search.csv", table)
    assert read_points(tmp_path / "search.csv") == []


def test_columns_of_recall_are_all_that_there_are(tmp_path: Path) -> None:
    write(tmp_path, "flat", [({}, {"1": 1.0, "100": 0.9, "20": 1.0}, 0.8, 100.0)])
    write(tmp_path, "hnsw", HNSW)
    table = table_in(tmp_path)
    assert [name for name in table if name.startswith("recall")] == ["recall@1", "recall@20", "recall@100"]
    assert table["recall@100"] == [0.9, None, None]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"runs": {"k": 0}}, r"no usable metrics of a search in .*runs/a/d/flat.json \(k: "),
        ({"runs": {"settings": [{"setting": {}, "recall": {"1": 1.5}, "mAP": 0.5}]}}, "metrics of a search"),
        ({"costs": {"settings": []}}, r"no usable costs of a search in .*: run dvc repro approximate@a-d-flat"),
        ({"costs": {"build_seconds": -1.0}}, "no usable costs of a search"),
    ],
)
def test_what_is_no_result_of_a_search(tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    write(tmp_path, "flat", FLAT, **changes)
    write(tmp_path, "hnsw", HNSW)
    with pytest.raises(RetrievalError, match=match):
        table_in(tmp_path)


@pytest.mark.parametrize(
    ("measured", "match"),
    [
        ({"k": 100}, "k: 100, but 10 in its metrics"),
        ({"kind": "flat"}, "kind: flat, but hnsw in its metrics"),
        ({"links": 16}, "links: 16, but 32 in its metrics"),
        (
            {"settings": [{"setting": {"ef_search": ef}, **dict.fromkeys(MEASURED, 9.0)} for ef in (10, 50)]},
            "settings: ef_search=10, ef_search=50, but ef_search=10, ef_search=99 in its metrics",
        ),
    ],
    ids=["k", "kind", "links", "settings"],
)
def test_speeds_of_other_searches_are_not_shown(tmp_path: Path, measured: dict[str, Any], match: str) -> None:
    """As after git checkout alone, which brings back what was found, and not what was measured."""
    write(tmp_path, "flat", FLAT)
    write(tmp_path, "hnsw", HNSW, costs=measured)
    with pytest.raises(RetrievalError) as caught:
        table_in(tmp_path)
    place = tmp_path / "costs/a/d/hnsw.json"
    assert str(caught.value) == f"no usable costs of a search in {place} ({match}): run dvc repro approximate@a-d-hnsw"


def test_a_missing_one_names_its_stage(tmp_path: Path) -> None:
    write(tmp_path, "flat", FLAT)
    with pytest.raises(RetrievalError, match="run dvc repro approximate@a-d-hnsw"):
        table_in(tmp_path)


def test_a_figure_gets_the_points_of_the_table(tmp_path: Path) -> None:
    write(tmp_path, "flat", FLAT)
    write(tmp_path, "hnsw", HNSW)
    write_table(tmp_path / "search.csv", table_in(tmp_path))
    points = read_points(tmp_path / "search.csv")
    assert points[1] == Point("a", "d", "hnsw", 10, 0.4, 0.8, 900.0) and len(points) == 3
    titles = Titles({"a": "Net"}, {"d": "Pets"}, {})
    assert titled_points(points, titles)[1] == Point("Net", "Pets", "hnsw", 10, 0.4, 0.8, 900.0)
    (tmp_path / "search.csv").write_text("encoder\na\n")
    with pytest.raises(RetrievalError, match="no usable table in .*: run dvc repro compare"):
        read_points(tmp_path / "search.csv")
