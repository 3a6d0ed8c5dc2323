"""Datasets as Croissant, rankings as JSON, and the command."""

import csv
import hashlib
import json
from pathlib import Path

import ir_measures
import pytest
from ir_measures import AP

from pipeline.manifest.items import COLUMNS
from pipeline.results.per_query import read_metrics
from pipeline.sharing import croissant
from pipeline.sharing.croissant import write_croissant
from pipeline.sharing.ilias import write_ilias
from pipeline.sharing.outcome import Outcome
from tests.conftest import Project


def test_what_a_description_says(by_labels: Outcome, tmp_path: Path) -> None:
    path = write_croissant(by_labels.prepared, tmp_path / "c")
    found = json.loads(path.read_text())
    assert found["conformsTo"] == "http://mlcommons.org/croissant/1.0" and found["name"] == "photos"
    manifest, images = found["distribution"]
    data = (path.parent / manifest["contentUrl"]).read_bytes()
    assert manifest["sha256"] == hashlib.sha256(data).hexdigest() == by_labels.manifest.sha256
    assert (manifest["encodingFormat"], images["@type"], images["includes"]) == ("text/csv", "cr:FileSet", ["**/*.jpg"])
    [items] = found["recordSet"]
    columns = [field["source"]["extract"]["column"] for field in items["field"]]
    assert columns == list(COLUMNS) == next(csv.reader(data.decode().splitlines()))
    assert {field["source"]["fileObject"]["@id"] for field in items["field"]} == {manifest["@id"]}
    assert len({field["@id"] for field in items["field"]}) == len(columns)
    assert set(croissant.COLUMNS) == set(COLUMNS)


@pytest.mark.filterwarnings("ignore")  # of what it imports
def test_mlcroissant_reads_it(by_labels: Outcome, tmp_path: Path) -> None:
    reader = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed: pip install mlcroissant")
    path = write_croissant(by_labels.prepared, tmp_path)
    dataset = reader.Dataset(jsonld=path)
    assert not dataset.metadata.issues.errors
    records = list(dataset.records("items"))
    assert [record["items/path"].decode() for record in records] == by_labels.manifest.paths
    assert [record["items/width"] for record in records] == [64] * len(records)


def test_rankings_as_json(by_landmarks: Outcome, tmp_path: Path) -> None:
    write_ilias(by_landmarks, tmp_path / "j", top=None)
    run, qrels = (json.loads((tmp_path / f"j/{name}.json").read_text()) for name in ("run", "qrels"))
    assert list(run) == list(qrels) == ["0.jpg", "1.jpg"]
    assert qrels["1.jpg"] == {**{f"{i}.jpg": 1 for i in (9, 10, 11, 12)}, "2.jpg": -1, "29.jpg": -1}
    found = {one.query_id: one.value for one in ir_measures.iter_calc([AP], qrels, run)}
    assert list(found.values()) == pytest.approx(
        read_metrics(by_landmarks.per_query)["AP_rectangle"].tolist(), abs=1e-9
    )
    write_ilias(by_landmarks, tmp_path / "j", top=3)
    assert [len(ranked) for ranked in json.loads((tmp_path / "j/run.json").read_text()).values()] == [3, 3]


def test_the_command(digits_project: Project) -> None:
    def share(*arguments: str, check: bool = True) -> str:
        done = digits_project.stage("share", "encoder=raw_pixels", "dataset=digits", *arguments, check=check)
        return done.stdout or done.stderr

    assert share("format=trec", "out=shared/trec", "top=3") == "shared/trec\n"
    assert len((digits_project.top / "shared/trec/run.txt").read_text().splitlines()) == 40 * 3
    assert share("format=model_index", "out=shared") == "shared/model-index.yaml\n"
    assert share("format=croissant", "out=shared/c") == "shared/c/croissant.json\n"
    assert "no run of SOPI2IRetrieval: queries: 40 here" in share(
        "format=mteb", "out=shared", "task=SOPI2IRetrieval", check=False
    )
    assert share("format=mteb", "out=shared", "top=3", check=False) == (
        "error: top is given, which format=mteb has no place for: leave it out\n"
    )
