"""Results and datasets in the formats of others.

``python -m pipeline.share format=trec encoder=hog dataset=digits out=shared/hog`` writes the rankings of a run, made by
the stages before, as trec_eval reads them; ``format=mteb``, ``model_index`` and ``eval_results`` its metrics,
``format=ilias`` its rankings as JSON, and ``format=croissant`` the dataset. It is no stage.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from omegaconf import DictConfig
from pydantic import Field

from pipeline.frame.app import app, path_of, plain
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call
from pipeline.sharing.croissant import write_croissant
from pipeline.sharing.eval_results import write_eval_results
from pipeline.sharing.ilias import write_ilias
from pipeline.sharing.model_index import write_model_index
from pipeline.sharing.mteb import write_mteb
from pipeline.sharing.naming import naming_of
from pipeline.sharing.outcome import Outcome, read_outcome
from pipeline.sharing.trec import write_trec

RANKINGS = {"trec": write_trec, "ilias": write_ilias}
NUMBERS = {"mteb": write_mteb, "model_index": write_model_index, "eval_results": write_eval_results}


@dataclass(frozen=True)
class Share:
    """What is written; conf/share.yaml says what each means."""

    format: Literal["trec", "ilias", "mteb", "model_index", "eval_results", "croissant"]
    top: Annotated[int, Field(ge=1, le=1_000_000)] | None
    task: str | None
    model: str | None
    revision: str | None

    def __post_init__(self) -> None:
        """Refuse what would change nothing."""
        unfit = {"top": self.format not in RANKINGS}
        unfit |= dict.fromkeys(("task", "model", "revision"), self.format not in NUMBERS)
        for name, changes_nothing in unfit.items():
            if changes_nothing and getattr(self, name) is not None:
                raise RetrievalError(f"{name} is given, which format={self.format} has no place for: leave it out")


def write(share: Share, outcome: Outcome, target: Path) -> Path:
    """Write a run; return the file or folder."""
    if share.format in RANKINGS:
        RANKINGS[share.format](outcome, target, top=share.top)
        return target
    naming = naming_of(outcome, model=share.model, revision=share.revision, task=share.task)
    return NUMBERS[share.format](outcome, naming, target)


@app("share", texts=("format", "task", "model", "revision", "out"))
def main(config: DictConfig) -> None:
    """Run the command."""
    values, target = plain(config), path_of(config, "out")
    names = ("format", "top", "task", "model", "revision")
    share = call(Share, {name: values[name] for name in names}, where="conf/share.yaml")
    if share.format == "croissant":
        print(write_croissant(path_of(config, "prepared"), target))
        return
    folders = {name: path_of(config, name) for name in ("prepared", "features", "runs", "per_query")}
    print(write(share, read_outcome(config.run, **folders), target))


if __name__ == "__main__":
    main()
