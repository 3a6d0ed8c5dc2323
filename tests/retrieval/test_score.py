"""``pipeline.score``: the command, the function, and what they refuse."""

import inspect
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline import score_features
from pipeline.manifest.labels import read_labels
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Query
from pipeline.retrieval.reading.matrices import read_matrix
from tests.conftest import score_by_command

pytestmark = pytest.mark.usefixtures("fast_scoring")


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """A folder with features and labels of 30 items of three classes."""
    features = np.random.default_rng(0).standard_normal((30, 8)).astype(np.float32)
    np.save(tmp_path / "F.npy", features)
    (tmp_path / "L.txt").write_text("".join(f"a/{i}.jpg\tclass {i % 3}\n" for i in range(30)))
    return tmp_path


def test_the_command_and_the_function_agree(case: Path) -> None:
    done = score_by_command(case, "features=F.npy", "labels=L.txt", "cutoffs=[1,7]", "out=o/x.json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert json.loads((case / "o/x.json").read_text()) == printed
    labels = [f"class {i % 3}" for i in range(30)]
    assert printed == score_features(np.load(case / "F.npy"), labels, cutoffs=[1, 7])
    assert printed["features_dtype"] == "float32" and 0 < printed["mAP"] < 1 and "P@7" in printed


def test_labels_alone(case: Path) -> None:
    (case / "L.txt").write_text("".join(f"class {i % 3}\n" for i in range(30)))
    done = score_by_command(case, "features=F.npy", "labels=L.txt")
    assert done.returncode == 0, done.stderr
    expected = score_features(np.load(case / "F.npy"), [f"class {i % 3}" for i in range(30)])
    assert json.loads(done.stdout) == {**expected, "features_dtype": "float32"}


def test_the_stage_writes_the_same(case: Path, small_project: Any) -> None:
    top = small_project.top
    rows = (top / "data/prepared/digits/manifest.csv").read_text().splitlines()[1:]
    (case / "digits.txt").write_text("".join("\t".join(row.split(",")[:2]) + "\n" for row in rows))
    features = top / "features/raw_pixels/digits/features.npy"
    done = score_by_command(case, f"features={features}", "labels=digits.txt")
    run = json.loads((top / "metrics/runs/raw_pixels/digits.json").read_text())
    assert {**json.loads(done.stdout), "features_dtype": None} == {**run, "features_dtype": None}


def test_a_ground_truth_is_the_same_as_pickle_and_as_json(real_images: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "F.npy", np.random.default_rng(0).standard_normal((4993 + 70, 4)).astype(np.float32))
    truth = real_images / "landmarks/oxford5k/gnd_roxford5k"
    done = [
        score_by_command(tmp_path, "features=F.npy", f"ground_truth={truth}.{kind}", "left_out=false")
        for kind in ("pkl", "json")
    ]
    assert [one.returncode for one in done] == [0, 0], done[1].stderr
    assert done[0].stdout == done[1].stdout and 0 < json.loads(done[1].stdout)["mAP"] < 0.2


def test_steps_before_the_ranking(case: Path) -> None:
    features, labels = np.load(case / "F.npy"), [f"class {i % 3}" for i in range(30)]
    other = np.random.default_rng(1).standard_normal((50, 8)).astype(np.float32)
    np.save(case / "G.npy", other)
    done = score_by_command(
        case, "features=F.npy", "labels=L.txt", "ranking=pca_whitening", "learn_on=G.npy", "ranking.steps.0.dim=5"
    )
    steps = [{"name": "pca_whitening", "dim": 5}]
    expected = score_features(features, labels, steps=steps, learn_on=other)
    assert json.loads(done.stdout) == {**expected, "learn_on": "G.npy"}
    expanded = score_by_command(case, "features=F.npy", "labels=L.txt", "ranking=alpha_query_expansion")
    assert json.loads(expanded.stdout)["mAP"] != score_features(features, labels)["mAP"]
    with pytest.raises(RetrievalError, match="learn_on is given, but no step learns"):
        score_features(features, labels, learn_on=other)
    with pytest.raises(RetrievalError, match="features of 8 dimensions, but 7 to learn on"):
        score_features(features, labels, steps=steps, learn_on=other[:, :7])


@pytest.mark.parametrize("similarity", ["dot", "euclidean"])
def test_a_feature_of_zeros_is_a_point_like_any_other(case: Path, similarity: str) -> None:
    # Whole numbers, so that every score is exact; a naive ranking, equal scores by index.
    codes = np.random.default_rng(3).integers(0, 2, (30, 5)).astype(np.float32)
    codes[[4, 11]] = 0
    np.save(case / "F.npy", codes)
    done = score_by_command(case, "features=F.npy", "labels=L.txt", f"similarity={similarity}")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed == score_features(codes, [f"class {i % 3}" for i in range(30)], similarity=similarity)
    scores = codes @ codes.T if similarity == "dot" else -np.square(codes[:, None] - codes).sum(axis=2)
    values = []
    for query in range(30):
        order = [item for item in np.argsort(-scores[query], kind="stable").tolist() if item != query]
        hits = [place for place, item in enumerate(order, start=1) if item % 3 == query % 3]
        values.append(np.mean([found / place for found, place in enumerate(hits, start=1)]))
    assert printed["mAP"] == pytest.approx(np.mean(values), abs=1e-12)


def test_a_feature_of_zeros_where_directions_are_needed(case: Path) -> None:
    features, labels = np.load(case / "F.npy"), [f"class {i % 3}" for i in range(30)]
    zero = features.copy()
    zero[4] = 0
    message = r"features: the feature of item 4 \(4\) has only zeros, and so no cosine, as have 1 in all: make"
    steps = [{"name": "alpha_query_expansion", "neighbours": 2, "alpha": 3}]
    for chosen in ([], steps):
        with pytest.raises(RetrievalError, match=message):
            score_features(zero, labels, steps=chosen)
    with pytest.raises(RetrievalError, match="the steps of a ranking are for cosine only"):
        score_features(zero, labels, steps=steps, similarity="dot")
    whitening = [{"name": "pca_whitening", "dim": 2}]
    with pytest.raises(RetrievalError, match=r"learn_on: the feature of item 4 \(4\) has only zeros"):
        score_features(features, labels, steps=whitening, learn_on=zero)


def test_help_says_all(case: Path) -> None:
    text = score_by_command(case, "--help").stdout
    for word in ("features", "labels", "ground_truth", "similarity", "path<TAB>label", "Exit code"):
        assert word in text


def save(folder: Path, change: str) -> None:
    features = np.load(folder / "F.npy")
    labels = (folder / "L.txt").read_text().splitlines()
    if change == "length":
        features = features[:-1]
    elif change == "nan":
        features[4, 2] = np.nan
    elif change == "zero":
        features[4] = 0
    elif change == "no rows":
        features, labels = features[:0], labels
    elif change == "no columns":
        features = features[:, :0]
    elif change == "integers":
        features = (features * 10).astype(np.int64)
    elif change == "one dimension":
        features = features[0]
    elif change == "one class":
        labels = [line.split("\t")[0] + "\tsame" for line in labels]
    elif change == "one item":
        features, labels = features[:1], labels[:1]
    elif change == "alone":
        labels[3] = "a/3.jpg\talone"
    elif change == "no tab":
        labels[3] = "a/3.jpg"
    elif change == "paths alone":
        labels = [line.split("\t")[0] for line in labels]
    elif change == "labels alone, of one class":
        labels = ["same"] * 29 + ["other"]
    (folder / "L.txt").write_text("\n".join(labels) + "\n")
    if change == "pickle":
        np.save(folder / "F.npy", np.array([[1.0, "x"]], dtype=object), allow_pickle=True)
    elif change == "no npy":
        (folder / "F.npy").write_bytes(b"nothing")
    else:
        np.save(folder / "F.npy", features)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("length", "F.npy has 29 rows, but L.txt lists 30 items"),
        ("nan", "item 4 (a/4.jpg) has NaN or infinite values"),
        ("zero", "item 4 (a/4.jpg) has only zeros, and so no cosine"),
        ("no rows", "F.npy has 0 rows, but L.txt lists 30 items"),
        ("no columns", "a matrix of 30 x 0"),
        ("integers", "F.npy is int64 of shape (30, 8): expected a matrix of float16"),
        ("one dimension", "F.npy is float32 of shape (8,): expected a matrix"),
        ("one class", "every ranking of any features is perfect: give labels that tell items apart"),
        ("one item", "1 rows: a query and an item to rank are the least"),
        ("alone", "query 3 (a/3.jpg) has no positives, as have 1 of 30"),
        ("no tab", "L.txt:4: expected path<TAB>label (or no tab in any line, for labels alone), got 'a/3.jpg'"),
        ("paths alone", "L.txt:1: 'a/0.jpg' is a path without a label: give path<TAB>label"),
        ("labels alone, of one class", "query 29 (row 29) has no positives, as have 1 of 30"),
        ("pickle", "F.npy cannot be read (Object arrays cannot be loaded when allow_pickle=False)"),
        ("no npy", "F.npy cannot be read"),
    ],
)
def test_bad_input_is_one_line(case: Path, change: str, message: str) -> None:
    save(case, change)
    before = sorted(case.iterdir())
    done = score_by_command(case, "features=F.npy", "labels=L.txt", "out=x.json")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and message in done.stderr
    assert sorted(case.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["features=F.npy"], "give either labels=L.txt or ground_truth="),
        (["labels=L.txt"], "give features=F.npy, or run=run.txt and qrels=qrels.txt"),
        (["features=G.npy", "labels=L.txt"], "G.npy cannot be read"),
        (["features=F.npy", "labels=M.txt"], "M.txt cannot be read"),
        (["features=F.npy", "labels=L.txt", "similarity=hamming"], "'similarity' is 'hamming': expected cosine or dot"),
        (["features=F.npy", "labels=L.txt", "cutoffs=[0]"], "each entry an integer from 1"),
        (["features=F.npy", "labels=L.txt", "ranking=pca_whitening"], "give learn_on"),
        (["features=F.npy", "labels=L.txt", "ranking=k_reciprocal", "similarity=dot"], "are for cosine only"),
        (["features=F.npy", "labels=L.txt", "ranking=k_reciprocal", "device=cuda"], "k_reciprocal computes its scores"),
        (["features=F.npy", "labels=L.txt", "ranking.steps=3"], "ranking 'similarity': 'steps' is 3: expected a list"),
        (["features=F.npy", "labels=L.txt", "device=meta"], "device 'meta' cannot be used"),
        (["features=F.npy", "labels=L.txt", "memory=inf"], "'memory' is inf: expected finite numbers"),
    ],
)
def test_bad_arguments_are_one_line(case: Path, arguments: list[str], message: str) -> None:
    done = score_by_command(case, *arguments)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and message in done.stderr


