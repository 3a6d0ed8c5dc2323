"""Per-query results of all encoders on a dataset -> their 11-point precision-recall curves.

``python -m pipeline.pr dataset=digits`` writes ``plots/pr/digits.csv`` and ``plots/pr/digits.png``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure
from omegaconf import DictConfig

from pipeline.app import app
from pipeline.experiment import read_experiment
from pipeline.figures import plain_text, save_png
from pipeline.files import write_text
from pipeline.metrics import RECALL_LEVELS
from pipeline.results import read_results


def read_curve(path: Path) -> Float[np.ndarray, " 11"]:
    """Return the mean interpolated precision over the queries of one run.

    Raises:
        RetrievalError: see :func:`pipeline.results.read_results`.
    """
    interpolated: Float[np.ndarray, "query 11"] = read_results(path, "interpolated")["interpolated"]
    curve: Float[np.ndarray, " 11"] = np.ascontiguousarray(interpolated.T).mean(axis=1)
    return curve


def long_table(curves: Mapping[str, Float[np.ndarray, " 11"]]) -> pd.DataFrame:
    """Return a row a point: encoder, recall, precision."""
    return pd.DataFrame(
        [
            {"encoder": encoder, "recall": recall, "precision": float(precision)}
            for encoder, curve in curves.items()
            for recall, precision in zip(RECALL_LEVELS, curve, strict=True)
        ]
    )


def draw(
    curves: Mapping[str, Float[np.ndarray, " 11"]],
    *,
    title: str,
    width: float,
    height: float,
    colors: Sequence[str],
    markers: Sequence[str],
) -> Figure:
    """Draw the curves, told apart by colour and by marker, best mean precision first in the legend.

    Args:
        curves: precision at recall 0, 0.1, ..., 1, by encoder.
        title: of the figure.
        width: inches.
        height: inches.
        colors: by position in ``curves``; used again from the start if there are more curves.
        markers: the same.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    styles = {
        encoder: (colors[index % len(colors)], markers[index % len(markers)]) for index, encoder in enumerate(curves)
    }
    for encoder in sorted(curves, key=lambda name: -float(curves[name].mean())):
        color, marker = styles[encoder]
        label = plain_text(encoder)
        axes.plot(RECALL_LEVELS, curves[encoder], color=color, marker=marker, markersize=4, label=label)
    axes.set(title=plain_text(title), xlabel="recall", ylabel="interpolated precision")
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.02))
    axes.set_xticks(RECALL_LEVELS)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


@app("pr")
def main(config: DictConfig) -> None:
    """Run the stage."""
    curves = {run: read_curve(Path(config.per_query) / f"{run}.npz") for run in read_experiment().runs}
    style = config.figure
    figure = draw(
        curves,
        title=f"{config.dataset_name}: interpolated precision, mean over queries",
        width=float(style.width),
        height=float(style.height),
        colors=list(style.colors),
        markers=list(style.markers),
    )
    save_png(figure, Path(config.png), dpi=style.dpi)
    write_text(Path(config.csv), long_table(curves).to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    main()
