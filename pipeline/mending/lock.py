"""dvc.lock, which DVC writes in place after every stage: cut off meanwhile, it leaves the lock empty or half.

So every stage, when it begins, keeps a copy of the lock, which is whole then. It is beside the other files that DVC has
for itself, below a first line with a digest of what names the stages. What the copy lacks, DVC finds in its run-cache.
"""

import hashlib
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.frame.ending import STAGE
from pipeline.frame.files import replacing_file
from pipeline.frame.holding import holding
from pipeline.retrieval.errors import RetrievalError

LOCK = Path("dvc.lock")
GRAPH = Path("dvc.yaml")
OUTS = ("outs", "plots", "metrics")  # dvc.yaml's; in the lock all are outs
NAMING = (GRAPH, Path("params.yaml"))
TMP = Path(".dvc/tmp")
HELD = TMP / "lock"  # by every DVC, but for the time that a stage of it runs
COPY = TMP / "dvc.lock.whole"
ASIDE = TMP / "dvc.lock.cut"
MARK = b"<<<<<<< "


def keep_in_stage() -> None:
    """Keep a copy of the lock if this process is a stage of DVC; a place that cannot be written gets none."""
    if STAGE in os.environ and TMP.is_dir() and LOCK.is_file():
        with suppress(OSError, RetrievalError), holding(HELD, "dvc"):  # one of another stage may be writing it
            keep(LOCK.read_bytes())


def keep(text: bytes) -> None:
    """Keep a copy of the lock."""
    copy = b"# %b\n%b" % (naming(), text)
    if not COPY.is_file() or COPY.read_bytes() != copy:
        with replacing_file(COPY) as partial:
            partial.write_bytes(copy)


def naming() -> bytes:
    """Return a digest of the files that say which stages there are."""
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in NAMING if path.is_file())).hexdigest().encode()


def mended() -> str | None:
    """Put back a whole lock if the one that is there was cut off, and return what was done.

    DVC must not be at work. A lock that is whole is left as it is, and kept.

    Raises:
        RetrievalError: Git has left a merge in it for the user to decide.
    """
    if not LOCK.is_file():
        return None
    text = LOCK.read_bytes()
    named, _, copy = COPY.read_bytes().partition(b"\n") if COPY.is_file() else (b"", b"", b"")
    if copy and text == copy:
        return None
    if text.startswith(MARK) or b"\n" + MARK in text:
        line = text.partition(MARK)[0].count(b"\n") + 1
        raise RetrievalError(
            f"{LOCK} has a merge of Git in it that is undecided, at line {line}: take one side, by git checkout "
            f"--theirs {LOCK} or --ours, then run dvc repro"
        )
    current = named == b"# " + naming()
    flaw = flaw_of(text, copy if current else b"")
    if flaw is None:
        keep(text)
        return None
    os.replace(LOCK, ASIDE)
    source, whole = next(
        (found for found in earlier(copy, current=current) if not flaw_of(found[1])),
        ("removed, because neither git nor a stage has kept a whole one", b""),
    )
    if whole:
        with replacing_file(LOCK) as partial:
            partial.write_bytes(whole)
        keep(whole)
    return f"{LOCK} {flaw}: {source}; dvc repro takes what was done since from its cache (the cut one: {ASIDE})"


def earlier(copy: bytes, *, current: bool) -> list[tuple[str, bytes]]:
    """Return the locks that there were, with how to call them, first the one to prefer."""
    kept, committed = (
        ("put back as the last stage found it", copy),
        ("put back as git has it", git("show", f"HEAD:./{LOCK}").stdout),
    )
    return [kept, committed] if current else [committed, kept]


def git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Run Git, which may be missing, or not have the folder."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return subprocess.CompletedProcess(arguments, 127, b"", b"")


def flaw_of(text: bytes, copy: bytes = b"") -> str | None:
    """Return by what one sees that a lock was cut off, as the rest of a sentence; None if one does not.

    Args:
        text: of the lock.
        copy: an earlier one of the same stages, or nothing.
    """
    if not text.strip():
        return "is empty"
    if not text.endswith(b"\n"):
        return "ends in the middle of a line"
    stages = stages_of(text)
    if stages is None:
        return "is not what DVC writes"
    names, kept = list(stages), list(stages_of(copy) or {})
    flaw = None
    if names and not complete(names[-1], stages[names[-1]]):
        flaw = f"ends in the middle of the stage {names[-1]}"
    elif len(names) < len(kept) and names == kept[: len(names)]:
        flaw = f"ends before the stage {kept[len(names)]}"
    # DVC leaves both alone when dvc.yaml has more by now, and so does a checkout: what Git has is meant.
    return flaw if flaw and git("diff", "--quiet", "--", str(LOCK)).returncode else None


def stages_of(text: bytes) -> dict[str, Any] | None:
    """Return the records of the stages in a lock, or dvc.yaml's stages; None if it is neither."""
    import yaml  # only where a lock has changed

    try:
        stages = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"]
    except (yaml.YAMLError, ValueError, KeyError, TypeError):
        return None
    return stages if isinstance(stages, dict) else None


def complete(name: str, record: object) -> bool:
    """Return whether the record of a stage has all of its outputs, its last lines, and those are complete.

    Of a stage without outputs the dependencies are the last.
    """
    stage = (stages_of(GRAPH.read_bytes()) or {}).get(name.partition("@")[0])
    kinds = ("deps",) if stage and not any(kind in stage for kind in OUTS) else OUTS
    last = record.get(kinds[0], []) if isinstance(record, dict) else None
    if last is None:
        return False
    if stage and len(last) != sum(len(stage.get(kind, [])) for kind in kinds):
        return False
    return all(("nfiles" if str(one.get("md5")).endswith(".dir") else "size") in one for one in last)
