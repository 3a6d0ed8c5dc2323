"""Runs and qrels: what trec_eval makes of them is what was evaluated."""

import csv
from pathlib import Path
from urllib.parse import unquote

import ir_measures
import numpy as np
import pytest
import yaml
from ir_measures import AP, RR, P, nDCG

from pipeline.results.per_query import read_metrics, usable
from pipeline.retrieval.errors import RetrievalError
from pipeline.sharing.names import safe
from pipeline.sharing.outcome import Outcome
from pipeline.sharing.ranked import strictly_falling
from pipeline.sharing.trec import write_trec
from tests.conftest import TOP
from tests.sharing.conftest import Make, item

MEASURES = {AP: "AP_rectangle", RR: "RR", P @ 5: "P@5", nDCG @ 10: "nDCG@10", AP @ 5: "AP@5"}


def hold_against(outcome: Outcome, folder: Path) -> None:
    """Check that trec_eval finds the values of every query in what was written."""
    with usable(outcome.per_query) as arrays:
        queries = [safe(outcome.manifest.paths[item]) for item in arrays["queries"]]
    written = read_metrics(outcome.per_query)
    qrels = list(ir_measures.read_trec_qrels(str(folder / "qrels.txt")))
    run = list(ir_measures.read_trec_run(str(folder / "run.txt")))
    found = {(one.measure, one.query_id): one.value for one in ir_measures.iter_calc(list(MEASURES), qrels, run)}
    assert len(queries) > 1 and {query for _, query in found} == set(queries)
    for measure, name in MEASURES.items():
        theirs = [found[measure, query] for query in queries]
        np.testing.assert_allclose(theirs, written[name], rtol=0, atol=1e-9, err_msg=name)


def test_trec_eval_gives_our_numbers_by_labels(by_labels: Outcome, tmp_path: Path) -> None:
    write_trec(by_labels, tmp_path / "out", top=None)
    hold_against(by_labels, tmp_path / "out")


def test_trec_eval_gives_our_numbers_by_landmarks(by_landmarks: Outcome, tmp_path: Path) -> None:
    write_trec(by_landmarks, tmp_path / "out", top=None)
    hold_against(by_landmarks, tmp_path / "out")
    lines = [line.split() for line in (tmp_path / "out/run.txt").read_text().splitlines()]
    # 28 items in the gallery, two of them junk of each query.
    assert [sum(line[0] == query for line in lines) for query in ("0.jpg", "1.jpg")] == [26, 26]
    assert not {("0.jpg", "7.jpg"), ("1.jpg", "29.jpg")} & {(line[0], line[2]) for line in lines}
    junk = [line for line in (tmp_path / "out/qrels.txt").read_text().splitlines() if line.endswith(" -1")]
    assert junk == [f"0.jpg 0 {i}.jpg -1" for i in (7, 8)] + [f"1.jpg 0 {i}.jpg -1" for i in (2, 29)]


@pytest.mark.parametrize("similarity", ["dot", "euclidean"])
def test_other_similarities(make: Make, tmp_path: Path, similarity: str) -> None:
    features = np.random.default_rng(2).standard_normal((30, 4)).astype(np.float32)
    outcome = make([item(f"{i}.jpg", str(i % 4)) for i in range(30)], features, similarity=similarity)
    write_trec(outcome, tmp_path / "out", top=None)
    hold_against(outcome, tmp_path / "out")


@pytest.mark.parametrize("ranking", ["alpha_query_expansion", "k_reciprocal"])
def test_the_steps_of_a_ranking(make: Make, tmp_path: Path, ranking: str) -> None:
    steps = yaml.safe_load((TOP / f"conf/ranking/{ranking}.yaml").read_text())["steps"]
    features = np.random.default_rng(3).standard_normal((30, 4)).astype(np.float32)
    outcome = make([item(f"{i}.jpg", str(i % 4)) for i in range(30)], features, steps=steps)
    write_trec(outcome, tmp_path / "out", top=None)
    hold_against(outcome, tmp_path / "out")


