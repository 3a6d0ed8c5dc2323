"""Figures of all runs: mAP with intervals, AP of the queries, classes, similarities, cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from pipeline.frame.experiment import Experiment
from pipeline.frame.runs import stage_of
from pipeline.frame.upstream import output_of
from pipeline.results.cost import Cost
from pipeline.results.tables import read_table
from pipeline.views.style import Style, plain_text

SHOWN = ("mAP", "mAP_low", "mAP_high", "mAP_random")
MOST_CLASSES = 60  # that a heat map can name


@dataclass(frozen=True)
class Score:
    """The mAP of a run on a dataset, the ends of its 95 % interval, and what a random ranking gives; in [0, 1]."""

    run: str
    dataset: str
    mean: float
    low: float
    high: float
    random: float


def read_scores(path: Path, experiment: Experiment) -> list[Score]:
    """Return the mAP of every run on every dataset from the comparative table.

    Raises:
        RetrievalError: the table is missing or of another form.
    """
    with output_of("compare", f"table in {path}"):
        table = read_table(path, "encoder", "dataset", *SHOWN)
        rows = {
            (run, dataset): [float(table[name][row]) for name in SHOWN]
            for row, (run, dataset) in enumerate(zip(table["encoder"], table["dataset"], strict=True))
        }
        wrong = [value for values in rows.values() for value in values if not 0 <= value <= 1]
        if wrong:
            raise ValueError(f"{wrong[0]} is no fraction")
        return [Score(run, dataset, *rows[run, dataset]) for dataset in experiment.datasets for run in experiment.runs]


def draw_map(scores: Sequence[Score], style: Style) -> Figure:
    """Draw mAP with its 95 % interval as bars, one group per dataset; a line across a group is what chance gives."""
    runs, datasets = (list(dict.fromkeys(getattr(one, name) for one in scores)) for name in ("run", "dataset"))
    found = {(one.run, one.dataset): one for one in scores}
    figure = Figure(figsize=(style.width, style.height), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(runs)
    for index, run in enumerate(runs):
        row = [found[run, dataset] for dataset in datasets]
        places = np.arange(len(datasets)) + (index - (len(runs) - 1) / 2) * width
        means = [one.mean for one in row]
        spread = np.array([[one.mean - one.low for one in row], [one.high - one.mean for one in row]])
        color, _ = style.look(index)
        axes.bar(places, means, width * 0.9, color=color, label=plain_text(run))
        # A mean that was summed in another order than the interval's may be beyond it by rounding.
        axes.errorbar(places, means, yerr=np.maximum(spread, 0), fmt="none", ecolor="#333333", elinewidth=1, capsize=2)
    for place, dataset in enumerate(datasets):
        chance = float(np.mean([one.random for one in scores if one.dataset == dataset]))
        axes.plot([place - 0.45, place + 0.45], [chance, chance], color="#333333", linestyle=":", linewidth=1)
    axes.set_xticks(range(len(datasets)), [plain_text(dataset, most=25) for dataset in datasets])
    axes.set(ylabel="mAP", ylim=(0, 1), title="mAP and its 95 % interval; dotted: a random ranking")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw_distribution(aps: Mapping[str, Float[np.ndarray, " query"]], *, title: str, style: Style) -> Figure:
    """Draw for each run the share of queries whose AP is at most a value: further right is better."""
    figure = Figure(figsize=(style.width, style.height), layout="constrained")
    axes = figure.add_subplot()
    for index, (run, values) in enumerate(aps.items()):
        color, marker = style.look(index)
        steps = np.arange(1, len(values) + 1) / len(values)
        axes.step(np.sort(values), steps, where="post", color=color, label=plain_text(run))
        middle = float(np.median(values))
        axes.plot([middle], [0.5], color=color, marker=marker)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="AP", ylabel="share of queries with at most this AP")
    axes.set_title(plain_text(title))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def draw_classes(classes: Mapping[str, Mapping[str, float]], *, title: str, style: Style) -> Figure:
    """Draw mAP of each class and run as a heat map, the hardest class first; of many classes the hardest.

    Args:
        classes: by run and label.
        title: of the figure.
        style: how figures look.
    """
    labels = list(dict.fromkeys(label for known in classes.values() for label in known))
    means = np.array([[known.get(label, np.nan) for known in classes.values()] for label in labels], float)
    order = np.argsort(np.nanmean(means, axis=1), kind="stable")[:MOST_CLASSES]
    left = f", the {len(order)} hardest of {len(labels)} classes" if len(order) < len(labels) else ""
    figure = Figure(figsize=(style.width, max(style.height, 0.18 * len(order) + 1.4)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(means[order], aspect="auto", cmap="cividis", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), [plain_text(run, most=30) for run in classes], rotation=35, ha="right")
    axes.set_yticks(range(len(order)), [plain_text(labels[place], most=25) for place in order], fontsize=7)
    axes.set_title(plain_text(f"{title}{left}"))
    figure.colorbar(image, ax=axes, label="mAP")
    return figure


def draw_similarities(histograms: Mapping[str, Mapping[str, np.ndarray]], *, title: str, style: Style) -> Figure:
    """Draw for each encoder how alike queries are to positives, filled, and to negatives, a dashed line.

    Each is a share of its own pairs. Every panel has an axis of its own, since encoders use different parts of it.

    Args:
        histograms: by encoder, see :func:`pipeline.retrieval.histogram.histogram`.
        title: of the figure.
        style: how figures look.
    """
    columns = min(3, len(histograms))
    rows = -(-len(histograms) // columns)
    figure = Figure(figsize=(style.width, max(style.height, 1.6 * rows + 0.8)), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (encoder, table) in zip(panels, histograms.items(), strict=False):
        edges = np.append(table["low"], table["high"][-1])
        shares = {name: table[name] / max(1, table[name].sum()) for name in ("positives", "negatives")}
        axes.stairs(shares["positives"], edges, fill=True, color=style.look(0)[0], alpha=0.5, label="positives")
        axes.stairs(
            shares["negatives"], edges, color=style.look(1)[0], linestyle="--", linewidth=1.2, label="negatives"
        )
        axes.set_title(plain_text(encoder, most=30), fontsize=9)
        axes.set_yticks([])
        axes.locator_params(axis="x", nbins=4)
        axes.tick_params(labelsize=7)
    for axes in panels[len(histograms) :]:
        axes.set_axis_off()
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside upper right", ncols=2, fontsize=8)
    figure.suptitle(plain_text(title), x=0.01, ha="left", fontsize=11)
    figure.supxlabel("cosine", fontsize=9)
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
    figure = Figure(figsize=(style.width, style.height), layout="constrained")
    axes = figure.add_subplot()
    for encoder, speed, size, device in points:
        mean = float(np.mean([one.mean for one in scores if one.run == encoder]))
        color, marker = style.look(runs.index(encoder))
        label = plain_text(f"{encoder}, {size} B, {device.split(' ')[0]}")
        axes.scatter([speed], [mean], s=size / 16, color=color, marker=marker, alpha=0.7, label=label)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=0.7)
    axes.set_xscale("log")
    axes.margins(x=0.1, y=0.15)
    axes.set(xlabel="images/s of the extraction", ylabel="mean mAP")
    axes.set_title("what accuracy costs: speed, and bytes of a feature as area")
    axes.grid(alpha=0.3, which="both")
    return figure


def read_classes(directory: Path, dataset: str, runs: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the mAP of each class, by run and label; no label for a dataset without any.

    Raises:
        RetrievalError: see :func:`read_tables`.
    """
    tables = read_tables(directory, dataset, runs, {"label": str, "mAP": float})
    return {run: dict(zip(table["label"], table["mAP"], strict=True)) for run, table in tables.items()}


def read_similarities(directory: Path, dataset: str, encoders: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """Return how alike pairs of a dataset are, by encoder (see :func:`pipeline.retrieval.histogram.histogram`).

    Raises:
        RetrievalError: see :func:`read_tables`.
    """
    columns = dict.fromkeys(("low", "high", "positives", "negatives"), float)
    tables = read_tables(directory, dataset, encoders, columns)
    return {encoder: {name: np.array(cells) for name, cells in table.items()} for encoder, table in tables.items()}


def read_tables(
    directory: Path, dataset: str, runs: Sequence[str], columns: Mapping[str, type]
) -> dict[str, dict[str, list[Any]]]:
    """Return columns of what the evaluation of each run wrote as a table, by run, their cells of some types.

    Raises:
        RetrievalError: a file is missing or of another form.
    """
    found = {}
    for run in runs:
        path = directory / dataset / f"{run}.csv"
        with output_of(stage_of(run, dataset), str(path)):
            table = read_table(path, *columns)
            found[run] = {name: [kind(cell) for cell in table[name]] for name, kind in columns.items()}
    return found
