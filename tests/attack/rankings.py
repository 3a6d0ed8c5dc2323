"""Runs and judgements in files."""

from pathlib import Path
from random import Random

from pipeline.retrieval.reading.runs import read_judgements, read_run
from pipeline.retrieval.runs import score_run
from tests.attack import mutation
from tests.attack.verdicts import Wrong

RUN = "".join(f"q{q} Q0 d{d} {d} {(7 * q + d) % 5 / 4} tag\n" for q in range(3) for d in range(6))
QRELS = "".join(f"q{q} 0 d{d} {(q + d) % 3 - 1}\n" for q in range(3) for d in range(8))
SKIPPED = ("queries_without_judgements", "queries_without_positives", "queries_without_ranking")


def rankings(rng: Random, folder: Path) -> None:
    """Score a run by judgements, one of the two damaged."""
    which = rng.randrange(2)
    as_json = rng.random() < 0.4
    paths = []
    for number, given in enumerate((RUN, QRELS)):
        path = folder / f"{number}.{'json' if as_json else 'txt'}"
        made = given.encode()
        if as_json:
            tree: dict[str, dict[str, object]] = {}
            for cells in (line.split() for line in given.splitlines()):
                tree.setdefault(cells[0], {})[cells[2]] = int(cells[3]) if number else float(cells[4])
            made = mutation.as_json(mutation.tree(rng, tree) if number == which else tree)
        elif number == which:
            made = mutation.lines(rng, given, " ")
        path.write_bytes(made)
        paths.append(path)
    skipped = dict.fromkeys(SKIPPED, "skip") if rng.random() < 0.7 else {}
    found = score_run(read_run(paths[0]), read_judgements(paths[1]), per_query=True, **skipped)
    values = [found[name] for name in ("mAP", "mAP_trapezoid", "mAP_low", "mAP_high", "MRR", "P@5", "nDCG@10")]
    if not all(0 <= value <= 1 for value in values):
        raise Wrong(f"a metric is not in [0, 1]: {values}")
    if found["queries"] != len(found["per_query"]["queries"]):
        raise Wrong("queries are lost")
