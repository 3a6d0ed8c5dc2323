"""Figures of all runs: each dataset's metric with intervals, AP of the queries, what accuracy costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.transforms import Affine2D

from pipeline.frame.experiment import Experiment
from pipeline.frame.upstream import output_of
from pipeline.results.cost import Cost
from pipeline.results.pareto import front_of
from pipeline.results.tables import read_table
from pipeline.retrieval.measures import measure_of
from pipeline.views.style import SMALL, Style, label_of, plain_text, put_legend, put_title

SHOWN = ("value", "value_low", "value_high", "value_chance")
ABREAST = 3  # panels side by side
LEAST = 4  # rows that there is room for
MOST_DOTS = 300  # of the queries of a run
PANEL = 8  # rows as high as a panel of costs
LARGEST, KEY = 250.0, 50.0  # square points: of the feature with most bytes, and of a marker in a legend
MARGIN = 0.15  # of a panel of costs beyond the least and the largest value, so that no marker is cut
FRONT: Mapping[str, Any] = {"color": "#333333", "linestyle": "--", "linewidth": 1, "zorder": 1}
PACE = 0.618034  # of dots that lie beside one another: the golden ratio keeps neighbours apart


@dataclass(frozen=True)
class Score:
    """The metric of a run on a dataset, its 95 % interval, and what a random ranking gives: NaN if that is unknown."""

    run: str
    dataset: str
    mean: float
    low: float
    high: float
    random: float
    metric: str = "mAP"

    @property
    def heading(self) -> str:
        """The dataset, and the metric where it is not mAP."""
        return self.dataset + ("" if self.metric == "mAP" else f" ({self.metric})")


def read_scores(path: Path, experiment: Experiment) -> list[Score]:
    """Return what runs are told apart by on every dataset from the comparative table.

    Raises:
        RetrievalError: the table is missing or of another form.
    """
    with output_of("compare", f"table in {path}"):
        table = read_table(path, "encoder", "dataset", "metric", *SHOWN)
        found = {}
        for row, (run, dataset) in enumerate(zip(table["encoder"], table["dataset"], strict=True)):
            values = [float(table[name][row] or "nan") for name in SHOWN]
            metric = table["metric"][row]
            wrong = [value for value in values if not 0 <= value <= measure_of(metric).most and value == value]
            if wrong or np.isnan(values[:3]).any():
                raise ValueError(f"{[*wrong, 'nothing'][0]} is no {metric}")
            found[run, dataset] = Score(run, dataset, values[0], values[1], values[2], values[3], metric)
        return [found[run, dataset] for dataset in experiment.datasets for run in experiment.runs]


def draw_map(scores: Sequence[Score], style: Style) -> Figure:
    """Draw means with their 95 % intervals as bars, one panel per dataset; a line down a panel is what chance gives."""
    runs, datasets = (list(dict.fromkeys(getattr(one, name) for one in scores)) for name in ("run", "dataset"))
    found = {(one.run, one.dataset): one for one in scores}
    columns = min(ABREAST, len(datasets))
    lines = -(-len(datasets) // columns)
    figure = Figure(figsize=style.size(lines * (len(runs) + 1.5)), layout="constrained")
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    colors = [style.look(index)[0] for index in range(len(runs))]
    for axes, dataset in zip(panels, datasets, strict=False):
        row = [found[run, dataset] for run in runs]
        means = [one.mean for one in row]
        spread = np.array([[one.mean - one.low for one in row], [one.high - one.mean for one in row]])
        axes.barh(range(len(runs)), means, 0.8, color=colors)
        # A mean that was summed in another order than the interval's may be beyond it by rounding.
        ends, places = np.maximum(spread, 0), np.arange(len(runs))
        axes.errorbar(means, places, xerr=ends, fmt="none", ecolor="#333333", elinewidth=1, capsize=2)
        axes.axvline(float(np.mean([one.random for one in row])), color="#333333", linestyle=":", linewidth=1)
        axes.set_title(label_of(row[0].heading), fontsize=10)
        most = measure_of(row[0].metric).most
        axes.set(xlim=(0, most), xticks=(0, most / 2, most))
    for axes in panels[len(datasets) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        name_rows(axes, runs)
    put_title(figure, f"{metric_of(scores)} and its 95 % interval; dotted: a random ranking")
    return figure


def metric_of(scores: Sequence[Score]) -> str:
    """Return the metric of all datasets, or what stands for several."""
    metrics = {one.metric for one in scores}
    return metrics.pop() if len(metrics) == 1 else "each dataset's metric"


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Write names at rows 0, 1, ..., the first on top; of few rows none is high."""
    axes.set_yticks(range(len(names)), [label_of(name) for name in names], fontsize=SMALL)
    spare = max(0, LEAST - len(names)) / 2
    axes.set_ylim(len(names) - 0.4 + spare, -0.6 - spare)


