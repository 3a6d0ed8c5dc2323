"""Figures of all runs: what is drawn, from what, and what is an error."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from pipeline.frame.experiment import Experiment
from pipeline.results.cost import cost_of, cost_table, read_costs
from pipeline.results.tables import write_table
from pipeline.retrieval.errors import RetrievalError
from pipeline.views.figures import (
    Score,
    draw_classes,
    draw_cost,
    draw_distribution,
    draw_map,
    read_classes,
    read_scores,
)
from pipeline.views.style import Style
from tests.conftest import Project

STYLE = Style(6.0, 4.0, 60, ["#000000", "#111111"], ["o", "s"])


def test_bars_are_the_maps_and_their_intervals() -> None:
    rows = [
        ("a", "d", 0.5, 0.4, 0.7, 0.1),
        ("b", "d", 0.2, 0.15, 0.25, 0.1),
        ("a", "e", 0.3, 0.3, 0.3, 0.2),
        ("b", "e", 0.9, 0.8, 1.0, 0.2),
    ]
    figure = draw_map([Score(*row) for row in rows], STYLE)
    [axes] = figure.axes
    assert [bar.get_height() for bar in axes.patches] == [0.5, 0.3, 0.2, 0.9]
    segments = axes.collections[0].get_segments()  # of the first run
    assert [(s[0][1], s[1][1]) for s in segments] == [pytest.approx((0.4, 0.7)), pytest.approx((0.3, 0.3))]
    chance = [line.get_ydata()[0] for line in axes.get_lines() if line.get_linestyle() == ":"]
    assert chance == pytest.approx([0.1, 0.2])
    third = 1 / 3
    # Rounding harms none.
    draw_map([Score("a", "d", third, np.nextafter(third, 1), np.nextafter(third, 0), 0.1)], STYLE)


def test_the_distribution_counts_queries() -> None:
    figure = draw_distribution({"a": np.array([0.2, 0.8, 0.2, 0.6])}, title="t", style=STYLE)
    line = figure.axes[0].get_lines()[0]
    assert line.get_xdata().tolist() == [0.2, 0.2, 0.6, 0.8] and line.get_ydata().tolist() == [0.25, 0.5, 0.75, 1]


def test_the_hardest_classes_come_first_and_are_named_as_text() -> None:
    labels = ["easy", "$hard_", "<b>"]
    maps = {"a": [0.9, 0.1, 0.5], "b": [0.8, 0.2, 0.4]}
    classes = {run: dict(zip(labels, values, strict=True)) for run, values in maps.items()}
    figure = draw_classes(classes, title="t", style=STYLE)
    axes = figure.axes[0]
    assert [text.get_text().strip("\u200b") for text in axes.get_yticklabels()] == [r"\$hard_", "<b>", "easy"]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.1, 0.2], [0.5, 0.4], [0.9, 0.8]])
    many = {"a": {str(n): n / 99 for n in range(100)}}
    assert "the 60 hardest of 100 classes" in draw_classes(many, title="t", style=STYLE).axes[0].get_title()


def test_what_accuracy_costs_and_features_made_elsewhere(tmp_path: Path) -> None:
    known = {"device": "cpu (some chip)", "precision": "fp32", "parameters": 7, "flops_per_image": 9}
    peaks = {"peak_memory_bytes": 5, "peak_gpu_memory_bytes": None}
    made = {"images": 10, "seconds": 2.0, "feature_bytes": 32, **known, **peaks}
    for encoder, cost in {"a": {"feature_bytes": 64}, "b": made}.items():
        (tmp_path / encoder).mkdir()
        (tmp_path / encoder / "d.json").write_text(json.dumps(cost))
    written = cost_table({"a": 0.5, "b": 0.5}, ("d",), tmp_path)
    write_table(tmp_path / "cost.csv", written)
    read = read_costs(tmp_path / "cost.csv")
    assert read == {encoder: cost_of(encoder, ("d",), tmp_path) for encoder in ("a", "b")}
    scores = [Score(run, "d", 0.5, 0.4, 0.6, 0.1) for run in ("a", "a+r", "b")]
    figure = draw_cost(read, scores, style=STYLE)
    assert figure is not None and draw_cost({"a": read["a"]}, scores, style=STYLE) is None
    axes = figure.axes[0]
    # The look of the third run, after a and a+r.
    assert axes.collections[0].get_facecolor()[0, :3].tolist() == pytest.approx(to_rgb(STYLE.look(2)[0]))
    assert axes.collections[0].get_offsets().tolist() == [[5.0, 0.5]] and axes.collections[0].get_sizes() == [2]
    assert axes.get_legend().get_texts()[0].get_text().strip("\u200b") == "b, 32 B, cpu"


def test_scores_are_those_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    columns = ["encoder", "dataset", "mAP", "mAP_low", "mAP_high", "population", "mAP_random"]
    rows = [["007", "d", 0.5, 0.25, 0.75, "classes", 0.125], ["NA", "d", 0.1 + 0.2, 0.25, 0.5, "classes", 0.125]]
    table = pd.DataFrame(rows, columns=columns)
    table.to_csv(path, index=False)
    assert read_scores(path, Experiment(("NA", "007"), ("d",), "NA")) == [
        Score("NA", "d", 0.1 + 0.2, 0.25, 0.5, 0.125),
        Score("007", "d", 0.5, 0.25, 0.75, 0.125),
    ]
    message = "no usable table in .*table.csv .*: run dvc repro compare"
    columns_of = [{"mAP": "much"}, {"dataset": "e"}, {"mAP": 1.5}, {"mAP_random": np.nan}, {"mAP_low": -np.inf}]
    for wrong in (table.drop(columns="mAP_low"), table[:1], *(table.assign(**change) for change in columns_of)):
        wrong.to_csv(path, index=False)
        with pytest.raises(RetrievalError, match=message):
            read_scores(path, Experiment(("NA", "007"), ("d",), "NA"))
    path.unlink()
    with pytest.raises(RetrievalError, match=message):
        read_scores(path, Experiment(("NA", "007"), ("d",), "NA"))


@pytest.mark.parametrize(("colors", "markers"), [(["nocolor"], ["o"]), (["#000000"], ["??"]), ([], ["o"])])
def test_wrong_looks(colors: list[str], markers: list[str]) -> None:
    with pytest.raises(RetrievalError, match="conf/style: "):
        Style(6.0, 4.0, 60, colors, markers)


def test_a_class_table_that_is_missing_or_damaged(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a.csv").write_text("label,queries,mAP\n007,3,0.5\nNA,2,0.25\n")
    assert read_classes(tmp_path, "d", ["a"])["a"] == {"007": 0.5, "NA": 0.25}
    with pytest.raises(RetrievalError, match=r"b\+r\.csv .*: run dvc repro rerank@b-d-r"):
        read_classes(tmp_path, "d", ["b+r"])
    (tmp_path / "d/a.csv").write_text("label,queries,mAP\nx,3,much\n")
    with pytest.raises(RetrievalError, match="run dvc repro evaluate@a-d"):
        read_classes(tmp_path, "d", ["a"])


def test_the_stage_draws_all_of_them(small_project: Project) -> None:
    names = [
        "map",
        "cost",
        *(f"{kind}_{dataset}" for kind in ("ap", "classes", "similarities") for dataset in ("digits", "photo_views")),
    ]
    for kind in ("png", "svg"):
        folder = small_project.top / "plots/figures" / kind
        assert sorted(path.stem for path in folder.glob(f"*.{kind}")) == sorted(names)
    for name in names:
        with Image.open(small_project.top / f"plots/figures/png/{name}.png") as picture:
            assert picture.width > 800
        assert "<svg" in (small_project.top / f"plots/figures/svg/{name}.svg").read_text()
    experiment = Experiment(("raw_pixels", "color_histogram"), ("digits", "photo_views"), "raw_pixels")
    scores = read_scores(small_project.top / "metrics/table.csv", experiment)
    runs = [
        json.loads((small_project.top / f"metrics/runs/{one.run}/{one.dataset}.json").read_text()) for one in scores
    ]
    for one, run in zip(scores, runs, strict=True):
        shown = (run["mAP"], run["mAP_low"], run["mAP_high"], run["mAP_random"])
        assert (one.mean, one.low, one.high, one.random) == pytest.approx(shown)