def test_half_precision_is_promoted_and_noted(tmp_path: Path) -> None:
    exact = np.random.default_rng(0).integers(-8, 8, (40, 6)).astype(np.float32)
    exact[:, 0] = 9
    labels = [str(i % 4) for i in range(40)]
    results = {}
    for kind, stored in {
        "float32": exact,
        "float16": exact.astype(np.float16),
        "float64": exact.astype(np.float64),
        "bfloat16": (exact.view(np.uint32) >> 16).astype(np.uint16).view("V2"),
    }.items():
        np.save(tmp_path / f"{kind}.npy", stored)
        matrix, noted = read_matrix(tmp_path / f"{kind}.npy")
        assert noted == kind
        results[kind] = {**score_features(matrix, labels), "features_dtype": None}
    assert all(result == results["float32"] for result in results.values())


def test_a_table_with_roles_and_groups(tmp_path: Path) -> None:
    path = tmp_path / "L.csv"
    path.write_text(
        'path,labels,role,group\nq.jpg,a|b,query,\n"x,1.jpg",a,gallery,burst\ny.jpg,,,\nz.jpg,a\\|b,both,\n'
    )
    found = read_labels(path)
    assert found.names == ["q.jpg", "x,1.jpg", "y.jpg", "z.jpg"]
    assert found.labels == [("a", "b"), ("a",), (), ("a|b",)]
    assert found.roles == ["query", "gallery", "both", "both"] and found.groups == [None, "burst", None, None]
    path.write_text("path,label\nx,a\n")
    with pytest.raises(RetrievalError, match="expected path, labels and perhaps role, group"):
        read_labels(path)
    path.write_text("path,labels\nx\n")
    with pytest.raises(RetrievalError, match="L.csv:2: expected 2 columns"):
        read_labels(path)
    path.write_text("path,labels,role\nx,a,asker\n")
    with pytest.raises(RetrievalError, match="L.csv:2: unknown role 'asker': one of both, query, gallery"):
        read_labels(path)
    path.write_text("path,labels,role\nx,a,both\n\ny,,query\n")
    with pytest.raises(RetrievalError, match="L.csv:4: y is a query without labels"):
        read_labels(path)
    for labels in ("cat|", "|", "a||b"):
        path.write_text(f"path,labels\nx,{labels}\n")
        with pytest.raises(RetrievalError, match="L.csv:2: the path, the group or one of the labels .* is empty"):
            read_labels(path)
    path.write_text("path,labels,labels\nx,a,b\n")
    with pytest.raises(RetrievalError, match="each only once"):
        read_labels(path)
    path.write_text("path,labels\n")
    with pytest.raises(RetrievalError, match="lists no item"):
        read_labels(path)


