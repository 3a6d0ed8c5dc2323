"""Variants of an encoder: a YAML for each, by a name that says what differs, and never two of one name."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.adding.variants import variant_of
from pipeline.retrieval.errors import RetrievalError

PIXELS: dict[str, Any] = {"source": "handcrafted", "name": "raw_pixels", "settings": {"side": 16}, "title": "Pixels"}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "conf/encoder").mkdir(parents=True)
    (tmp_path / "conf/encoder/pixels.yaml").write_text(yaml.safe_dump(PIXELS, sort_keys=False))
    (tmp_path / "params.yaml").write_text(
        "encoders: [pixels]  # all\ndatasets: [digits]\nrankings: []\nencoder: pixels\n"
    )
    return tmp_path / "conf"


def variant(conf: Path, config: dict[str, Any], *overrides: str) -> str:
    return variant_of("pixels", config, overrides, conf, conf.with_name("params.yaml"))


def named(conf: Path) -> list[str]:
    names: list[str] = yaml.safe_load(conf.with_name("params.yaml").read_text())["encoders"]
    return names


def test_what_the_yaml_says_is_no_variant(conf: Path) -> None:
    assert variant(conf, PIXELS, "encoder=pixels", "encoder.settings.side=16") == "pixels"
    assert named(conf) == ["pixels"] and len(list(conf.rglob("*.yaml"))) == 1


def test_a_variant_has_its_yaml_its_name_and_its_title(conf: Path) -> None:
    config = {**PIXELS, "input": {"side": 160}, "flips": True}
    overrides = ("encoder=pixels", "dataset=digits", "+encoder.input.side=160", "++encoder.flips=true")
    name = "pixels_input.side_160_flips_true"
    assert variant(conf, config, *overrides) == name and named(conf) == ["pixels", name]
    made = yaml.safe_load((conf / f"encoder/{name}.yaml").read_text())
    assert made == {**config, "title": "Pixels (input.side=160, flips=true)"}
    assert "# all" in conf.with_name("params.yaml").read_text()
    assert variant(conf, config, *overrides) == name and named(conf) == ["pixels", name]  # and nothing is written anew


def test_lists_make_names_too(conf: Path) -> None:
    config = {**PIXELS, "scales": [1, 0.5]}
    assert variant(conf, config, "+encoder.scales=[1,0.5]") == "pixels_scales_1_0.5"


def test_a_yaml_that_says_something_else_stays(conf: Path) -> None:
    path = conf / "encoder/pixels_settings.side_4.yaml"
    path.write_text("source: handcrafted\n")
    with pytest.raises(RetrievalError, match=r"pixels_settings\.side_4\.yaml is there and says something else"):
        variant(conf, {**PIXELS, "settings": {"side": 4}}, "encoder.settings.side=4")
    assert path.read_text() == "source: handcrafted\n" and named(conf) == ["pixels"]
