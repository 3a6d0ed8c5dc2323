"""A named experiment beside the one in params.yaml, whose results it leaves alone.

``python -m pipeline.preset experiment=report`` gets the weights and images that ``conf/experiment/report.yaml``
needs, and runs the DVC experiment ``report`` in a temporary copy of the project, with the same cache.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pipeline.checkpoints.providing import fetch as fetch_weights
from pipeline.datasets.getting.dataset import may_be_missing, ways_to_get
from pipeline.frame.app import app, path_of
from pipeline.frame.experiment import Experiment, check_names, read_experiment
from pipeline.frame.places import ELSEWHERE, located
from pipeline.frame.yamls import read_yaml
from pipeline.mending.mending import mend_if_idle, run_dvc
from pipeline.results.titles import without_title
from pipeline.retrieval.errors import RetrievalError

TABLE = "metrics/table.md"


def provide_weights(experiment: Experiment, conf: Path, store: Path, path: str | None) -> None:
    """Fetch the weights of all encoders that are not there yet.

    Raises:
        RetrievalError: see :func:`pipeline.checkpoints.providing.fetch`.
    """
    for encoder in experiment.encoders:
        fetch_weights(encoder, read_leaf(conf / "encoder" / f"{encoder}.yaml"), store, path)


def provide_images(experiment: Experiment, conf: Path) -> None:
    """Fetch the images of all datasets that are not there yet, after a check for those that cannot be fetched.

    Raises:
        RetrievalError: see :func:`pipeline.datasets.getting.dataset.ways_to_get`, and what that gives.
    """
    ways = []
    for dataset in experiment.datasets:
        config = without_title(read_leaf(conf / "dataset" / f"{dataset}.yaml"))
        if may_be_missing(config):
            ways += ways_to_get(dataset, config)
    for get in ways:
        get()


def read_leaf(path: Path) -> dict[str, Any]:
    """Return the YAML of an encoder or dataset, which has been checked."""
    config: dict[str, Any] = read_yaml(path, name=str(path))
    return config


def run(name: str, experiment: Experiment, raw: Path) -> None:
    """Run the DVC experiment ``name`` anew; what DVC has in its cache is not computed again.

    Args:
        name: of the experiment; one of that name on the same commit is replaced.
        experiment: the values for params.yaml.
        raw: where the copy of the project finds data/raw.

    Raises:
        RetrievalError: a stage failed.
    """
    environment = {
        **os.environ,
        ELSEWHERE: str(raw.absolute()),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    mend_if_idle()
    if subprocess.run(["git", "rev-parse", "-q", "--verify", reference(name)], capture_output=True, check=False).stdout:
        run_dvc("exp", "remove", "-q", name, environment=environment)
    values = {
        "encoders": f"[{','.join(experiment.encoders)}]",
        "datasets": f"[{','.join(experiment.datasets)}]",
        "rankings": f"[{','.join(experiment.rankings)}]",
        "searches": f"[{','.join(experiment.searches)}]",
        "encoder": experiment.encoder,
    }
    overrides = [part for key, value in values.items() for part in ("-S", f"{key}={value}")]
    if run_dvc("exp", "run", "--temp", "-n", name, *overrides, environment=environment):
        raise RetrievalError(f"the experiment {name} failed, as said above: mend that and run it again")


def reference(name: str) -> str:
    """Return the Git reference of the experiment ``name`` on the current commit; RetrievalError if there is none."""
    asked = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if asked.returncode:
        raise RetrievalError("no commit of Git to run it on: git init, git add --all and git commit, here")
    head = asked.stdout.strip()
    return f"refs/exps/{head[:2]}/{head[2:]}/{name}"


@app("preset")
def main(config: DictConfig) -> None:
    """Run the preset."""
    name, conf = config.experiment_name, path_of(config, "conf")
    experiment = read_experiment(conf / "experiment" / f"{name}.yaml")
    check_names(experiment, conf)
    provide_weights(experiment, conf, located(path_of(config, "store")), config.weights.path)
    provide_images(experiment, conf)
    run(name, experiment, located(path_of(config, "raw")))
    table = f"{reference(name)}:{TABLE}"
    print(subprocess.run(["git", "show", table], capture_output=True, text=True, check=True).stdout)
    print(f"dvc exp apply {name} puts these results into the work tree; dvc exp show lists them")


if __name__ == "__main__":
    main()