def test_landmark_queries_in_python() -> None:
    features = np.array([[1.0, 0], [0.9, 0.1], [0, 1], [-1, 0], [1, 0.01]], np.float32)
    found = score_features(features, ground_truth=[Query(4, (1,), (2,), (0,))])
    assert found["protocol"] == "medium" and found["ap"] == "trapezoid"
    assert [found["mAP"], found["easy"]["mAP"], found["hard"]["mAP"]] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (Query(4, (-1,), (), ()), "query 0: -1 is no index of 5 items"),
        (Query(5, (1,), (), ()), "query 0: 5 is no index of 5 items"),
        (Query(4, (True,), (), ()), "query 0: True is no index of 5 items"),
        (Query(4, (1, 1), (), ()), "stands twice among easy, hard and junk"),
        (Query(4, (1,), (), (4,)), "or is itself a query"),
    ],
)
def test_wrong_queries_in_python(query: Query, said: str) -> None:
    with pytest.raises(RetrievalError, match=said):
        score_features(np.eye(5), ground_truth=[query])


def test_lengths_and_settings_are_checked() -> None:
    features = np.eye(3)
    with pytest.raises(RetrievalError, match="2 labels for 3 rows"):
        score_features(features, ["a", "b"])
    with pytest.raises(RetrievalError, match="1 groups for 3 rows"):
        score_features(features, ["a", "b", "a"], groups=["g"])
    with pytest.raises(RetrievalError, match="unknown key 'cutoff'"):
        score_features(features, ["a", "b", "a"], cutoff=[1])


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ({"a": [1.0]}, "features: dict: give a matrix of floating-point numbers, one row an item"),
        ([[1, 0], [0, 1], [1, 1]], "features: an array of int64"),
        ([[1.0, 0], [0, 1], [1.0]], "features: a list that is no matrix"),
        ([1.0, 0.0, 1.0], r"of shape \(3,\)"),
        ([["a", "b"]] * 3, "features: an array of <U1"),
        (torch.eye(3, dtype=torch.int8), "features: an array of int8"),
        (torch.eye(3).to_sparse(), "features: a Tensor that NumPy cannot take"),
        (pd.DataFrame({"a": [1.0, 0, 1], "b": ["x", "y", "z"]}), "features: an array of object"),
        (pd.Series([1.0, 0, 1]), r"of shape \(3,\)"),
        (np.eye(3)[0], r"features: an array of float64 of shape \(3,\)"),
        (np.eye(3)[None], r"of shape \(1, 3, 3\)"),
        (np.eye(3, dtype=int), "features: an array of int64"),
        (np.eye(3) + 1j, "features: an array of complex128"),
        (np.eye(3).astype(object), "features: an array of object"),
        (np.ma.masked_array(np.eye(3), np.eye(3) > 0), "features: a masked array with values missing"),
    ],
)
def test_what_are_no_features(features: Any, said: str) -> None:
    with pytest.raises(RetrievalError, match=said):
        score_features(features, ["a", "b", "a"])


