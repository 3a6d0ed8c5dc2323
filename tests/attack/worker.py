"""A process that runs cases, one after the other, as it is told: ``python -m tests.attack.worker <folder>``.

Each line of its standard input is a JSON list ``[kind, seed, case]``; for each it answers one line, a JSON object. It
runs without the hooks of the tests (beartype would refuse what the program would not), and is killed from outside where
a case takes too long or too much memory; where it was then stands in ``<folder>/stacks``.
"""

import faulthandler
import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

from tests.attack.kinds import KINDS
from tests.attack.verdicts import Escaped, Refused

ROOM = 32 << 30  # bytes of addresses beyond those in use; memory that is touched is watched from outside
SHOWN = 3  # lines at either end of a traceback


def confine(folder: Path) -> None:
    """Let this process write below ``folder`` only: what hostile input leads it to must harm nobody."""
    # Matplotlib keeps its list of fonts in the home folder, which takes seconds to make.
    fonts = os.path.expanduser("~/.cache/matplotlib"), os.path.expanduser("~/.config/matplotlib")
    allowed = (os.path.realpath(folder), "/dev/", "/proc/self", *fonts)
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    # From the event to the positions of the paths that it changes.
    changing = {
        "os.remove": (0,),
        "os.rename": (0, 1),
        "os.mkdir": (0,),
        "os.rmdir": (0,),
        "os.link": (1,),
        "os.symlink": (1,),
        "os.truncate": (0,),
        "os.chmod": (0,),
        "os.chown": (0,),
        "os.utime": (0,),
        "shutil.rmtree": (0,),
        "shutil.copyfile": (1,),
        "shutil.move": (0, 1),
        "shutil.copytree": (1,),
    }

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            paths = [path] if isinstance(flags, int) and flags & writing else []
        elif event in changing:
            # Below an open folder: that was allowed when the whole tree was.
            inner = event in ("os.remove", "os.rmdir") and arguments[-1] not in (-1, None)
            paths = [] if inner else [arguments[place] for place in changing[event]]
        else:
            return
        for path in paths:
            if isinstance(path, str | bytes | os.PathLike):
                place = os.path.realpath(os.fsdecode(path))
                if not place.startswith(allowed) and "__pycache__" not in place:
                    raise Escaped(f"{event} {place}")

    sys.addaudithook(watch)


def run(kind: str, seed: int, case: int, folder: Path) -> dict[str, Any]:
    """Run one case in an empty folder and say how that ended."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.chdir(folder)
    module, name = KINDS[kind].attack.split(":")
    attack: Callable[[Random, Path], None] = getattr(import_module(f"tests.attack.{module}"), name)
    from pipeline.frame.app import said_of

    try:
        attack(Random(f"{kind} {seed} {case}"), folder)
        verdict: dict[str, Any] = {"verdict": "worked"}
    except Refused as error:
        verdict = {"verdict": "refused", "line": str(error)[:200]}
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        # What a command would say in one line.
        said = said_of(error) if isinstance(error, Exception) else None
        verdict = {"verdict": "fault", **described(error)} if said is None else {"verdict": "refused", "line": said}
    finally:
        faulthandler.cancel_dump_traceback_later()
    left = [str(path.relative_to(folder)) for path in folder.rglob("*.partial*")]
    if verdict["verdict"] != "fault" and left and not KINDS[kind].keeps_partial:
        verdict = {"verdict": "fault", "error": "left", "where": "", "lines": [f"left behind: {left[:3]}"]}
    return verdict


def described(error: BaseException) -> dict[str, Any]:
    """Return an exception's name, the deepest place of the pipeline that it came through, and what it says."""
    name, frames = type(error).__name__, traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/pipeline/" in frame.filename]
    deepest = (own or frames)[-1]
    where = f"{deepest.filename.partition('/pipeline/')[2] or deepest.filename}:{deepest.lineno} {deepest.name}"
    lines = [line for line in "".join(traceback.format_exception(error)).splitlines() if line.strip()]
    shown = lines if len(lines) <= 2 * SHOWN else [*lines[:SHOWN], "...", *lines[-SHOWN:]]
    return {"error": name, "where": where, "lines": [line[:300] for line in shown]}


def main() -> None:
    """Answer until the standard input ends."""
    folder = Path(sys.argv[1])
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    stacks = (folder / "stacks").open("w")
    os.dup2(stacks.fileno(), 2)
    faulthandler.enable(stacks)
    faulthandler.register(signal.SIGUSR1, stacks)
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, resource.RLIM_INFINITY))
    os.environ["TMPDIR"] = str(folder)
    confine(folder)
    for line in sys.stdin:
        kind, seed, case = json.loads(line)
        print(json.dumps(run(kind, seed, case, folder / "case")), file=answers, flush=True)


if __name__ == "__main__":
    main()
