"""What DVC itself costs: real ``dvc repro`` on this project's graph, its commands replaced by trivial ones.

    python -m benchmarks.graph
    python -m benchmarks.graph --layouts HEAD~30:python HEAD~30 . --sizes 7x2 20x5 --limit 600

A layout is a commit, or ``.``, the work tree; ``:python`` after it hides the parser of YAML in C that DVC uses where
it is installed. Each is copied with as many encoders and datasets as a size says (7x2: seven encoders, two datasets).
Every command writes its outs and the time, and nothing else. "own" is DVC's time for a stage: from the end of a
command to that of the next, less what the command takes by itself. It grows with the lines of ``dvc.lock``, so the
mean over all stages and that of the last ten are both shown.
"""

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TOP = Path(__file__).resolve().parent.parent
LAST = 10
# Makes each path: a file if its name has a dot, else a folder with one file; then notes when it was done.
COMMAND = """for out in "$@"; do
  case "${out##*/}" in
    *.*) mkdir -p "${out%/*}"; echo "$out" > "$out" ;;
    *) mkdir -p "$out"; echo "$out" > "$out/made" ;;
  esac
done
date +%s.%N >> .times
"""
HIDING = "import sys; sys.modules['_ruamel_yaml'] = None; from dvc.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Row:
    """What was measured of a layout at a size; seconds, but for the counts.

    Attributes:
        stages: that ran.
        planned: stages that the graph has.
        lines: of ``dvc.lock`` when it stopped.
        first: the whole first ``dvc repro``, commands included.
        own: of DVC for a stage, the mean.
        last: the same of the last stages.
        again: a ``dvc repro`` with nothing to do; None if the first was stopped.
    """

    stages: int
    planned: int
    lines: int
    first: float
    own: float
    last: float
    again: float | None

    def cells(self) -> str:
        """Return the row for a Markdown table."""
        done = str(self.stages) if self.stages == self.planned else f"{self.stages} of {self.planned}, stopped"
        again = "–" if self.again is None else f"{self.again:.1f}"
        lines = f"{self.lines} | {self.lines / max(self.stages, 1):.0f}"
        return f"{done} | {lines} | {self.first:.0f} | {self.own:.2f} | {self.last:.2f} | {again}"


def paths_of(entries: list[Any]) -> list[str]:
    """Return the paths among deps, outs or plots, which may have settings of their own."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def expanded(path: str, stage: dict[str, Any], params: dict[str, Any]) -> list[str]:
    """Return what a path of a stage stands for, over the stage's matrix."""
    matrix = {axis: params[value.strip("${}")] for axis, value in stage.get("matrix", {}).items()}
    found = []
    for chosen in itertools.product(*matrix.values()):
        one = path
        for axis, name in zip(matrix, chosen, strict=True):
            one = one.replace(f"${{item.{axis}}}", name)
        found.append(one.replace("${encoder}", params["encoder"]))
    return found


def make_trivial(project: Path, params: dict[str, Any]) -> int:
    """Replace the command of every stage; return how many stages there are."""
    graph = yaml.safe_load((project / "dvc.yaml").read_text())
    stages = graph["stages"]
    deps = {
        dep for stage in stages.values() for path in paths_of(stage["deps"]) for dep in expanded(path, stage, params)
    }
    for stage in stages.values():
        outs = [path for kind in ("outs", "plots", "metrics") for path in paths_of(stage.get(kind, []))]
        inner = [sorted(dep for dep in deps if dep.startswith(f"{out}/")) if "$" not in out else [] for out in outs]
        made = [path for out, files in zip(outs, inner, strict=True) for path in files or [out]]
        stage["cmd"] = f"sh trivial.sh {' '.join(made)}"
    (project / "dvc.yaml").write_text(yaml.safe_dump(graph, sort_keys=False))
    (project / "trivial.sh").write_text(COMMAND)
    return sum(len(expanded("", stage, params)) for stage in stages.values())


