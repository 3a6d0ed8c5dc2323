"""Numbers that others have published, beside those of the same encoders and datasets here."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from pipeline.results.titles import Titles

# A printed share that is further than this from what its own mAPs give is a slip; the rest is rounding.
ROUNDING = 0.0005
NONE = Titles()  # every name as it is


@dataclass(frozen=True)
class Published:
    """A published table of mAPs; ``published`` in conf/compare.yaml.

    Attributes:
        source: where it stands.
        rows: from the names of encoders here to the name of the row that they are compared with.
        mAP: of each row on each dataset, by the datasets' names here; fractions in [0, 1].
        relative: of each row, the printed share of the best row's sum of mAPs; fractions.
    """

    source: str
    rows: Mapping[str, str]
    mAP: Mapping[str, Mapping[str, float]]  # noqa: N815, the field's name for it
    relative: Mapping[str, float]

    def of(self, encoder: str, dataset: str) -> float | None:
        """Return the published mAP that an encoder on a dataset is compared with; None if there is none."""
        return self.mAP.get(self.rows.get(encoder, ""), {}).get(dataset)

    def recomputed(self) -> dict[str, float]:
        """Return what the published mAPs themselves give as each row's share of the best row's sum."""
        sums = {row: sum(values.values()) for row, values in self.mAP.items()}
        return {row: total / max(sums.values()) for row, total in sums.items()}


def with_published(table: pd.DataFrame, published: Published) -> pd.DataFrame:
    """Return a table of runs with the columns ``published_mAP`` and ``difference`` if any run has them."""
    values = [
        published.of(encoder, dataset) for encoder, dataset in zip(table["encoder"], table["dataset"], strict=True)
    ]
    if all(value is None for value in values):
        return table
    column = pd.Series(values, index=table.index, dtype=float)
    return table.assign(published_mAP=column, difference=table["mAP"] - column)


def against(table: pd.DataFrame, published: Published, titles: Titles = NONE) -> str:
    """Return a Markdown table of the runs that :func:`with_published` found a published value for.

    Below it stands, for each row whose printed share is not what its own mAPs give, both of them. Empty if there
    is no such run.
    """
    if "published_mAP" not in table:
        return ""
    compared = table.dropna(subset="published_mAP")
    cells = pd.DataFrame(
        {
            "encoder": compared["encoder"].map(titles.run).str.replace("|", "\\|", regex=False),
            "dataset": compared["dataset"].map(titles.dataset).str.replace("|", "\\|", regex=False),
            "mAP here": compared["mAP"].map("{:.4f}".format),
            "published": compared["published_mAP"].map("{:.4f}".format),
            "difference": compared["difference"].map("{:+.4f}".format),
        }
    )
    listed = cells.to_markdown(index=False, disable_numparse=True)
    lines = [f"Beside what is published in: {published.source}", "", listed]
    rows = {published.rows[encoder] for encoder in compared["encoder"]}
    for row in (name for name in published.mAP if name in rows and name in published.relative):
        printed, recomputed = published.relative[row], published.recomputed()[row]
        slip = ", a slip" if abs(printed - recomputed) > ROUNDING else ""
        share = f"{printed * 100:.5g}% of the best{slip}"
        lines += ["", f"{row}: printed as {share}; its printed mAPs give {recomputed:.2%}."]
    return "\n".join(lines) + "\n"