def test_features_however_they_come() -> None:
    features = np.random.default_rng(0).standard_normal((6, 3))
    labels = ["a", "b"] * 3
    expected = score_features(features, labels)
    for given in (np.asfortranarray(features), np.ma.masked_array(features), features.astype("g"), features[:, ::-1],
                  features.tolist(), list(features), tuple(map(tuple, features.tolist())), pd.DataFrame(features),
                  features.view(np.matrix),
                  torch.tensor(features), torch.tensor(features, requires_grad=True), list(torch.tensor(features)),
                  [torch.tensor(row, requires_grad=True) for row in features]):  # fmt: skip
        assert score_features(given, labels)["mAP"] == expected["mAP"]


def test_bfloat16_is_promoted_and_said() -> None:
    tensor = torch.tensor(np.random.default_rng(0).standard_normal((6, 3))).to(torch.bfloat16)
    found = score_features(tensor, ["a", "b"] * 3)
    assert found["features_dtype"] == "bfloat16"
    assert {**found, "features_dtype": "float32"} == score_features(tensor.float().numpy(), ["a", "b"] * 3)


def apart(seed: int) -> tuple[np.ndarray, np.ndarray, list[int], list[Any]]:
    """Queries, a gallery with distractors, and their labels."""
    rng = np.random.default_rng(seed)
    asked, ranked = [0, 1, 2, 1, 0, 2, 2], [*([0, 1, 2] * 4), (), ()]
    return rng.standard_normal((7, 5)), rng.standard_normal((14, 5)), asked, ranked


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean"])
def test_queries_and_gallery_apart_are_roles(similarity: str) -> None:
    queries, gallery, asked, ranked = apart(0)
    found = score_features(
        queries=queries, query_labels=asked, gallery=gallery, gallery_labels=ranked, similarity=similarity,
        per_query=True, top=4,
    )  # fmt: skip
    expected = score_features(
        np.concatenate([queries, gallery]), [*asked, *ranked], roles=["query"] * 7 + ["gallery"] * 14,
        similarity=similarity, per_query=True, top=4,
    )  # fmt: skip
    each, meant = found.pop("per_query"), expected.pop("per_query")
    assert found == expected
    assert (each.pop("top_items") == meant.pop("top_items") - 7).all()
    for name in each:
        assert all(map(np.array_equal, each[name], meant[name])), name


