"""mAP@k of approximate searches against their speed."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.results.pareto import front_of
from pipeline.results.searches import Point
from pipeline.views.figures import ABREAST, FRONT, PANEL
from pipeline.views.style import SMALL, Style, label_of, put_legend, put_title

EXACT: Mapping[str, Any] = {"color": "#333333", "linestyle": ":", "linewidth": 1}
HEAD = 0.05  # of what mAP@k spans in a panel, and at least of 1, above and below


def draw_searches(points: Sequence[Point], style: Style) -> Figure:
    """Draw mAP@k against queries/s by one core: a panel per encoder and dataset, a line per index over its settings.

    The Pareto front of a panel is dashed, an exact search dotted. A panel has its own scale of mAP@k: what an index
    loses is little beside what encoders differ by.
    """
    encoders, datasets, searches = (
        list(dict.fromkeys(getattr(point, name) for point in points)) for name in ("encoder", "dataset", "search")
    )
    width, height = style.size(PANEL * len(encoders))
    figure = Figure(figsize=(width * max(1, len(datasets) / ABREAST), height), layout="constrained")
    panels = figure.subplots(len(encoders), len(datasets), sharex=True, squeeze=False)
    for line, encoder in zip(panels, encoders, strict=True):
        for axes, dataset in zip(line, datasets, strict=True):
            here = [point for point in points if (point.encoder, point.dataset) == (encoder, dataset)]
            draw_panel(axes, here, searches, style)
            axes.set_title(f"{label_of(encoder)}\n{label_of(dataset)}", fontsize=SMALL)
    handles = [
        Line2D([], [], color=style.look(number)[0], marker=style.look(number)[1], label=label_of(search))
        for number, search in enumerate(searches)
    ]
    known = [Line2D([], [], **FRONT, label="Pareto front"), Line2D([], [], **EXACT, label="exact search")]
    put_legend(panels[0, -1], handles=[*handles, *known])
    ks = {point.k for point in points}
    metric = f"mAP@{ks.pop() if len(ks) == 1 else 'k'}"
    figure.supxlabel("queries/s by one core", fontsize=10)
    figure.supylabel(metric, fontsize=10)
    put_title(figure, f"what approximate search costs: {metric} against speed")
    return figure


def draw_panel(axes: Axes, points: Sequence[Point], searches: Sequence[str], style: Style) -> None:
    """Draw the searches among the features of an encoder on a dataset."""
    for number, search in enumerate(searches):
        color, marker = style.look(number)
        own = [(point.speed, point.found) for point in points if point.search == search]
        axes.plot(*zip(*own, strict=True), color=color, marker=marker, markersize=5, linewidth=1, alpha=0.8)
    axes.plot(*zip(*front_of([(point.speed, point.found) for point in points], 1), strict=True), **FRONT)
    exact = points[0].exact
    axes.axhline(exact, **EXACT)
    values = [exact, *(point.found for point in points)]
    room = HEAD * max(max(values) - min(values), HEAD)
    axes.set_ylim(min(values) - room, max(values) + room)
    axes.set_xscale("log")
    axes.tick_params(labelbottom=True, labelsize=SMALL)
    axes.grid(alpha=0.3)
