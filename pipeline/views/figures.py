"""Figures of all runs: mAP with intervals, AP of the queries, classes, similarities, cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from pipeline.frame.experiment import Experiment
from pipeline.frame.runs import stage_of
from pipeline.results.cost import Cost
from pipeline.results.outputs import made_by
from pipeline.results.runs import read_run
from pipeline.retrieval.errors import RetrievalError
from pipeline.views.style import Style, plain_text

MOST_CLASSES = 60  # that a heat map can name


def run_table(runs: Path, experiment: Experiment) -> pd.DataFrame:
    """Return a row a run and dataset: run, dataset, mAP and the ends of its interval."""
    rows = []
    for dataset in experiment.datasets:
        for run in experiment.runs:
            metrics = read_run(runs, run, dataset)
            try:
                rows.append((run, dataset, *(metrics[name] for name in ("mAP", "mAP_low", "mAP_high", "mAP_random"))))
            except KeyError as error:
                again = f"run dvc repro {stage_of(run, dataset)}"
                raise RetrievalError(f"the metrics of {run} on {dataset} lack {error}: {again}") from None
    return pd.DataFrame(rows, columns=["run", "dataset", "mAP", "low", "high", "random"])


def draw_map(table: pd.DataFrame, style: Style) -> Figure:
    """Draw mAP with its 95 % interval as bars, a group a dataset; a line across a group is what chance gives."""
    runs, datasets = table["run"].unique().tolist(), table["dataset"].unique().tolist()
    figure = Figure(figsize=(style.width, style.height), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / len(runs)
    for index, run in enumerate(runs):
        rows = table[table["run"] == run].set_index("dataset").loc[datasets]
        places = np.arange(len(datasets)) + (index - (len(runs) - 1) / 2) * width
        spread = np.array([rows["mAP"] - rows["low"], rows["high"] - rows["mAP"]])
        color, _ = style.look(index)
        axes.bar(places, rows["mAP"], width * 0.9, color=color, label=plain_text(run))
        axes.errorbar(places, rows["mAP"], yerr=spread, fmt="none", ecolor="#333333", elinewidth=1, capsize=2)
    for place, dataset in enumerate(datasets):
        chance = float(table.loc[table["dataset"] == dataset, "random"].mean())
        axes.plot([place - 0.45, place + 0.45], [chance, chance], color="#333333", linestyle=":", linewidth=1)
    axes.set_xticks(range(len(datasets)), [plain_text(dataset, most=25) for dataset in datasets])
    axes.set(ylabel="mAP", ylim=(0, 1), title="mAP, 95 % interval over queries; dotted: a random ranking")
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


def draw_classes(classes: pd.DataFrame, *, title: str, style: Style) -> Figure:
    """Draw mAP of each class and run as a heat map, the hardest class first; of many classes the hardest.

    Args:
        classes: a row a class, a column a run.
        title: of the figure.
        style: how figures look.
    """
    ordered = classes.loc[classes.mean(axis=1).sort_values(kind="stable").index]
    shown = ordered.iloc[:MOST_CLASSES]
    left = f", the {len(shown)} hardest of {len(ordered)} classes" if len(shown) < len(ordered) else ""
    figure = Figure(figsize=(style.width, max(style.height, 0.18 * len(shown) + 1.4)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shown.to_numpy(float), aspect="auto", cmap="cividis", vmin=0, vmax=1)
    axes.set_xticks(range(shown.shape[1]), [plain_text(str(run), most=30) for run in shown], rotation=35, ha="right")
    axes.set_yticks(range(len(shown)), [plain_text(str(label), most=25) for label in shown.index], fontsize=7)
    axes.set_title(plain_text(f"{title}{left}"))
    figure.colorbar(image, ax=axes, label="mAP")
    return figure


def draw_similarities(histograms: Mapping[str, pd.DataFrame], *, title: str, style: Style) -> Figure:
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
        edges = np.append(table["low"].to_numpy(), table["high"].iloc[-1])
        shares = {name: table[name].to_numpy() / max(1, table[name].sum()) for name in ("positives", "negatives")}
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


def draw_cost(table: pd.DataFrame, *, style: Style) -> Figure:
    """Draw mean mAP against images a second, a feature's bytes as area: what an encoder's accuracy costs.

    Args:
        table: see :func:`cost_points`.
        style: how figures look.
    """
    figure = Figure(figsize=(style.width, style.height), layout="constrained")
    axes = figure.add_subplot()
    columns = (table[name].tolist() for name in ("place", "encoder", "mAP", "speed", "bytes", "device"))
    for place, encoder, mean, speed, size, device in zip(*columns, strict=True):
        color, marker = style.look(place)
        label = plain_text(f"{encoder}, {size} B, {device}")
        axes.scatter([speed], [mean], s=size / 16, color=color, marker=marker, alpha=0.7, label=label)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=0.7)
    axes.set_xscale("log")
    axes.margins(x=0.1, y=0.15)
    axes.set(xlabel="images/s of the extraction", ylabel="mean mAP")
    axes.set_title("what accuracy costs: speed, and bytes of a feature as area")
    axes.grid(alpha=0.3, which="both")
    return figure


def read_classes(directory: Path, dataset: str, runs: Sequence[str]) -> pd.DataFrame:
    """Return a row a class, a column a run: mAP; empty for a dataset without labels.

    Raises:
        RetrievalError: a file is missing or of another form.
    """
    columns = {}
    for run in runs:
        path = directory / dataset / f"{run}.csv"
        with made_by(stage_of(run, dataset), str(path)):
            table = pd.read_csv(path, dtype={"label": str}, keep_default_na=False)
            columns[run] = table.set_index("label")["mAP"].astype(float)
    return pd.DataFrame(columns)


def read_similarities(directory: Path, dataset: str, encoders: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Return how alike pairs of a dataset are, by encoder.

    Raises:
        RetrievalError: a file is missing or of another form.
    """
    tables = {}
    for encoder in encoders:
        path = directory / dataset / f"{encoder}.csv"
        with made_by(stage_of(encoder, dataset), str(path)):
            tables[encoder] = pd.read_csv(path)[["low", "high", "positives", "negatives"]].astype(float)
    return tables


def cost_points(costs: Mapping[str, Cost], table: pd.DataFrame) -> pd.DataFrame:
    """Return a row an encoder whose features were made here: its position, mean mAP, images/s, bytes, kind of device.

    Args:
        costs: of each encoder.
        table: see :func:`run_table`.
    """
    runs = table["run"].unique().tolist()
    means = table.groupby("run")["mAP"].mean()
    rows = [
        (runs.index(encoder), encoder, means[encoder], cost.speed, cost.bytes, cost.device.split(" ")[0])
        for encoder, cost in costs.items()
        if cost.speed is not None
    ]
    return pd.DataFrame(rows, columns=["place", "encoder", "mAP", "speed", "bytes", "device"])
