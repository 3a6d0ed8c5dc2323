"""Figures of all runs: mAP with intervals, AP of the queries, what accuracy costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.frame.experiment import Experiment
from pipeline.frame.upstream import output_of
from pipeline.results.cost import Cost
from pipeline.results.tables import read_table
from pipeline.retrieval.measures import measure_of
from pipeline.views.style import SMALL, Style, label_of, plain_text, put_legend, put_title

SHOWN = ("value", "value_low", "value_high", "value_chance")
ABREAST = 3  # panels side by side
LEAST = 4  # rows that there is room for
MOST_DOTS = 300  # of the queries of a run
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
    def name(self) -> str:
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
        axes.set_title(label_of(row[0].name), fontsize=10)
        most = measure_of(row[0].metric).most
        axes.set(xlim=(0, most), xticks=(0, most / 2, most))
    for axes in panels[len(datasets) :]:
        axes.set_axis_off()
    for axes in panels[::columns]:
        name_rows(axes, runs)
    metrics = {one.metric for one in scores}
    shown = metrics.pop() if len(metrics) == 1 else "each dataset's metric"
    put_title(figure, f"{shown} and its 95 % interval; dotted: a random ranking")
    return figure


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
    """Draw mean mAP against images/s, a feature's bytes as area: what an encoder's accuracy costs.

    Args:
        costs: of each encoder; those whose features were made elsewhere have no speed and are left out.
        scores: of all runs.
        style: how figures look.

    Returns:
        None if no speed is known.
    """
    runs = list(dict.fromkeys(one.run for one in scores))
    points = [(encoder, cost.speed, cost.bytes or 0, cost.device) for encoder, cost in costs.items() if cost.speed]
    if not points:
        return None
    figure = Figure(figsize=style.size(1.6 * len(points)), layout="constrained")
    axes = figure.add_subplot()
    for encoder, speed, size, device in points:
        mean = float(np.mean([one.mean for one in scores if one.run == encoder]))
        color, marker = style.look(runs.index(encoder))
        label = f"{label_of(encoder)}\n{size:,} B, {plain_text(device.split(' ')[0], most=12)}"
        axes.scatter([speed], [mean], s=size / 16, color=color, marker=marker, alpha=0.7, label=label)
    put_legend(axes, markerscale=0.5)
    axes.set_xscale("log")
    axes.margins(x=0.1, y=0.15)
    axes.set(xlabel="images/s of the extraction", ylabel="mean mAP")
    put_title(figure, "what accuracy costs: speed, and bytes of a feature as area")
    axes.grid(alpha=0.3, which="both")
    return figure
