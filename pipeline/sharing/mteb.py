"""The metrics of a run as mteb writes them: ``results/<owner>__<model>/<revision>/<Task>.json``, ``model_meta.json``.

Metrics are those of mteb, from the ranks of all positives: ``map_at_k`` is divided by R, ``recall_at_k`` is the share
of the positives that are found, and ``hit_rate_at_k`` what is called recall@k here.
"""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.frame.files import write_json
from pipeline.retrieval import metrics
from pipeline.retrieval.ragged import Ragged
from pipeline.sharing.naming import Naming
from pipeline.sharing.outcome import Outcome

CUTOFFS = (1, 3, 5, 10, 20, 100, 1000)
OWN_MAIN = "map_at_1000"  # of a task of one's own
DIGITS = 5  # that mteb writes
# What mteb asks of a model and nobody here knows.
UNKNOWN = (
    "release_date", "languages", "memory_usage_mb", "max_tokens", "license", "open_weights", "reference",
    "public_training_code", "public_training_data", "training_datasets", "n_parameters", "loader",
)  # fmt: skip


def write_mteb(outcome: Outcome, naming: Naming, target: Path) -> Path:
    """Write the metrics of a run below a folder, beside those of others; return their file."""
    folder = target / "results" / naming.model.replace("/", "__") / naming.revision
    scores = scores_of(ranks_of(outcome))
    main = OWN_MAIN if naming.target is None else naming.target.main_score
    entry = {**scores, "main_score": scores[main], "hf_subset": "default", "languages": ["eng-Latn"]}
    result = {
        "dataset_revision": naming.dataset_revision,
        "task_name": naming.task,
        "mteb_version": None,  # it computed nothing
        "scores": {"test": [entry]},
        "evaluation_time": None,
        "kg_co2_emissions": None,
    }
    write_json(folder / "model_meta.json", model_meta(outcome, naming))
    write_json(folder / f"{naming.task}.json", result)
    return folder / f"{naming.task}.json"


def ranks_of(outcome: Outcome) -> Ragged:
    """Return the ranks of the positives of all queries that have any."""
    rows = [row for ranking in outcome.rankings(top=0) for row in ranking.ranks.rows()]
    return Ragged.of([row for row in rows if len(row)])


def scores_of(ranks: Ragged) -> dict[str, float]:
    """Return the means of mteb's metrics, fractions in [0, 1]."""
    values = {}
    for k in CUTOFFS:
        found = metrics.recall_at(ranks, k=k)
        values[f"ndcg_at_{k}"] = metrics.ndcg_at(ranks, k=k)
        values[f"map_at_{k}"] = metrics.average_precision_at(ranks, k=k)
        values[f"recall_at_{k}"] = metrics.found_share_at(ranks, k=k)
        values[f"precision_at_{k}"] = metrics.precision_at(ranks, k=k)
        values[f"mrr_at_{k}"] = metrics.reciprocal_rank(ranks) * found
        values[f"hit_rate_at_{k}"] = found
    order = sorted(values, key=lambda name: name.rpartition("_")[0])
    return {name: round(float(np.mean(values[name])), DIGITS) for name in order}


def model_meta(outcome: Outcome, naming: Naming) -> dict[str, Any]:
    """Return what mteb asks of a model; what is not known here is null."""
    return {
        "name": naming.model,
        "revision": naming.revision,
        **dict.fromkeys(UNKNOWN),
        "embed_dim": outcome.provenance.get("dim"),
        "similarity_fn_name": outcome.metrics["similarity"],
        "framework": [],
        "use_instructions": False,
        "modalities": ["image"],
    }
