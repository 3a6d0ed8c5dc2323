"""The metrics of all runs -> the comparative table.

``python -m pipeline.compare`` writes ``metrics/table.csv`` (a row a run), ``metrics/table.md`` and ``table.tex``
(encoder x dataset), ``metrics/pairwise.csv`` (a row a pair of encoders on a dataset), ``metrics/summary.json``, and
``metrics/cost.csv`` and ``cost.md`` (a row an encoder), for the encoders and datasets named in params.yaml.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig
from tabulate import tabulate

from pipeline.frame.app import app
from pipeline.frame.experiment import Experiment, read_experiment
from pipeline.frame.files import write_json, write_text
from pipeline.frame.runs import read_run, scalars
from pipeline.results.cost import cost_of
from pipeline.results.pairs import compare_pairs, indistinguishable_from_best, leaders_of, read_aps
from pipeline.results.published import Published, against, with_published
from pipeline.retrieval.settings import call, plain

MEAN = "mean mAP"
RELATIVE = "relative to best"


def long_table(runs: Path, experiment: Experiment) -> pd.DataFrame:
    """Return a row a run: encoder, dataset, mAP and the other metrics, fractions in [0, 1]."""
    return pd.DataFrame(
        [
            {"encoder": run, "dataset": dataset, **scalars(read_run(runs, run, dataset))}
            for run in experiment.runs
            for dataset in experiment.datasets
        ]
    )


def compare(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row an encoder, a column a dataset: mAP; then ``mean mAP`` and ``relative to best``.

    The last is the sum of an encoder's mAPs over the sum of the best encoder's, in [0, 1]. Rows and
    columns keep the order of ``table``. No dataset can have the last columns' names: they have spaces.
    """
    wide = table.pivot(index="encoder", columns="dataset", values="mAP")
    wide = wide.loc[table["encoder"].unique(), table["dataset"].unique()]
    total = wide.sum(axis=1)
    return wide.assign(**{MEAN: wide.mean(axis=1), RELATIVE: total / total.max()})


def cost_table(comparison: pd.DataFrame, experiment: Experiment, runs: Path) -> pd.DataFrame:
    """Return a row an encoder: what its features cost, and the mean mAP that they give.

    Images/s over all datasets; bytes of a feature in float32; parameters of the network and floating-point operations
    an image, two a multiply-add; the most memory, in bytes.
    """
    rows = []
    for encoder in experiment.encoders:
        cost = cost_of(encoder, experiment.datasets, runs)
        rows.append(
            {
                "encoder": encoder,
                MEAN: comparison.loc[encoder, MEAN],
                "images_per_second": cost.speed,
                "feature_bytes": cost.bytes,
                "parameters": cost.parameters,
                "flops_per_image": cost.flops,
                "peak_memory_bytes": cost.memory,
                "peak_gpu_memory_bytes": cost.gpu_memory,
                "precision": cost.precision,
                "device": cost.device,
            }
        )
    return pd.DataFrame(rows)


def cost_markdown(costs: pd.DataFrame) -> str:
    """Return the costs as a Markdown table in units to read."""

    def shown(value: float | int | None, unit: float | int, digits: int) -> str:
        return "–" if value is None or pd.isna(value) else f"{value / unit:,.{digits}f}"

    rows = [
        {
            "encoder": md(row["encoder"]),
            MEAN: f"{row[MEAN]:.4f}",
            "images/s": shown(row["images_per_second"], 1, 1),
            "bytes a feature": shown(row["feature_bytes"], 1, 0),
            "million parameters": shown(row["parameters"], 1e6, 1),
            "GFLOP an image": shown(row["flops_per_image"], 1e9, 2),
            "peak memory, GiB": shown(row["peak_memory_bytes"], 2**30, 2),
            "peak GPU memory, GiB": shown(row["peak_gpu_memory_bytes"], 2**30, 2),
            "precision": row["precision"] or "–",
            "device": md(row["device"]) or "–",
        }
        for row in costs.to_dict("records")
    ]
    return f"{pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)}\n"


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


def summarise(comparison: pd.DataFrame) -> dict[str, Any]:
    """Return ``{encoder: {mean_mAP, relative}}`` and the name of the best encoder."""
    return {
        "best": str(comparison[RELATIVE].idxmax()),
        "encoders": {
            str(encoder): {"mean_mAP": float(row[MEAN]), "relative": float(row[RELATIVE])}
            for encoder, row in comparison.iterrows()
        },
    }


@app("compare")
def main(config: DictConfig) -> None:
    """Run the stage."""
    published = call(Published, plain(config.published), where="published in conf/compare.yaml")
    experiment = read_experiment()
    table = with_published(long_table(Path(config.runs), experiment), published)
    pairs = pd.concat(
        [
            compare_pairs(
                dataset,
                read_aps(Path(config.per_query), dataset, experiment.runs),
                resamples=config.resamples,
                seed=config.seed,
            )
            for dataset in experiment.datasets
        ]
    )
    comparison = compare(table)
    write_text(Path(config.csv), table.to_csv(index=False, lineterminator="\n"))
    write_text(Path(config.pairs), pairs.to_csv(index=False, lineterminator="\n"))
    beside = against(table, published)
    write_text(Path(config.markdown), markdown(comparison, table, pairs) + (f"\n{beside}" if beside else ""))
    write_text(Path(config.latex), latex(comparison, table, pairs))
    write_json(Path(config.summary), summarise(comparison))
    costs = cost_table(comparison, experiment, Path(config.runs))
    write_text(Path(config.cost_csv), costs.to_csv(index=False, lineterminator="\n"))
    write_text(Path(config.cost_markdown), cost_markdown(costs))


if __name__ == "__main__":
    main()
