"""What is done to the graph: its stages killed or without room, small disks, runs of DVC cut off."""

import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.attack.cutting import Cuts, Subject
from tests.attack.verdicts import Impossible

# Ways to harm the graph, and the share of the time of each beside the other kinds.
GRAPH = {
    "stages killed": 4.0,
    "stages without room": 3.0,
    "small disks": 2.0,
    "dvc repro killed": 8.0,
    "dvc repro interrupted at its lock": 3.0,
}


@dataclass
class Graph:
    """A small reproduced project, and what can be done to it.

    Attributes:
        folder: where it is made.
        stack: what is to be ended in the end.
        project: the top of one that is there already, or None.
        python: what runs its stages; None: one that has imported the libraries, which is started here.
    """

    folder: Path
    stack: ExitStack
    project: Path | None
    python: str | None

    @cached_property
    def top(self) -> Path:
        """Where the project is: a copy of the one that was given, or one of its own."""
        if self.project is not None:
            return Path(shutil.copytree(self.project, self.folder / "given" / "project", symlinks=True))
        from tests.conftest import Project, make_digits_project, make_small_project

        print("making a small project, which takes a minute or two", flush=True)
        make_small_project(self.folder / "small" / "project", self.warm)
        make_digits_project(Project(self.folder / "small" / "project", self.warm), self.folder / "digits" / "project")
        return self.folder / "digits" / "project"

    @cached_property
    def subject(self) -> Subject:
        """The project as something whose stages can be cut off."""
        return Subject.of(self.top, self.python or str(self.warm / "python"))

    @cached_property
    def warm(self) -> Path:
        """A folder with a ``python`` that has imported the libraries."""
        from tests.warm import warm_python

        place = self.folder / "warm"
        place.mkdir()
        return self.stack.enter_context(warm_python(place))

    def ask(self, kind: str) -> Callable[[int, int], dict[str, Any] | None]:
        """Return what runs the cases of a kind.

        Raises:
            Impossible: this machine does not allow it.
        """
        if kind == "stages killed":
            return Cuts(self.subject, ("kill", "halve", "cut")).ask
        if kind == "stages without room":
            return Cuts(self.subject, ("full", "bytes")).ask
        if kind == "small disks":
            from tests.attack.disks import Disks

            return Disks(self.top).ask
        if sys.platform != "linux":
            raise Impossible("processes are found by /proc")
        from tests.attack.repros import Repros

        return Repros(self.top, self.folder, at_the_lock=kind.endswith("lock")).ask
