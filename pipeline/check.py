"""params.yaml and conf/ -> a check that every name has its YAML, before any other stage runs."""

from pathlib import Path

from omegaconf import DictConfig

from pipeline.frame.app import app
from pipeline.frame.experiment import check_names, read_experiment
from pipeline.frame.files import write_json


@app("check")
def main(config: DictConfig) -> None:
    """Run the stage."""
    check_names(read_experiment(Path(config.params)), Path(config.conf))
    # The content never changes, so that prepare, which waits for this file, does not re-run.
    write_json(Path(config.out), {"checked": "every encoder, dataset and ranking named in params.yaml has its YAML"})


if __name__ == "__main__":
    main()
