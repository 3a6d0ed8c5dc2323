"""The comparison as people read it, in Markdown and LaTeX."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from tabulate import tabulate

from pipeline.results.comparison import RELATIVE, Share, Summary, metrics_of
from pipeline.results.cost import MEAN, MILLION
from pipeline.results.pairs import Compared, Design, indistinguishable_from_best, leaders_of
from pipeline.results.titles import Titles

# By how much mAP may move with the order of equal scores before the caption says so.
TIES = 0.005
# From so many datasets on the table has the places by the mean.
MANY = 4
NONE = Titles()  # every name as it is
COST_CAPTION = (
    "bytes: stored of an image. h per million: hours to embed a million images, at these images/s. latency: of one "
    "image alone, the median (95th percentile). GFLOP: of an image."
)
# What a measurement depends on: the column of the table of costs, and what is said where it has one value alone.
MEASURED_ON = {"precision": "Computed in {}.", "device": "Measured on {}.", "threads": "Threads: {}."}


def cost_markdown(costs: Mapping[str, Sequence[Any]], titles: Titles = NONE, *, mean: str = MEAN) -> str:
    """Return the costs (see :func:`pipeline.results.cost.cost_table`) as a Markdown table in units to read.

    What is the same for all that was measured stands below it, not in a column; memory of a GPU is there if one was
    used. ``mean`` heads the mean over datasets.
    """

    def shown(name: str, unit: float | int, digits: int) -> list[str]:
        return ["–" if value is None else f"{value / unit:,.{digits}f}" for value in costs[name]]

    medians, p95s = shown("latency_p50_seconds", 1e-3, 1), shown("latency_p95_seconds", 1e-3, 1)
    columns = {
        "encoder": [md(titles.run(run)) for run in costs["encoder"]],
        mean: [f"{value:.4f}" for value in costs[MEAN]],
        "bytes": shown("feature_bytes", 1, 0),
        "images/s": shown("images_per_second", 1, 1),
        "h per million": shown(MILLION, 3600, 2),
        "latency, ms": [one if one == "–" else f"{one} ({p95})" for one, p95 in zip(medians, p95s, strict=True)],
        "M parameters": shown("parameters", 1e6, 1),
        "GFLOP": shown("flops_per_image", 1e9, 2),
        "GiB": shown("peak_memory_bytes", 2**30, 2),
    }
    if any(costs["peak_gpu_memory_bytes"]):
        columns["GiB of the GPU"] = shown("peak_gpu_memory_bytes", 2**30, 2)
    below = [COST_CAPTION]
    for name, sentence in MEASURED_ON.items():
        known = dict.fromkeys(filter(None, costs[name]))
        if len(known) == 1:
            below.append(sentence.format(md(*known)))
        elif known:
            columns[name] = [md(one) or "–" for one in costs[name]]
    rows = tabulate(columns, headers="keys", tablefmt="pipe", disable_numparse=True)
    return f"{rows}\n\n{' '.join(below)}\n"


def cells(
    comparison: pd.DataFrame, table: pd.DataFrame, pairs: pd.DataFrame, summary: Summary, bold: Callable[[str], str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the comparison as text: each value, their mean and the share of the best; and what stands beside it.

    That is the 95 % interval. The best of each column is bold, ties all of them. A tilde marks what cannot be
    told from the column's best, a question mark what cannot be told from a random ranking's.
    """
    shown = comparison.map(lambda value: f"{value:.4f}")
    shown[RELATIVE] = comparison[RELATIVE].map(lambda value: f"{value:.2%}")
    shown = shown.mask(comparison.eq(comparison.max()), shown.map(bold))
    beside = pd.DataFrame("", shown.index, shown.columns)
    alike = indistinguishable_from_best(pairs, {**leaders_of(table), MEAN: summary["best"]})
    by_chance = like_chance(table)
    for encoder, dataset, low, high in table[["encoder", "dataset", "value_low", "value_high"]].itertuples(index=False):
        mark = (" ~" if (encoder, dataset) in alike else "") + (" ?" if (encoder, dataset) in by_chance else "")
        beside.loc[encoder, dataset] = f"[{low:.3f}, {high:.3f}]{mark}"
    for encoder, share in ((str(name), summary["encoders"][str(name)]) for name in shown.index):
        mark = " ~" if (encoder, MEAN) in alike else ""
        beside.loc[encoder, MEAN] = f"[{share['low']:.3f}, {share['high']:.3f}]{mark}"
        if encoder != summary["best"]:
            ends = f"[{100 * share['relative_low']:.0f}, {100 * share['relative_high']:.0f}]"
            beside.loc[encoder, RELATIVE] = ends
    return shown, beside


