"""Titles: what encoders, datasets and rankings are shown as, and which titles are none."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pipeline.frame.experiment import Experiment
from pipeline.results.cost import COLUMNS, MILLION
from pipeline.results.published import Published, against, with_published
from pipeline.results.titles import Titles, check_titles, read_titles, titled, without_title, write_title
from pipeline.retrieval.errors import RetrievalError
from pipeline.views.tables import cost_markdown

EXPERIMENT = Experiment(("a", "b"), ("d",), "a", ("r",))
TITLES = Titles({"a": "An A|B"}, {"d": "The D"}, {"r": "re"})


def written(folder: Path, **titles: Any) -> Path:
    """Write what stages write of an experiment, each title under its name; and the YAMLs beside it."""
    for group, names in (("encoder", "ab"), ("dataset", "d"), ("ranking", "r")):
        for name in names:
            config = {"kind": "x", **({"title": titles[name]} if name in titles else {})}
            path = folder / "conf" / group / f"{name}.yaml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(config, allow_unicode=True))
            write_title(group, name, config, folder / "titles" / group / f"{name}.json")
    return folder / "titles"


def test_what_is_written_is_read_and_names_stand_for_what_has_no_title(tmp_path: Path) -> None:
    titles = read_titles(written(tmp_path, a="  An\nA\u200b ", r="re"), EXPERIMENT)
    shown = [titles.run(run) for run in EXPERIMENT.runs]
    assert shown == ["An A", "An A+re", "b", "b+re"] and titles.dataset("d") == "d"
    assert titles.dataset("mean over datasets") == "mean over datasets"  # a column that is no dataset
    assert titled({"a": 1, "b": 2}, titles) == {"An A": 1, "b": 2}
    check_titles(tmp_path / "conf", EXPERIMENT)
    assert without_title({"title": "x", "kind": {"title": "y"}}) == {"kind": {"title": "y"}}


@pytest.mark.parametrize("title", ["", " \t", "\u200b", None, 7, ["x"], True])
def test_what_is_no_title(tmp_path: Path, title: Any) -> None:
    with pytest.raises(RetrievalError, match=r"^conf/encoder/a\.yaml: 'title' is .* something to see") as error:
        written(tmp_path, a=title)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("titles", "message"),
    [
        ({"a": "x", "b": "x"}, r"conf/encoder/b\.yaml: by its title b looks like a, 'x'"),
        ({"a": "x", "b": " x\u200b"}, r"conf/encoder/b\.yaml: by its title b looks like a, 'x'"),
        ({"a": "caf\u00e9", "b": "cafe\u0301"}, r"conf/encoder/b\.yaml"),
        ({"a": "b"}, r"conf/encoder/a\.yaml: by its title a looks like b, 'b'"),
        ({"b": "a+r"}, r"conf/encoder/b\.yaml: by its title b looks like a\+r, 'a\+r'"),
    ],
)
def test_two_that_look_the_same(tmp_path: Path, titles: dict[str, str], message: str) -> None:
    folder = written(tmp_path, **titles)
    for check in (lambda: read_titles(folder, EXPERIMENT), lambda: check_titles(tmp_path / "conf", EXPERIMENT)):
        with pytest.raises(RetrievalError, match=f"^{message}"):
            check()


def test_an_encoder_and_a_dataset_may_look_the_same(tmp_path: Path) -> None:
    assert read_titles(written(tmp_path, a="x", d="x", r="x"), EXPERIMENT).run("a+r") == "x+x"


def test_a_title_that_is_missing(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "ranking/r.json").write_text("{}")
    with pytest.raises(RetrievalError, match=r"r\.json .*: run dvc repro recipe@r"):
        read_titles(folder, EXPERIMENT)
    (folder / "dataset/d.json").unlink()
    with pytest.raises(RetrievalError, match=r"d\.json .*: run dvc repro prepare@d"):
        read_titles(folder, EXPERIMENT)


def test_costs_and_published_values_stand_beside_titles() -> None:
    costs = {"encoder": ["a"], "mean over datasets": [0.5], **{name: [None] for name in (*COLUMNS, MILLION)}}
    assert r"| An A\|B " in cost_markdown(costs, TITLES)
    published = Published("there", {"a": "Row"}, {"D": {"dataset": "d", "metric": "mAP"}}, {"Row": {"D": 0.5}})
    table = with_published(pd.DataFrame({"encoder": ["a"], "dataset": ["d"], "mAP": [0.25]}), [published])
    assert "| The D " in against({("a", "d"): {"mAP": 0.25}}, published, TITLES)
    assert table["encoder"].tolist() == ["a"] and table["difference"].tolist() == [-0.25]