def test_what_a_line_has(by_labels: Outcome, tmp_path: Path) -> None:
    write_trec(by_labels, tmp_path / "out", top=4)
    lines = [line.split(" ") for line in (tmp_path / "out/run.txt").read_text().splitlines()]
    assert all(len(line) == 6 and line[1] == "Q0" and line[5] == "mine" for line in lines)
    assert [line[3] for line in lines[:8]] == ["1", "2", "3", "4"] * 2
    assert all(line[0] != line[2] for line in lines), "a query is not in its own ranking"
    groups = {safe(one.path): one.group for one in by_labels.manifest.items}
    assert all(groups[line[0]] is None or groups[line[0]] != groups[line[2]] for line in lines)
    # Who asks and who has positives: all but the lone one and the distractor.
    assert {line[0] for line in lines} == set(groups) - {"lone.jpg", "far.jpg"}


def test_names_can_be_had_back(by_labels: Outcome, tmp_path: Path) -> None:
    write_trec(by_labels, tmp_path / "out", top=1)
    with (tmp_path / "out/items.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == by_labels.manifest.paths
    assert [unquote(row["name"]) for row in rows] == by_labels.manifest.paths
    assert rows[0]["name"] == "a%20b.jpg" and rows[1]["name"] == "100%25.jpg" and rows[2]["name"] == "c%09d.jpg"
    assert rows[3]["name"] == "é/ü.jpg" and rows[5]["name"] == "x%C2%A0y.jpg"
    assert not any(name.isspace() for row in rows for name in row["name"])


def test_several_parts_of_one_image_have_names_of_their_own(make: Make, tmp_path: Path) -> None:
    items = [item("a.jpg", "1", box=(0.0, 0.0, 9.0, 9.0)), item("a.jpg", "2"), item("b.jpg", "1"), item("c.jpg", "2")]
    outcome = make(items, np.eye(4, 3, dtype=np.float32) + 1)
    write_trec(outcome, tmp_path / "out", top=None)
    names = [line.split()[0] for line in (tmp_path / "out/run.txt").read_text().splitlines()]
    assert list(dict.fromkeys(names)) == ["a.jpg#0", "a.jpg#1", "b.jpg", "c.jpg"]
    hold_names = make([*items[:2], item("a.jpg#0", "1"), items[3]], np.eye(4, 3, dtype=np.float32) + 1)
    with pytest.raises(RetrievalError, match="two items would be called a.jpg#0"):
        write_trec(hold_names, tmp_path / "out", top=None)


def test_scores_fall_by_the_least_that_float32_can() -> None:
    step = np.nextafter
    one, zero = np.float32(1), np.float32(0)
    scores = np.array([1, 1, 1, 0.5, 0, -0.0, -1, -1], np.float32)
    below = [one, step(one, zero), step(step(one, zero), zero), np.float32(0.5), zero, step(zero, -one), -one]
    assert strictly_falling(scores).tolist() == [*map(float, below), float(step(-one, -2 * one))]
    # What was moved down pushes what is in its way, and no more.
    near = np.array([1, 1, step(one, zero), 0.25], np.float32)
    assert strictly_falling(near).tolist() == [1.0, float(below[1]), float(below[2]), 0.25]
    with pytest.raises(RetrievalError, match="beyond float32"):
        strictly_falling(np.array([np.inf, 1], np.float32))


def test_what_was_evaluated_otherwise_is_refused(by_labels: Outcome, tmp_path: Path) -> None:
    with usable(by_labels.per_query) as arrays:
        kept = {name: arrays[name] for name in arrays}
    kept["AP"][3] /= 2
    np.savez(by_labels.per_query, **kept)
    with pytest.raises(RetrievalError, match=r"query 3 \(é/ü.jpg\) has AP 0.* dvc repro evaluate@mine-photos"):
        write_trec(by_labels, tmp_path / "out", top=None)
    assert not (tmp_path / "out").exists()
