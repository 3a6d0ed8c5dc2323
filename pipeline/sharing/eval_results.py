"""The metric of a run as ``.eval_results/<task>.yaml`` of a model's repository: https://huggingface.co/docs/hub/eval-results."""

from pathlib import Path

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

from pipeline.frame.files import write_text
from pipeline.sharing.mteb import ranks_of, scores_of
from pipeline.sharing.naming import Naming
from pipeline.sharing.outcome import Outcome


def write_eval_results(outcome: Outcome, naming: Naming, target: Path) -> Path:
    """Write one number below a folder, that of the dataset or of another's task, and return its file."""
    metrics = outcome.metrics
    if naming.target is None:
        name, value = metrics["headline"]["metric"], metrics["headline"]["value"]
    else:
        name = naming.target.main_score
        value = scores_of(ranks_of(outcome))[name]
    notes = f"{name}; protocol {metrics['protocol']}, similarity {metrics['similarity']}"
    notes += f", AP by the {metrics['ap']} rule" if naming.target is None else ""
    entry = EvalResultEntry(
        dataset_id=naming.dataset,
        task_id=naming.task,
        value=value,
        dataset_revision=naming.dataset_revision,
        notes=notes,
    )
    path = target / ".eval_results" / f"{naming.task}.yaml"
    write_text(path, yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False))
    return path
