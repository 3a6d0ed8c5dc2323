"""params.yaml: which encoders, on which datasets, ranked and searched how, and which encoder is in the headline."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.frame.runs import PLAIN, run_name
from pipeline.frame.tracked import LEAVES, refuse_untracked
from pipeline.frame.yamls import read_yaml
from pipeline.retrieval.errors import RetrievalError

PARAMS = Path("params.yaml")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")
# What Hydra or YAML reads as a value of another type, in any case; as they do numbers, hence the letter first.
VALUES = ("true", "false", "null", "nan", "inf", "yes", "no", "on", "off")


@dataclass(frozen=True)
class Experiment:
    """The names in params.yaml.

    Attributes:
        encoders: the rows of the comparative table, in its order.
        datasets: its columns, in its order.
        encoder: the one whose metrics go into ``metrics/headline.json``.
        rankings: in which other ways the features of every encoder are ranked too; more rows of the table.
        searches: by which indices the features of every encoder are searched too, for a table of their own.
    """

    encoders: tuple[str, ...]
    datasets: tuple[str, ...]
    encoder: str
    rankings: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[str, ...]:
        """The rows of the comparative table: each encoder, followed by itself in the other rankings."""
        return tuple(run_name(encoder, ranking) for encoder in self.encoders for ranking in (PLAIN, *self.rankings))


def read_experiment(path: Path = PARAMS) -> Experiment:
    """Read and check params.yaml.

    Raises:
        RetrievalError: the file is missing, a list is missing (but ``searches``), empty (but that and ``rankings``) or
            has a name twice, a name is unfit for a file name or a command line, or ``encoder`` is not among
            ``encoders``.
    """
    if not path.is_file():
        raise RetrievalError(f"{path} is not here: run from the top of the project")
    params = read_yaml(path, name=str(path))
    if not isinstance(params, dict):
        raise RetrievalError(f"{path}: expected the keys encoders, datasets, rankings and encoder")
    encoders = names_under("encoders", params, path)
    datasets = names_under("datasets", params, path)
    rankings = names_under("rankings", params, path, least=0)
    searches = names_under("searches", {"searches": [], **params}, path, least=0)
    if PLAIN in rankings:
        raise RetrievalError(f"{path}: '{PLAIN}' under 'rankings' is what every encoder is ranked by anyway: remove it")
    encoder = params.get("encoder")
    if encoder not in encoders:
        raise RetrievalError(
            f"{path}: encoder '{encoder}' (the headline) is not among encoders: add it there, or name one of them"
        )
    return Experiment(encoders, datasets, encoder, rankings, searches)


def names_under(key: str, params: dict[str, Any], path: Path, *, least: int = 1) -> tuple[str, ...]:
    """Return the list ``params[key]`` as checked names (see :func:`read_experiment`)."""
    names = params.get(key)
    if not isinstance(names, list) or len(names) < least:
        what = "a list of at least one name" if least else "a list of names, [] for none"
        raise RetrievalError(f"{path}: '{key}' must be {what}")
    for name in names:
        # A hyphen would make the stage name extract@<encoder>-<dataset> ambiguous.
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise RetrievalError(f"{path}: '{name}' under '{key}': use letters, digits, '_' and '.', a letter first")
        if name.lower() in VALUES:
            raise RetrievalError(f"{path}: '{name}' under '{key}' is a value to Hydra or YAML: use another name")
        if names.count(name) > 1:
            raise RetrievalError(f"{path}: '{name}' stands twice under '{key}': remove one")
    return tuple(names)


def check_names(experiment: Experiment, conf: Path) -> None:
    """Check that ``conf/encoder``, ``conf/dataset``, ``conf/ranking`` and ``conf/search`` hold a YAML for every name.

    Raises:
        RetrievalError: a name has no YAML, or one that :func:`pipeline.frame.tracked.refuse_untracked` refuses.
    """
    named = (experiment.encoders, experiment.datasets, experiment.rankings, experiment.searches)
    for group, names in zip(LEAVES, named, strict=True):
        available = sorted(path.stem for path in (conf / group).glob("*.yaml"))
        for name in names:
            if name not in available:
                raise RetrievalError(
                    f"params.yaml: unknown {group} '{name}': write conf/{group}/{name}.yaml, "
                    f"or choose among {', '.join(available)}"
                )
            refuse_untracked(conf / group / f"{name}.yaml")
