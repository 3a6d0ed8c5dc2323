"""params.yaml, conf/ and pipeline/ -> a check of all names, and what each stage is made of.

``python -m pipeline.check`` writes ``data/code/<command>.json`` for each command, and
``data/code/extract/<encoder>.json`` for the extraction by each encoder: the modules that run, each with a digest of its
code without comments and docstrings. Every stage depends on its own file, and thereby on this check: it runs again if
its code has changed, and a name without a YAML is said before anything runs.
"""

from pathlib import Path

import yaml
from omegaconf import DictConfig

from pipeline.encoders.sources import modules_of
from pipeline.frame.app import app
from pipeline.frame.code import PACKAGE, Code
from pipeline.frame.experiment import check_names, read_experiment
from pipeline.frame.files import replacing_directory, write_json


@app("check")
def main(config: DictConfig) -> None:
    """Run the stage."""
    experiment, conf, package = read_experiment(Path(config.params)), Path(config.conf), Path(config.package)
    check_names(experiment, conf)
    code = Code(package.resolve().parent)
    with replacing_directory(Path(config.out)) as partial:
        for path in sorted(package.glob("[!_]*.py")):
            write_json(partial / f"{path.stem}.json", code.behind([f"{PACKAGE}.{path.stem}"]))
        for encoder in experiment.encoders:
            named = modules_of(yaml.safe_load((conf / "encoder" / f"{encoder}.yaml").read_text(encoding="utf-8")))
            roots = [f"{PACKAGE}.extract", *filter(code.has, named)]
            write_json(partial / "extract" / f"{encoder}.json", code.behind(roots))


if __name__ == "__main__":
    main()
