"""Stages and ``score`` on a disk that is really full: a tmpfs in a mount namespace, which ends with its process."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

from tests.attack.cutting import Subject, digests, one_line, partials
from tests.attack.verdicts import Impossible, Wrong

TOP = Path(__file__).resolve().parents[2]
ROOMS = (0, 0, 4, 8, 16, 64)  # KiB that are free
NEEDED = (
    "conf",
    "pipeline",
    "data",
    "features",
    "metrics",
    "plots",
    "params.yaml",
    "dvc.yaml",
    ".dvc/config",
    "list.txt",
)


class Disks:
    """The stages of a project, each with so much room on a disk."""

    def __init__(self, top: Path) -> None:
        """Take a reproduced project.

        Raises:
            Impossible: nobody may mount here.
        """
        self.top = top
        self.within = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
        if shutil.which("unshare") is None:
            raise Impossible("there is no unshare")
        tried = subprocess.run([*self.within, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, text=True)
        if tried.returncode:
            raise Impossible(f"no tmpfs may be mounted here ({' '.join(tried.stderr.split())})")

    def ask(self, seed: int, case: int) -> dict[str, Any]:
        """Return how a case ended."""
        command = [*self.within, sys.executable, "-m", "tests.attack.disks", str(self.top), str(seed), str(case)]
        done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=600)
        if done.returncode:
            return {"verdict": "fault", "error": "harness", "where": "", "lines": done.stderr.splitlines()[-5:]}
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def attempt(top: Path, seed: int, case: int) -> dict[str, Any]:
    """Run a stage with little room, and again with enough."""
    rng = Random(f"{seed} {case}")
    disk = Path("/mnt")
    need = sum(
        path.stat().st_size + 4096
        for name in NEEDED
        for path in [top / name, *(top / name).rglob("*")]
        if path.exists()
    )
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={need + (8 << 20)}", "tmpfs", str(disk)], check=True)
    project = disk / "project"
    for name in NEEDED:
        if (top / name).is_dir():
            shutil.copytree(top / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (top / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(top / name, project / name)
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "DVC_SITE_CACHE_DIR": str(disk / "site")}
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    subject = Subject.of(project, sys.executable)
    stage, room = rng.choice(subject.stages), rng.choice(ROOMS)
    where = f"{stage.name} with {room} KiB"
    subject.drop(stage)
    filler = disk / "filler"
    free = os.statvfs(disk)
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - (room << 10)))
    done = subject.run(stage)
    filler.unlink()
    try:
        if done.returncode:
            one_line(done)
        if partials(project):
            raise Wrong(f"left behind: {partials(project)[:3]}")
        again = subject.run(stage)
        if again.returncode:
            raise Wrong(f"with room it ended with {again.returncode}: {again.stderr[-500:]}")
        if digests(project) != subject.meant:
            raise Wrong("with room it gave other bits")
    except Wrong as error:
        return {"verdict": "fault", "error": "Wrong", "where": where, "lines": str(error).splitlines()}
    return {"verdict": "refused" if done.returncode else "worked", "line": where}


if __name__ == "__main__":
    print(json.dumps(attempt(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
