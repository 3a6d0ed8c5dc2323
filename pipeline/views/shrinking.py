"""What is lost where features are made smaller, as people read it: a table, a sentence, a figure."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

from pipeline.frame.runs import JOINED
from pipeline.results.cost import MEAN
from pipeline.results.shrinking import Change, Smaller, least_without_loss, overall
from pipeline.results.titles import Titles
from pipeline.views.figures import ABREAST, name_rows
from pipeline.views.style import Style, label_of, put_title
from pipeline.views.tables import md

ABOUT = (
    "Each value less that of the whole feature, with its 95 % interval. *: distinguishable from it (paired test, "
    "corrected for the smaller features of an encoder by Holm, 5 %)."
)


def smaller_markdown(smaller: Sequence[Smaller], headings: Mapping[str, str], titles: Titles) -> str:
    """Return a Markdown table of what smaller features change, and in words how small they can be.

    Args:
        smaller: see :func:`pipeline.results.shrinking.smaller_runs`; empty gives an empty text.
        headings: of datasets and of their mean.
        titles: what runs are shown as.
    """
    if not smaller:
        return ""
    columns = {
        "smaller feature": [md(titles.run(one["run"])) for one in smaller],
        "bytes": [f"{one['bytes']:,}" for one in smaller],
        "times smaller": [factor(one) for one in smaller],
    }
    for name in smaller[0]["changes"]:
        columns[md(headings[name])] = [in_words(one["changes"][name]) for one in smaller]
    table = tabulate(columns, headers="keys", tablefmt="pipe", disable_numparse=True)
    return "\n\n".join([table, ABOUT, *map(md, verdicts(smaller, titles))]) + "\n"


def factor(one: Smaller) -> str:
    """Return how many times smaller a feature is than the whole one: three digits, or all before the point."""
    times = one["whole"] / one["bytes"]
    return f"{times:.3g}" if times < 999.5 else f"{times:.0f}"


def in_words(change: Change) -> str:
    """Return a difference, its interval, and a star where it is distinguishable from none."""
    mark = " *" if change["distinguishable"] else ""
    return f"{change['difference']:+.4f} [{change['low']:+.3f}, {change['high']:+.3f}]{mark}"


def verdicts(smaller: Sequence[Smaller], titles: Titles) -> list[str]:
    """Return for each encoder in one sentence how small its feature can be, as far as these datasets tell."""
    said = []
    for encoder, least in least_without_loss(smaller).items():
        name = titles.run(encoder)
        if least is None:
            said.append(f"{name}: every smaller feature can be told from the whole one on a dataset.")
            continue
        change = overall(least)
        said.append(
            f"{name}: {step_of(least, titles)} stores {least['bytes']:,} bytes instead of {least['whole']:,}, "
            f"{factor(least)} times fewer, and cannot be told from the whole feature on any dataset "
            f"({over(least)}: {change['difference']:+.4f}, {change['low']:+.4f} to {change['high']:+.4f})."
        )
    return said


def step_of(one: Smaller, titles: Titles) -> str:
    """Return what the ranking of a run is shown as."""
    ranking = one["run"].partition(JOINED)[2]
    return titles.rankings.get(ranking, ranking)


def over(one: Smaller) -> str:
    """Return over what the one change is taken that stands for all."""
    return MEAN if MEAN in one["changes"] else next(iter(one["changes"]))


def draw_smaller(
    smaller: Sequence[Smaller], headings: Mapping[str, str], titles: Titles, *, style: Style
) -> Figure | None:
    """Draw what smaller features change, with 95 % intervals: a row a run, a panel a dataset; None if there is no run.

    A hollow marker is distinguishable from the whole feature, which is the line down a panel.
    """
    if not smaller:
        return None
    names = list(smaller[0]["changes"])
    columns = min(ABREAST, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=style.size(lines * (len(smaller) + 2)), layout="constrained")
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    encoders = list(dict.fromkeys(one["encoder"] for one in smaller))
    for axes, name in zip(panels, names, strict=False):
        for row, one in enumerate(smaller):
            change, (color, marker) = one["changes"][name], style.look(encoders.index(one["encoder"]))
            spread = np.array([[change["difference"] - change["low"]], [change["high"] - change["difference"]]])
            inside = "none" if change["distinguishable"] else color
            axes.errorbar(
                change["difference"], row, xerr=spread, color=color, marker=marker, markerfacecolor=inside, capsize=2
            )
        axes.axvline(0, color="#333333", linestyle=":", linewidth=1)
        axes.set_title(label_of(headings[name]), fontsize=10)
        axes.tick_params(labelsize=8)
        axes.grid(axis="x", alpha=0.3)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    alone = len(encoders) == 1
    for axes in panels[::columns]:
        shown = [step_of(one, titles) if alone else titles.run(one["run"]) for one in smaller]
        name_rows(axes, [f"{text} {one['bytes']:,} B" for text, one in zip(shown, smaller, strict=True)])
    figure.supxlabel("difference from the whole feature; hollow: distinguishable from it", fontsize=10)
    put_title(figure, f"{titles.run(encoders[0]) if alone else 'features'} made smaller, with 95 % intervals")
    return figure