def draw_distribution(aps: Mapping[str, Float[np.ndarray, " query"]], *, title: str, style: Style) -> Figure:
    """Draw the AP of the queries of each run as a box with its dots, and write their mean beside it.

    Of many queries some are dots: evenly spread among them by their AP, the first and the last one too.
    """
    figure = Figure(figsize=style.size(len(aps)), layout="constrained")
    axes = figure.add_subplot()
    for row, values in enumerate(aps.values()):
        color, _ = style.look(row)
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
        dots = np.sort(values)[np.linspace(0, len(values) - 1, min(len(values), MOST_DOTS)).astype(int)]
        beside = row + 0.6 * (np.arange(len(dots)) * PACE % 1 - 0.5)
        axes.plot(dots, beside, ".", color=color, markersize=4, alpha=0.8, markeredgewidth=0)
        axes.barh(row, high - low, 0.64, left=low, color=color, alpha=0.25)
        axes.barh(row, high - low, 0.64, left=low, fill=False, edgecolor=color)
        axes.plot([middle, middle], [row - 0.32, row + 0.32], color="#000000", linewidth=2, solid_capstyle="butt")
        axes.text(1.015, row, f"{values.mean():.3f}", fontsize=SMALL, va="center", transform=axes.get_yaxis_transform())
    axes.text(1.015, 1.01, "mAP", fontsize=SMALL, transform=axes.transAxes)
    name_rows(axes, list(aps))
    axes.set_xlim(-0.01, 1.01)
    axes.set_xlabel("AP: the further right, the better\ndot: a query; box: the middle half; line: the median")
    axes.grid(axis="x", alpha=0.3)
    put_title(figure, title)
    return figure


def draw_cost(costs: Mapping[str, Cost], scores: Sequence[Score], *, style: Style) -> Figure | None:
    """Draw each dataset's metric against images/s, a feature's bytes as area, and the Pareto front as a line.

    Each dataset has a panel, as high as the largest value of its metric.

    Args:
        costs: of each encoder; those whose features were made elsewhere have no speed and are left out.
        scores: of all runs.
        style: how figures look.

    Returns:
        None if no speed is known.
    """
    runs, datasets = (list(dict.fromkeys(getattr(one, name) for one in scores)) for name in ("run", "dataset"))
    known = {encoder: cost for encoder, cost in costs.items() if cost.speed}
    if not known:
        return None
    looks = {encoder: style.look(runs.index(encoder)) for encoder in known}
    found = {(one.run, one.dataset): one for one in scores}
    columns = min(ABREAST, len(datasets))
    lines = -(-len(datasets) // columns)
    figure = Figure(figsize=style.size(max(1.6 * (len(known) + 1), PANEL * lines)), layout="constrained")
    panels = figure.subplots(lines, columns, sharex=True, squeeze=False).ravel()
    for axes, dataset in zip(panels, datasets, strict=False):
        points = {encoder: (cost.speed or 0, found[encoder, dataset].mean) for encoder, cost in known.items()}
        axes.plot(*zip(*front_of(list(points.values())), strict=True), **FRONT)
        for encoder, (speed, mean) in points.items():
            area = LARGEST * (known[encoder].bytes or 0) / max(cost.bytes or 1 for cost in known.values())
            axes.scatter([speed], [mean], **dots(*looks[encoder], area=area))
        first = found[runs[0], dataset]
        most = measure_of(first.metric).most
        axes.set_title(label_of(first.heading), fontsize=10)
        axes.set(ylim=(-MARGIN * most, (1 + MARGIN) * most), yticks=np.linspace(0, most, 5))
        axes.tick_params(labelbottom=True, labelsize=SMALL)
        axes.grid(alpha=0.3)
    for axes in panels:  # any of them scales all, those that are not seen too
        axes.set_xscale("log")
        axes.margins(x=0.2)
    for axes in panels[len(datasets) :]:
        axes.set_axis_off()
    named = [panels[0].scatter([], [], **dots(*looks[name], area=KEY), label=words) for name, words in entries(known)]
    put_legend(panels[columns - 1], handles=[*named, Line2D([], [], **FRONT, label="Pareto front")])
    figure.supxlabel("images/s of the extraction", fontsize=10)
    figure.supylabel(metric_of(scores), fontsize=10)
    put_title(figure, "what accuracy costs: speed, and bytes of a feature as area")
    return figure


def entries(costs: Mapping[str, Cost]) -> list[tuple[str, str]]:
    """Return encoders, and what a legend says of each: name, bytes of a feature, device of the extraction."""
    return [
        (name, f"{label_of(name)}\n{cost.bytes or 0:,} B, {plain_text(cost.device.split(' ')[0], most=12)}")
        for name, cost in costs.items()
    ]


def dots(color: str, marker: str, *, area: float) -> dict[str, Any]:
    """Return how ``Axes.scatter`` draws markers of an area in square points, whatever their shape."""
    return {"color": color, "marker": marker, "s": area / area_of(marker), "alpha": 0.7, "linewidths": 0}


def area_of(marker: str) -> float:
    """Return the area of a marker in square points where its ``s`` is 1: pi / 4 of a circle, 1 of a square."""
    style = MarkerStyle(marker)
    fine = style.get_transform() + Affine2D().scale(1000)  # curves get as many edges as at this size
    polygons = style.get_path().transformed(fine).to_polygons()
    return sum(polygon_area(np.asarray(polygon, float) / 1000) for polygon in polygons)


def polygon_area(corners: Float[np.ndarray, "corner 2"]) -> float:
    """Return the area of a polygon that does not cross itself."""
    x, y = corners.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2
