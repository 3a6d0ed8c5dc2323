"""Published numbers beside ours: the printed values, their differences, and the slip in the print."""

import re

import pandas as pd
import pytest
import yaml

from pipeline.results.published import Published, against, with_published
from tests.conftest import TOP

REPORT = Published(**yaml.safe_load((TOP / "conf/compare.yaml").read_text())["published"])


def test_what_the_printed_table_gives() -> None:
    # 0.1053 + 0.1018 + 0.1336 = 0.3407; 0.2945 + 0.1586 + 0.1661 = 0.6192; 0.8082 + 0.4447 + 0.3134 = 1.5663;
    # 0.9310 + 0.4695 + 0.3990 = 1.7995.
    shares = REPORT.recomputed()
    for row, total in {"ResNet18": 0.3407, "ResNet34": 0.6192, "CLIP": 1.5663, "DINOv2": 1.7995}.items():
        assert shares[row] == pytest.approx(total / 1.7995)
    assert round(100 * shares["ResNet18"], 2) == 18.93


def test_a_run_is_compared_with_its_row() -> None:
    runs = [("dinov2_as_published", "paris", 0.4), ("hog", "paris", 0.1), ("clip", "digits", 0.2)]
    table = with_published(pd.DataFrame(runs, columns=["encoder", "dataset", "mAP"]), REPORT)
    assert table["published_mAP"].tolist()[0] == 0.399
    assert table["difference"].tolist()[0] == pytest.approx(0.001)
    assert table["published_mAP"].isna().tolist() == [False, True, True]
    text = against(table, REPORT)
    assert "| dinov2_as_published | paris     | 0.4000     | 0.3990      | +0.0010      |" in text
    assert "hog" not in text and "digits" not in text and "ResNet18" not in text


def test_where_nothing_is_published_nothing_is_added() -> None:
    table = pd.DataFrame([("hog", "paris", 0.1)], columns=["encoder", "dataset", "mAP"])
    assert with_published(table, REPORT).equals(table)
    assert against(table, REPORT) == ""


def test_every_row_of_ours_has_its_yaml() -> None:
    for encoder in REPORT.rows:
        assert (TOP / f"conf/encoder/{encoder}.yaml").is_file()
    assert set(REPORT.rows.values()) == set(REPORT.mAP) == set(REPORT.relative)


def test_only_the_slip_is_called_one() -> None:
    runs = [(encoder, "paris", 0.5) for encoder in ("resnet18", "resnet34", "clip", "dinov2")]
    text = against(with_published(pd.DataFrame(runs, columns=["encoder", "dataset", "mAP"]), REPORT), REPORT)
    assert re.findall(r"^(\w+): .*a slip", text, flags=re.MULTILINE) == ["ResNet18"]
