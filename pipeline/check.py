"""params.yaml, conf/ and pipeline/ -> a check of all names, and what each stage is made of.

``python -m pipeline.check`` writes ``data/code/<command>.json`` for each command: the modules that run, each with a
digest of its code without comments and docstrings. ``data/code/sources.json`` has the same for the sources of encoders
and the networks in ``own/``; which of them an encoder is made of, its YAML says and ``weights`` notes. Every stage
depends on a file here, and thereby on this check: it runs again if its code has changed, and a name without a YAML, or
an encoder that will have no features of a dataset, is said before anything runs.
"""

from itertools import product
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pipeline.encoders.fitting import misfit
from pipeline.encoders.sources import OWN, SOURCES
from pipeline.frame.app import app, path_of
from pipeline.frame.code import PACKAGE, Code
from pipeline.frame.experiment import Experiment, check_names, read_experiment
from pipeline.frame.files import replacing_directory, write_json
from pipeline.frame.yamls import read_yaml
from pipeline.results.titles import check_titles


def refuse_misfits(experiment: Experiment, conf: Path) -> None:
    """Raise :class:`RetrievalError` if an encoder and a dataset do not go together."""
    encoders = {name: said_in(conf / "encoder" / f"{name}.yaml") for name in experiment.encoders}
    datasets = {name: said_in(conf / "dataset" / f"{name}.yaml") for name in experiment.datasets}
    for (encoder, config), (dataset, described) in product(encoders.items(), datasets.items()):
        wrong = misfit(encoder, config, dataset, described)
        if wrong is not None:
            raise wrong


def said_in(path: Path) -> dict[str, Any]:
    """Return what a YAML, which has been checked, says; nothing if it is no mapping."""
    found = read_yaml(path, name=str(path))
    return found if isinstance(found, dict) else {}


@app("check")
def main(config: DictConfig) -> None:
    """Run the stage."""
    experiment, conf = read_experiment(path_of(config, "params")), path_of(config, "conf")
    check_names(experiment, conf)
    refuse_misfits(experiment, conf)
    check_titles(conf, experiment)
    code = Code()
    with replacing_directory(path_of(config, "out")) as partial:
        for path in sorted(Path(PACKAGE).glob("[!_]*.py")):
            write_json(partial / f"{path.stem}.json", code.behind([f"{PACKAGE}.{path.stem}"]))
        roots = (*SOURCES.values(), *code.below(OWN))
        write_json(partial / "sources.json", {root: code.behind([root]) for root in roots})


if __name__ == "__main__":
    main()
