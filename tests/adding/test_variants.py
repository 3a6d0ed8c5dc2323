"""Variants of encoders: names of their own, YAMLs of their own, and nothing of anyone else's written over."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.adding.variants import LONGEST, add_variant, name_of, variant_of
from pipeline.frame.experiment import NAME
from pipeline.retrieval.errors import RetrievalError

PARAMS = "encoders:\n  - hog  # a remark\ndatasets: [digits]\nrankings: []\nencoder: hog\n"
HOG = {"source": "handcrafted", "name": "hog", "title": "HOG", "settings": {"side": 128, "cell": 16}}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    (tmp_path / "conf/encoder").mkdir(parents=True)
    (tmp_path / "conf/encoder/hog.yaml").write_text(yaml.safe_dump(HOG))
    return tmp_path / "conf"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "hog"),
        ({"pooling": "patch_mean"}, "hog_pooling_patch_mean"),
        ({"pooling": {"kind": "gem", "p": 0.5}, "dim": None}, "hog_pooling_kind_gem_p_0_5"),
        ({"pooling": {"join": ["cls", {"kind": "gem"}]}}, "hog_pooling_join_cls_kind_gem"),
    ],
)
def test_names_say_what_is_changed(changes: dict[str, Any], name: str) -> None:
    assert name_of("hog", changes) == name and NAME.fullmatch(name)


def test_long_names_are_cut_and_stay_apart() -> None:
    names = {name_of("hog", {"pooling": {"join": ["patch_mean"] * count}}) for count in (20, 21)}
    assert len(names) == 2 and max(map(len, names)) == len("hog_") + LONGEST + 9


def test_a_variant_is_written_and_named_once(conf: Path) -> None:
    params = conf.parent / "params.yaml"
    entry = variant_of("hog", {"settings": {"cell": 8}}, conf)
    assert entry.values == {"source": "handcrafted", "name": "hog", "settings": {"side": 128, "cell": 8}}
    assert add_variant(entry, conf, params)
    assert params.read_text() == PARAMS.replace("a remark\n", "a remark\n  - hog_settings_cell_8\n")
    assert yaml.safe_load((conf / "encoder/hog_settings_cell_8.yaml").read_text()) == entry.values
    assert not add_variant(entry, conf, params)
    (conf / "encoder/hog_settings_cell_8.yaml").unlink()
    assert add_variant(entry, conf, params)
    assert params.read_text().count("hog_settings_cell_8") == 1


def test_another_of_the_same_name_is_left_alone(conf: Path) -> None:
    """0.5 and "0 5" have one name, but not one YAML; nor has an encoder that was edited since."""
    params = conf.parent / "params.yaml"
    add_variant(variant_of("hog", {"settings": {"cell": 0.5}}, conf), conf, params)
    before = {path: path.read_bytes() for path in (params, conf / "encoder/hog_settings_cell_0_5.yaml")}
    with pytest.raises(RetrievalError, match=r"conf/encoder/hog_settings_cell_0_5\.yaml is there and says something"):
        add_variant(variant_of("hog", {"settings": {"cell": "0 5"}}, conf), conf, params)
    assert before == {path: path.read_bytes() for path in before}


def test_a_null_for_a_key_that_is_not_there_changes_nothing(conf: Path) -> None:
    with_null = variant_of("hog", {"settings": {"cell": 8}, "pooling": None, "title": None}, conf)
    assert with_null.values == variant_of("hog", {"settings": {"cell": 8}}, conf).values
    assert variant_of("hog", {"settings": None, "flips": True}, conf).values["settings"] is None


def test_nothing_to_be_named_by(conf: Path) -> None:
    with pytest.raises(RetrievalError, match="has no value to be named by: write a YAML for it"):
        variant_of("hog", {"settings": None}, conf)
