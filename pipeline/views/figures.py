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
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from pipeline.frame.experiment import Experiment
from pipeline.frame.upstream import output_of
from pipeline.results.cost import Cost
from pipeline.results.pareto import front_of
from pipeline.results.tables import read_table
from pipeline.retrieval.measures import measure_of
from pipeline.views.style import SMALL, Style, label_of, plain_text, put_title

SHOWN = ("value", "value_low", "value_high", "value_chance")
ABREAST = 3  # panels side by side
LEAST = 4  # rows that there is room for
MOST_DOTS = 300  # of the queries of a run
PANEL = 8  # rows as high as a panel of costs
MARGIN = 0.06  # of a panel of costs beyond the least and the largest value, so that no marker is cut
DOT: Mapping[str, Any] = {"markersize": 6, "linewidth": 0, "elinewidth": 1, "capsize": 2, "alpha": 0.8}
FRONT: Mapping[str, Any] = {"color": "#333333", "linestyle": "--", "linewidth": 1, "zorder": 1}
NEAR, FEW = 5, 30  # times the least cost: below, ticks are at even steps, or have numbers between powers of ten too
PACE = 0.618034  # of dots that lie beside one another: the golden ratio keeps neighbours apart


@dataclass(frozen=True)
class Scale:
    """A cost that runs are drawn against.

    Attributes:
        name: of the attribute of a :class:`Cost`.
        title: of the axis.
        better: 1 where more is better, -1 where less is.
    """

    name: str
    title: str
    better: int

    def of(self, cost: Cost) -> float | None:
        """Return the cost of a run; None where it is not known."""
        value = getattr(cost, self.name)
        return None if value is None else float(value)


SCALES = (Scale("bytes", "bytes stored of an image", -1), Scale("speed", "images/s of the extraction", 1))


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


def draw_cost(costs: Mapping[str, Cost], scores: Sequence[Score], *, style: Style) -> Figure:
    """Draw each dataset's metric with its 95 % interval against what it costs, and Pareto fronts as lines.

    Each dataset has a row of panels, as high as the largest value of its metric; each of ``SCALES`` that is known of
    any run has a column.

    Args:
        costs: of each run; a run whose features were made elsewhere has no speed, and is left out there.
        scores: of all runs.
        style: how figures look.
    """
    runs, datasets = (list(dict.fromkeys(getattr(one, name) for one in scores)) for name in ("run", "dataset"))
    looks = {run: style.look(place) for place, run in enumerate(runs)}
    scales = [scale for scale in SCALES if any(scale.of(costs[run]) for run in runs)]
    figure = Figure(figsize=style.size(PANEL * len(datasets) + len(runs) / 2), layout="constrained")
    panels = figure.subplots(len(datasets), len(scales), sharex="col", sharey="row", squeeze=False)
    for row, dataset in zip(panels, datasets, strict=True):
        found = [one for one in scores if one.dataset == dataset]
        for axes, scale in zip(row, scales, strict=True):
            draw_against(axes, scale, [(cost, one) for one in found if (cost := scale.of(costs[one.run]))], looks)
        most = measure_of(found[0].metric).most
        row[0].set_title(label_of(found[0].heading), fontsize=10, loc="left")
        row[0].set(ylim=(-MARGIN * most, (1 + MARGIN) * most), yticks=np.linspace(0, most, 5))
    for axes, scale in zip(panels[-1], scales, strict=True):
        mark_powers(axes, [value for run in runs if (value := scale.of(costs[run]))])
        axes.set_xlabel(scale.title, fontsize=10)
    figure.legend(handles=entries(costs, looks), loc="outside lower center", ncols=2, frameon=False, fontsize=SMALL)
    figure.supylabel(metric_of(scores), fontsize=10)
    put_title(figure, "what accuracy costs, with 95 % intervals")
    return figure


def draw_against(
    axes: Axes, scale: Scale, points: Sequence[tuple[float, Score]], looks: Mapping[str, tuple[str, str]]
) -> None:
    """Draw what runs give on a dataset against what they cost, and the front."""
    axes.plot(*zip(*front_of([(cost, one.mean) for cost, one in points], scale.better), strict=True), **FRONT)
    for cost, one in points:
        color, marker = looks[one.run]
        # A mean that was summed in another order than the interval's may be beyond it by rounding.
        ends = np.maximum([[one.mean - one.low], [one.high - one.mean]], 0)
        axes.errorbar([cost], [one.mean], ends, color=color, marker=marker, **DOT)
    axes.tick_params(labelbottom=True, labelsize=SMALL)
    axes.grid(alpha=0.3)


def mark_powers(axes: Axes, values: Sequence[float]) -> None:
    """Let a logarithmic axis hold values, with as many numbers at its ticks as there is room for."""
    axes.set_xscale("log")
    axes.margins(x=0.1)
    ratio = max(values) / min(values)
    powers = LogLocator(subs=(1.0, 2.0, 5.0) if ratio < FEW else (1.0,))
    axes.xaxis.set_major_locator(MaxNLocator(4) if ratio < NEAR else powers)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def entries(costs: Mapping[str, Cost], looks: Mapping[str, tuple[str, str]]) -> list[Line2D]:
    """Return what a legend says of each run: its name, and the kind of device that extracted it if they differ."""
    kinds = {run: costs[run].device.split(" ")[0] for run in looks}
    differ = len({kind for kind in kinds.values() if kind}) > 1
    named = [
        Line2D([], [], color=color, marker=marker, linestyle="", label=label_of(run), markersize=DOT["markersize"])
        for run, (color, marker) in looks.items()
    ]
    for line, kind in zip(named, kinds.values(), strict=True):
        if differ and kind:
            line.set_label(f"{line.get_label()}\n{plain_text(kind, most=12)}")
    return [*named, Line2D([], [], **FRONT, label="Pareto front")]
