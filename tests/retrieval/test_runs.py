"""Runs and judgements of trec_eval: values by hand, trec_eval itself, files, and the command."""

import json
import math
import random
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, IPrec, P, Rprec, Success, nDCG

from pipeline.retrieval.command import main
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.reading.runs import read_judgements, read_run
from pipeline.retrieval.runs import score_run
from pipeline.retrieval.scoring import score_features
from tests.conftest import score_by_command


def test_by_hand() -> None:
    # Positives a, d, e, of which e is not retrieved; j is junk. Ranking: b a c d, ranks 2, 4, infinite.
    run = {"q": {"a": 3, "b": 4, "c": 2, "d": 1, "j": 9}}
    judged = {"q": {"a": 1, "d": 2, "e": 1, "b": 0, "j": -1}}
    found = score_run(run, judged, cutoffs=[1, 2, 5])
    assert found["mAP"] == found["mAP_rectangle"] == pytest.approx((1 / 2 + 2 / 4 + 0) / 3)
    # ((0 / 1 + 1 / 2) / 2 + (1 / 3 + 2 / 4) / 2 + 0) / 3
    assert found["mAP_trapezoid"] == pytest.approx((1 / 4 + 5 / 12) / 3)
    assert (found["MRR"], found["P@1"], found["P@2"], found["P@5"]) == (1 / 2, 0, 1 / 2, 2 / 5)
    assert (found["recall@1"], found["recall@2"], found["mAP@2"]) == (0, 1, pytest.approx(1 / 6))
    assert (found["R-precision"], found["MAP@R"]) == (1 / 3, pytest.approx(1 / 6))
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert found["nDCG@5"] == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / ideal)
    # Recall 2/3 is reached at rank 4 with precision 1/2, more is not reached.
    assert found["interpolated_precision"] == [0.5] * 7 + [0.0] * 4
    assert found["mAP_interpolated"] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert (found["positives"], found["not_retrieved"], found["tie_gap"]) == (3, 1, 0)
    assert score_run(run, judged, ap="trapezoid")["mAP"] == found["mAP_trapezoid"]


def test_nothing_that_is_relevant_is_found() -> None:
    found = score_run({"q": {"b": 1.0}}, {"q": {"a": 1, "c": 1}})
    names = ("mAP", "mAP_trapezoid", "mAP_interpolated", "MRR", "MAP@R", "R-precision", "P@5", "recall@10", "nDCG@10")
    assert [found[name] for name in names] == [0] * len(names)
    assert found["interpolated_precision"] == [0] * 11 and found["not_retrieved"] == 2


def test_equal_scores_rank_by_name_the_last_first() -> None:
    run = {"q": {"a": 1, "b": 1, "c": 1, "d": 0}}
    found = score_run(run, {"q": {"b": 1, "d": 1}})
    assert found["mAP"] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert found["tie_gap"] == pytest.approx(((1 + 2 / 4) - (1 / 3 + 2 / 4)) / 2)


def random_case(random_: random.Random) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, int]]]:
    """Return a run with ties and judgements of which some items are not retrieved; every query has a positive."""
    names = [f"{name}{number}" for name in ("d", "D", "é") for number in range(random_.choice([3, 12]))]
    run, judged = {}, {}
    for query in range(random_.randint(1, 4)):
        retrieved = random_.sample(names, random_.randint(1, len(names)))
        # Sixteenths are exact in single precision, in which trec_eval has them.
        run[f"q{query}"] = {name: random_.randint(-8, 8) / 16 for name in retrieved}
        known = random_.sample(names, random_.randint(1, len(names)))
        judged[f"q{query}"] = {**{name: random_.randint(0, 1) for name in known}, random_.choice(names): 1}
    return run, judged


def test_as_trec_eval_on_thousands_of_runs() -> None:
    measures = {AP: "AP", RR: "RR", Rprec: "R-precision"}
    for k in (1, 3, 10):
        measures |= {P @ k: f"P@{k}", nDCG @ k: f"nDCG@{k}", AP @ k: f"AP@{k}", Success @ k: f"recall@{k}"}
    random_, missing, ties = random.Random(0), 0, 0.0
    for _ in range(3000):
        run, judged = random_case(random_)
        found = score_run(run, judged, cutoffs=[1, 3, 10], per_query=True)
        each = found["per_query"]
        theirs = {(one.query_id, one.measure): one.value for one in ir_measures.iter_calc(list(measures), judged, run)}
        for place, query in enumerate(each["queries"].tolist()):
            for measure, name in measures.items():
                assert each[name][place] == pytest.approx(theirs[query, measure], abs=1e-9), (name, run, judged)
        missing, ties = missing + found["not_retrieved"], ties + found["tie_gap"]
    assert missing > 1000 and ties > 10


