"""What is attacked: the table of the kinds."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A family of inputs.

    Attributes:
        attack: the function that makes a case and tries it, as ``module:function`` below this package. It returns where
            that worked and raises what the program raises, ``Refused`` for a command that ended as it should, and
            ``Wrong`` where it said that it worked and did not.
        share: of the time, beside the others.
        seconds: that a case may take; more where the first ones compile code.
        keeps_partial: whether what is left of a refused case is meant to be gone on with.
    """

    attack: str
    share: float = 1.0
    seconds: float = 10.0
    keeps_partial: bool = False


KINDS = {
    "images": Kind("images:images", share=2),
    "lists": Kind("lists:lists"),
    "manifests": Kind("lists:manifests"),
    "names and labels": Kind("lists:names"),
    "ground truth": Kind("truths:revisited"),
    "ground truth in text": Kind("truths:classic"),
    "annotations": Kind("truths:voc"),
    "benchmarks": Kind("benchmarks:benchmarks", share=2),
    "archives": Kind("containers:archives"),
    "checkpoints": Kind("containers:checkpoints", share=2),
    "features": Kind("containers:features"),
    "features and labels in Python": Kind("scoring:scoring", share=2, seconds=60),
    "runs and judgements": Kind("rankings:rankings", seconds=60),
    "downloads": Kind("network:downloads", keeps_partial=True),
    "demo": Kind("network:demo"),
    "results of stages": Kind("commands:results", share=3),
    "conf and params.yaml": Kind("commands:conf", share=3),
    "command lines": Kind("commands:overrides", share=3),
    "no regular files": Kind("special:special", seconds=3),
}
