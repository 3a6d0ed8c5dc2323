"""Means by attribute, against pandas and by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.datasets.listing import Listing
from pipeline.datasets.preparing import write_attributes
from pipeline.results.by_attribute import COLUMNS, by_attribute, read_attributes
from pipeline.retrieval.errors import RetrievalError


def test_by_hand() -> None:
    # Items 1 to 5 are queries. Blur: items 1 and 4, (0.2 + 0.6) / 2; crop: items 2 and 4; nothing is known of item 3.
    attributes = {"edit": ["blur", "blur", "crop", "", "blur|crop", "grey"]}
    values = {"hog": np.array([0.2, 0.4, 0.9, 0.6, 1.0]), "value": np.array([1.0, 2.0, 3.0, 4.0, 2.0])}
    table = pd.DataFrame(by_attribute(attributes, np.arange(1, 6), values, metric="N-S"))
    assert tuple(table.columns) == COLUMNS
    assert table[["attribute", "value", "queries", "encoder", "metric"]].to_numpy().tolist() == [
        ["edit", value, count, run, "N-S"]
        for value, count in (("blur", 2), ("crop", 2), ("grey", 1))
        for run in ("hog", "value")  # a run may be called like a column
    ]
    assert table["mean"].tolist() == pytest.approx([0.4, 2.5, 0.5, 3.0, 1.0, 2.0])


def test_pandas_agrees() -> None:
    rng = np.random.default_rng(0)
    edits, scales = rng.choice(["blur", "crop", ""], 300), rng.choice(["0.5", "1", "2", "10", ""], 300)
    queries = rng.permutation(300)[:120]
    ap = rng.random(120)
    attributes = {"edit": edits.tolist(), "scale": scales.tolist()}
    table = by_attribute(attributes, queries, {"hog": ap}, metric="AP")
    assert table["value"] == ["blur", "crop", "0.5", "1", "2", "10"]  # numbers as numbers
    for name, cells in (("edit", edits), ("scale", scales)):
        frame = pd.DataFrame({"value": cells[queries], "AP": ap})
        theirs = frame[frame.value != ""].groupby("value").AP.agg(["size", "mean"])
        rows = pd.DataFrame(table)
        mine = rows[rows["attribute"] == name].set_index("value")
        assert mine.queries.to_dict() == theirs["size"].to_dict()
        assert mine["mean"].to_dict() == pytest.approx(theirs["mean"].to_dict())


@pytest.mark.parametrize(("values", "kept"), [(1, True), (50, True), (51, False)])
def test_up_to_fifty_values(values: int, kept: bool) -> None:
    cells = [f"v{item % values}" for item in range(200)]
    table = by_attribute({"a": cells}, np.arange(200), {"AP": np.ones(200)}, metric="AP")
    assert len(table["value"]) == (values if kept else 0)


def test_what_is_each_querys_own_is_left_out() -> None:
    # Twelve names of twelve queries; that others of the gallery have the same names says nothing of the queries.
    names = [f"n{item % 12}" for item in range(24)]
    values = {"AP": np.ones(12)}
    assert by_attribute({"name": names}, np.arange(12), values, metric="AP")["value"] == []
    assert by_attribute({"name": names}, np.arange(1, 13), values, metric="AP")["value"] == []
    assert len(by_attribute({"name": names}, np.arange(13), {"AP": np.ones(13)}, metric="AP")["value"]) == 12


def test_nothing_known() -> None:
    nothing: dict[str, list[object]] = {name: [] for name in COLUMNS}
    assert by_attribute({"a": ["", ""]}, np.arange(2), {"AP": np.ones(2)}, metric="AP") == nothing
    assert by_attribute({}, np.arange(2), {"AP": np.ones(2)}, metric="AP") == nothing


def test_a_bar_inside_a_value_and_a_cell_of_another_form() -> None:
    cells = [r"a\|b|c", "c", r"a\|b"]
    assert by_attribute({"x": cells}, np.arange(3), {"AP": np.ones(3)}, metric="AP")["value"] == ["a|b", "c"]
    with pytest.raises(RetrievalError, match=r"the attribute 'x' of item 1 is 'a\\\\b': "):
        by_attribute({"x": ["a", r"a\b"]}, np.arange(2), {"AP": np.ones(2)}, metric="AP")


def test_numbers_that_are_none_are_text() -> None:
    cells = ["nan", "2", "10", "nan", "2", "10"]
    assert by_attribute({"x": cells}, np.arange(6), {"AP": np.ones(6)}, metric="AP")["value"] == ["10", "2", "nan"]


def test_what_prepare_writes_is_read(tmp_path: Path) -> None:
    entries = tuple((f"{name}.png", ("x",)) for name in "abcd")
    attributes = {0: {"edit": "blur"}, 1: {"edit": "crop", "mirrored": True}, 3: {"edit": "blur", "mirrored": True}}
    write_attributes(Listing(tmp_path, entries, attributes=attributes), tmp_path / "attributes.csv")
    known = read_attributes(tmp_path, 4)
    assert list(known) == ["edit", "mirrored"] and read_attributes(tmp_path / "other", 4) == {}
    table = by_attribute(known, np.arange(4), {"AP": np.array([0.1, 0.2, 0.3, 0.5])}, metric="AP")
    # Blur: (0.1 + 0.5) / 2; mirrored: (0.2 + 0.5) / 2; nothing is known of the third.
    assert table["value"] == ["blur", "crop", "True"] and table["mean"] == pytest.approx([0.3, 0.2, 0.35])
    with pytest.raises(RetrievalError, match=r"no usable attributes in .*attributes.csv \(4 rows for 5 items\)"):
        read_attributes(tmp_path, 5)
