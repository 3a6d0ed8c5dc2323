"""The comparison as people read it, in Markdown and LaTeX."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from tabulate import tabulate

from pipeline.results.comparison import RELATIVE
from pipeline.results.cost import MEAN
from pipeline.results.pairs import indistinguishable_from_best, leaders_of


def cost_markdown(costs: Mapping[str, Sequence[Any]]) -> str:
    """Return the costs (see :func:`pipeline.results.cost.cost_table`) as a Markdown table in units to read."""

    def shown(name: str, unit: float | int, digits: int) -> list[str]:
        return ["–" if value is None else f"{value / unit:,.{digits}f}" for value in costs[name]]

    columns = {
        "encoder": [md(encoder) for encoder in costs["encoder"]],
        MEAN: [f"{mean:.4f}" for mean in costs[MEAN]],
        "images/s": shown("images_per_second", 1, 1),
        "feature size, bytes": shown("feature_bytes", 1, 0),
        "million parameters": shown("parameters", 1e6, 1),
        "GFLOP per image": shown("flops_per_image", 1e9, 2),
        "peak memory, GiB": shown("peak_memory_bytes", 2**30, 2),
        "peak GPU memory, GiB": shown("peak_gpu_memory_bytes", 2**30, 2),
        "precision": [precision or "–" for precision in costs["precision"]],
        "device": [md(device) or "–" for device in costs["device"]],
    }
    return f"{tabulate(columns, headers='keys', tablefmt='pipe', disable_numparse=True)}\n"


def cells(
    comparison: pd.DataFrame,
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    *,
    bold: Callable[[str], str],
    escape: Callable[[str], str] = str,
) -> pd.DataFrame:
    """Return the comparison as text, each mAP with its 95 % interval.

    The best of each column is bold, ties all of them. A tilde marks an mAP that cannot be told from the column's best.
    """
    shown = comparison.map(lambda value: f"{value:.4f}")
    shown[RELATIVE] = comparison[RELATIVE].map(lambda value: escape(f"{value:.2%}"))
    best = comparison.eq(comparison.max())
    shown = shown.mask(best, shown.map(bold))
    alike = indistinguishable_from_best(pairs, leaders_of(table))
    for encoder, dataset, low, high in table[["encoder", "dataset", "mAP_low", "mAP_high"]].itertuples(index=False):
        mark = escape(" ~") if (encoder, dataset) in alike else ""
        shown.loc[encoder, dataset] += f" [{low:.3f}, {high:.3f}]{mark}"
    return shown.rename(index=escape, columns=escape).reset_index(names="encoder")


def markdown(comparison: pd.DataFrame, table: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """Return the comparison as a Markdown table (see :func:`cells`), and what cannot be told apart."""
    shown = cells(comparison, table, pairs, bold=lambda text: f"**{text}**", escape=md)
    lines = [shown.to_markdown(index=False, disable_numparse=True), "", caption(table, pairs)]
    return "\n".join(lines) + "\n"


def latex(comparison: pd.DataFrame, table: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """Return the comparison as a LaTeX table (see :func:`cells`), its caption as a comment."""
    shown = cells(comparison, table, pairs, bold=lambda text: rf"\textbf{{{text}}}", escape=tex)
    headers = [str(name) for name in shown.columns]
    rows = tabulate(shown.to_numpy().tolist(), headers=headers, tablefmt="latex_raw", disable_numparse=True)
    return f"% {caption(table, pairs)}\n{rows}\n"


def md(text: str) -> str:
    """Return text as Markdown shows it: what means something there is escaped."""
    return "".join(f"\\{letter}" if letter in "\\`*[]<>|" else letter for letter in text)


def tex(text: str) -> str:
    """Return text as LaTeX shows it: what means something there is escaped."""
    marks = {"\\": r"\textbackslash{}", "~": r"$\sim$", "^": r"\textasciicircum{}"}
    marks |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    marks |= {mark: f"\\{mark}" for mark in "&%$#_{}"}
    return "".join(marks.get(letter, letter) for letter in text)


def caption(table: pd.DataFrame, pairs: pd.DataFrame) -> str:
    """Return in words what the table shows, and which encoders cannot be told apart."""
    return "mAP with its 95 % bootstrap interval over queries. " + told_apart(pairs, leaders_of(table))


def told_apart(pairs: pd.DataFrame, leaders: Mapping[str, str]) -> str:
    """Return in words which pairs of encoders are not distinguishable, dataset by dataset."""
    if pairs.empty:
        return "One encoder: there is nothing to tell apart."
    level = "(paired randomisation test, Holm-corrected, 5 %)"
    unsure = pairs[~pairs["distinguishable"].astype(bool)]
    if unsure.empty:
        return f"All pairs of encoders are distinguishable on every dataset {level}."
    parts = [
        f"on {dataset}: " + ", ".join(f"{a} and {b}" for a, b in rows[["a", "b"]].itertuples(index=False))
        for dataset, rows in unsure.groupby("dataset", sort=False)
    ]
    marked = " (~: not distinguishable from the best)" if indistinguishable_from_best(pairs, leaders) else ""
    return f"Not distinguishable {level} {'; '.join(parts)}{marked}."
