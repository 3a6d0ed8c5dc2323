"""The notebook docs/training.ipynb, cell by cell, and the names in docs/training.md."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.retrieval.accuracy import NAMES, AccuracyCalculator
from pipeline.retrieval.monitor import RetrievalMetrics
from pipeline.retrieval.scoring import score_features

DOCS = Path(__file__).parents[2] / "docs"


def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    installed = ModuleType("retrieval_bench")  # what this room is called where it is installed
    for one in (AccuracyCalculator, RetrievalMetrics, score_features):
        setattr(installed, one.__name__, one)
    monkeypatch.setitem(sys.modules, "retrieval_bench", installed)
    cells = json.loads((DOCS / "training.ipynb").read_text())["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)
    history, found, ours = names["history"], names["found"], names["ours"]
    assert history[-1] > history[0] + 0.1 > found["mAP_random"]
    assert found == names["at_once"]
    assert ours["mean_average_precision_at_r"] == pytest.approx(found["MAP@R"], abs=1e-12)
    if names["theirs"]:
        assert ours == pytest.approx(names["theirs"], abs=1e-6)
    told = capsys.readouterr().out
    assert told.count("True") == 6 and all(name in told for name in NAMES)


def test_the_page_has_every_name() -> None:
    text = (DOCS / "training.md").read_text()
    assert all(f"`{name}`" in text for name in NAMES)
