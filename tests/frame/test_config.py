"""params.yaml, the check of its names, options and the command lines' errors."""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from pipeline.datasets.readers import read_dataset
from pipeline.frame.experiment import Experiment, check_names, read_experiment
from pipeline.frame.files import replacing_directory, replacing_file, write_json
from pipeline.frame.runs import stage_of
from pipeline.frame.tracked import keys_of, refuse_untracked
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call, choose
from tests.conftest import TOP


def write_params(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def test_params_are_read_in_order(tmp_path: Path) -> None:
    path = write_params(tmp_path, "encoders: [b, a]\ndatasets: [d]\nrankings: [r]\nencoder: a\n")
    assert read_experiment(path) == Experiment(("b", "a"), ("d",), "a", ("r",))
    path = write_params(tmp_path, "encoders: [a]\ndatasets: [d]\nrankings: []\nsearches: [t, s]\nencoder: a\n")
    assert read_experiment(path).searches == ("t", "s")


def test_rows_of_the_table_are_encoders_followed_by_their_other_rankings() -> None:
    experiment = Experiment(("a", "b"), ("d",), "a", ("r", "s"))
    assert experiment.runs == ("a", "a+r", "a+s", "b", "b+r", "b+s")
    assert stage_of("a", "d") == "evaluate@a-d" and stage_of("a+r", "d") == "rerank@a-d-r"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("encoders: [a]\ndatasets: [d]\nrankings: []\nencoder: b", "encoder 'b' .* is not among encoders"),
        ("encoders: [a, a]\ndatasets: [d]\nrankings: []\nencoder: a", "'a' stands twice under 'encoders'"),
        ("encoders: [a]\ndatasets: []\nencoder: a", "'datasets' must be a list of at least one name"),
        ("encoders: a\ndatasets: [d]\nrankings: []\nencoder: a", "'encoders' must be a list"),
        ("encoders: [../a]\ndatasets: [d]\nrankings: []\nencoder: a", "'../a' under 'encoders': use letters"),
        ("encoders: [a-b]\ndatasets: [d]\nrankings: []\nencoder: a", "'a-b' under 'encoders': use letters"),
        ("encoders: [1]\ndatasets: [d]\nrankings: []\nencoder: 1", "'1' under 'encoders': use letters"),
        (
            "encoders: ['123']\ndatasets: [d]\nrankings: []\nencoder: '123'",
            "'123' under 'encoders': use letters, .* a letter first",
        ),
        (
            "encoders: ['1e3']\ndatasets: [d]\nrankings: []\nencoder: '1e3'",
            "'1e3' under 'encoders': use letters, .* a letter first",
        ),
        ("encoders: [a]\ndatasets: [d]\nencoder: a", "'rankings' must be a list of names, \\[\\] for none"),
        ("encoders: [a]\ndatasets: [d]\nrankings: [similarity]\nencoder: a", "ranked by anyway: remove it"),
        ("encoders: [a]\ndatasets: [d]\nrankings: [b, b]\nencoder: a", "'b' stands twice under 'rankings'"),
        (
            "encoders: [a]\ndatasets: [d]\nrankings: []\nsearches: [s, s]\nencoder: a",
            "'s' stands twice under 'searches'",
        ),
        ("- a", "expected the keys encoders, datasets, rankings and encoder"),
        ("a: [", "params.yaml, line 1: "),
    ],
)
def test_wrong_params_are_said(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(RetrievalError, match=match) as caught:
        read_experiment(write_params(tmp_path, text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("word", ["true", "False", "NULL", "nan", "Inf", "yes", "no", "On", "off"])
def test_a_name_that_is_a_value_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(RetrievalError, match=f"'{word}' under 'datasets' is a value to Hydra or YAML: use another"):
        read_experiment(write_params(tmp_path, f"encoders: [a]\ndatasets: ['{word}']\nrankings: []\nencoder: a"))


def test_missing_params(tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match="run from the top of the project"):
        read_experiment(tmp_path / "params.yaml")


def test_names_without_a_yaml() -> None:
    check_names(Experiment(("hog",), ("digits",), "hog"), TOP / "conf")
    with pytest.raises(
        RetrievalError, match="unknown dataset 'digitz': write conf/dataset/digitz.yaml, or choose among"
    ):
        check_names(Experiment(("hog",), ("digitz",), "hog"), TOP / "conf")
    with pytest.raises(RetrievalError, match="unknown ranking 'k_reciprocl': write conf/ranking/k_reciprocl.yaml"):
        check_names(Experiment(("hog",), ("digits",), "hog", ("k_reciprocal", "k_reciprocl")), TOP / "conf")
    with pytest.raises(RetrievalError, match="unknown search 'hnws': write conf/search/hnws.yaml, or .* flat, hnsw,"):
        check_names(Experiment(("hog",), ("digits",), "hog", (), ("flat", "hnws")), TOP / "conf")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("defaults: [base]\nsource: x", r"conf/encoder/a\.yaml: a 'defaults' list is not allowed"),
        ("settings: {size: 3}", r"conf/encoder/a\.yaml: a key named 'size' is not allowed, because DVC's run-cache"),
        ("settings: [{nfiles: 3}]", "a key named 'nfiles' is not allowed"),
        ("settings: {widths: {1: 64}}", "a key is 1, which YAML takes for no text: put it in quotes"),
        ("settings: [{power: .inf}]", "a value is inf: give a finite number"),
        ("- a", "expected keys and values"),
        ("a: [", "conf/encoder/a.yaml, line 1: "),
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


def test_a_kind_that_is_no_string_is_unknown() -> None:
    for kind in (None, 3, ["a"], {"a": 1}):
        with pytest.raises(RetrievalError, match="x: unknown kind .*; one of a, b"):
            choose({"a": 1, "b": 2}, kind, key="kind", where="x")


@pytest.mark.parametrize(
    ("annotation", "fitting", "unfit", "expected"),
    [
        (int, [0, -3], ["16", 1.0, True, None, [1]], "an integer"),
        (float, [0.5, 2], ["0.5", False, None], "a number"),
        (str, ["", "a"], [1, None, ["a"], {"a": 1}], "a string"),
        (bool, [True, False], [0, "yes", None], "true or false"),
        (int | None, [3, None], ["none", False], "an integer or null"),
        (int | str, ["auto", 3], [1.5, True, None], "an integer or a string"),
        (Sequence[str], [[], ["a"], ("a", "b")], ["a/1.png", [1], None, {"a": "b"}],
         "a list, each entry a string"),
        (int | Sequence[int], [224, [224, 196]], [224.0, "224", [1, "a"], [True]],
         "an integer or a list, each entry an integer"),
        (Sequence[float], [[0.5, 1]], [[0.5, "1"], 0.5], "a list, each entry a number"),
        (list[int], [[1]], [1, ["a"]], "a list, each entry an integer"),
        (tuple[int, int], [[1, 2], (1, 2)], ["12", 12, [1], [1, "a"]], "a list"),
        (set[int], [[1, 2]], [1, ["a"]], "a list, each entry an integer"),
        (Experiment, [3, "a"], [], ""),
        (Mapping[str, Any], [{}, {"a": None}], [None, ["a"], "a", {1: 2}],
         "keys and values"),
        (dict[str, int], [{"a": 1}], [{"a": "b"}], "keys and values"),
        (Literal["error", "skip"], ["error"], ["zero", None, 0], "error or skip"),
        (Any, [None, 1, "a", [1]], [], ""),
        (Path, ["a"], [], ""),
        (Callable[..., int], [None], [], ""),
        ("SomeName", [None], [], ""),
    ],
    ids=str,
)  # fmt: skip
def test_values_are_checked_against_the_annotation(
    annotation: Any, fitting: list[object], unfit: list[object], expected: str
) -> None:
    def function(key):  # type: ignore[no-untyped-def]
        return key

    function.__annotations__["key"] = annotation
    for value in fitting:
        assert call(function, {"key": value}, where="x") == value
    for value in unfit:
        with pytest.raises(RetrievalError) as caught:
            call(function, {"key": value}, where="x")
        assert str(caught.value) == f"x: 'key' is {value!r}: expected {expected}"


def test_what_has_no_annotation_and_what_is_given_are_not_checked() -> None:
    def function(a, b: int):  # type: ignore[no-untyped-def]
        return a, b

    assert call(function, {"a": None}, where="x", given={"b": "b"}) == (None, "b")


@pytest.mark.parametrize(
    ("kind", "options", "match"),
    [
        ("folder", {"root": None}, "'root' is None: expected a string"),
        ("folder", {"root": "r", "exclude": None}, "'exclude' is None: expected a list, each entry a string"),
        ("folder", {"root": "r", "exclude": "a/1.png"}, "'exclude' is 'a/1.png': expected a list"),
        ("digits", {"per_class": True}, "'per_class' is True: expected an integer"),
        ("photo_views", {"views": 1, "side": "16", "seed": 0}, "'side' is '16': expected an integer"),
        ("photo_views", {"views": 1, "side": 16, "seed": "a"}, "'seed' is 'a': expected an integer"),
    ],
)
def test_a_dataset_of_wrong_types(tmp_path: Path, kind: str, options: dict[str, object], match: str) -> None:
    with pytest.raises(RetrievalError, match=f"conf/dataset/own.yaml: {match}"):
        read_dataset("own", {"kind": kind, **options}, tmp_path)


@pytest.mark.parametrize(
    ("command", "match"),
    [
        (["evaluate", "encoder=hog"], "error: no dataset: give dataset=... with a name in conf/dataset: amstertime, "),
        (["prepare", "dataset=nope"], "error: unknown dataset 'nope': one of amstertime, "),
        (["extract", "encoder=hog", "dataset=digits", "prepared=nowhere"], "error: no usable manifest in nowhere"),
        (["evaluate", "encoder=hog", "dataset=digits", "prepared=nowhere"], "error: no usable manifest in nowhere"),
        (["evaluate", "encoder=hog", "dataset=digits", "top=-1"], "error: conf/evaluate.yaml: 'top' is -1: expected"),
        (["evaluate", "encoder=hog", "dataset=digits", "cutoffs=3"], "'cutoffs' is 3: expected a list"),
        (["evaluate", "encoder=18", "dataset=digits"], "error: "),
        (
            ["weights", "encoder=[hog]", "out=nowhere"],
            "error: encoder: give the name of one YAML in conf/encoder",
        ),
        (
            ["evaluate", "encoder=hog", "dataset=digits", "cutofs=[1]"],
            "error: unknown key 'cutofs': did you mean cutoffs?",
        ),
        (["gallery", "dataset=digits", "encoders=[]"], "error: conf/gallery.yaml: 'encoders' names none"),
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
    with replacing_directory(target) as partial:
        (partial / "one").write_text("1")
    with pytest.raises(KeyError), replacing_directory(target) as partial:
        (partial / "two").write_text("2")
        raise KeyError
    assert [path.name for path in tmp_path.rglob("*")] == ["d", "one"]
