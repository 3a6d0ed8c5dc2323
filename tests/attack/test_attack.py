"""A short attack, always the same; ``make attack`` is the long one."""

import subprocess
import sys

import pytest

from tests.attack.kinds import KINDS
from tests.conftest import TOP, Project

# Cases of each kind; those that run whole commands take a tenth of a second.
CASES = {kind: 3 if KINDS[kind].attack.startswith("commands:") else 10 for kind in KINDS}


def attack(*arguments: str) -> str:
    """Run an attack in a process of its own, without the hooks of the tests; return what it said of each kind."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.attack", "--patience", "6", *arguments],  # other tests run beside it
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{done.stdout}\n{done.stderr}")
    return done.stdout


@pytest.mark.parametrize("cases", sorted(set(CASES.values())))
def test_hostile_inputs_are_used_or_refused_in_one_line(cases: int) -> None:
    kinds = [kind for kind in KINDS if CASES[kind] == cases]
    said = attack(*kinds, "--cases", str(cases))
    for kind in kinds:
        assert f"{kind}: {cases} tried" in said


def test_stages_that_are_killed_or_have_no_room_give_the_same_bits_when_run_again(on_digits: Project) -> None:
    given = ("--project", str(on_digits.top), "--python", str(on_digits.bin / "python"))
    said = attack("stages killed", "stages without room", "--cases", "2", *given)
    assert "stages killed: 2 tried" in said and "stages without room: 2 tried" in said


def test_a_case_is_the_same_whenever_it_runs() -> None:
    first, again = (attack("images", "--seed", "7", "--case", "11") for _ in range(2))
    assert first == again and "images: 1 tried" in first
