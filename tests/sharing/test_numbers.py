"""Metrics for others: mteb's results, a model card's model-index, the hub's .eval_results."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import ir_measures
import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from ir_measures import AP, RR, P, R, Success, nDCG

from pipeline.manifest.items import Box
from pipeline.retrieval.errors import RetrievalError
from pipeline.sharing.eval_results import write_eval_results
from pipeline.sharing.model_index import write_model_index
from pipeline.sharing.mteb import CUTOFFS, write_mteb
from pipeline.sharing.naming import Naming, naming_of
from pipeline.sharing.outcome import Outcome
from pipeline.sharing.targets import TARGETS, Target
from pipeline.sharing.trec import write_trec
from tests.sharing.conftest import Make, item

ASKED = {"model": None, "revision": None, "task": None}


def of_mteb() -> Any:
    """Return mteb; skip where it is not installed."""
    return pytest.importorskip("mteb", reason="mteb is not installed: pip install mteb, into an environment of its own")


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Target:
    """A task like the small runs here."""
    made = Target("SmallI2IRetrieval", "some/small", "f00", "hit_rate_at_1", "labels", 12, 12, (64, 64), (48, 48), True)
    monkeypatch.setitem(TARGETS, made.name, made)
    return made


def small(make: Make, **settings: Any) -> Outcome:
    """Return a run on twelve images of four classes."""
    features = np.random.default_rng(4).standard_normal((12, 3)).astype(np.float32)
    return make([item(f"{i}.jpg", str(i % 4)) for i in range(12)], features, **settings)


def test_mteb_has_the_numbers_of_trec_eval(by_labels: Outcome, tmp_path: Path) -> None:
    path = write_mteb(by_labels, naming_of(by_labels, **ASKED), tmp_path / "m")
    assert path == tmp_path / "m/results/retrieval-bench__mine/abc/RetrievalBench-photos.json"
    found = json.loads(path.read_text())
    assert list(found) == [
        "dataset_revision", "task_name", "mteb_version", "scores", "evaluation_time", "kg_co2_emissions",
    ]  # fmt: skip
    [scores] = found["scores"]["test"]
    write_trec(by_labels, tmp_path / "t", top=None)
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "t/qrels.txt")))
    run = list(ir_measures.read_trec_run(str(tmp_path / "t/run.txt")))
    kinds = {"map": AP, "ndcg": nDCG, "recall": R, "precision": P, "hit_rate": Success, "mrr": RR}
    measures = {f"{name}_at_{k}": kind @ k for name, kind in kinds.items() for k in CUTOFFS}
    theirs = ir_measures.calc_aggregate(list(measures.values()), qrels, run)
    for name, measure in measures.items():
        assert scores[name] == pytest.approx(theirs[measure], abs=5.1e-6), name
    assert scores["main_score"] == scores["map_at_1000"] and scores["hf_subset"] == "default"


@pytest.mark.filterwarnings("ignore")  # of mteb and what it imports
def test_mteb_reads_them(by_labels: Outcome, tmp_path: Path) -> None:
    results, meta = of_mteb().results, pytest.importorskip("mteb.models.model_meta")
    path = write_mteb(by_labels, naming_of(by_labels, **ASKED), tmp_path)
    read = results.TaskResult.from_disk(path, load_historic_data=False)
    assert read.task_name == "RetrievalBench-photos" and read.dataset_revision == by_labels.manifest.sha256
    assert read.scores["test"][0]["map_at_5"] == json.loads(path.read_text())["scores"]["test"][0]["map_at_5"]
    model = meta.ModelMeta.model_validate_json((path.parent / "model_meta.json").read_text())
    assert model.name == "retrieval-bench/mine" and model.modalities == ["image"] and model.embed_dim == 3


@pytest.mark.filterwarnings("ignore")
def test_the_table_has_what_mteb_says() -> None:
    mteb = of_mteb()
    for target in TARGETS.values():
        task = mteb.get_task(target.name)
        data, counts = task.metadata.dataset, task.metadata.descriptive_stats["test"]
        images = [counts["queries_image_statistics"], counts["documents_image_statistics"]]
        ends = [
            (min(one[f"min_image_{side}"] for one in images), max(one[f"max_image_{side}"] for one in images))
            for side in ("width", "height")
        ]
        said = (
            data["path"],
            data["revision"],
            task.metadata.main_score,
            counts["num_queries"],
            counts["num_documents"],
        )
        assert said == (target.dataset, target.revision, target.main_score, target.queries, target.gallery)
        assert ends == [target.widths, target.heights] and task.skip_first_result == target.drops_first
        assert task.metadata.eval_splits == ["test"]


def test_a_run_that_is_one_of_a_task_has_its_name(make: Make, task: Target, tmp_path: Path) -> None:
    outcome = small(make)
    naming = naming_of(outcome, model="me/net", revision="v1", task=task.name)
    path = write_mteb(outcome, naming, tmp_path)
    found = json.loads(path.read_text())
    assert path == tmp_path / "results/me__net/v1/SmallI2IRetrieval.json" and found["dataset_revision"] == "f00"
    assert found["scores"]["test"][0]["main_score"] == pytest.approx(outcome.metrics["recall@1"], abs=5.1e-6)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"protocol": "listed"}, "the protocol is 'labels' here, 'listed' there"),
        ({"queries": 11}, "queries: 12 here, 11 there, another split"),
        ({"gallery": 99}, "gallery: 12 here, 99 there, another split"),
        ({"widths": (224, 224)}, "images are 64 to 64 pixels wide here, 224 to 224 there"),
        ({"heights": (40, 48)}, "images are 48 to 48 pixels high here, 40 to 48 there"),
    ],
)
def test_a_run_that_differs_has_not(make: Make, task: Target, changed: dict[str, Any], said: str) -> None:
    TARGETS[task.name] = replace(task, **changed)
    with pytest.raises(RetrievalError) as error:
        naming_of(small(make), model=None, revision=None, task=task.name)
    remedy = "Leave out task=, and it is written under this project's own name"
    assert str(error.value) == f"mine on photos is no run of SmallI2IRetrieval: {said}. {remedy}"


def test_the_first_hit_is_not_always_the_query(make: Make, task: Target) -> None:
    with pytest.raises(RetrievalError, match="there the first hit is dropped as the query itself"):
        naming_of(small(make, similarity="dot"), model=None, revision=None, task=task.name)
    TARGETS[task.name] = replace(task, drops_first=False)
    assert naming_of(small(make, similarity="dot"), model=None, revision=None, task=task.name).target is not None


# Of the second the sides are cut at 1 and 33, at 0 and 16, although it is 32.8 wide and 15.2 high.
@pytest.mark.parametrize("box", [(2.0, 0.0, 34.0, 16.0), (0.6, 0.4, 33.4, 15.6)])
def test_a_box_is_what_is_measured(make: Make, task: Target, box: Box) -> None:
    items = [item(f"{i}.jpg", str(i % 4), box=box) for i in range(12)]
    outcome = make(items, np.random.default_rng(4).standard_normal((12, 3)).astype(np.float32))
    TARGETS[task.name] = replace(task, widths=(32, 32), heights=(16, 16))
    assert naming_of(outcome, model=None, revision=None, task=task.name).task == task.name


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"model": "net"}, "model is 'net': expected owner/name"),
        ({"model": "../net"}, "model is '../net': expected owner/name"),
        ({"revision": "a/b"}, "revision is 'a/b': expected what can be the name of a folder"),
        ({"task": "CUB"}, "task: unknown task 'CUB'; one of CUB200I2IRetrieval, GLDv2I2IRetrieval, "),
    ],
)
def test_names_that_cannot_be(by_labels: Outcome, asked: dict[str, str], said: str) -> None:
    with pytest.raises(RetrievalError) as error:
        naming_of(by_labels, **{**ASKED, **asked})
    assert str(error.value).startswith(said)


def test_a_model_card_has_every_metric(by_labels: Outcome, tmp_path: Path) -> None:
    path = write_model_index(by_labels, naming_of(by_labels, **{**ASKED, "model": "me/net"}), tmp_path)
    card = ModelCard(f"---\n{path.read_text()}---\n")
    results = {one.metric_type: one for one in card.data.eval_results}
    assert card.data.model_name == "net"
    assert {"mAP", "MRR", "P@1", "recall@5", "mAP@10", "mAP_trapezoid"} <= set(results)
    assert not {"mAP_low", "queries", "tie_gap", "exact_duplicates"} & set(results)
    for name, one in results.items():
        assert one.metric_value == by_labels.metrics[name]
        assert (one.dataset_type, one.dataset_name, one.dataset_split) == ("retrieval-bench/photos", "photos", "test")
        assert one.dataset_revision == by_labels.manifest.sha256 and one.dataset_args["ap"] == "rectangle"
    index = yaml.safe_load(path.read_text())["model-index"]
    assert index[0]["name"] == "net" and list(index[0]["results"][0]) == ["task", "dataset", "metrics"]


def test_under_the_name_of_a_task_a_card_has_its_metrics(make: Make, task: Target, tmp_path: Path) -> None:
    outcome = small(make)
    path = write_model_index(outcome, naming_of(outcome, **{**ASKED, "task": task.name}), tmp_path)
    results = {one.metric_type: one for one in ModelCard(f"---\n{path.read_text()}---\n").data.eval_results}
    assert "mAP" not in results and len(results) == 6 * len(CUTOFFS)
    one = results["hit_rate_at_1"]
    assert one.metric_value == pytest.approx(outcome.metrics["recall@1"], abs=5.1e-6)
    assert (one.dataset_type, one.dataset_name, one.dataset_revision) == ("some/small", task.name, "f00")
    assert "ap" not in one.dataset_args


def test_the_hub_has_one_number(make: Make, task: Target, tmp_path: Path) -> None:
    outcome = small(make)

    def written(naming: Naming) -> Any:
        path = write_eval_results(outcome, naming, tmp_path)
        assert path == tmp_path / f".eval_results/{naming.task}.yaml"
        [entry] = parse_eval_result_entries(yaml.safe_load(path.read_text()))
        return entry

    own = written(naming_of(outcome, **ASKED))
    assert (own.dataset_id, own.task_id, own.value) == (
        "retrieval-bench/photos", "RetrievalBench-photos", outcome.metrics["mAP"],
    )  # fmt: skip
    assert own.notes == "mAP; protocol labels, similarity cosine, AP by the rectangle rule"
    theirs = written(naming_of(outcome, **{**ASKED, "task": task.name}))
    assert (theirs.dataset_id, theirs.task_id, theirs.dataset_revision) == ("some/small", task.name, "f00")
    assert theirs.value == pytest.approx(outcome.metrics["recall@1"], abs=5.1e-6)
    assert theirs.notes == "hit_rate_at_1; protocol labels, similarity cosine"
