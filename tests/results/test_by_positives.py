"""Runs judged by some of the positives at a time: which groups there are, and what is left out of a ranking."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.manifest.manifest import read_manifest
from pipeline.manifest.rules import Rules, write_rules
from pipeline.results.by_positives import by_positives, groups_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.evaluation import evaluate, scores_of
from pipeline.retrieval.protocols import by_labels
from pipeline.retrieval.wanted import Settings
from tests.conftest import Project

SETTINGS = Settings(memory=0.01)
# By angle from the query, item 0: the items stand in this order in its ranking.
LABELS = [("a",), ("a",), ("b",), ("a",), ("b",), ("a",), ("b",), ("a",)]
FEATURES = np.array([[np.cos(0.1 * place), np.sin(0.1 * place)] for place in range(len(LABELS))], np.float32)
ROLES = ["query"] + ["gallery"] * 7
SCALE = ["", "0.5", "", "0.05", "0.9", "0.1", "", "0.5"]
CLUTTER = ["", "1", "", "0|1", "3", "0", "", ""]


def judged(asked: dict[str, Any], settings: Settings = SETTINGS) -> dict[str, dict[str, dict[str, Any]]]:
    protocol = by_labels(LABELS, roles=ROLES)
    scorer = scores_of(FEATURES, protocol, settings)
    names = [str(item) for item in range(len(LABELS))]
    return by_positives(asked, {"scale": SCALE, "clutter": CLUTTER}, scorer, protocol, settings, names=names)


def test_other_positives_are_neither_right_nor_wrong() -> None:
    """The ranking is a b a b a b a, of scales 0.5 - 0.05 0.9 0.1 - 0.5; 0.9 is no positive."""
    found = judged({"scale": [0.1, 0.3]})["scale"]
    assert list(found) == ["below 0.1", "0.1 to 0.3", "from 0.3"]
    # below 0.1: b [a] b b, AP 1/2 of its one positive at the second place
    assert found["below 0.1"] == {"queries": 1, "mAP": pytest.approx(1 / 2)}
    # 0.1 to 0.3: b b [a] b, at the third place
    assert found["0.1 to 0.3"] == {"queries": 1, "mAP": pytest.approx(1 / 3)}
    # from 0.3: [a] b b b [a], at the first and the fifth
    assert found["from 0.3"] == {"queries": 1, "mAP": pytest.approx((1 + 2 / 5) / 2)}


def test_each_value_is_a_group_and_an_item_may_be_in_several() -> None:
    found = judged({"clutter": []})["clutter"]
    # 0: items 3 and 5, ranking b [a] b [a] b; 1: items 1 and 3, [a] b [a] b b; 3 is of a negative, hence no group.
    assert found == {
        "0": {"queries": 1, "mAP": pytest.approx((1 / 2 + 2 / 4) / 2)},
        "1": {"queries": 1, "mAP": pytest.approx((1 + 2 / 3) / 2)},
    }


def test_it_is_the_metric_of_the_dataset() -> None:
    settings = Settings(memory=0.01, metric="recall@1", more_metrics=("recall@1",), cutoffs=(1,))
    found = judged({"clutter": []}, settings)["clutter"]
    assert found == {"0": {"queries": 1, "recall@1": 0.0}, "1": {"queries": 1, "recall@1": 1.0}}


def test_all_positives_in_one_group_are_what_evaluation_gives() -> None:
    protocol = by_labels(LABELS)
    scorer = scores_of(FEATURES, protocol, SETTINGS)
    names = [str(item) for item in range(len(LABELS))]
    same = {"same": ["x"] * len(LABELS)}
    found = by_positives({"same": []}, same, scorer, protocol, SETTINGS, names=names)["same"]["x"]
    assert found == {"queries": 8, "mAP": evaluate(scorer, protocol, names=names, settings=SETTINGS).value}


def test_what_has_no_value_is_in_no_group() -> None:
    groups = groups_of("scale", SCALE, [0.3, 0.1])
    assert {name: np.flatnonzero(kept).tolist() for name, kept in groups.items()} == {
        "below 0.1": [3],
        "0.1 to 0.3": [5],
        "from 0.3": [1, 4, 7],
    }


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"pose": []}, r"no attribute 'pose' \(there are: scale, clutter\)"),
        ({"clutter": [1]}, r"'clutter' of item 3 is '0\|1', no number"),
    ],
)
def test_what_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(RetrievalError, match=said):
        judged(asked)


def test_too_many_values_are_to_be_divided() -> None:
    with pytest.raises(RetrievalError, match="'size' has 51 values, more than 50: give the numbers that divide them"):
        groups_of("size", [str(number) for number in range(51)], [])


def test_the_stage_writes_it_with_the_metrics(small_project: Project, tmp_path: Path) -> None:
    prepared = tmp_path / "digits"
    shutil.copytree(small_project.top / "data/prepared/digits", prepared)
    paths = read_manifest(prepared).paths
    sizes = ["small" if number % 2 else "large" for number in range(len(paths))]
    lines = ["path,size", *(f"{path},{size}" for path, size in zip(paths, sizes, strict=True))]
    (prepared / "attributes.csv").write_text("\n".join(lines) + "\n")
    write_rules(tmp_path / "rules.json", Rules(by_positives={"size": []}))
    names = ("per_query", "per_class", "similarities", "metrics")
    outputs = [f"{name}={tmp_path}/{name}" for name in names]
    given = [f"prepared={prepared}", f"rules={tmp_path}/rules.json"]
    small_project.stage("evaluate", "encoder=raw_pixels", "dataset=digits", *given, *outputs)
    metrics = json.loads((tmp_path / "metrics").read_text())
    groups = metrics["by_positives"]["size"]
    assert list(groups) == ["large", "small"] and all(0 < group["mAP"] < 1 for group in groups.values())
    assert {group["mAP"] for group in groups.values()}.isdisjoint({metrics["mAP"]})
