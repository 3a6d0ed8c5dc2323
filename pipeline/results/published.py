"""Numbers that others have published, beside those of the same encoders and datasets here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field
from typing_extensions import TypedDict

from pipeline.frame.yamls import read_yaml
from pipeline.results.titles import Titles
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.measures import measure_of
from pipeline.retrieval.protocols import DIFFICULTIES
from pipeline.retrieval.settings import call

# A printed share that is further than this from what its own mAPs give is a slip; the rest is rounding.
ROUNDING = 0.0005
NONE = Titles()  # every name as it is

Fraction = Annotated[float, Field(ge=0, le=1)]
Value = Annotated[float, Field(ge=0)]


class Column(TypedDict):
    """What a printed column is compared with: a dataset here, and a metric of its runs.

    ``hard.mAP`` is the mAP of that difficulty of a landmark benchmark.
    """

    dataset: str
    metric: str


@dataclass(frozen=True)
class Published:
    """A published table; a YAML in conf/published.

    Attributes:
        source: where it stands.
        rows: from the names of encoders here to the name of the row that they are compared with.
        columns: from the names of printed columns to what they are compared with; one that is not here is not.
        values: of each row in each column; no percentages.
        conditions: of whose numbers these are, where they are not those of an encoder's YAML here: its protocol, its
            images.
        relative: of each row, the printed share of the best row's sum of values; fractions.
    """

    source: str
    rows: Mapping[str, str]
    columns: Mapping[str, Column]
    values: Mapping[str, Mapping[str, Value]]
    conditions: str = ""
    relative: Mapping[str, Fraction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise :class:`RetrievalError` for a name that stands for nothing."""
        printed = {column for row in self.values.values() for column in row}
        known = {"rows": (self.rows.values(), self.values), "columns": (self.columns, printed)}
        for key, (names, there) in {**known, "relative": (self.relative, self.values)}.items():
            unknown = next((name for name in names if name not in there), None)
            if unknown is not None:
                raise RetrievalError(f"'{key}' has {unknown}, of which there are no values: write it as there")
        for name, column in self.columns.items():
            difficulty, _, metric = column["metric"].rpartition(".")
            most = measure_of(metric).most
            beyond = [row for row, values in self.values.items() if values.get(name, 0) > most]
            if beyond:
                raise RetrievalError(
                    f"{beyond[0]} has {self.values[beyond[0]][name]} for {name}: {metric} is at most {most:g}"
                )
            if difficulty not in ("", *DIFFICULTIES):
                raise RetrievalError(f"unknown difficulty '{difficulty}': one of {', '.join(DIFFICULTIES)}")

    def of(self, encoder: str, dataset: str) -> Iterator[tuple[str, float]]:
        """Yield the metrics of an encoder on a dataset that there are published values of, each with its value."""
        row = self.values.get(self.rows.get(encoder, ""), {})
        for name, column in self.columns.items():
            if column["dataset"] == dataset and name in row:
                yield column["metric"], row[name]

    def recomputed(self) -> dict[str, float]:
        """Return what the published values themselves give as each row's share of the best row's sum."""
        sums = {row: sum(values.values()) for row, values in self.values.items()}
        return {row: total / max(sums.values()) for row, total in sums.items()}


def read_published(folder: Path) -> list[Published]:
    """Return the tables in the YAMLs of a folder, by their names.

    Raises:
        RetrievalError: one cannot be read, or has another form.
    """
    tables = []
    for path in sorted(folder.glob("*.yaml")):
        where = str(path)
        try:
            tables.append(call(Published, read_yaml(path, name=where), where=where))
        except RetrievalError as error:
            raise RetrievalError(f"{where}: {str(error).removeprefix(f'{where}: ')}") from None
    return tables


def measured(metrics: Mapping[str, Any], name: str) -> float | None:
    """Return a metric of a run by a name as of :class:`Column`; None if the run has none."""
    difficulty, _, metric = name.rpartition(".")
    found = metrics if difficulty in ("", metrics.get("protocol")) else metrics.get(difficulty, {})
    value = found.get(metric)
    return None if value is None else float(value)


def with_published(table: pd.DataFrame, tables: Sequence[Published]) -> pd.DataFrame:
    """Return a table of runs with the columns ``published_mAP`` and ``difference`` if any run has them.

    Of several tables with the mAP of an encoder on a dataset the first counts.
    """
    values = []
    for encoder, dataset in zip(table["encoder"], table["dataset"], strict=True):
        found = (value for one in tables for metric, value in one.of(encoder, dataset) if metric == "mAP")
        values.append(next(found, None))
    if all(value is None for value in values):
        return table
    column = pd.Series(values, index=table.index, dtype=float)
    return table.assign(published_mAP=column, difference=table["mAP"] - column)


def against(runs: Mapping[tuple[str, str], Mapping[str, Any]], published: Published, titles: Titles = NONE) -> str:
    """Return a Markdown table of the runs that there is a published value of.

    Below it stands, for each row whose printed share is not what its own values give, both of them. Empty if there
    is no such run.

    Args:
        runs: the metrics of each, by encoder and dataset.
        published: the table.
        titles: what is shown for names.
    """
    found, unknown = [], []
    for (encoder, dataset), metrics in runs.items():
        for metric, value in published.of(encoder, dataset):
            here = measured(metrics, metric)
            if here is None:
                unknown.append(f"{metric} of {titles.run(encoder)} on {titles.dataset(dataset)}")
            else:
                found.append((encoder, dataset, metric, here, value))
    if not found:
        return ""
    encoders, datasets, names, ours, theirs = (list(column) for column in zip(*found, strict=True))
    alone = len(set(names)) == 1
    cells = pd.DataFrame(
        {
            "encoder": [titles.run(name).replace("|", "\\|") for name in encoders],
            "dataset": [titles.dataset(name).replace("|", "\\|") for name in datasets],
            **({} if alone else {"metric": names}),
            f"{names[0]} here" if alone else "here": [f"{value:.4f}" for value in ours],
            "published": [f"{value:.4f}" for value in theirs],
            "difference": [f"{here - there:+.4f}" for here, there in zip(ours, theirs, strict=True)],
        }
    )
    conditions = f" ({published.conditions})" if published.conditions else ""
    lines = [f"Beside what is published in: {published.source}{conditions}", ""]
    lines.append(cells.to_markdown(index=False, disable_numparse=True))
    if unknown:
        lines += ["", f"Published, but not computed here (more_metrics, cutoffs): {'; '.join(unknown)}."]
    rows = {published.rows[encoder] for encoder in encoders}
    for row in (name for name in published.values if name in rows and name in published.relative):
        printed, recomputed = published.relative[row], published.recomputed()[row]
        slip = ", a slip" if abs(printed - recomputed) > ROUNDING else ""
        share = f"{printed * 100:.5g}% of the best{slip}"
        lines += ["", f"{row}: printed as {share}; its printed mAPs give {recomputed:.2%}."]
    return "\n".join(lines) + "\n"
