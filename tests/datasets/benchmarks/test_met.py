"""The Met: a miniature in its layout, with queries of what is not in the museum."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.datasets.readers import read_dataset
from pipeline.retrieval.queries import Query
from tests.datasets.benchmarks.published import answers, prepared, published, refused, refuses_a_miniature

Draw = Callable[..., Path]

DATABASE: list[dict[str, Any]] = [
    {"id": 7, "path": "MET/7/0.jpg"},
    {"id": 12, "path": "MET/12/0.jpg"},
    {"id": 7, "path": "MET/7/1.jpg"},
    {"id": 30, "path": "MET/30/0.jpg"},
]
QUERIES: list[dict[str, Any]] = [
    {"path": "test_met/aa.jpg", "MET_id": 7},
    {"path": "test_other/bb.jpg"},
    {"path": "test_met/cc.jpg", "MET_id": "12"},
    {"path": "test_noart/dd.jpg"},
]


@pytest.fixture
def raw(draw: Draw, tmp_path: Path) -> Path:
    for seed, entry in enumerate([*DATABASE, *QUERIES]):
        draw(f"raw/met/images/{entry['path']}", seed=seed)
    write(tmp_path / "raw", "MET_database", DATABASE)
    write(tmp_path / "raw", "mini_MET_database", DATABASE[:3])
    write(tmp_path / "raw", "testset", QUERIES)
    return tmp_path / "raw"


def write(raw: Path, name: str, content: object) -> None:
    path = raw / f"met/ground_truth/{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))


def test_the_database_comes_first_then_the_queries(raw: Path) -> None:
    found = read_dataset("met", published("met", raw), raw)
    assert found.root == raw / "met/images"
    assert [path for path, _ in found.entries] == [entry["path"] for entry in [*DATABASE, *QUERIES]]
    assert found.queries == (
        Query(4, (0, 2), (), ()),
        Query(5, (), (), ()),
        Query(6, (1,), (), ()),
        Query(7, (), (), ()),
    )
    small = read_dataset("met_mini", published("met_mini", raw), raw)
    assert len(small.entries) == 7 and small.queries is not None and small.queries[0] == Query(3, (0, 2), (), ())


def test_from_the_files_to_the_positives(raw: Path, tmp_path: Path) -> None:
    manifest, protocol = prepared("met", published("met", raw), tmp_path)
    assert answers(manifest, protocol) == {
        query["path"]: ({one["path"] for one in DATABASE if str(one["id"]) == str(query.get("MET_id"))}, set())
        for query in QUERIES
    }
    assert manifest.given == "listed" and protocol.leaves_out_empty
    for name in ("met", "met_mini"):
        refuses_a_miniature(name, published(name, raw))


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        (
            "testset",
            {"path": "x"},
            r"testset.json is not as published \(all of it: Input should be a valid list\): fetch",
        ),
        ("testset", [QUERIES[0], "x"], r"testset.json is not as published \(1: Input should be a valid dictionary\)"),
        ("testset", [{"MET_id": 7}], "testset.json, entry 0: None is no path"),
        ("testset", [{"path": "../x.jpg"}], r"testset.json, entry 0: \.\./x.jpg leaves the root"),
        ("testset", [{"path": "test_met/zz.jpg"}], "testset.json, entry 0: test_met/zz.jpg is not there"),
        (
            "testset",
            [{"path": "test_met/aa.jpg", "MET_id": 99}],
            "entry 0: exhibit 99 has no picture in MET_database.json",
        ),
        ("testset", [{"path": "test_met/aa.jpg", "MET_id": None}], "entry 0: 'MET_id' is None, no whole number"),
        ("testset", [{"path": "test_met/aa.jpg", "MET_id": True}], "entry 0: 'MET_id' is True, no whole number"),
        ("testset", [{"path": "test_met/aa.jpg", "MET_id": 7.0}], "entry 0: 'MET_id' is 7.0, no whole number"),
        ("MET_database", [{"path": "MET/7/0.jpg"}], "MET_database.json, entry 0: 'id' is None"),
        ("MET_database", [*DATABASE, DATABASE[0]], "MET/7/0.jpg is there twice"),
    ],
)
def test_wrong_lists(raw: Path, name: str, content: object, match: str) -> None:
    write(raw, name, content)
    refused(match, "met", published("met", raw))


@pytest.mark.parametrize("text", ["", "[", "[NaN]", "[" * 100_000, "<html>"])
def test_what_is_no_json(raw: Path, text: str) -> None:
    (raw / "met/ground_truth/testset.json").write_text(text)
    refused(r"testset\.json is not as published \(.*\): fetch it anew", "met", published("met", raw))


def test_a_list_that_is_missing(raw: Path) -> None:
    refused(r"valset\.json cannot be read", "met", published("met", raw, queries="valset.json"))
