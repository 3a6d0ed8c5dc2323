"""Rankings as a run, and what is relevant as qrels, in the text format of trec_eval.

``run.txt`` has a line ``query Q0 item rank score tag`` for each item of each ranking, ``qrels.txt`` a line ``query 0
item relevance`` for each positive (1) and each item that is left out of the ranking (-1), ``items.csv`` what items are
called. A query without positives is in neither.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from pipeline.frame.files import replacing_directory, write_text
from pipeline.sharing.names import mapping_of, names_of, safe
from pipeline.sharing.outcome import Outcome
from pipeline.sharing.ranked import each_query


def write_trec(outcome: Outcome, target: Path, *, top: int | None) -> None:
    """Write a run and its qrels; ``top``: how many of the first items of each ranking; None: all."""
    names = [safe(name) for name in names_of(outcome.manifest)]
    with replacing_directory(target) as folder:
        write_text(folder / "items.csv", mapping_of(outcome.manifest, names))
        with (
            (folder / "run.txt").open("w", encoding="utf-8", newline="\n") as run,
            (folder / "qrels.txt").open("w", encoding="utf-8", newline="\n") as qrels,
        ):
            for query, ranked, positives, left_out in each_query(outcome, top=top):
                write_ranked(run, names[query], [(names[item], score) for item, score in ranked], safe(outcome.run))
                for items, relevance in ((positives, 1), (left_out, -1)):
                    qrels.writelines(f"{names[query]} 0 {names[item]} {relevance}\n" for item in items)


def write_ranked(file: TextIO, query: str, ranked: Sequence[tuple[str, float]], tag: str) -> None:
    """Write the lines of one query; nine digits are every digit of float32."""
    file.writelines(f"{query} Q0 {item} {place} {score:.9g} {tag}\n" for place, (item, score) in enumerate(ranked, 1))
