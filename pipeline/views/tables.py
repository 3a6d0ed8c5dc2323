"""The comparison as people read it, in Markdown and LaTeX."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from tabulate import tabulate

from pipeline.results.comparison import RELATIVE, Summary
from pipeline.results.cost import MEAN
from pipeline.results.pairs import Compared, Design, indistinguishable_from_best, leaders_of
from pipeline.results.titles import Titles

# By how much mAP may move with the order of equal scores before the caption says so.
TIES = 0.005
NONE = Titles()  # every name as it is


def cost_markdown(costs: Mapping[str, Sequence[Any]], titles: Titles = NONE) -> str:
    """Return the costs (see :func:`pipeline.results.cost.cost_table`) as a Markdown table in units to read."""

    def shown(name: str, unit: float | int, digits: int) -> list[str]:
        return ["–" if value is None else f"{value / unit:,.{digits}f}" for value in costs[name]]

    columns = {
        "encoder": [md(titles.run(encoder)) for encoder in costs["encoder"]],
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
    summary: Summary,
    titles: Titles,
    *,
    bold: Callable[[str], str],
    escape: Callable[[str], str] = str,
) -> pd.DataFrame:
    """Return the comparison as text, each mAP, mean mAP and share of the best with its 95 % interval.

    The best of each column is bold, ties all of them. A tilde marks an mAP that cannot be told from the column's best,
    a question mark one that cannot be told from a random ranking's.
    """
    shown = comparison.map(lambda value: f"{value:.4f}")
    shown[RELATIVE] = comparison[RELATIVE].map(lambda value: escape(f"{value:.2%}"))
    best = comparison.eq(comparison.max())
    shown = shown.mask(best, shown.map(bold))
    alike = indistinguishable_from_best(pairs, {**leaders_of(table), MEAN: summary["best"]})
    by_chance = like_chance(table)
    for encoder, dataset, low, high in table[["encoder", "dataset", "mAP_low", "mAP_high"]].itertuples(index=False):
        mark = (" ~" if (encoder, dataset) in alike else "") + (" ?" if (encoder, dataset) in by_chance else "")
        shown.loc[encoder, dataset] += f" [{low:.3f}, {high:.3f}]{escape(mark)}"
    shares = [(str(encoder), summary["encoders"][str(encoder)]) for encoder in shown.index]
    shown[MEAN] += [
        f" [{share['low']:.3f}, {share['high']:.3f}]{escape(' ~') if (encoder, MEAN) in alike else ''}"
        for encoder, share in shares
    ]
    shown[RELATIVE] += [
        ""
        if encoder == summary["best"]
        else f" [{100 * share['relative_low']:.0f}, {100 * share['relative_high']:.0f}]"
        for encoder, share in shares
    ]
    named = shown.rename(
        index=lambda run: escape(titles.run(run)), columns=lambda dataset: escape(titles.dataset(dataset))
    )
    return named.reset_index(names="encoder")


def markdown(
    comparison: pd.DataFrame,
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    summary: Summary,
    caption: str,
    titles: Titles = NONE,
) -> str:
    """Return the comparison as a Markdown table (see :func:`cells`), and its caption."""
    shown = cells(comparison, table, pairs, summary, titles, bold=lambda text: f"**{text}**", escape=md)
    return f"{shown.to_markdown(index=False, disable_numparse=True)}\n\n{caption}\n"


def latex(
    comparison: pd.DataFrame,
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    summary: Summary,
    caption: str,
    titles: Titles = NONE,
) -> str:
    """Return the comparison as a LaTeX table (see :func:`cells`), its caption as a comment."""
    shown = cells(comparison, table, pairs, summary, titles, bold=lambda text: rf"\textbf{{{text}}}", escape=tex)
    headers = [str(name) for name in shown.columns]
    rows = tabulate(shown.to_numpy().tolist(), headers=headers, tablefmt="latex_raw", disable_numparse=True)
    return f"% {caption}\n{rows}\n"


def md(text: str) -> str:
    """Return text as Markdown shows it: what means something there is escaped."""
    return "".join(f"\\{letter}" if letter in "\\`*[]<>|" else letter for letter in text)


def tex(text: str) -> str:
    """Return text as LaTeX shows it: what means something there is escaped."""
    marks = {"\\": r"\textbackslash{}", "~": r"$\sim$", "^": r"\textasciicircum{}"}
    marks |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    marks |= {mark: f"\\{mark}" for mark in "&%$#_{}"}
    return "".join(marks.get(letter, letter) for letter in text)


def caption(
    table: pd.DataFrame,
    compared: Compared,
    summary: Summary,
    design: Design,
    population: str,
    titles: Titles = NONE,
) -> str:
    """Return in words what the table shows, what its marks mean, and what else must be known to read it.

    Args:
        table: one row a run.
        compared: the comparisons.
        summary: of the means.
        design: of the comparisons.
        population: what they generalise to, in words.
        titles: what the names of runs and datasets are shown as.
    """
    lines = [f"mAP with its 95 % interval. {population}", *told_apart(table, compared, summary, design, titles)]
    if like_chance(table):
        lines.append("?: not distinguishable from a random ranking.")
    if compared.out_of_reach:
        lines.append(compared.out_of_reach)
    tied = table[table["tie_gap"] > TIES]
    if len(tied):
        worst = tied.sort_values("tie_gap").iloc[-1]
        lines.append(
            f"The order of equal scores moves mAP by up to {worst['tie_gap']:.3f} ({titles.run(worst['encoder'])} on "
            f"{titles.dataset(worst['dataset'])}; tie_gap in table.csv)."
        )
    return " ".join(lines)


def told_apart(table: pd.DataFrame, compared: Compared, summary: Summary, design: Design, titles: Titles) -> list[str]:
    """Return in words what the tilde means, or that there is none, and by what test."""
    pairs = compared.pairs
    if pairs.empty:
        return ["One encoder: there is nothing to tell apart."]
    kind = "paired t test" if design.test == "t" else "paired test by sign flips"
    of_all = "of all datasets" if design.correction == "all" else "of a dataset"
    how = f"({kind}, corrected for all pairs {of_all} by Holm, 5 %)"
    if design.family not in ("best", "pairs"):
        unsure = pairs[~pairs["distinguishable"].astype(bool)]
        listed = [f"{titles.run(str(row.b))} on {titles.dataset(str(row.dataset))}" for row in unsure.itertuples()]
        how, named = how.replace("all pairs", "its pairs"), titles.run(design.family)
        return [f"Not distinguishable from {named} {how}: {'; '.join(listed) or 'none'}."]
    if indistinguishable_from_best(pairs, {**leaders_of(table), MEAN: summary["best"]}):
        return [f"~: not distinguishable from the best of the column {how}."]
    return [f"All are distinguishable from the best of their column {how}."]


def like_chance(table: pd.DataFrame) -> set[tuple[str, str]]:
    """Return the (encoder, dataset) whose interval holds what a random ranking gives, or is below it."""
    rows = table[table["mAP_low"] <= table["mAP_random"]]
    return set(zip(rows["encoder"], rows["dataset"], strict=True))
