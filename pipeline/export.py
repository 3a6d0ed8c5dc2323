"""The curves of ``dvc plots`` as PNGs, without a browser.

``python -m pipeline.export`` writes ``plots/export/*.png`` as ``dvc plots show`` has them, ``revisions=[a,b]`` as
``dvc plots diff a b`` has them. Galleries and figures are PNGs already. It is no stage.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import vl_convert
from omegaconf import DictConfig
from pydantic import Field

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.experiment import read_experiment
from pipeline.frame.files import replacing_directory
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call


@dataclass(frozen=True)
class Export:
    """What is exported; conf/export.yaml.

    Attributes:
        revisions: Git commits, or names of experiments, to show together; none: the work tree.
        scale: pixels a unit of the chart.
    """

    revisions: Sequence[str]
    scale: Annotated[float, Field(gt=0, le=100)]

    def __post_init__(self) -> None:
        """Check the settings."""
        if any(revision.startswith("-") for revision in self.revisions):
            raise RetrievalError(f"revisions are {', '.join(self.revisions)}: none may begin with a hyphen")

    def command(self, target: str) -> list[str]:
        """Return the command of DVC that prints the chart of a file."""
        asked = ["diff", *self.revisions, "--targets", target] if self.revisions else ["show", target]
        return [sys.executable, "-m", "dvc", "plots", *asked, "--show-vega"]


def chart_of(export: Export, target: str) -> str:
    """Return the chart of a file, as Vega-Lite's JSON.

    Raises:
        RetrievalError: DVC has none.
    """
    done = subprocess.run(export.command(target), capture_output=True, text=True, check=False)
    try:
        chart = json.loads(done.stdout)
    except ValueError:
        chart = None
    if chart:  # of a file that is not there DVC makes an empty one, and succeeds
        return json.dumps(chart)
    problem = " ".join((done.stderr or "no chart").split())
    raise RetrievalError(f"dvc plots cannot show {target} ({problem}): run dvc repro, and name revisions that have it")


@app("export")
def main(config: DictConfig) -> None:
    """Run the command."""
    values = plain(config)
    export = call(Export, {name: values[name] for name in ("revisions", "scale")}, where="conf/export.yaml")
    curves = path_of(config, "curves")
    targets = [*(curves / f"{dataset}.csv" for dataset in read_experiment().datasets), path_of(config, "headline")]
    with replacing_directory(path_of(config, "out")) as folder:
        for target in targets:
            picture = vl_convert.vegalite_to_png(chart_of(export, target.as_posix()), scale=export.scale)
            (folder / f"{target.stem}.png").write_bytes(picture)
    for target in targets:
        print(path_of(config, "out") / f"{target.stem}.png")


if __name__ == "__main__":
    main()
