"""Named experiments: everything needed is asked for at once, and the results in the work tree stay as they are."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.frame.experiment import check_names, read_experiment
from tests.conftest import TOP, Project

PRESETS = sorted((TOP / "conf/experiment").glob("*.yaml"))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_names_what_there_is(path: Path) -> None:
    experiment = read_experiment(path)
    check_names(experiment, TOP / "conf")
    if path.stem in ("report", "as_published"):
        assert len(experiment.encoders) == 4 and experiment.datasets == ("simple1k", "voc_val", "paris")


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "clip", "dinov2"])
def test_as_published_is_the_same_encoder_but_for_what_the_report_did(name: str) -> None:
    right = yaml.safe_load((TOP / f"conf/encoder/{name}.yaml").read_text())
    published = yaml.safe_load((TOP / f"conf/encoder/{name}_as_published.yaml").read_text())
    changed = {key for key in right.keys() | published.keys() if right.get(key) != published.get(key)}
    expected = {"preprocessing"} | ({"batch_norm"} if name.startswith("resnet") else set())
    assert changed == expected
    assert published["preprocessing"] == "squash"


@pytest.fixture
def committed(project: Project) -> Project:
    project.git("update-index", "-q", "--refresh")
    assert project.git("status", "--porcelain") == ""
    return project


def preset(project: Project, name: str, *overrides: str, check: bool = True) -> tuple[int, str, str]:
    done = project.stage("preset", f"experiment={name}", *overrides, check=check)
    return done.returncode, done.stdout, done.stderr


def test_without_network_one_error_in_seconds_and_nothing_written(
    committed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    before = sorted(path for path in committed.top.rglob("*") if "__pycache__" not in path.parts)
    started = time.monotonic()
    code, out, err = preset(committed, "report", "weights.path=http://127.0.0.1:9", check=False)
    assert time.monotonic() - started < 30
    assert code == 2 and out == ""
    [line] = err.splitlines()
    expected = "error: conf/encoder/resnet18.yaml: resnet18-f37072fd.pth (46,830,571 bytes, sha256 f37072fd47e8"
    assert line.startswith(expected)
    assert "Three ways: connect to the network" in line
    assert sorted(path for path in committed.top.rglob("*") if "__pycache__" not in path.parts) == before
    assert committed.repro() == set()


def test_images_that_only_the_user_can_place_are_asked_for_first(committed: Project) -> None:
    committed.edit(
        "conf/experiment/own.yaml", encoders=["hog"], datasets=["voc_val", "simple1k"], rankings=[], encoder="hog"
    )
    code, _, err = preset(committed, "own", check=False)
    assert code == 2
    [line] = err.splitlines()
    assert "simple1k cannot be downloaded" in line and "data/raw/simple1k" in line


def test_a_preset_runs_beside_the_default_and_compares_with_what_is_published(
    committed: Project, draw: Callable[..., Path]
) -> None:
    lines = []
    for seed in range(6):
        draw(f"{seed}.png", seed=seed // 2, size=(32, 24 + seed), folder=committed.top / "data/raw/simple1k/images")
        lines.append(f"images/{seed}.png\tclass {seed // 2}")
    (committed.top / "data/raw/simple1k/list_of_images.txt").write_text("\n".join(lines))
    stand_in = {"source": "handcrafted", "name": "raw_pixels", "settings": {"side": 4}}
    for name in ("clip", "resnet18"):
        (committed.top / f"conf/encoder/{name}.yaml").write_text(yaml.safe_dump(stand_in))
    committed.edit(
        "conf/experiment/own.yaml", encoders=["clip", "resnet18"], datasets=["simple1k"], rankings=[], encoder="clip"
    )
    committed.commit("a preset")
    table = (committed.top / "metrics/table.md").read_bytes()
    _, out, _ = preset(committed, "own")
    assert "| clip      | simple1k  | 1.0000     | 0.8082      | +0.1918      |" in out
    assert "ResNet18: printed as 19.283% of the best, a slip; its printed mAPs give 18.93%." in out
    assert "CLIP: printed as 87.04% of the best; its printed mAPs give 87.04%." in out
    assert committed.git("status", "--porcelain") == ""
    assert (committed.top / "metrics/table.md").read_bytes() == table
    assert "own" in committed.dvc("exp", "list", "--name-only").stdout.split()
    # Again: nothing is computed twice, not even with the raw images gone from sight.
    shutil.rmtree(committed.top / "features")
    _, again, _ = preset(committed, "own")
    assert "Running stage 'extract" not in again and "| clip " in again
    diff = committed.dvc("metrics", "diff", "HEAD", "own", "--md").stdout
    assert "simple1k.mAP" in diff
