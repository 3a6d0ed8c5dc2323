"""Smaller features as people read of them."""

from typing import Any

import pytest

from pipeline.results.shrinking import Change, Smaller
from pipeline.results.titles import Titles
from pipeline.views.page import extent_of
from pipeline.views.shrinking import draw_smaller, factor, smaller_markdown, verdicts
from pipeline.views.style import Style

STYLE = Style(8.0, 5.0, 100, ["#112233", "#445566"], ["o", "s"])
HEADS = {"d": "Data", "mean over datasets": "mean mAP"}


def change(difference: float, *, seen: bool) -> Change:
    low, high = difference - 0.01, difference + 0.02
    return Change(difference=difference, low=low, high=high, p=0.5, p_holm=0.5, distinguishable=seen)


def run(name: str, size: int, difference: float, *, seen: bool) -> Smaller:
    changes = {name: change(difference, seen=seen) for name in HEADS}
    return Smaller(encoder=name.partition("+")[0], run=name, bytes=size, whole=5120, changes=changes)


TWO = [run("net+int8", 1280, -0.0012, seen=False), run("net+pca|8", 32, -0.3, seen=True)]


def test_the_table_by_hand() -> None:
    text = smaller_markdown(TWO, HEADS, Titles({"net": "Net"}))
    lines = text.splitlines()
    cells = [[cell.strip() for cell in line.replace("\\|", "/").split("|")[1:-1]] for line in (lines[0], *lines[2:4])]
    assert cells == [
        ["smaller feature", "bytes", "times smaller", "Data", "mean mAP"],
        ["Net+int8", "1,280", "4", "-0.0012 [-0.011, +0.019]", "-0.0012 [-0.011, +0.019]"],
        ["Net+pca/8", "32", "160", "-0.3000 [-0.310, -0.280] *", "-0.3000 [-0.310, -0.280] *"],
    ]
    assert lines[-1] == (
        "Net: int8 stores 1,280 bytes instead of 5,120, 4 times fewer, and cannot be told from the whole feature on "
        "any dataset (mean over datasets: -0.0012, -0.0112 to +0.0188)."
    )
    assert smaller_markdown([], HEADS, Titles()) == ""


@pytest.mark.parametrize(
    ("whole", "size", "shown"),
    [(8192, 4, "2048"), (8192, 3, "2731"), (1_999, 2, "1000"), (1_998, 2, "999"), (5120, 96, "53.3"), (5, 4, "1.25")],
)
def test_how_many_times_smaller_is_in_plain_digits(whole: int, size: int, shown: str) -> None:
    one = run("net+int8", size, 0.0, seen=False)
    assert factor({**one, "whole": whole}) == shown


def test_where_every_smaller_feature_loses_that_is_said() -> None:
    (said,) = verdicts(TWO[1:], Titles())
    assert said == "net: every smaller feature can be told from the whole one on a dataset."


def test_a_row_a_run_and_a_panel_a_dataset() -> None:
    figure = draw_smaller(TWO, HEADS, Titles(), style=STYLE)
    assert figure is not None
    panels = [axes for axes in figure.axes if axes.axison]
    assert len(panels) == 2
    inside: list[Any] = [line.get_markerfacecolor() for line in panels[0].lines if line.get_marker() == "o"]
    assert inside == ["#112233", "none"]  # what can be told from the whole is hollow
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert [name.strip("\u200b") for name in names] == ["int8 1,280 B", "pca|8 32 B"]
    assert draw_smaller([], HEADS, Titles(), style=STYLE) is None


def test_bars_of_the_page_are_as_long_as_the_longest_interval() -> None:
    assert extent_of(TWO) == pytest.approx(0.31)
    assert extent_of([]) == 1.0
