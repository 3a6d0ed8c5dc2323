"""How results on a dataset are judged, where its YAML says so: its metric in the table, and how that is taken.

``prepare`` writes them to a file of their own, so that an edit of them evaluates anew and extracts nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from pipeline.frame.files import write_json
from pipeline.frame.upstream import read_json
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.measures import measures_of
from pipeline.retrieval.settings import Cutoff, call

Edge = Annotated[int | float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Rules:
    """What the authors of a dataset's protocol ask for; of ``conf/dataset/<name>.yaml``.

    Attributes:
        metric: that of its column in the table, a name of docs/metrics.md such as ``recall@1``.
        more_metrics: others that are asked for, beside those that are always there.
        cutoffs: the k that are asked for, beside those of conf/evaluate.yaml.
        ap: the rule by which AP is taken, where conf/evaluate.yaml leaves it to the protocol; ``protocol``: that of the
            kind of dataset.
        queries_without_positives: ``skip`` where they count for nothing by definition; ``evaluate``: as
            conf/evaluate.yaml says.
        by_positives: attributes of images by which positives are judged apart, each with the numbers that divide it,
            none where each value is a group.
    """

    metric: str = "mAP"
    more_metrics: Sequence[str] = ()
    cutoffs: Sequence[Cutoff] = ()
    ap: Literal["protocol", "rectangle", "trapezoid"] = "protocol"
    queries_without_positives: Literal["evaluate", "skip"] = "evaluate"
    by_positives: Mapping[str, Sequence[Edge]] = field(default_factory=dict)


class Written(TypedDict):
    """A file of rules."""

    metric: str
    more_metrics: list[str]
    cutoffs: list[Cutoff]
    ap: Literal["protocol", "rectangle", "trapezoid"]
    queries_without_positives: Literal["evaluate", "skip"]
    by_positives: dict[str, list[Edge]]


KEYS = tuple(field.name for field in fields(Rules))


def rules_in(config: Mapping[str, Any], *, where: str) -> Rules:
    """Return the rules in the YAML of a dataset.

    Raises:
        RetrievalError: one has another form; there is no such metric.
    """
    rules = call(Rules, {key: value for key, value in config.items() if key in KEYS}, where=where)
    try:
        measures_of([rules.metric, *rules.more_metrics])
    except RetrievalError as error:
        raise RetrievalError(f"{where}: {error}") from None
    return rules


def write_rules(target: Path, rules: Rules) -> None:
    """Write rules for the stages that evaluate."""
    divided = {name: list(edges) for name, edges in rules.by_positives.items()}
    lists = {"cutoffs": list(rules.cutoffs), "more_metrics": list(rules.more_metrics), "by_positives": divided}
    write_json(target, {**asdict(rules), **lists})


def as_ruled(settings: Mapping[str, Any], rules: Rules | None) -> dict[str, Any]:
    """Return the settings of an evaluation as a dataset's rules have them: where conf/evaluate.yaml leaves it to these.

    Cutoffs and further metrics are those of both. Without rules all is as it is written.
    """
    if rules is None:
        return {**settings, "metric": "mAP" if settings["metric"] == "dataset" else settings["metric"]}
    found = {**settings, "cutoffs": sorted({*settings["cutoffs"], *rules.cutoffs})}
    found["more_metrics"] = list(dict.fromkeys([rules.metric, *rules.more_metrics, *settings["more_metrics"]]))
    if settings["metric"] == "dataset":
        found["metric"] = rules.metric
    if settings["ap"] == "protocol":
        found["ap"] = rules.ap
    if rules.queries_without_positives == "skip":
        found["queries_without_positives"] = "skip"
    return found


def read_rules(path: Path) -> Rules:
    """Return the rules of a dataset.

    Raises:
        RetrievalError: the file is missing or of another form.
    """
    return Rules(**read_json(path, Written, stage=f"prepare@{path.stem}", what="rules"))
