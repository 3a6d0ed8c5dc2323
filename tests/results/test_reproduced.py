"""Results made here beside those that are committed."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.results.reproduced import Compared, Reproduction
from pipeline.retrieval.errors import RetrievalError
from tests.conftest import Project

FOUND = [Compared("a", "d", 0.5, 0.5), Compared("b", "d", 0.25, 0.2504), Compared("c", "d", 0.9, None)]


def test_the_largest_difference_is_named() -> None:
    wanted = Reproduction(0.001, "HEAD")
    assert wanted.holds(FOUND)
    first, *others = wanted.said_of(FOUND).splitlines()
    assert first.startswith("2 runs compared with HEAD: the largest difference of mAP is 0.0004, of b on d (0.25")
    assert others == ["not in HEAD, so not compared: c on d", "reproduced: all within 0.001"]
    strict = Reproduction(0.0001, "HEAD")
    assert not strict.holds(FOUND)
    last = "NOT reproduced: 1 beyond 0.0001: b on d (0.250000 here, 0.250400 committed)"
    assert strict.said_of(FOUND).splitlines()[-1] == last


@pytest.mark.parametrize(("tolerance", "revision"), [(-0.1, "HEAD"), (1.5, "HEAD"), (0.1, ""), (0.1, "--all")])
def test_wrong_settings(tolerance: float, revision: str) -> None:
    with pytest.raises(RetrievalError, match=r"conf/verify\.yaml: "):
        Reproduction(tolerance, revision)


def edit_map(path: Path, value: float) -> None:
    run = json.loads(path.read_text())
    path.write_text(json.dumps({**run, "mAP": value}))


def test_committed_results_are_reproduced_and_one_moved_number_is_not(project: Project) -> None:
    done = project.stage("verify")
    assert "4 runs compared with HEAD: the largest difference of mAP is 0, of" in done.stdout
    path = project.top / "metrics/runs/raw_pixels/digits.json"
    true = json.loads(path.read_text())["mAP"]
    for commit in (False, True):  # in the work tree alone, and in both
        edit_map(path, true - 0.01)
        if commit:
            project.commit("a number moved")
        done = project.stage("verify", check=False)
        assert done.returncode == 1
        assert re.search(r"NOT reproduced: 1 beyond 0\.001: raw_pixels on digits \(0\.\d+ here", done.stdout)
        if not commit:
            edit_map(path, true)
    assert project.stage("verify", "tolerance=0.02").returncode == 0
    assert project.stage("verify", "revision='HEAD~1'", check=False).returncode == 1  # the work tree has another number
    # What git has is not what was made here.
    (project.top / "metrics/per_query/photo_views/raw_pixels.npz").unlink()
    done = project.stage("verify", check=False)
    assert done.returncode == 2 and "run dvc repro evaluate@raw_pixels-photo_views" in done.stderr


def test_what_cannot_be_compared(project: Project) -> None:
    done = project.stage("verify", "revision=nowhere", check=False)
    assert done.returncode == 2 and "error: 'nowhere' is no commit of this repository" in done.stderr
    first = project.git("rev-list", "--max-parents=0", "HEAD").strip()
    done = project.stage("verify", f"revision={first}", check=False)
    assert done.returncode == 2 and "has the metrics of none of these runs" in done.stderr
    with np.load(project.top / "metrics/per_query/digits/raw_pixels.npz") as arrays:
        assert (
            arrays["AP"].mean() == json.loads((project.top / "metrics/runs/raw_pixels/digits.json").read_text())["mAP"]
        )
