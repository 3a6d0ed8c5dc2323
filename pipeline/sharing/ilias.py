"""Rankings as ``{query: {item: score}}``, as the benchmark ILIAS and the libraries ranx and ir_measures take them.

``run.json`` has the rankings, ``qrels.json`` 1 for each positive and -1 for each item that is left out of the ranking.
"""

from pathlib import Path

from pipeline.frame.files import replacing_directory, write_json
from pipeline.sharing.names import names_of
from pipeline.sharing.outcome import Outcome
from pipeline.sharing.ranked import each_query


def write_ilias(outcome: Outcome, target: Path, *, top: int | None) -> None:
    """Write rankings, and what is relevant; ``top``: how many of the first items of each; None: all."""
    names = names_of(outcome.manifest)
    run: dict[str, dict[str, float]] = {}
    qrels: dict[str, dict[str, int]] = {}
    for query, ranked, positives, left_out in each_query(outcome, top=top):
        run[names[query]] = {names[item]: score for item, score in ranked}
        qrels[names[query]] = {**{names[item]: 1 for item in positives}, **{names[item]: -1 for item in left_out}}
    with replacing_directory(target) as folder:
        write_json(folder / "run.json", run)
        write_json(folder / "qrels.json", qrels)