def test_groups_of_queries_stand_before_those_of_the_gallery() -> None:
    queries, gallery, asked, ranked = apart(1)
    groups = [0, None, None, None, None, None, None, 0, *[None] * 13]  # query 0 and item 0 of the gallery
    given = {"queries": queries, "query_labels": asked, "gallery": gallery, "gallery_labels": ranked}
    found = score_features(**given, groups=groups, per_query=True)["per_query"]
    assert found["candidates"].tolist() == [13, *[14] * 6] and found["positives"].tolist() == [3, *[4] * 6]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gallery": None}, "give either features, or queries and gallery"),
        ({"features": np.eye(5)}, "give either features, or queries and gallery"),
        ({"queries": [Query(1, (2,), (), ())]}, "queries: an array of object.*give a matrix"),
        ({"labels": [1]}, "labels are given, but features come apart: give query_labels and gallery_labels"),
        ({"roles": ["both"]}, "roles are given, but features come apart"),
        ({"query_labels": [0] * 6}, "6 query_labels for 7 rows of features"),
        ({"gallery_labels": None}, "0 gallery_labels for 14 rows of features"),
        ({"query_labels": [0, 1, 2, (), 0, 1, 2]}, "item 3 is a query without labels"),
        ({"gallery": np.ones((14, 4))}, "queries have 5 dimensions and the gallery 4"),
        ({"gallery": np.ones((0, 5)), "gallery_labels": []}, "7 rows: a query and an item to rank are the least"),
        ({"gallery": np.full((14, 5), np.nan)}, r"gallery: the feature of item 0 \(7\) has NaN"),
        ({"groups": [1] * 7}, "7 groups for 21 rows"),
        ({"ground_truth": [Query(1, (2,), (), ())]}, "query_labels are given with ground_truth"),
    ],
)
def test_what_does_not_go_together(changed: dict[str, Any], said: str) -> None:
    queries, gallery, asked, ranked = apart(2)
    given = {"queries": queries, "query_labels": asked, "gallery": gallery, "gallery_labels": ranked, **changed}
    with pytest.raises(RetrievalError, match=said):
        score_features(**given)