def test_interpolated_precision_is_that_of_trec_eval() -> None:
    random_ = random.Random(1)
    levels = [level / 10 for level in range(11)]
    for _ in range(200):
        run, judged = random_case(random_)
        # trec_eval rounds recall: with 1, 2, 4, 5 or 10 positives as here, with 3 not always.
        judged = {query: items for query, items in judged.items() if sum(items.values()) in (1, 2, 4, 5, 10)}
        run = {query: run[query] for query in judged}
        if not run:
            continue
        theirs = ir_measures.calc_aggregate([IPrec @ level for level in levels], judged, run)
        found = score_run(run, judged)["interpolated_precision"]
        assert found == pytest.approx([theirs[IPrec @ level] for level in levels], abs=1e-9)


def test_a_whole_ranking_has_the_metrics_of_its_features() -> None:
    features = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    labels = [str(number % 4) for number in range(30)]
    expected = score_features(features, labels, left_out=False)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    run = {str(q): {str(i): float(unit[q] @ unit[i]) for i in range(30) if i != q} for q in range(30)}
    judged = {str(q): {str(i): int(labels[i] == labels[q]) for i in range(30) if i != q} for q in range(30)}
    found = score_run(run, judged)
    for name in set(expected) & set(found) - {"protocol", "mAP_low", "mAP_high"}:
        assert found[name] == pytest.approx(expected[name], abs=1e-12), name
    assert (found["mAP_low"], found["mAP_high"]) == pytest.approx((expected["mAP_low"], expected["mAP_high"]))


JUDGED = {"a": {"x": 1}, "b": {"x": 1, "y": 1}, "none": {"x": 0}}
RUN = {"a": {"x": 1.0}, "none": {"x": 1.0}, "unknown": {"x": 1.0}}
ALL = {
    "queries_without_judgements": "skip",
    "queries_without_positives": "skip",
    "queries_without_ranking": "skip",
}


