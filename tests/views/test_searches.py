"""Searches as people read them: the table, and mAP@k against speed."""

from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg

from pipeline.results.searches import Point
from pipeline.results.titles import Titles
from pipeline.views.search_figure import draw_searches
from pipeline.views.search_table import search_markdown
from pipeline.views.style import Style

STYLE = Style(6.0, 4.0, 60, ["#000000", "#111111"], ["o", "s"])
TABLE: dict[str, list[Any]] = {
    "encoder": ["a", "a"],
    "dataset": ["d", "d"],
    "search": ["flat", "hnsw"],
    "setting": ["", "ef_search=10"],
    "k": [10, 10],
    "recall@1": [1.0, 0.5],
    "recall@10": [None, 0.25],
    "mAP@k": [0.8, 0.4],
    "exact_mAP@k": [0.8, 0.8],
    "queries_per_second": [1234.5, 90000.0],
    "queries_per_second_all_cores": [2000.0, 100000.0],
    "p50_ms": [0.5, 0.01],
    "p95_ms": [0.75, 0.02],
    "build_seconds": [0.001, 2.5],
    "index_bytes": [2**20, 3 * 2**19],
    "pareto": [1, 0],
    "device": ["a chip", "a chip"],
    "cores": [1, 2],
}


def test_the_table() -> None:
    text = search_markdown(TABLE, Titles({"a": "Net | 1"}, {}, {}))
    header, _, first, second, blank, caption = text.splitlines()
    names = [cell.strip() for cell in header.split("|")[1:-1]]
    assert names == [
        "encoder", "dataset", "index", "setting", "recall@1", "recall@10", "mAP@10", "exact mAP@10", "queries/s",
        "queries/s, all cores", "p50, ms", "p95, ms", "build, s", "MiB",
    ]  # fmt: skip
    cells = [[cell.strip() for cell in line.replace(r"\|", "¦").split("|")[1:-1]] for line in (first, second)]
    assert cells[0] == [
        "Net ¦ 1", "d", "flat", "–", "1.0000", "–", r"0.8000 \*", "0.8000", "1,234", "2,000", "0.500", "0.750", "0.00",
        "1.00",
    ]  # fmt: skip
    assert cells[1][3:7] == ["ef_search=10", "0.5000", "0.2500", "0.4000"] and cells[1][-1] == "1.50"
    assert blank == "" and caption.endswith("Measured on a chip (1 core) and a chip (2 cores).")


def test_several_k_have_no_number() -> None:
    assert "| mAP@k" in search_markdown({**TABLE, "k": [10, 20]})


def test_without_searches_it_says_how_to_ask() -> None:
    text = search_markdown({name: [] for name in TABLE})
    assert text.startswith("No search is asked for: name some of conf/search under searches in params.yaml")


def test_the_figure() -> None:
    points = [
        Point(encoder, dataset, search, 10, found, 0.8, speed)
        for encoder in ("a", "b")
        for dataset in ("d", "e", "f")
        for search, found, speed in (("flat", 0.8, 100.0), ("hnsw", 0.4, 900.0), ("hnsw", 0.7, 90.0))
    ]
    figure = draw_searches(points, STYLE)
    assert len(figure.axes) == 6
    flat, hnsw, front, exact = figure.axes[0].get_lines()
    assert (list(flat.get_xdata()), list(flat.get_ydata())) == ([100], [0.8])
    assert (list(hnsw.get_xdata()), list(hnsw.get_ydata())) == ([900, 90], [0.4, 0.7])
    assert (list(front.get_xdata()), list(front.get_ydata())) == ([100, 900], [0.8, 0.4])
    assert set(exact.get_ydata()) == {0.8} and exact.get_linestyle() == ":" and front.get_linestyle() == "--"
    assert figure.axes[0].get_xscale() == "log" and figure.axes[0].get_ylim() == (0.4 - 0.02, 0.8 + 0.02)
    legend = figure.axes[2].get_legend()
    assert legend is not None
    assert [text.get_text().strip("\u200b") for text in legend.get_texts()] == [
        "flat", "hnsw", "Pareto front", "exact search",
    ]  # fmt: skip
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:  # no title runs into that beside it
        assert axes.title.get_window_extent().width <= axes.bbox.width


def test_many_datasets_get_room() -> None:
    points = [Point("a", dataset, "flat", 10, 0.5, 0.5, 10.0) for dataset in "defghi"]
    assert draw_searches(points, STYLE).get_figwidth() == 2 * STYLE.width


def test_a_panel_of_equal_values_has_a_height() -> None:
    low, high = draw_searches([Point("a", "d", "flat", 10, 0.5, 0.5, 10.0)], STYLE).axes[0].get_ylim()
    assert low < 0.5 < high
