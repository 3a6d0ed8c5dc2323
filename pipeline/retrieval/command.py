"""The command ``retrieval-bench``, which an installation has: features or runs in files in, metrics as JSON out."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from .comparing import compare_several
from .errors import RetrievalError
from .reading.lists import Labelled, read_listed, refuse_count
from .reading.matrices import read_matrix
from .reading.runs import read_judgements, read_run
from .runs import RunSettings, score_run
from .scoring import flat, refuse_lengths, score_features
from .uncertainty import POPULATIONS
from .wanted import Settings

DISTRIBUTION = "retrieval-bench"
LABELS = """\
A list of labels has one line per row of the features, in the same order: path<TAB>label, or in all lines the label
alone, without a tab; the files need not exist. A .csv has the columns path and labels (several joined by |; none: a
distractor) and, if wanted, role (both, query or gallery) and group: items of a query's group are left out of its
ranking."""

RUNS = """A run has lines 'query Q0 item rank score tag', qrels have lines 'query 0 item relevance': above 0 is
relevant, below 0 is left out. A .json of either is {query: {item: number}}."""


def parser_of() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(
        prog=DISTRIBUTION,
        description="Exact evaluation of embeddings in image retrieval.",
        epilog=f"{LABELS} Exit code 0, or 2 with one line that says what is wrong and what to do.",
    )
    parser.add_argument("--version", action="version", version=f"{DISTRIBUTION} {version(DISTRIBUTION)}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="score | compare")
    score = commands.add_parser("score", help="the metrics of features, or of a run", epilog=f"{LABELS} {RUNS}")
    score.add_argument("features", type=Path, nargs="?", help=".npy, a row per item")
    score.add_argument("labels", type=Path, nargs="?", help="their list, .txt or .csv")
    score.add_argument(
        "--gallery", type=Path, nargs=2, metavar=("FEATURES", "LABELS"), help="what is ranked; the others are queries"
    )
    score.add_argument("--run", type=Path, help="instead: what any engine found, as trec_eval reads it, or .json")
    score.add_argument("--qrels", type=Path, help="with --run: what is relevant, as trec_eval reads it, or .json")
    for name, choices in (
        ("queries-without-judgements", ["error", "skip"]),
        ("queries-without-ranking", ["error", "skip", "zero"]),
    ):
        score.add_argument(f"--{name}", choices=choices, default=argparse.SUPPRESS, help="of a run")
    score.add_argument("--per-query", type=Path, metavar="FILE.npz", help="write what every query has")
    score.add_argument("--top", type=int, default=0, help="of each ranking, for --per-query")
    compare = commands.add_parser("compare", help="differences, intervals and p-values", epilog=LABELS)
    compare.add_argument("features", type=Path, nargs="+", help=".npy of two encoders or more, of the same items")
    compare.add_argument("labels", type=Path, help="the list of these items, .txt or .csv")
    compare.add_argument("--population", default="widest", choices=["widest", *POPULATIONS])
    for command in (score, compare):
        for name, choices in (
            ("similarity", ["cosine", "dot", "euclidean"]),
            ("ap", ["protocol", "rectangle", "trapezoid"]),
            ("queries-without-positives", ["error", "skip"]),
        ):
            command.add_argument(f"--{name}", choices=choices, default=argparse.SUPPRESS)
        command.add_argument("--metric", default=argparse.SUPPRESS, help="told apart by: mAP (default), recall@1, ...")
        command.add_argument(
            "--more-metrics", type=names, default=argparse.SUPPRESS, metavar="mMP@5,...", help="others by name"
        )
        command.add_argument("--cutoffs", type=numbers, default=argparse.SUPPRESS, metavar="1,5,10")
        command.add_argument("--seed", type=int, default=argparse.SUPPRESS, help="of groups that are left out")
        command.add_argument("--memory", type=float, default=argparse.SUPPRESS, metavar="GIB", help="for scores")
        command.add_argument("--device", default=argparse.SUPPRESS, help="cpu, or cuda where torch is installed")
        command.add_argument(
            "--no-left-out", dest="left_out", action="store_false", default=argparse.SUPPRESS,
            help="intervals of other queries only",
        )  # fmt: skip
    return parser


def names(text: str) -> list[str]:
    """Return names that are joined by commas."""
    return text.split(",")


def numbers(text: str) -> list[int]:
    """Return integers that are joined by commas."""
    return [int(part) for part in text.split(",")]


def read_items(features: Path, labels: Path) -> tuple[np.ndarray, Labelled]:
    """Return features and the list of their rows; :class:`RetrievalError` if they are not as many."""
    matrix, _ = read_matrix(features)
    known = read_listed(labels)
    refuse_count(len(matrix), len(known.names), features=features, listed=labels)
    return matrix, known


def score(options: argparse.Namespace, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics, once what every query has is written."""
    if options.run is not None or options.qrels is not None:
        return score_in_files(options, settings)
    if options.features is None or options.labels is None:
        raise RetrievalError("give features and labels, or --run and --qrels")
    matrix, known = read_items(options.features, options.labels)
    if options.per_query is not None:
        options.per_query.parent.mkdir(parents=True, exist_ok=True)  # that it cannot be is known before all is computed
    per_query = {"per_query": options.per_query is not None, "top": options.top}
    if options.gallery is None:
        found = score_features(
            matrix, known.labels, names=known.names, roles=known.roles, groups=known.groups, **per_query, **settings
        )
    else:
        ranked, items = read_items(*options.gallery)
        for path, listed in ((options.labels, known), (options.gallery[1], items)):
            if listed.roles is not None:
                raise RetrievalError(f"{path} has roles, but --gallery says which items are queries: drop that column")
        groups = None if known.groups is None and items.groups is None else [*groups_of(known), *groups_of(items)]
        found = score_features(
            queries=matrix, query_labels=known.labels, gallery=ranked, gallery_labels=items.labels,
            names=[*known.names, *items.names], groups=groups, **per_query, **settings,
        )  # fmt: skip
    if options.per_query is not None:
        write_arrays(options.per_query, flat(found.pop("per_query")))
    return found


