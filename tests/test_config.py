"""params.yaml, the check of its names, options and the command lines' errors."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.app import keys_of, refuse_untracked
from pipeline.check import check_names
from pipeline.errors import RetrievalError
from pipeline.experiment import Experiment, read_experiment
from pipeline.files import replacing_directory, replacing_file, write_json
from pipeline.options import call
from tests.conftest import TOP


def write_params(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def test_params_are_read_in_order(tmp_path: Path) -> None:
    path = write_params(tmp_path, "encoders: [b, a]\ndatasets: [d]\nencoder: a\n")
    assert read_experiment(path) == Experiment(("b", "a"), ("d",), "a")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("encoders: [a]\ndatasets: [d]\nencoder: b", "encoder 'b' .* is not among encoders"),
        ("encoders: [a, a]\ndatasets: [d]\nencoder: a", "'a' stands twice under 'encoders'"),
        ("encoders: [a]\ndatasets: []\nencoder: a", "'datasets' must be a list of at least one name"),
        ("encoders: a\ndatasets: [d]\nencoder: a", "'encoders' must be a list"),
        ("encoders: [../a]\ndatasets: [d]\nencoder: a", "'../a' under 'encoders': use letters"),
        ("encoders: [a-b]\ndatasets: [d]\nencoder: a", "'a-b' under 'encoders': use letters"),
        ("encoders: [1]\ndatasets: [d]\nencoder: 1", "'1' under 'encoders': use letters"),
        ("- a", "expected the keys encoders, datasets and encoder"),
        ("a: [", "cannot be read"),
    ],
)
def test_wrong_params_are_said(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(RetrievalError, match=match) as caught:
        read_experiment(write_params(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_missing_params(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="run from the top of the project"):
        read_experiment(tmp_path / "params.yaml")


def test_names_without_a_yaml() -> None:
    check_names(Experiment(("hog",), ("digits",), "hog"), TOP / "conf")
    with pytest.raises(
        RetrievalError, match="unknown dataset 'digitz': write conf/dataset/digitz.yaml, or choose among"
    ):
        check_names(Experiment(("hog",), ("digitz",), "hog"), TOP / "conf")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("defaults: [base]\nsource: x", r"conf/encoder/a\.yaml: a 'defaults' list is not allowed"),
        ("settings: {size: 3}", r"conf/encoder/a\.yaml: a key named 'size' is not allowed, because DVC's run-cache"),
        ("settings: [{nfiles: 3}]", "a key named 'nfiles' is not allowed"),
        ("- a", "expected keys and values"),
        ("a: [", "is not YAML"),
    ],
)
def test_what_dvc_would_not_see_is_refused(tmp_path: Path, text: str, match: str) -> None:
    path = tmp_path / "encoder" / "a.yaml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(RetrievalError, match=match):
        refuse_untracked(path)


def test_keys_of_a_nest() -> None:
    assert sorted(keys_of({"a": [{"b": {"c": 1}}, 2], "d": "size"})) == ["a", "b", "c", "d"]


def test_options_are_checked_against_the_signature() -> None:
    def function(a: int, b: int = 2) -> int:
        return a + b

    assert call(function, {"a": 1}, where="x") == 3
    with pytest.raises(RetrievalError, match="x: unknown key 'c', missing key 'a'; its keys are a, b"):
        call(function, {"c": 1}, where="x")


@pytest.mark.parametrize(
    ("command", "match"),
    [
        (["evaluate", "encoder=hog"], "You must specify 'dataset'"),
        (["prepare", "dataset=nope"], "Could not find 'dataset/nope'"),
        (["extract", "encoder=hog", "dataset=digits", "prepared=nowhere"], "error: no usable manifest in nowhere"),
        (["evaluate", "encoder=hog", "dataset=digits", "prepared=nowhere"], "error: no usable manifest in nowhere"),
        (["pr", "dataset=digits", "png=???"], "error: no value for png: give png=... on the command line"),
    ],
)
def test_a_command_line_says_what_is_wrong(command: list[str], match: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"pipeline.{command[0]}", *command[1:]],
        cwd=TOP, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert match in done.stderr
    assert "Traceback" not in done.stderr


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, {"a": 1})
    with pytest.raises(KeyError), replacing_file(target) as partial:
        partial.write_text("half")
        raise KeyError
    assert target.read_text() == '{\n  "a": 1\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant|Out of range"):
        write_json(target, {"a": float("nan")})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_directories_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "d"
    (tmp_path / ".d.partial").mkdir()
    (tmp_path / ".d.partial" / "left-by-a-killed-run").write_text("x")
    with replacing_directory(target) as partial:
        (partial / "one").write_text("1")
    with pytest.raises(KeyError), replacing_directory(target) as partial:
        (partial / "two").write_text("2")
        raise KeyError
    assert [path.name for path in tmp_path.rglob("*")] == ["d", "one"]