def copied(layout: str, target: Path, encoders: int, datasets: int) -> int:
    """Copy a layout with so many encoders and datasets and trivial commands; return how many stages it has."""
    if layout == ".":
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=TOP,
            check=True,
            stdout=subprocess.PIPE,
        ).stdout.decode()
        for name in filter(None, listed.split("\0")):
            if (TOP / name).is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TOP / name, target / name)
    else:
        archive = subprocess.run(["git", "archive", layout], cwd=TOP, check=True, stdout=subprocess.PIPE).stdout
        target.mkdir(parents=True)
        subprocess.run(["tar", "-x"], cwd=target, input=archive, check=True)
    for results in ("metrics", "plots"):
        shutil.rmtree(target / results)
    (target / "dvc.lock").unlink()
    names = {"encoder": [f"e{number}" for number in range(encoders)], "dataset": [f"d{n}" for n in range(datasets)]}
    for (group, made), like in zip(names.items(), ("hog", "digits"), strict=True):
        for name in made:
            shutil.copy(target / f"conf/{group}/{like}.yaml", target / f"conf/{group}/{name}.yaml")
    params = {
        "encoders": names["encoder"],
        "datasets": names["dataset"],
        "rankings": [],
        "searches": [],
        "encoder": "e0",
    }
    (target / "params.yaml").write_text(yaml.safe_dump(params))
    subprocess.run(["git", "init", "-q"], cwd=target, check=True)
    return make_trivial(target, params)


def dvc(project: Path, *, slow: bool, limit: float) -> float | None:
    """Run ``dvc repro``; return its seconds, or None if it was stopped at the limit."""
    start = [sys.executable, *(["-c", HIDING] if slow else ["-m", "dvc"])]
    environment = {**os.environ, "DVC_SITE_CACHE_DIR": str(project.parent / "site")}
    started = time.perf_counter()
    process = subprocess.Popen(
        [*start, "repro"], cwd=project, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _, said = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    if process.returncode:
        raise SystemExit(f"dvc repro failed: {said.decode()[-800:]}")
    return time.perf_counter() - started


def alone(project: Path) -> float:
    """Return the seconds that a trivial command takes by itself."""
    started = time.perf_counter()
    for number in range(50):
        subprocess.run(["sh", "trivial.sh", f"alone/{number}.txt"], cwd=project, check=True)
    return (time.perf_counter() - started) / 50


def measured(layout: str, size: str, *, limit: float) -> Row:
    """Run a layout at a size; ``dvc repro`` is stopped after ``limit`` seconds."""
    encoders, datasets = map(int, size.split("x"))
    layout, _, parser = layout.partition(":")
    slow = parser == "python"
    with tempfile.TemporaryDirectory() as name:
        project = Path(name) / "project"
        planned = copied(layout, project, encoders, datasets)
        first = dvc(project, slow=slow, limit=limit)
        times = [float(line) for line in (project / ".times").read_text().split()]
        again = None if first is None else dvc(project, slow=slow, limit=limit)
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        command = alone(project)
        lines = len((project / "dvc.lock").read_text().splitlines())
    own, last = (sum(some) / len(some) - command for some in (gaps, gaps[-LAST:]))
    return Row(len(times), planned, lines, limit if first is None else first, own, last, again)


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layouts", nargs="+", default=["."])
    parser.add_argument("--sizes", nargs="+", default=["7x2", "20x5"])
    parser.add_argument("--limit", type=float, default=600, help="seconds, after which dvc repro is stopped")
    options = parser.parse_args()
    for size in options.sizes:
        if not re.fullmatch(r"\d+x\d+", size):
            parser.error(f"a size is {size}: expected <encoders>x<datasets>, such as 7x2")
    print("| layout | encoders x datasets | stages | lines of dvc.lock | per stage | first dvc repro, s ", end="")
    print("| own, s per stage | own, last ten | nothing to do, s |\n|---|---|---|---|---|---|---|---|---|")
    for layout, size in itertools.product(options.layouts, options.sizes):
        print(f"| {layout} | {size} | {measured(layout, size, limit=options.limit).cells()} |", flush=True)


if __name__ == "__main__":
    main()