def test_labels_of_queries_are_for_features_apart() -> None:
    with pytest.raises(RetrievalError, match="query_labels are given, but features come in one: give labels"):
        score_features(np.eye(3), ["a", "b", "a"], query_labels=["a"])


def test_each_query_as_it_is_worked_by_hand() -> None:
    # On a line: the first asks for 1 and 3, which rank first and third; 2 asks for 4, which ranks last.
    features = np.array([[0.0], [1.0], [2.0], [3.0], [4.5]])
    found = score_features(
        features, ["a", "a", "b", "a", "b"], roles=["both", "gallery", "both", "gallery", "gallery"],
        similarity="euclidean", per_query=True, top=3, cutoffs=[1],
    )["per_query"]  # fmt: skip
    assert found["queries"].tolist() == [0, 2]
    assert [ranks.tolist() for ranks in found["ranks"]] == [[1, 3], [4]]
    assert found["AP"] == pytest.approx([(1 + 2 / 3) / 2, 1 / 4])
    assert found["P@1"].tolist() == [1, 0] and found["positives"].tolist() == [2, 1]
    assert found["top_items"].tolist() == [[1, 2, 3], [1, 3, 0]]
    assert found["top_scores"].tolist() == [[1, 2, 3], [1, 1, 2]]
    assert found["top_hits"].tolist() == [[True, False, True], [False] * 3]


def test_queries_without_positives_have_no_ranks() -> None:
    labels = ["a", "b", "a", "c", "c"]
    found = score_features(np.eye(5), labels, queries_without_positives="skip", per_query=True)["per_query"]
    assert found["queries"].tolist() == [0, 2, 3, 4] and [len(one) for one in found["ranks"]] == [1] * 4


def test_a_top_that_nobody_sees_is_refused() -> None:
    with pytest.raises(RetrievalError, match="top is 3, which is of each query: set per_query too"):
        score_features(np.eye(3), ["a", "b", "a"], top=3)


def test_the_command_writes_what_each_query_has(case: Path) -> None:
    done = score_by_command(case, "features=F.npy", "labels=L.txt", "per_query=o/q.npz", "top=2")
    assert done.returncode == 0, done.stderr
    labels = [i % 3 for i in range(30)]
    expected = score_features(np.load(case / "F.npy"), labels, per_query=True, top=2).pop("per_query")
    with np.load(case / "o/q.npz") as arrays:
        ranks = np.split(arrays["ranks"], arrays["rank_starts"][1:-1])
        assert all(map(np.array_equal, ranks, expected.pop("ranks")))
        assert all(np.array_equal(arrays[name], values) for name, values in expected.items())
    assert "per_query" not in json.loads(done.stdout)
    assert "set per_query too" in score_by_command(case, "features=F.npy", "labels=L.txt", "top=2").stderr


@pytest.mark.parametrize("name", ["labels", "names", "roles", "groups"])
@pytest.mark.parametrize("value", [7, "abc", b"abc", {"a": 1}, {"a", "b", "c"}, 0.5])
def test_what_is_no_list_with_an_entry_an_item(name: str, value: Any) -> None:
    given: dict[str, Any] = {"labels": ["a", "b", "a"], name: value}
    with pytest.raises(RetrievalError, match=f"the {name} are a {type(value).__name__}: give a list"):
        inspect.unwrap(score_features)(np.eye(3), **given)  # without the tests' own check of types


@pytest.mark.parametrize("role", ["", "both ", "QUERY"])
def test_an_unknown_role(role: str) -> None:
    with pytest.raises(RetrievalError, match="unknown role .*: one of both, query, gallery"):
        score_features(np.eye(3), ["a", "b", "a"], roles=["both", role, "both"])


@pytest.mark.parametrize("extra", ["labels", "roles", "groups"])
def test_what_queries_say_is_not_said_twice(extra: str) -> None:
    with pytest.raises(RetrievalError, match=f"{extra} are given with ground_truth"):
        score_features(np.eye(5), ground_truth=[Query(4, (1,), (), ())], **{extra: ["both"] * 5})
