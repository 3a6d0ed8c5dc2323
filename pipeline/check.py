"""params.yaml and conf/ -> a check that every name has its YAML, before any other stage runs."""

from pathlib import Path

from omegaconf import DictConfig

from pipeline.frame.app import app
from pipeline.frame.experiment import Experiment, read_experiment
from pipeline.frame.files import write_json
from pipeline.frame.tracked import LEAVES, refuse_untracked
from pipeline.retrieval.errors import RetrievalError


def check_names(experiment: Experiment, conf: Path) -> None:
    """Check that ``conf/encoder``, ``conf/dataset`` and ``conf/ranking`` hold a YAML for every name.

    Raises:
        RetrievalError: a name has no YAML, or one that :func:`pipeline.frame.tracked.refuse_untracked` refuses.
    """
    for group, names in zip(LEAVES, (experiment.encoders, experiment.datasets, experiment.rankings), strict=True):
        available = sorted(path.stem for path in (conf / group).glob("*.yaml"))
        for name in names:
            if name not in available:
                raise RetrievalError(
                    f"params.yaml: unknown {group} '{name}': write conf/{group}/{name}.yaml, "
                    f"or choose among {', '.join(available)}"
                )
            refuse_untracked(conf / group / f"{name}.yaml")


@app("check")
def main(config: DictConfig) -> None:
    """Run the stage."""
    check_names(read_experiment(Path(config.params)), Path(config.conf))
    # The content never changes, so that prepare, which waits for this file, does not re-run.
    write_json(Path(config.out), {"checked": "every encoder, dataset and ranking named in params.yaml has its YAML"})


if __name__ == "__main__":
    main()