def markdown(
    comparison: pd.DataFrame,
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    summary: Summary,
    caption: str,
    titles: Titles = NONE,
) -> str:
    """Return the comparison as a Markdown table (see :func:`cells`), and its caption.

    Of many datasets it has the places by their mean too.
    """
    shown, beside = cells(comparison, table, pairs, summary, lambda text: f"**{text}**")
    whole = shown + beside.map(lambda text: f" {text}" if text else "")
    if table["dataset"].nunique() >= MANY:
        whole["place"] = [place_of(summary["encoders"][str(run)]) for run in whole.index]
    heads = headings(table, titles)
    named = whole.rename(
        index=lambda run: md(titles.run(run)), columns=lambda name: md(heads.get(str(name), str(name)))
    )
    rows = named.reset_index(names="encoder").to_markdown(index=False, disable_numparse=True)
    return f"{rows}\n\n{md(caption)}\n"


def latex(
    comparison: pd.DataFrame,
    table: pd.DataFrame,
    pairs: pd.DataFrame,
    summary: Summary,
    caption: str,
    titles: Titles = NONE,
) -> str:
    """Return the comparison as a table for LaTeX (see :func:`cells`), with its caption and a label.

    Numbers of a column have as many digits and end at one place; each is followed by its interval in a column of its
    own. What is wider than the text is made as narrow as that.
    """
    shown, beside = cells(comparison, table, pairs, summary, lambda text: rf"\textbf{{{text}}}")
    heads = headings(table, titles)
    names = (tex(heads.get(str(name), str(name))) for name in shown.columns)
    lines = [["encoder", *(rf"\multicolumn{{2}}{{c}}{{{name}}}" for name in names)]]
    for run in shown.index:
        pairs_of_cells = zip(shown.loc[run], beside.loc[run], strict=True)
        parts = [part for number, note in pairs_of_cells for part in (number.replace("%", r"\%"), tex(note))]
        lines.append([f"{{}}{tex(titles.run(str(run)))}", *parts])  # after a line's end, [ and * mean something
    head, *rows = (rf"  {' & '.join(line)} \\" for line in lines)
    return "\n".join(
        [
            r"% \usepackage{booktabs, graphicx}",
            r"\begin{table}",
            r"\centering",
            rf"\caption[{kind_of(metrics_of(table))} of each encoder on each dataset]{{{tex(caption)}}}",
            r"\label{tab:map}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{l{'r@{ }l' * len(shown.columns)}}}",
            r"  \toprule",
            head,
            r"  \midrule",
            *rows,
            r"  \bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def place_of(share: Share) -> str:
    """Return the places by the mean that tests leave a run, such as ``2-4``; a dash where they were not tested."""
    low, high = share["rank_low"], share["rank_high"]
    if low is None or high is None:
        return "–"
    return f"{low}" if low == high else f"{low}–{high}"


def headings(table: pd.DataFrame, titles: Titles) -> dict[str, str]:
    """Return what heads the column of each dataset, and that of the means: the metric with it, where it is not mAP."""
    metrics = metrics_of(table)
    plain = set(metrics.values()) == {"mAP"}
    named = {name: titles.dataset(name) + ("" if plain else f" ({metric})") for name, metric in metrics.items()}
    return named | {MEAN: f"mean {kind_of(metrics)}"}


def kind_of(metrics: Mapping[str, str]) -> str:
    """Return the metric of all datasets, or what stands for several; ``metrics`` has that of each."""
    kinds = set(metrics.values())
    return kinds.pop() if len(kinds) == 1 else "metric"


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
    kind = kind_of(metrics_of(table))
    shown = "Each dataset's metric" if kind == "metric" else kind
    lines = [f"{shown} with its 95 % interval. {population}", *told_apart(table, compared, summary, design, titles)]
    if design.datasets == "drawn":
        lines.append("The mean's interval and marks are about other datasets like these.")
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
    rows = table[table["value_low"] <= table["value_chance"].astype(float)]
    return set(zip(rows["encoder"], rows["dataset"], strict=True))
