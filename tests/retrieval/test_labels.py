"""Labels and groups: what is one, which two look the same, and labels by which nothing could be ranked wrongly."""

import inspect
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.labels import refuse_alike, seen
from pipeline.retrieval.queries import Query
from pipeline.retrieval.scoring import score_features

FEATURES = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
LABELS = ["a", "a", "b", "b", "c", "c"]
EXPECTED = score_features(FEATURES, LABELS)


@pytest.mark.parametrize(
    "labels",
    [
        tuple(LABELS),
        np.array(LABELS),
        np.array(LABELS, dtype=object),
        pd.Series(LABELS),
        iter(LABELS),
        [{label} for label in LABELS],
        [[label, label] for label in LABELS],
        [frozenset([np.str_(label)]) for label in LABELS],
        [np.array([label, label]) for label in LABELS],
        pd.Series(LABELS, dtype="category", index=range(9, 3, -1)),
        pd.Series([[label] for label in LABELS]),
        [label.encode() for label in LABELS],
        np.array(LABELS, dtype="S3"),
    ],
    ids=["tuple", "array", "objects", "series", "iterator", "sets", "lists", "frozensets", "arrays", "category",
         "series of lists", "bytes", "array of bytes"],
)  # fmt: skip
def test_texts_however_they_come_are_the_same_labels(labels: Any) -> None:
    assert score_features(FEATURES, labels) == EXPECTED


NUMBERS = [7, 7, -1, -1, 2**70, 2**70]


@pytest.mark.parametrize(
    "labels",
    [
        NUMBERS,
        [np.int16(7), 7, np.int8(-1), -1, 2**70, 2**70],
        [7, 7, -1, -1, 3, 3],
        np.array([7, 7, -1, -1, 3, 3], np.int32),
        np.array([[7], [7], [9], [9], [3], [3]], np.uint8)[:, 0],
        pd.Series([7, 7, 9, 9, 3, 3], dtype="Int64"),
        torch.tensor([7, 7, 9, 9, 3, 3]),
        list(torch.tensor([7, 7, 9, 9, 3, 3])),
        [{7}, torch.tensor([7, 7]), {9}, (9,), np.array([3]), [3]],
        ["7", "7", "9", "9", "3", "3"],
    ],
    ids=["large", "kinds", "list", "array", "column", "series", "tensor", "tensors", "several", "texts"],
)
def test_integers_are_labels_as_their_digits_are(labels: Any) -> None:
    assert score_features(FEATURES, labels) == EXPECTED


@pytest.mark.parametrize("other", ["7", b"7", ("7", "b")])
def test_a_number_is_no_text_that_looks_like_it(other: Any) -> None:
    with pytest.raises(RetrievalError, match="a label of item 3 is 7 as a number where another has it as text"):
        score_features(FEATURES, [7, 7, "b", other, "b", "b"])
    with pytest.raises(RetrievalError, match="the group of item 1 is 7 as a number"):
        score_features(FEATURES, LABELS, groups=["7", 7, None, None, None, None])


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (b"a\xff", "b'a\\xff', which is no UTF-8"),
        (bytearray(b"ab"), "bytearray(b'ab') (bytearray)"),
        (None, "missing, no text and no integer: give one, and () where it has no label"),
        (math.nan, "missing"),
        (pd.NA, "missing"),
        (pd.NaT, "missing"),
        (7.0, "7.0 (float)"),
        (np.float32(7), "(float32)"),
        (torch.tensor(7.5), "7.5 (float)"),
        (True, "True (bool)"),
        (np.True_, "(bool"),
        ([["a"], ["b"]], "['a'] (list)"),
        ({"a": 1}, "{'a': 1} (dict)"),
        (np.array([["a"], ["b"]]), "['a'] (list)"),
        ("", "'', in which there is nothing to see"),
        (("a", " \u200b\u00a0"), "' \\u200b\\xa0', in which there is nothing to see"),
    ],
)
def test_a_label_that_is_no_text_is_named(label: Any, said: str) -> None:
    with pytest.raises(RetrievalError) as caught:
        score_features(FEATURES, ["a", "a", "b", label, "c", "c"])
    assert str(caught.value).startswith("a label of item 3 is ") and said in str(caught.value)


