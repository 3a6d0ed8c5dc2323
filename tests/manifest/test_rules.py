"""How results on a dataset are judged, where its YAML says so."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.manifest.rules import Rules, as_ruled, read_rules, rules_in, write_rules
from pipeline.retrieval.errors import RetrievalError

SETTINGS: dict[str, Any] = {
    "metric": "dataset",
    "more_metrics": ["P@2"],
    "cutoffs": [1, 5],
    "ap": "protocol",
    "queries_without_positives": "error",
    "seed": 3,
}


def test_a_yaml_without_rules_leaves_all_to_the_evaluation() -> None:
    rules = rules_in({"kind": "folder", "root": "photos"}, where="conf/dataset/own.yaml")
    assert rules == Rules()
    assert as_ruled(SETTINGS, rules) == {**SETTINGS, "metric": "mAP", "more_metrics": ["mAP", "P@2"]}
    assert as_ruled(SETTINGS, None) == {**SETTINGS, "metric": "mAP"}


def test_rules_come_in_where_the_evaluation_leaves_it_to_them() -> None:
    rules = Rules("recall@1", ["mMP@5", "P@2"], [1, 100], "trapezoid", "skip")
    assert as_ruled(SETTINGS, rules) == {
        "metric": "recall@1",
        "more_metrics": ["recall@1", "mMP@5", "P@2"],
        "cutoffs": [1, 5, 100],
        "ap": "trapezoid",
        "queries_without_positives": "skip",
        "seed": 3,
    }
    asked = as_ruled({**SETTINGS, "metric": "mAP", "ap": "rectangle"}, rules)
    assert (asked["metric"], asked["ap"]) == ("mAP", "rectangle")


def test_they_are_read_as_they_were_written(tmp_path: Path) -> None:
    rules = Rules("N-S", ["P@4"], [4], "rectangle", "skip", {"scale": [1, 2.5], "clutter": []})
    write_rules(tmp_path / "own.json", rules)
    assert read_rules(tmp_path / "own.json") == rules
    (tmp_path / "own.json").write_text('{"metric": 1}')
    with pytest.raises(RetrievalError, match=r"no usable rules in .*own.json .*: run dvc repro prepare@own"):
        read_rules(tmp_path / "own.json")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"metric": "R@1"}, "conf/dataset/own.yaml: unknown metric 'R@1': one of mAP"),
        ({"more_metrics": ["top1"]}, "conf/dataset/own.yaml: unknown metric 'top1'"),
        ({"cutoffs": [0]}, r"conf/dataset/own.yaml: 'cutoffs' is \[0\]: expected a list, each entry an integer from 1"),
        ({"by_positives": ["scale"]}, "'by_positives' is"),
        ({"by_positives": {"scale": [float("inf")]}}, "'by_positives' is"),
        ({"ap": "area"}, "conf/dataset/own.yaml: 'ap' is 'area': expected protocol or rectangle or trapezoid"),
        ({"queries_without_positives": "drop"}, "'queries_without_positives' is 'drop': expected evaluate or skip"),
    ],
)
def test_wrong_rules(config: dict[str, Any], said: str) -> None:
    with pytest.raises(RetrievalError, match=said):
        rules_in({"kind": "folder", **config}, where="conf/dataset/own.yaml")
