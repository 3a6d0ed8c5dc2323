"""What a model, a task and their versions are called in results for others."""

from dataclasses import dataclass

from pipeline.retrieval.errors import RetrievalError
from pipeline.sharing.outcome import Outcome
from pipeline.sharing.targets import Target, target_of

OWNER = "retrieval-bench"


@dataclass(frozen=True)
class Naming:
    """Under which names numbers are written.

    Attributes:
        model: ``owner/name``.
        revision: of the model.
        target: the task of others that the run is one of; None: of none.
        task: the name of the task.
        dataset: the repository that has its images; of a dataset of one's own a name alike.
        dataset_revision: of that; of a dataset of one's own the SHA-256 of its manifest.
    """

    model: str
    revision: str
    target: Target | None
    task: str
    dataset: str
    dataset_revision: str


def naming_of(outcome: Outcome, *, model: str | None, revision: str | None, task: str | None) -> Naming:
    """Return the names of a run: what is given, else its own.

    Args:
        outcome: the run.
        model: ``owner/name``; None: the run's name, owned by nobody.
        revision: of the model; None: the SHA-256 of its weights, or what kind they are of.
        task: a task of :data:`.targets.TARGETS`; None: the dataset's own.

    Raises:
        RetrievalError: the model has another form, or the run is no run of the task.
    """
    called = f"{OWNER}/{outcome.run}" if model is None else model
    parts = called.split("/")
    if len(parts) != 2 or not all(part and part.isprintable() and part.strip(". ") == part for part in parts):
        raise RetrievalError(f"model is '{called}': expected owner/name, as on huggingface.co")
    weights = outcome.provenance.get("weights", {})
    version = revision or str(weights.get("sha256") or weights.get("kind") or "unknown")
    if not version.isprintable() or "/" in version or version.startswith("."):
        raise RetrievalError(f"revision is '{version}': expected what can be the name of a folder")
    if task is not None:
        target = target_of(task, outcome)
        return Naming(called, version, target, target.name, target.dataset, target.revision)
    dataset = outcome.manifest.dataset
    return Naming(called, version, None, f"RetrievalBench-{dataset}", f"{OWNER}/{dataset}", outcome.manifest.sha256)
