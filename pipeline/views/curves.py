"""Precision-recall curves: a table of their points, and a figure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.figure import Figure

from pipeline.results.estimates import Curve
from pipeline.retrieval.levels import RECALL_LEVELS
from pipeline.views.style import Style, label_of, put_legend, put_title


@dataclass(frozen=True)
class Shown:
    """What the intervals of curves are about; conf/pr.yaml.

    Attributes:
        population: as in :class:`pipeline.results.pairs.Design`.
    """

    population: Literal["widest", "classes", "images", "queries"]


def long_table(curves: Mapping[str, Curve]) -> dict[str, list[Any]]:
    """Return one value per point in each column: encoder, recall, precision and the ends of its interval."""
    points = [
        (encoder, *point)
        for encoder, curve in curves.items()
        for point in zip(RECALL_LEVELS, curve.mean.tolist(), curve.low.tolist(), curve.high.tolist(), strict=True)
    ]
    names = ("encoder", "recall", "precision", "low", "high")
    return {name: list(column) for name, column in zip(names, zip(*points, strict=True), strict=True)}


def draw(curves: Mapping[str, Curve], *, title: str, style: Style) -> Figure:
    """Draw the curves with their intervals, told apart by colour and by marker, best mean precision first.

    Args:
        curves: by the name of the run; its position decides colour and marker.
        title: of the figure.
        style: how figures look.
    """
    figure = Figure(figsize=style.size(len(curves)), layout="constrained")
    axes = figure.add_subplot()
    looks = {encoder: style.look(index) for index, encoder in enumerate(curves)}
    for encoder in sorted(curves, key=lambda name: -float(curves[name].mean.mean())):
        (color, marker), curve = looks[encoder], curves[encoder]
        axes.fill_between(RECALL_LEVELS, curve.low, curve.high, color=color, alpha=0.15, linewidth=0)
        axes.plot(RECALL_LEVELS, curve.mean, color=color, marker=marker, markersize=4, label=label_of(encoder))
    put_title(figure, title)
    axes.set(xlabel="recall", ylabel="interpolated precision")
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.02))
    axes.set_xticks(RECALL_LEVELS)
    axes.grid(alpha=0.3)
    put_legend(axes)
    return figure
