"""A small experiment, made once by a process from the stages themselves, for cases to damage copies of."""

import contextlib
import io
import os
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.attack.verdicts import Refused, Wrong

ENCODERS, DATASET = ("raw_pixels", "color_histogram"), "digits"
PARAMS = "encoders: [raw_pixels, color_histogram]\ndatasets: [digits]\nrankings: []\nencoder: raw_pixels\n"
LONGEST = 4000  # characters of a line that somebody is to read


def command(name: str, *overrides: str) -> str:
    """Run a command of the project in this process, and return what it printed.

    Raises:
        Refused: it ended with exit code 2 and one line.
        Wrong: it ended otherwise.
    """
    main = import_module(f"pipeline.{name}").main
    out, errors = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = [f"pipeline/{name}.py", *overrides]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            main()
        status: object = 0
    except SystemExit as ended:
        status = ended.code
    finally:
        sys.argv = before
    if status in (0, None):
        return out.getvalue()
    # Bars of progress end with a carriage return, or are drawn over.
    lines = [
        line for line in errors.getvalue().split("\n") if line and "\r" not in line and "UserWarning: " not in line
    ]
    if (
        status == 2
        and len(lines) == 1
        and lines[0].startswith("error: ")
        and len(lines[0]) <= LONGEST
        and lines[0].isprintable()
    ):
        raise Refused(lines[0])
    shown = [line[:200] for line in (*lines[:2], "...", *lines[-2:])]
    raise Wrong(f"{name} ended with {status} and {len(lines)} lines: {shown}")


def stages() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the stages of the experiment in their order, each with its overrides."""
    yield "prepare", ("dataset=digits", "dataset.per_class=2")
    for encoder in ENCODERS:
        yield "weights", (f"encoder={encoder}",)
        yield "extract", (f"encoder={encoder}", "dataset=digits")
        yield "evaluate", (f"encoder={encoder}", "dataset=digits")
    yield "pr", ("dataset=digits",)
    yield "gallery", ("dataset=digits",)
    yield "compare", ()
    yield "headline", ()
    yield "figures", ()
    yield "thumbnails", ("dataset=digits",)
    yield "explore", ("dataset=digits",)
    yield "page", ()


@cache
def experiment() -> Path:
    """Return the folder of an experiment that ran."""
    top = Path.cwd().parent / "experiment"
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    before = os.getcwd()
    os.chdir(top)
    try:
        Path("params.yaml").write_text(PARAMS)
        for name, overrides in stages():
            command(name, *overrides)
    finally:
        os.chdir(before)
    return top


def copied(folder: Path) -> None:
    """Make ``folder`` a copy of the experiment."""
    shutil.copytree(experiment(), folder, dirs_exist_ok=True)


@cache
def demo_of() -> tuple[Any, list[BaseException]]:
    """Return the demo's application on the experiment, and the list that its own failures come into."""
    from flask import got_request_exception

    from pipeline.extraction.runtime import read_runtime
    from pipeline.frame.app import composed, plain
    from pipeline.search.server import Collection, create_app

    failures: list[BaseException] = []
    os.chdir(experiment())
    values = plain(composed("demo", []))
    collection = Collection.read(
        {name: str(experiment() / place) for name, place in values["folders"].items()}, read_runtime(values["runtime"])
    )
    pages = create_app(collection, megabytes=1, k=3)

    def note(sender: object, exception: BaseException, **_: object) -> None:
        failures.append(exception)

    got_request_exception.connect(note, pages, weak=False)
    return pages, failures
