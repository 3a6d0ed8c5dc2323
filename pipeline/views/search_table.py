"""What approximate searches find and how fast, as people read it."""

from collections.abc import Mapping, Sequence
from typing import Any

from tabulate import tabulate

from pipeline.results.searches import cutoff_of
from pipeline.results.titles import Titles
from pipeline.views.tables import NONE, md

NOTHING = "No search is asked for: name some of conf/search under searches in params.yaml (docs/search.md).\n"
CAPTION = (
    "Recall is the share of the first items of the exact ranking that are found; mAP@k is that of the k items that a "
    "user gets, beside that of an exact search. Queries/s and build time are of one core unless the heading says "
    "otherwise, p50 and p95 of single queries by one core. * stands where no other row of the encoder and dataset "
    "equals or beats both mAP@k and queries/s. Measured on {machines}."
)


def search_markdown(table: Mapping[str, Sequence[Any]], titles: Titles = NONE) -> str:
    """Return the searches (see :func:`pipeline.results.searches.search_table`) as a Markdown table, and its caption."""
    if not table["encoder"]:
        return NOTHING

    def shown(name: str, digits: int, unit: float | int = 1) -> list[str]:
        return ["–" if value is None else f"{value / unit:,.{digits}f}" for value in table[name]]

    recalls = sorted((name for name in table if name.startswith("recall@")), key=cutoff_of)
    ks = {str(k) for k in table["k"]}
    k = ks.pop() if len(ks) == 1 else "k"
    columns = {
        "encoder": [md(titles.run(name)) for name in table["encoder"]],
        "dataset": [md(titles.dataset(name)) for name in table["dataset"]],
        "index": [md(name) for name in table["search"]],
        "setting": [md(name) or "–" for name in table["setting"]],
        **{name: shown(name, 4) for name in recalls},
        f"mAP@{k}": [
            text + (" \\*" if mark else "") for text, mark in zip(shown("mAP@k", 4), table["pareto"], strict=True)
        ],
        f"exact mAP@{k}": shown("exact_mAP@k", 4),
        "queries/s": shown("queries_per_second", 0),
        "queries/s, all cores": shown("queries_per_second_all_cores", 0),
        "p50, ms": shown("p50_ms", 3),
        "p95, ms": shown("p95_ms", 3),
        "build, s": shown("build_seconds", 2),
        "MiB": shown("index_bytes", 2, 2**20),
    }
    machines = dict.fromkeys(
        f"{device} ({cores} core{'s' if cores > 1 else ''})"
        for device, cores in zip(table["device"], table["cores"], strict=True)
    )
    rows = tabulate(columns, headers="keys", tablefmt="pipe", disable_numparse=True)
    return f"{rows}\n\n{md(CAPTION.format(machines=' and '.join(machines)))}\n"
