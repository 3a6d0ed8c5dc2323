"""Figures of all runs: what is drawn, from what, that all of it is seen, and what is an error."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from pipeline.frame.experiment import Experiment
from pipeline.results.breakdown import read_classes
from pipeline.results.cost import COLUMNS, Cost, cost_of, cost_table, read_costs
from pipeline.results.estimates import Curve
from pipeline.results.tables import write_table
from pipeline.retrieval.errors import RetrievalError
from pipeline.views.breakdown import MOST_CLASSES, chosen_classes, draw_classes, draw_similarities
from pipeline.views.curves import draw
from pipeline.views.figures import (
    DOT,
    MOST_DOTS,
    Score,
    draw_cost,
    draw_distribution,
    draw_map,
    front_of,
    mark_powers,
    read_scores,
)
from pipeline.views.style import Style, label_of
from tests.conftest import Project

STYLE = Style(6.0, 4.0, 60, ["#000000", "#111111"], ["o", "s"])


def test_bars_are_the_maps_and_their_intervals() -> None:
    rows = [
        ("a", "d", 0.5, 0.4, 0.7, 0.1),
        ("b", "d", 0.2, 0.15, 0.25, 0.1),
        ("a", "e", 0.3, 0.3, 0.3, 0.2),
        ("b", "e", 0.9, 0.8, 1.0, 0.2),
    ]
    first, second = draw_map([Score(*row) for row in rows], STYLE).axes
    assert [[bar.get_width() for bar in axes.patches] for axes in (first, second)] == [[0.5, 0.2], [0.3, 0.9]]
    segments = second.collections[0].get_segments()
    assert [(s[0][0], s[1][0]) for s in segments] == [pytest.approx((0.3, 0.3)), pytest.approx((0.8, 1.0))]
    chance = [
        line.get_xdata()[0] for axes in (first, second) for line in axes.get_lines() if line.get_linestyle() == ":"
    ]
    assert chance == pytest.approx([0.1, 0.2])
    assert [text.get_text().strip("\u200b") for text in first.get_yticklabels()] == ["a", "b"]
    assert first.get_ylim()[0] > first.get_ylim()[1]  # the first run is on top
    third = 1 / 3
    # Rounding harms none.
    draw_map([Score("a", "d", third, np.nextafter(third, 1), np.nextafter(third, 0), 0.1)], STYLE)


def test_the_distribution_by_hand() -> None:
    """Of 0.2, 0.2, 0.6, 0.8 the median is 0.4, the quartiles, linear between, 0.2 and 0.6 + 0.2 / 4, the mean 0.45."""
    figure = draw_distribution({"a": np.array([0.2, 0.8, 0.2, 0.6])}, title="t", style=STYLE)
    [axes] = figure.axes
    dots, middle = axes.get_lines()
    assert dots.get_xdata().tolist() == [0.2, 0.2, 0.6, 0.8]
    assert len(set(dots.get_ydata())) == 4 and np.abs(dots.get_ydata()).max() <= 0.32  # beside one another in their row
    assert middle.get_xdata() == pytest.approx([0.4, 0.4])
    assert (axes.patches[0].get_x(), axes.patches[0].get_width()) == pytest.approx((0.2, 0.45))
    assert axes.texts[0].get_text() == "0.450" and axes.get_legend() is None
    many = draw_distribution({"a": np.linspace(0, 1, 5000)}, title="t", style=STYLE).axes[0].get_lines()[0].get_xdata()
    assert len(many) == MOST_DOTS and (many[0], many[-1]) == (0, 1)


def test_the_hardest_classes_come_first_and_are_named_as_text() -> None:
    labels = ["easy", "$hard_", "<b>"]
    maps = {"a": [0.9, 0.1, 0.5], "b": [0.8, 0.2, 0.4]}
    classes = {run: dict(zip(labels, values, strict=True)) for run, values in maps.items()}
    figure = draw_classes(classes, title="t", style=STYLE)
    axes = figure.axes[0]
    assert [text.get_text().strip("\u200b") for text in axes.get_yticklabels()] == [r"\$hard_", "<b>", "easy"]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.1, 0.2], [0.5, 0.4], [0.9, 0.8]])
    assert [text.get_text() for text in axes.texts] == ["0.10", "0.20", "0.50", "0.40", "0.90", "0.80"]


def test_of_many_classes_those_are_shown_on_which_runs_differ_most() -> None:
    means = np.array([[0.5, 0.5], [0.9, 0.2], [0.1, 0.4], *[[0.3, 0.3]] * MOST_CLASSES])
    assert chosen_classes(means)[:2].tolist() == [2, 3]  # means 0.25 and 0.3
    assert {0, 1, 2} <= set(chosen_classes(means).tolist()) and len(chosen_classes(means)) == MOST_CLASSES
    assert chosen_classes(means[:, :1])[:2].tolist() == [2, 3]
    many = {run: {str(n): n / 99 if run == "a" else 0.5 for n in range(100)} for run in "ab"}
    title = draw_classes(many, title="t", style=STYLE).get_suptitle()
    assert "the 40 of 100 classes on which the runs differ most" in title
    assert "classes that are hardest" in draw_classes({"a": many["a"]}, title="t", style=STYLE).get_suptitle()


def test_values_of_classes_can_be_read_on_their_colours() -> None:
    """At least 4.5 to 1, as WCAG 2 asks of text, all over the scale."""
    classes = {"a": {str(n): n / 39 for n in range(40)}}
    axes = draw_classes(classes, title="t", style=STYLE).axes[0]
    for text, value in zip(axes.texts, sorted(classes["a"].values()), strict=True):
        dark, light = sorted(luminance(color) for color in (text.get_color(), axes.images[0].to_rgba(value)[:3]))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def luminance(color: object) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def figures_of(runs: list[str], dataset: str) -> dict[str, Figure | None]:
    """Every figure of some runs on a dataset."""
    style = Style(7.5, 4.2, 150, ["#0072B2", "#D55E00"], ["o", "s", "^"])
    random = np.random.default_rng(0)
    scores = [Score(run, dataset, 0.5, 0.4, 0.6, 0.1) for run in runs]
    edges = np.linspace(-0.1, 1, 61)
    counts = {name: random.integers(0, 50, 60).astype(float) for name in ("positives", "negatives")}
    histogram = {"low": edges[:-1], "high": edges[1:], **counts}
    line = np.linspace(1, 0, 11)
    classes = {run: {f"{dataset} {number}": random.uniform() for number in range(9)} for run in runs}
    return {
        "map": draw_map(scores, style),
        "ap": draw_distribution({run: random.beta(0.5, 0.5, 99) for run in runs}, title=f"{dataset}: AP", style=style),
        "classes": draw_classes(classes, title=f"{dataset}: mAP", style=style),
        "similarities": draw_similarities(dict.fromkeys(runs, histogram), title=f"{dataset}: alike", style=style),
        "cost": draw_cost(dict.fromkeys(runs, Cost(4096, 9.0, "cuda (a GPU)")), scores, style=style),
        "pr": draw(dict.fromkeys(runs, Curve(line, line, line, "classes")), title=f"{dataset}: precision", style=style),
    }


@pytest.mark.parametrize(
    ("runs", "dataset"),
    [
        (["hog"], "d"),
        ([f"W{'W' * 60}{number}" for number in range(15)], "W" * 80),
        (
            [f"vision_transformer_large_{number}+database_augmentation" for number in range(15)],
            "a_dataset_of_landmarks",
        ),
    ],
)
def test_all_that_is_written_is_within_the_figure(runs: list[str], dataset: str) -> None:
    for name, figure in figures_of(runs, dataset).items():
        assert figure is not None
        for dpi in (100, 150):  # letters are on whole pixels
            figure.dpi = dpi
            figure.draw_without_rendering()
            box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
            assert box.x0 > -0.01 and box.y0 > -0.01 and box.x1 < width + 0.01 and box.y1 < height + 0.01, name
        for axes in figure.axes:
            area = axes.get_window_extent()
            assert area.width > 0.25 * figure.bbox.width or name in ("map", "classes"), name
            names = [text.get_window_extent() for text in axes.get_yticklabels() if text.get_text()]
            for above, below in zip(names, names[1:], strict=False):
                assert not above.overlaps(below) or above.height == 0, name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hog", "hog"),
        ("_a$", r"_a\$"),
        ("efficientnet_lite0_batch_statistics", "efficientnet_lite0_\nbatch_statistics"),
        ("two words are enough for all of it", "two words are\nenough for all of it"),
        ("x" * 40, "x" * 28 + "\n" + "x" * 12),
        ("a" * 50 + "b" * 50, "a" * 27 + "…\n" + "b" * 28),
        ("line\nbreak", "line\ufffdbreak"),
    ],
)
def test_labels(name: str, expected: str) -> None:
    assert label_of(name).strip("\u200b") == expected


def test_what_accuracy_costs_and_features_made_elsewhere(tmp_path: Path) -> None:
    """a, made elsewhere, has no speed; b stores 4 of its 32 bytes after a step. Each is where its bytes are."""
    known = {"device": "cpu (some chip)", "threads": 2, "precision": "fp32", "parameters": 7, "flops_per_image": 9}
    peaks = {"peak_memory_bytes": 5, "peak_gpu_memory_bytes": None}
    made = {"images": 10, "seconds": 2.0, "feature_bytes": 32, "latency_seconds": [0.5, 0.25], **known, **peaks}
    for encoder, cost in {"a": {"feature_bytes": 64}, "b": made}.items():
        (tmp_path / encoder).mkdir()
        (tmp_path / encoder / "d.json").write_text(json.dumps(cost))
    stored = {"a": 64, "b": 32, "b+r": 4}
    write_table(tmp_path / "cost.csv", cost_table(dict.fromkeys(stored, 0.5), stored, ("d",), tmp_path))
    read = read_costs(tmp_path / "cost.csv")
    alone = cost_of("b", ("d",), tmp_path)
    assert read == {"a": cost_of("a", ("d",), tmp_path), "b": alone, "b+r": replace(alone, bytes=4)}
    scores = [Score(run, "d", 0.5, 0.375, 0.75, 0.1) for run in stored]
    figure = draw_cost(read, scores, style=STYLE)
    by_bytes, by_speed = figure.axes
    assert [bar.lines[0].get_xdata().tolist() for bar in by_bytes.containers] == [[64], [32], [4]]
    assert [bar.lines[0].get_xdata().tolist() for bar in by_speed.containers] == [[5.0], [5.0]]
    # The second of three looks, that of b, in both; an interval from 0.375 to 0.75.
    bars = (by_bytes.containers[1], by_speed.containers[0])
    assert [bar.lines[0].get_color() for bar in bars] == [STYLE.look(1)[0]] * 2
    assert [bar.lines[2][0].get_segments()[0][:, 1].tolist() for bar in bars] == [[0.375, 0.75]] * 2
    [legend] = figure.legends
    names = [text.get_text().replace("\u200b", "") for text in legend.get_texts()]
    assert names == ["a", "b", "b+r", "Pareto front"]  # no device: all that are known are the same
    [only] = draw_cost({"a": read["a"]}, scores[:1], style=STYLE).axes
    assert only.get_xlabel() == "bytes stored of an image"


@pytest.mark.parametrize(
    ("column", "value"), [("feature_bytes", "9" * 400), ("images_per_second", "-1"), ("latency_p50_seconds", "nan")]
)
def test_a_table_of_costs_that_is_damaged(tmp_path: Path, column: str, value: str) -> None:
    right = {"encoder": ["a"], **dict.fromkeys(COLUMNS, ["1"])}
    write_table(tmp_path / "cost.csv", right)
    assert read_costs(tmp_path / "cost.csv")["a"].bytes == 1
    write_table(tmp_path / "cost.csv", right | {column: [value]})
    with pytest.raises(RetrievalError, match=r"cost\.csv .*is no cost.*: run dvc repro compare"):
        read_costs(tmp_path / "cost.csv")


def test_the_legend_of_costs_names_the_devices_where_they_differ() -> None:
    devices = {"a": "cpu (some chip)", "b": "cuda (a GPU)", "c": ""}
    costs = {run: Cost(64, 9.0, device) for run, device in devices.items()}
    figure = draw_cost(costs, [Score(run, "d", 0.5, 0.4, 0.6, 0.1) for run in devices], style=STYLE)
    names = [text.get_text().replace("\u200b", "") for text in figure.legends[0].get_texts()]
    assert names == ["a\ncpu", "b\ncuda", "c", "Pareto front"]


def test_the_pareto_front_of_each_dataset() -> None:
    """b is slower than a and worse; c is slower and better; d equals c and is slower; e is a again.

    Where less is better, d costs least: none of the others is as good but c, which costs more.
    """
    points = {"a": (9.0, 0.5), "b": (8.0, 0.4), "c": (5.0, 0.7), "d": (4.0, 0.7), "e": (9.0, 0.5)}
    assert front_of(list(points.values()), 1) == [(5.0, 0.7), (9.0, 0.5), (9.0, 0.5)]
    assert front_of(list(points.values()), -1) == [(4.0, 0.7)]
    costs = {run: Cost(int(speed), speed, "cpu") for run, (speed, _) in points.items()}
    scores = [Score(run, "x", mean, mean, mean, 0.1) for run, (_, mean) in points.items()]
    scores += [Score(run, "y", 0.9 if run == "a" else 0.1, 0.0, 1.0, 0.1) for run in points]
    x_bytes, x_speed, y_bytes, y_speed = draw_cost(costs, scores, style=STYLE).axes
    assert [axes.get_title(loc="left").strip("\u200b") for axes in (x_bytes, y_bytes)] == ["x", "y"]
    assert x_bytes.get_lines()[0].get_xydata().tolist() == [[4.0, 0.7]]
    assert x_speed.get_lines()[0].get_xydata().tolist() == [[5.0, 0.7], [9.0, 0.5], [9.0, 0.5]]
    assert y_bytes.get_lines()[0].get_xydata().tolist() == [[4.0, 0.1], [9.0, 0.9]]
    assert y_speed.get_lines()[0].get_xydata().tolist() == [[9.0, 0.9]]


def test_each_panel_of_costs_is_as_high_as_its_metric() -> None:
    """N-S goes to 4; on either side is 0.06 of the height, which is 0.24 of N-S."""
    costs = {run: Cost(64, 9.0, "cpu") for run in "ab"}
    scores = [Score(run, "x", mean, 1.0, 4.0, 1.2, "N-S") for run, mean in (("a", 3.0), ("b", 2.0))]
    scores += [Score(run, "y", 0.5, 0.4, 0.6, 0.1) for run in costs]
    figure = draw_cost(costs, scores, style=STYLE)
    for panels in (figure.axes[::2], figure.axes[1::2]):
        x, y = panels
        assert (*x.get_ylim(), *y.get_ylim()) == pytest.approx((-0.24, 4.24, -0.06, 1.06))
        assert [axes.get_yticks()[-1] for axes in panels] == [4.0, 1.0]
        assert [bar.lines[0].get_ydata().tolist() for bar in x.containers] == [[3.0], [2.0]]  # as the table has it
    assert [axes.get_title(loc="left").strip("\u200b") for axes in figure.axes[::2]] == ["x (N-S)", "y"]
    assert figure.get_supylabel() == "each dataset's metric"
    for one, expected in ((scores[:2], "N-S"), (scores[2:], "mAP")):
        assert draw_cost(costs, one, style=STYLE).get_supylabel() == expected


def test_no_marker_of_costs_is_cut() -> None:
    costs = {str(number): Cost(10**number, 10.0**number, "cpu") for number in range(1, 5)}
    scores = [Score(run, d, place / 3, 0.0, 1.0, 0.1) for d in "wx" for place, run in enumerate(costs)]
    figure = draw_cost(costs, scores, style=Style(7.5, 4.2, 60, ["#000000"], ["o"]))
    figure.draw_without_rendering()
    for axes in figure.axes:
        panel, radius = axes.get_window_extent(), DOT["markersize"] / 2 * figure.dpi / 72
        for bar in axes.containers:
            x, y = axes.transData.transform(bar.lines[0].get_xydata()[0])
            assert panel.x0 + radius < x < panel.x1 - radius and panel.y0 + radius < y < panel.y1 - radius


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([2048.0, 7056.0], ["2,000", "4,000", "6,000"]),
        ([4000.0, 4900.0], ["4,200", "4,500", "4,800"]),
        ([2.0, 4096.0], ["10", "100", "1,000"]),
        ([5120.0, 5120.0], ["5,000", "5,200"]),
        ([0.3, 4.0], ["0.5", "1", "2"]),
    ],
)
def test_a_scale_of_costs_has_numbers_to_read(values: list[float], shown: list[str]) -> None:
    axes = Figure(figsize=(3, 3)).add_subplot()
    axes.plot(values, [0, 1], "o")
    mark_powers(axes, values)
    axes.figure.draw_without_rendering()
    least, most = axes.get_xlim()
    ticks = [
        text.get_text()
        for place, text in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
        if least <= place <= most
    ]
    assert set(shown) <= set(ticks) and len(ticks) <= 6
    assert not [text for text in axes.get_xticklabels(minor=True) if text.get_text()]


def test_scores_are_those_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    columns = ["encoder", "dataset", "metric", "value", "value_low", "value_high", "population", "value_chance"]
    rows = [
        ["007", "d", "mAP", 0.5, 0.25, 0.75, "classes", 0.125],
        ["NA", "d", "mAP", 0.1 + 0.2, 0.25, 0.5, "classes", 0.125],
    ]
    table = pd.DataFrame(rows, columns=columns)
    table.to_csv(path, index=False)
    assert read_scores(path, Experiment(("NA", "007"), ("d",), "NA")) == [
        Score("NA", "d", 0.1 + 0.2, 0.25, 0.5, 0.125),
        Score("007", "d", 0.5, 0.25, 0.75, 0.125),
    ]
    table.assign(metric="micro_AP@1", value_chance=np.nan).to_csv(path, index=False)
    unknown = read_scores(path, Experiment(("007",), ("d",), "007"))
    assert np.isnan(unknown[0].random) and unknown[0].heading == "d (micro_AP@1)"
    draw_map(unknown, STYLE).draw_without_rendering()  # without the line of a random ranking
    message = "no usable table in .*table.csv .*: run dvc repro compare"
    columns_of = [
        {"value": "much"},
        {"dataset": "e"},
        {"value": 1.5},
        {"value": np.nan},
        {"value_low": -np.inf},
        {"metric": "x"},
    ]
    for wrong in (table.drop(columns="value_low"), table[:1], *(table.assign(**change) for change in columns_of)):
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
