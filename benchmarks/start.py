"""How long stages that need no torch, ``score`` and ``show`` take until their ``main`` begins.

That is the interpreter, the imports, and Hydra's composition of the config.

    python -m benchmarks.start

What ``python -X importtime -c "import pipeline.<command>"`` shows one import at a time, is shown here as a whole.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
COMMANDS = {
    "check": (),
    "prepare": ("dataset=digits",),
    "weights": ("encoder=hog",),
    "evaluate": ("encoder=hog", "dataset=digits"),
    "pr": ("dataset=digits",),
    "gallery": ("dataset=digits",),
    "compare": (),
    "figures": (),
    "thumbnails": ("dataset=digits",),
    "explore": ("dataset=digits",),
    "page": (),
    "headline": (),
    "score": ("features=F.npy", "labels=L.txt"),
    "show": ("encoder=hog", "dataset=digits", "query=0"),
}
# The config is composed; then, where main would begin, the process says so and ends.
BEGIN = """import os, sys
import hydra
from pipeline.frame import app
def ended(config):
    os.write(1, b"begun")
    os._exit(0)
whole = app.app
app.app = lambda name: lambda main: whole(name)(ended)
import runpy
sys.argv[0] = "pipeline"
runpy.run_module("pipeline." + os.environ["COMMAND"], run_name="__main__")
"""


def begun(command: str, arguments: tuple[str, ...]) -> float:
    """Return the seconds until ``main`` begins."""
    environment = {**os.environ, "COMMAND": command}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN, *arguments], cwd=TOP, env=environment, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    said = process.stdout.read(5)
    seconds = time.perf_counter() - started
    process.communicate()
    if said != b"begun":
        raise SystemExit(f"{command} did not begin")
    return seconds


def main() -> None:
    """Run the benchmark and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print("| command | s until main begins, median | least |\n|---|---|---|")
    for command, arguments in COMMANDS.items():
        begun(command, arguments)  # warm the disk's cache
        seconds = [begun(command, arguments) for _ in range(options.repeats)]
        print(f"| {command} | {statistics.median(seconds):.2f} | {min(seconds):.2f} |", flush=True)


if __name__ == "__main__":
    main()