def test_which_queries_count() -> None:
    found = score_run(RUN, JUDGED, **ALL)
    assert (found["queries"], found["mAP"], found["positives"]) == (1, 1.0, 1)
    assert [found[name] for name in ALL] == [1, 1, 1]
    zero = score_run(RUN, JUDGED, **{**ALL, "queries_without_ranking": "zero"}, per_query=True)
    assert (zero["queries"], zero["mAP"], zero["positives"], zero["not_retrieved"]) == (2, 0.5, 3, 2)
    assert zero["per_query"]["queries"].tolist() == ["a", "b"] and zero["per_query"]["retrieved"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"queries_without_judgements": "error"}, r"1 queries are in the run, but not in the judgements \(unknown\)"),
        ({"queries_without_positives": "error"}, r"1 queries are judged, but have nothing that is relevant \(none\)"),
        ({"queries_without_ranking": "error"}, r"1 queries are in the judgements, but not in the run \(b\).* or zero"),
        ({"cutoffs": [0]}, "'cutoffs' is"),
        ({"similarity": "dot"}, "unknown key 'similarity'"),
    ],
)
def test_which_are_errors(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(RetrievalError, match=said):
        score_run(RUN, JUDGED, **{**ALL, **settings})


@pytest.mark.parametrize("score", [math.nan, math.inf, 10**400, True, "1", None])
def test_a_score_that_is_none(score: Any) -> None:
    with pytest.raises(RetrievalError, match=r"query q: the score of x is .*: give a finite number"):
        score_run({"q": {"x": score}}, {"q": {"x": 1}})


@pytest.mark.parametrize("relevance", [0.5, True, "1", None])
def test_a_judgement_that_is_none(relevance: Any) -> None:
    with pytest.raises(RetrievalError, match=r"query q: the relevance of x is .*: give an integer"):
        score_run({"q": {"x": 1}}, {"q": {"x": relevance}})


def test_nothing_to_score() -> None:
    with pytest.raises(RetrievalError, match="no query has a ranking and a positive"):
        score_run({"p": {"x": 1.0}}, {"q": {"x": 1}}, **ALL)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a run and qrels as text and as JSON; two queries, one positive not retrieved."""
    (tmp_path / "run.txt").write_text("q1 Q0 a 1 2.5 me\r\nq1\tQ0\tb 2 -1e-3 me\n\nq2 Q0 a 1 7 me\n")
    (tmp_path / "qrels.txt").write_text("q1 0 b 1\nq1 0 a 0\nq2 0 a 3\nq2 0 z\u00a0z 1\nq2 0 j -1\n")
    (tmp_path / "run.json").write_text(json.dumps({"q1": {"a": 2.5, "b": -1e-3}, "q2": {"a": 7}}))
    judged = {"q1": {"b": 1, "a": 0}, "q2": {"a": 3, "z\u00a0z": 1, "j": -1}}
    (tmp_path / "qrels.json").write_text(json.dumps(judged))
    return tmp_path


def test_text_and_json_read_alike(files: Path) -> None:
    assert read_run(files / "run.txt") == read_run(files / "run.json") == {"q1": {"a": 2.5, "b": -1e-3}, "q2": {"a": 7}}
    judged = read_judgements(files / "qrels.txt")
    assert judged == read_judgements(files / "qrels.json") and judged["q2"] == {"a": 3, "z\u00a0z": 1, "j": -1}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("run.txt", "q Q0 a 1 2.5\n", "run.txt:1: expected 'query Q0 item rank score tag', got 'q Q0 a 1 2.5'"),
        ("run.txt", "q Q0 a 1 high me\n", "run.txt:1: expected 'query Q0 item rank score tag'"),
        ("run.txt", "q Q0 a 1 1 me\nq Q0 a 2 0 me\n", "run.txt:2: a stands twice for query q"),
        ("run.txt", "\n", "run.txt has no query"),
        ("qrels.txt", "q 0 a 0.5\n", "qrels.txt:1: expected 'query 0 item relevance'"),
        ("run.json", '{"q": {"a": 1, "a": 2}}', "run.json: a stands twice in one place"),
        ("run.json", '{"q": [1]}', "run.json: expected {query: {item: number}}"),
        ("run.json", "{", "run.json cannot be read (Expecting"),
        ("run.json", "[" * 100_000, "run.json cannot be read (maximum recursion"),
        ("qrels.json", "{}", "qrels.json has no query"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RetrievalError) as error:
        (read_run if name.startswith("run") else read_judgements)(tmp_path / name)
    assert said in str(error.value)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command of an installation run where nothing is installed."""
    monkeypatch.setattr("pipeline.retrieval.command.version", lambda name: "0")


@pytest.mark.usefixtures("installed")
def test_both_commands(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # q1: the positive b at rank 2; q2: a at rank 1, the other not retrieved. (1 / 2 + 1 / 2) / 2
    done = score_by_command(files, "run=run.txt", "qrels=qrels.json", "cutoffs=[1,2]", "per_query=q.npz", "out=o.json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed == json.loads((files / "o.json").read_text()) and printed["mAP"] == 0.5
    arrays = np.load(files / "q.npz")
    assert arrays["queries"].tolist() == ["q1", "q2"] and arrays["AP"].tolist() == [0.5, 0.5]
    arguments = ["--run", str(files / "run.json"), "--qrels", str(files / "qrels.txt"), "--cutoffs", "1,2"]
    assert main(["score", *arguments, "--per-query", str(files / "p.npz")]) == 0
    assert json.loads(capsys.readouterr().out) == printed
    assert np.load(files / "p.npz")["nDCG@2"].tolist() == arrays["nDCG@2"].tolist()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run=run.txt"], "give run=run.txt and qrels=qrels.txt together"),
        (["run=run.txt", "qrels=qrels.txt", "labels=L.txt"], "labels is given with run, which has no place for it"),
        (["run=run.txt", "qrels=qrels.txt", "similarity=dot"], "similarity is given with run, which has no place"),
        (["features=F.npy", "labels=L.txt", "queries_without_ranking=zero"], "is given with features, which has no"),
        ([], "give features=F.npy, or run=run.txt and qrels=qrels.txt"),
    ],
)
def test_what_does_not_go_together(files: Path, arguments: list[str], said: str) -> None:
    done = score_by_command(files, *arguments)
    assert done.returncode == 2 and said in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["score", "--run", "run.txt"], "give --run and --qrels together"),
        (["score", "F.npy", "L.txt", "--run", "r", "--qrels", "q"], "F.npy is given with --run"),
        (["score", "--run", "run.txt", "--qrels", "qrels.txt", "--similarity", "dot"], "unknown key 'similarity'"),
        (["score", "F.npy"], "give features and labels, or --run and --qrels"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_what_does_not_go_together_there(
    files: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(files)
    assert main(arguments) == 2
    assert said in capsys.readouterr().err
