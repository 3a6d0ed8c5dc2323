"""Attack this project: ``python -m tests.attack [kind ...]``, as ``make attack`` does for an hour.

Each case is made from a seed and its number: with ``--seed`` and ``--case`` one alone runs again. The exit code is 1 if
there are faults.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.attack.asking import Worker
from tests.attack.graph import GRAPH, Graph
from tests.attack.kinds import KINDS
from tests.attack.verdicts import Impossible

Ask = Callable[[int, int], dict[str, Any] | None]


@dataclass
class Tally:
    """What came of the cases of a kind.

    Attributes:
        counts: of the cases that ``worked`` and of those that were ``refused``.
        faults: what else happened, each with the number of its case.
        skipped: why none was tried.
    """

    counts: dict[str, int] = field(default_factory=lambda: {"worked": 0, "refused": 0})
    faults: list[dict[str, Any]] = field(default_factory=list)
    skipped: str = ""

    @property
    def tried(self) -> int:
        """How many cases there were."""
        return sum(self.counts.values()) + len(self.faults)

    def add(self, case: int, verdict: dict[str, Any]) -> None:
        """Count a case."""
        if verdict["verdict"] == "fault":
            self.faults.append({"case": case, **verdict})
        else:
            self.counts[verdict["verdict"]] += 1


def attacked(ask: Ask, seed: int, cases: Sequence[int] | None, seconds: float) -> Tally:
    """Run the cases of a kind: those that are named, or as many as there is time for, one at least."""
    tally, until, number = Tally(), time.monotonic() + seconds, 0
    while number < len(cases) if cases is not None else number == 0 or time.monotonic() < until:
        case = number if cases is None else cases[number]
        verdict = ask(seed, case)
        if verdict is None:
            break  # there are no more
        tally.add(case, verdict)
        number += 1
    return tally


def said_of(kind: str, seed: int, tally: Tally) -> str:
    """Return in words what came of a kind: one case of each fault, and how often it was seen."""
    alike: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for fault in tally.faults:
        alike.setdefault((fault["error"], fault["where"]), []).append(fault)
    lines = []
    for (error, where), faults in alike.items():
        first = faults[0]
        again = f'python -m tests.attack "{kind}" --seed {seed} --case {first["case"]}'
        lines += [
            f"FAULT {error} at {where} ({len(faults)} such): {again}",
            *(f"    {line}" for line in first["lines"]),
        ]
    if tally.skipped:
        return f"{kind}: skipped, {tally.skipped}"
    counts = ", ".join(f"{count} {name}" for name, count in tally.counts.items())
    return "\n".join([*lines, f"{kind}: {tally.tried} tried, {counts}, {len(tally.faults)} faults"])


def table(tallies: Mapping[str, Tally]) -> str:
    """Return a Markdown table of all kinds."""
    lines = ["| kind | tried | worked | refused | faults |", "|---|---:|---:|---:|---:|"]
    for kind, tally in tallies.items():
        cells = (f"{tally.tried:,}", *(f"{count:,}" for count in tally.counts.values()), str(len(tally.faults)))
        lines.append(
            f"| {kind} | {' | '.join([f'skipped: {tally.skipped}', '', '', ''] if tally.skipped else cells)} |"
        )
    tried = sum(tally.tried for tally in tallies.values())
    faults = sum(len(tally.faults) for tally in tallies.values())
    return "\n".join([*lines, f"| all | {tried:,} | | | {faults} |", ""])


def main() -> None:
    """Run the attack."""
    every = {**{name: kind.share for name, kind in KINDS.items()}, **GRAPH}
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="kind", help=f"some of: {', '.join(every)}; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="run this one alone")
    parser.add_argument("--cases", type=int, help="run so many of each kind, whatever time they take")
    parser.add_argument("--minutes", type=float, default=60.0, help="for all kinds together")
    parser.add_argument("--table", type=Path, help="a file for the table, instead of standard output")
    parser.add_argument("--patience", type=float, default=1.0, help="times the seconds that a case may take")
    parser.add_argument("--project", type=Path, help="a reproduced project to cut off, instead of one made for it")
    parser.add_argument("--python", help="what runs its stages, instead of one that has imported the libraries")
    given = parser.parse_args()
    kinds = given.kinds or list(every)
    if unknown := [kind for kind in kinds if kind not in every]:
        parser.error(f"unknown kind '{unknown[0]}': one of {', '.join(every)}")
    cases = [given.case] if given.case is not None else None if given.cases is None else list(range(given.cases))
    shares = sum(every[kind] for kind in kinds)
    tallies: dict[str, Tally] = {}
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="attack-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        worker = stack.enter_context(Worker(folder, given.patience))
        graph = Graph(folder, stack, given.project, given.python)
        for kind in kinds:
            try:
                ask: Ask = (
                    (lambda seed, case, kind=kind: worker.ask(kind, seed, case)) if kind in KINDS else graph.ask(kind)
                )
                tallies[kind] = attacked(ask, given.seed, cases, 60 * given.minutes * every[kind] / shares)
            except Impossible as reason:
                tallies[kind] = Tally(skipped=str(reason))
            print(said_of(kind, given.seed, tallies[kind]), flush=True)
    if given.table:
        given.table.write_text(table(tallies))
    elif len(kinds) > 1:
        print(f"\n{table(tallies)}")
    sys.exit(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    main()
