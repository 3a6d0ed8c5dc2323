"""Figures of the parts of runs on a dataset: classes as a heat map, similarities of positives and negatives."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.results.breakdown import auc
from pipeline.views.style import SMALL, Style, label_of, plain_text, put_title

MOST_CLASSES = 40  # that a heat map can name and give values
FEW = 5  # runs whose names fit below its columns
CELL = 0.42  # the least width of one of its cells, in inches
# The lightness of a colour at which black and white stand out alike, for relative luminance as WCAG 2 defines it.
BALANCE = 0.179


def draw_classes(classes: Mapping[str, Mapping[str, float]], *, title: str, style: Style) -> Figure:
    """Draw mAP of each class and run as a heat map with its values, the hardest class first.

    Args:
        classes: by run and label.
        title: of the figure.
        style: how figures look.
    """
    labels = list(dict.fromkeys(label for known in classes.values() for label in known))
    means = np.array([[known.get(label, np.nan) for known in classes.values()] for label in labels], float)
    order = chosen_classes(means)
    if len(order) < len(labels):
        what = "on which the runs differ most" if len(classes) > 1 else "that are hardest"
        title = f"{title}, the {len(order)} of {len(labels)} classes {what}"
    most, turned = (16, 0) if len(classes) <= FEW else (28, 90)
    width, height = CELL * len(classes) + 2.5, 0.2 * len(order) + (2.8 if turned else 1.2)
    figure = Figure(figsize=(max(style.width, width), max(style.height, height)), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(means[order], aspect="auto", cmap="cividis", vmin=0, vmax=1)
    colors = np.asarray(image.to_rgba(means[order]), float)
    for (row, column), value in np.ndenumerate(means[order]):
        write_value(axes, row, column, value, colors[row, column, :3])
    axes.set_xticks(range(len(classes)), [label_of(run, most=most) for run in classes], rotation=turned, fontsize=SMALL)
    axes.set_yticks(range(len(order)), [plain_text(labels[place], most=26) for place in order], fontsize=7)
    figure.colorbar(image, ax=axes, label="mAP", aspect=30)
    put_title(figure, title)
    return figure


def chosen_classes(means: Float[np.ndarray, "label run"]) -> Int[np.ndarray, " chosen"]:
    """Return which classes are shown, the hardest first: of many those on which runs differ most.

    That is the largest of their means minus the least. Of one run the hardest are chosen.
    """
    hardness = np.nanmean(means, axis=1)
    differ = np.nanmax(means, axis=1) - np.nanmin(means, axis=1)
    first = np.argsort(-differ if means.shape[1] > 1 else hardness, kind="stable")[:MOST_CLASSES]
    return first[np.lexsort((first, hardness[first]))]


def write_value(axes: Axes, row: int, column: int, value: float, color: Float[np.ndarray, " part"]) -> None:
    """Write a value into its cell, in the one of black and white that stands out more; nothing where there is none."""
    if np.isnan(value):
        return
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    ink = "#000000" if luminance > BALANCE else "#ffffff"
    axes.text(column, row, f"{value:.2f}", color=ink, fontsize=7, ha="center", va="center")


def draw_similarities(histograms: Mapping[str, Mapping[str, np.ndarray]], *, title: str, style: Style) -> Figure:
    """Draw for each encoder how alike queries are to positives, filled, and to negatives, a dashed line; and their AUC.

    Each is a share of its own pairs. All encoders share one scale of cosines; each row is as high as its own peak.

    Args:
        histograms: by encoder, see :func:`pipeline.retrieval.histogram.histogram`.
        title: of the figure.
        style: how figures look.
    """
    figure = Figure(figsize=style.size(1.7 * len(histograms)), layout="constrained")
    rows = figure.subplots(len(histograms), sharex=True, squeeze=False).ravel()
    for axes, (encoder, table) in zip(rows, histograms.items(), strict=True):
        edges = np.append(table["low"], table["high"][-1])
        shares = {name: table[name] / max(1, table[name].sum()) for name in ("positives", "negatives")}
        axes.stairs(shares["positives"], edges, fill=True, color=style.look(0)[0], alpha=0.5, linewidth=0)
        axes.stairs(shares["negatives"], edges, color=style.look(1)[0], linestyle="--", linewidth=1.2)
        axes.set_ylabel(label_of(encoder), rotation=0, ha="right", va="center", fontsize=SMALL)
        area = auc(table["positives"].astype(float), table["negatives"].astype(float))
        axes.text(1.02, 0.5, f"AUC\n{area:.3f}", transform=axes.transAxes, fontsize=SMALL, va="center")
        axes.set_yticks([])
        axes.tick_params(labelsize=SMALL)
        axes.grid(axis="x", alpha=0.3)
    words = (
        "cosine of a query to positives (filled) and negatives (dashed)\nAUC: how often a positive is above a negative"
    )
    rows[-1].set_xlabel(words, fontsize=9)
    put_title(figure, title)
    return figure
