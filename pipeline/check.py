"""params.yaml, conf/ and pipeline/ -> a check of all names, and what each stage is made of.

``python -m pipeline.check`` writes ``data/code/<command>.json`` for each command: the modules that run, each with a
digest of its code without comments and docstrings. ``data/code/sources.json`` has the same for the sources of encoders
and the networks in ``own/``; which of them an encoder is made of, its YAML says and ``weights`` notes. Every stage
depends on a file here, and thereby on this check: it runs again if its code has changed, and a name without a YAML is
said before anything runs.
"""

from pathlib import Path

from omegaconf import DictConfig

from pipeline.encoders.precomputed import NAME as PRECOMPUTED
from pipeline.encoders.precomputed import without_images
from pipeline.encoders.sources import OWN, SOURCES
from pipeline.frame.app import app, path_of
from pipeline.frame.code import PACKAGE, Code
from pipeline.frame.experiment import Experiment, check_names, read_experiment
from pipeline.frame.files import replacing_directory, write_json
from pipeline.frame.yamls import read_yaml
from pipeline.results.titles import check_titles


def refuse_unseen(experiment: Experiment, conf: Path) -> None:
    """Raise :class:`RetrievalError` if an encoder takes images, and a dataset has none."""
    unseen = [name for name in experiment.datasets if value_in(conf / "dataset" / f"{name}.yaml", "images") == "none"]
    for encoder in experiment.encoders if unseen else ():
        if value_in(conf / "encoder" / f"{encoder}.yaml", "source") != PRECOMPUTED:
            raise without_images(encoder, unseen[0])


def value_in(path: Path, key: str) -> object:
    """Return what a YAML, which has been checked, says under a key; None if nothing."""
    return read_yaml(path, name=str(path)).get(key)


@app("check")
def main(config: DictConfig) -> None:
    """Run the stage."""
    experiment, conf = read_experiment(path_of(config, "params")), path_of(config, "conf")
    check_names(experiment, conf)
    refuse_unseen(experiment, conf)
    check_titles(conf, experiment)
    code = Code()
    with replacing_directory(path_of(config, "out")) as partial:
        for path in sorted(Path(PACKAGE).glob("[!_]*.py")):
            write_json(partial / f"{path.stem}.json", code.behind([f"{PACKAGE}.{path.stem}"]))
        roots = (*SOURCES.values(), *code.below(OWN))
        write_json(partial / "sources.json", {root: code.behind([root]) for root in roots})


if __name__ == "__main__":
    main()
