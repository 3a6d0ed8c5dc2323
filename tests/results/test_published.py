"""Published numbers beside ours: the printed values, their differences, and the slip in the print."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from pipeline.results.published import Published, against, measured, read_published, with_published
from pipeline.retrieval.errors import RetrievalError
from tests.conftest import TOP

FOLDER = TOP / "conf/published"
REPORT = Published(**yaml.safe_load((FOLDER / "report.yaml").read_text()))
COLUMNS = {"M": {"dataset": "rox", "metric": "medium.mAP"}, "H": {"dataset": "rox", "metric": "hard.mAP"}}
LANDMARKS = Published("a paper", {"net": "Net"}, COLUMNS, {"Net": {"M": 0.7, "H": 0.5}}, "crops")


def table_of(runs: list[tuple[str, str, float]]) -> pd.DataFrame:
    """Return a table of runs, each with its mAP."""
    return pd.DataFrame(runs, columns=["encoder", "dataset", "mAP"])


def metrics_of(runs: list[tuple[str, str, float]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the metrics of runs, each with its mAP."""
    return {(encoder, dataset): {"mAP": value, "protocol": "labels"} for encoder, dataset, value in runs}


def test_what_the_printed_table_gives() -> None:
    # 0.1053 + 0.1018 + 0.1336 = 0.3407; 0.2945 + 0.1586 + 0.1661 = 0.6192; 0.8082 + 0.4447 + 0.3134 = 1.5663;
    # 0.9310 + 0.4695 + 0.3990 = 1.7995.
    shares = REPORT.recomputed()
    for row, total in {"ResNet18": 0.3407, "ResNet34": 0.6192, "CLIP": 1.5663, "DINOv2": 1.7995}.items():
        assert shares[row] == pytest.approx(total / 1.7995)
    assert round(100 * shares["ResNet18"], 2) == 18.93


def test_a_run_is_compared_with_its_row() -> None:
    runs = [("dinov2_as_published", "paris", 0.4), ("hog", "paris", 0.1), ("clip", "digits", 0.2)]
    table = with_published(table_of(runs), [LANDMARKS, REPORT])
    assert table["published_mAP"].tolist()[0] == 0.399
    assert table["difference"].tolist()[0] == pytest.approx(0.001)
    assert table["published_mAP"].isna().tolist() == [False, True, True]
    text = against(metrics_of(runs), REPORT)
    assert "| encoder             | dataset   | mAP here   | published   | difference   |" in text
    assert "| dinov2_as_published | paris     | 0.4000     | 0.3990      | +0.0010      |" in text
    assert "hog" not in text and "digits" not in text and "ResNet18" not in text


def test_a_difficulty_is_compared_with_its_column() -> None:
    # What is asked for first stands at the top of a run, under no name.
    runs = {
        ("net", "rox"): {"protocol": "hard", "mAP": 0.45, "medium": {"mAP": 0.72}, "easy": {"mAP": 0.9}},
        ("net", "other"): {"protocol": "labels", "mAP": 0.1},
        ("net+step", "rox"): {"protocol": "hard", "mAP": 0.2, "medium": {"mAP": 0.3}},
    }
    lines = against(runs, LANDMARKS).splitlines()
    assert lines[0] == "Beside what is published in: a paper (crops)"
    assert [re.split(r" *\| *", line)[1:-1] for line in lines[4:]] == [
        ["net", "rox", "medium.mAP", "0.7200", "0.7000", "+0.0200"],
        ["net", "rox", "hard.mAP", "0.4500", "0.5000", "-0.0500"],
    ]
    table = table_of([("net", "rox", 0.45)])
    assert with_published(table, [LANDMARKS]).equals(table)


def test_what_a_run_has_not_is_not_compared() -> None:
    assert measured({"protocol": "labels", "mAP": 0.5}, "hard.mAP") is None
    assert measured({"protocol": "labels", "mAP": 0.5}, "recall@7") is None
    assert against({("net", "rox"): {"protocol": "labels", "mAP": 0.5}}, LANDMARKS) == ""


def test_where_nothing_is_published_nothing_is_added() -> None:
    table = table_of([("hog", "paris", 0.1)])
    assert with_published(table, [REPORT, LANDMARKS]).equals(table)
    assert against(metrics_of([("hog", "paris", 0.1)]), REPORT) == ""


def test_every_row_of_ours_has_its_yaml() -> None:
    tables = read_published(FOLDER)
    assert REPORT in tables and len(tables) == len(list(FOLDER.iterdir()))
    for published in tables:
        for encoder in published.rows:
            assert (TOP / f"conf/encoder/{encoder}.yaml").is_file()
        assert published.source
    assert set(REPORT.rows.values()) == set(REPORT.values) == set(REPORT.relative)


def test_only_the_slip_is_called_one() -> None:
    runs = [(encoder, "paris", 0.5) for encoder in ("resnet18", "resnet34", "clip", "dinov2")]
    text = against(metrics_of(runs), REPORT)
    assert re.findall(r"^(\w+): .*a slip", text, flags=re.MULTILINE) == ["ResNet18"]


def test_what_is_published_and_not_computed_here_is_named() -> None:
    columns: dict[str, Any] = {"A": {"dataset": "d", "metric": "mAP"}, "B": {"dataset": "d", "metric": "N-S"}}
    table = Published("a paper", {"net": "Net"}, columns, {"Net": {"A": 0.5, "B": 3.5}})
    text = against({("net", "d"): {"mAP": 0.25}}, table)
    assert "Published, but not computed here (more_metrics, cutoffs): N-S of net on d." in text and "-0.2500" in text
    assert "not computed" not in against({("net", "d"): {"mAP": 0.25, "N-S": 3.0}}, table)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rows": {"net": "Nut"}}, "'rows' has Nut, of which there are no values"),
        ({"columns": {"E": COLUMNS["M"]}}, "'columns' has E, of which there are no values"),
        ({"columns": {"M": {"dataset": "rox", "metric": "mPA"}}}, "mPA"),
        ({"columns": {"M": {"dataset": "rox", "metric": "harder.mAP"}}}, "unknown difficulty 'harder': one of easy"),
        ({"values": {"Net": {"M": 72.9, "H": 0.5}}}, "Net has 72.9 for M: "),
        ({"values": {"Net": {"M": "high"}}}, "'values' is"),
        ({"published": 1}, "unknown key 'published'"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    right = {"source": "a paper", "rows": {"net": "Net"}, "columns": COLUMNS, "values": {"Net": {"M": 0.7, "H": 0.5}}}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(right))
    assert read_published(tmp_path) == [Published(**right)]
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({**right, **changed}))
    with pytest.raises(RetrievalError) as error:
        read_published(tmp_path)
    assert str(error.value).startswith(str(tmp_path / "a.yaml")) and said in str(error.value)
