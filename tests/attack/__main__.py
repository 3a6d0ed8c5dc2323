"""``python -m tests.attack``: all kinds, or those that are named; ``make attack`` runs the long one."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.attack.kinds import KINDS
from tests.attack.running import Tally, Worker


def main() -> None:
    """Run the attack."""
    asked = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    asked.add_argument("kinds", nargs="*", choices=[*KINDS, []], help="all by default")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--case", type=int, help="run this one alone")
    asked.add_argument("--cases", type=int, help="of each kind; instead of --minutes")
    asked.add_argument("--minutes", type=float, default=60.0, help="for all kinds together")
    asked.add_argument("--table", type=Path, help="a file for the table, instead of standard output")
    given = asked.parse_args()
    kinds = given.kinds or list(KINDS)
    shares = sum(KINDS[kind].share for kind in kinds)
    tallies: dict[str, Tally] = {}
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    worker = Worker(folder)
    try:
        for kind in kinds:
            until = time.monotonic() + 60 * given.minutes * KINDS[kind].share / shares
            tally = tallies[kind] = Tally()
            case = 0 if given.case is None else given.case
            while tally.tried < (given.cases or 1 if given.case is None else 1) or (
                given.case is None and given.cases is None and time.monotonic() < until
            ):
                tally.add(given.seed, case, worker.ask(kind, given.seed, case))
                case += 1
            seen = set()
            for fault in tally.faults:
                mark = (fault["error"], fault["where"])
                if mark not in seen:
                    seen.add(mark)
                    same = sum((other["error"], other["where"]) == mark for other in tally.faults)
                    print(
                        f"\nFAULT {kind}: --seed {fault['seed']} --case {fault['case']} (x{same}) {fault['error']} {fault['where']}"
                    )
                    print("\n".join(f"    {line}" for line in fault["lines"]), flush=True)
            print(
                f"{kind}: {tally.tried} tried, {tally.worked} worked, {tally.refused} refused, {len(tally.faults)} faults",
                flush=True,
            )
    finally:
        worker.close()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    main()