@pytest.mark.parametrize(
    "labels",
    [
        "aabbcc", b"aabbcc", set("abcdef"), dict.fromkeys("abcdef"), 6, np.array(7), np.eye(6, dtype=int),
        torch.eye(6), pd.DataFrame({"label": LABELS}),
    ],
)  # fmt: skip
def test_labels_that_are_no_list_of_items(labels: Any) -> None:
    with pytest.raises(RetrievalError, match=f"the labels are a {type(labels).__name__}.*: give a list"):
        inspect.unwrap(score_features)(FEATURES, labels)  # without the tests' own check of types
    with pytest.raises(RetrievalError, match=f"the groups are a {type(labels).__name__}.*: give a list"):
        inspect.unwrap(score_features)(FEATURES, LABELS, groups=labels)


def test_what_is_missing_is_no_group() -> None:
    for none in ([None] * 6, [math.nan] * 6, pd.Series([None, pd.NA, math.nan, pd.NaT, None, None], dtype=object),
                 np.ma.masked_all(6, dtype=int)):  # fmt: skip
        assert score_features(FEATURES, LABELS, groups=none) == EXPECTED


@pytest.mark.parametrize("group", [0.5, "", b"\xff", False, ("g",), "\u2060"])
def test_a_group_that_is_no_text(group: Any) -> None:
    with pytest.raises(RetrievalError, match="the group of item 5 is "):
        score_features(FEATURES, LABELS, groups=[None, None, None, None, "g", group])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("caf\u00e9", "cafe\u0301"),  # normal forms C and D
        ("\u212b", "\u00c5"),  # the angstrom sign and the letter
        ("cat", "c\u200bat"),  # a space of no width
        ("cat", "cat\ufeff"),
        ("cat", "ca\u00adt"),  # a soft hyphen
        ("cat", "\u202ecat"),  # from right to left
        ("cat", "cat\ufe0f"),  # a variation selector, a mark
        ("cat", "cat\u3164"),  # a filler, a letter
        ("cat", "cat\x00"),
        ("grey cat", "grey\u00a0cat"),
        ("grey cat", "grey  cat"),
        ("grey cat", "grey\tcat"),
        ("cat", " cat"),
        ("cat", "cat\r"),
        ("e\u200d\u0301", "\u00e9"),
    ],
)
def test_two_that_look_the_same_are_refused_by_what_they_are(one: str, other: str) -> None:
    labels = [one, one, other, other, "b", "b"]
    for given in ({"labels": labels}, {"labels": LABELS, "groups": labels}):
        with pytest.raises(RetrievalError, match="look the same") as caught:
            score_features(FEATURES, **given)
        assert f"{ascii(one)} and {ascii(other)}" in str(caught.value)
    refuse_alike([one, one, "b"], what="labels")


def test_what_looks_different_is() -> None:
    refuse_alike(["cat", "Cat", "c at", "c-at", "\u0441at", "ca\u0301t", "x\u00b2", "x2", "\u732b", ""], what="labels")
    assert seen("Gr\u00fc\u00dfe 1") == "Gr\u00fc\u00dfe 1"


@pytest.mark.parametrize(
    "given",
    [
        {"labels": ["a"] * 6},
        {"labels": [("a", str(item)) for item in range(6)]},  # each with more, all with one in common
        {"labels": ["a"] * 4 + ["b"] * 2, "roles": ["query"] * 2 + ["gallery"] * 2 + ["query"] * 2,
         "queries_without_positives": "skip"},
        {"labels": ["a", "a", "b", "b", "a", "a"], "groups": ["g", "g", "g", "g", None, None],
         "roles": ["query", "query", "gallery", "gallery", "gallery", "gallery"]},
        {"ground_truth": [Query(5, (0, 1), (2, 3), (4,))]},
    ],
    ids=["one label", "one of several", "sampled", "left out", "landmarks"],
)  # fmt: skip
def test_where_all_that_is_ranked_is_relevant_there_is_nothing_to_measure(given: dict[str, Any]) -> None:
    with pytest.raises(RetrievalError, match="every ranking of any features is perfect"):
        score_features(FEATURES, **given)


@pytest.mark.parametrize(
    "given",
    [
        {"labels": ["a"] * 5 + [()]},  # a distractor
        {"labels": ["a"] * 5 + ["b"], "roles": ["both"] * 5 + ["gallery"]},
        {"labels": ["a"] * 5 + ["b"], "queries_without_positives": "skip"},
        {"ground_truth": [Query(5, (0, 1), (2, 3), ())]},
    ],
    ids=["a distractor", "another in the gallery", "another", "landmarks"],
)
def test_one_item_that_is_not_relevant_is_enough(given: dict[str, Any]) -> None:
    assert 0 < score_features(FEATURES, **given)["mAP"] <= 1