def score_in_files(options: argparse.Namespace, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics of a run, once what every query has is written."""
    if options.run is None or options.qrels is None:
        raise RetrievalError("give --run and --qrels together")
    for given in (options.features, options.gallery, options.top or None):
        if given is not None:
            raise RetrievalError(f"{given} is given with --run, which has no place for it: leave it out")
    run, judgements = read_run(options.run), read_judgements(options.qrels)
    found = score_run(run, judgements, per_query=options.per_query is not None, **settings)
    if options.per_query is not None:
        options.per_query.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(options.per_query, found.pop("per_query"))
    return found


def groups_of(listed: Labelled) -> Sequence[str | None]:
    """Return the group of each item."""
    return [None] * len(listed.names) if listed.groups is None else listed.groups


def compare(options: argparse.Namespace, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the differences of all pairs."""
    known = read_listed(options.labels)
    features = {}
    for path in options.features:
        if str(path) in features:
            raise RetrievalError(f"{path} is given twice: a comparison takes the features of different encoders")
        features[str(path)], _ = read_matrix(path)
        refuse_lengths(len(features[str(path)]), **{f"items in {options.labels}": known.names})
    return compare_several(
        features, known.labels, names=known.names, roles=known.roles, groups=known.groups,
        population=options.population, **settings,
    )  # fmt: skip


def write_arrays(target: Path, arrays: dict[str, Any]) -> None:
    """Write arrays as an ``.npz`` that appears whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        try:
            np.savez(file, **arrays)
            file.close()
            os.chmod(file.name, 0o644)  # temporary files are for their owner alone
            os.replace(file.name, target)
        except BaseException:
            os.unlink(file.name)
            raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser_of().parse_args(arguments)
    names = dict.fromkeys(field.name for kind in (Settings, RunSettings) for field in fields(kind))
    settings = {name: getattr(options, name) for name in names if hasattr(options, name)}
    settings.pop("top", None)
    try:
        found = {"score": score, "compare": compare}[options.command](options, settings)
    except (RetrievalError, OSError, MemoryError) as error:
        named = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        print(f"error: {' '.join(named.split()) or 'not enough memory'}", file=sys.stderr)
        return 2
    print(json.dumps(found, indent=2, allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
