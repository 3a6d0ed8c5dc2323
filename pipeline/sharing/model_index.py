"""The metrics of a run as the ``model-index`` of a model card: the YAML between the two ``---`` of its README.md."""

from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from pipeline.frame.files import write_text
from pipeline.results.runs import scalars
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.measures import measure_of
from pipeline.sharing.mteb import ranks_of, scores_of
from pipeline.sharing.naming import Naming
from pipeline.sharing.outcome import Outcome

TASK = ("image-feature-extraction", "Image retrieval")  # by its name at huggingface.co/tasks, and what it is
CONDITIONS = ("protocol", "similarity", "queries", "gallery")


def write_model_index(outcome: Outcome, naming: Naming, target: Path) -> Path:
    """Write ``model-index.yaml`` into a folder, with every metric of the run, or of the task of others; return it."""
    kind, called = TASK
    conditions = CONDITIONS if naming.target else (*CONDITIONS, "ap")  # the rule of mteb is its own
    results = [
        EvalResult(
            task_type=kind,
            task_name=called,
            dataset_type=naming.dataset,
            dataset_name=outcome.manifest.dataset if naming.target is None else naming.task,
            dataset_split="test",
            dataset_revision=naming.dataset_revision,
            dataset_args={name: outcome.metrics[name] for name in conditions},
            metric_type=name,
            metric_name=name,
            metric_value=value,
        )
        for name, value in metrics_of(outcome, naming).items()
    ]
    card = ModelCardData(model_name=naming.model.partition("/")[2], eval_results=results)
    path = target / "model-index.yaml"
    write_text(path, card.to_yaml() + "\n")
    return path


def metrics_of(outcome: Outcome, naming: Naming) -> dict[str, float]:
    """Return the metrics of a run by their names here or, of a task of mteb, those of mteb by its names."""
    if naming.target is not None:
        return scores_of(ranks_of(outcome))
    return {name: value for name, value in scalars(dict(outcome.metrics)).items() if is_measure(name)}


def is_measure(name: str) -> bool:
    """Return whether a name is that of a metric, rather than of a count or the end of an interval."""
    try:
        measure_of(name)
    except RetrievalError:
        return False
    return True
