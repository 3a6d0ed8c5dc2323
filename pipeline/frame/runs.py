"""What the runs of an experiment are called, and which stage evaluates them."""

PLAIN = "similarity"  # the ranking that takes features as they are: conf/ranking/similarity.yaml
JOINED = "+"  # no name of an encoder has it


def run_name(encoder: str, ranking: str) -> str:
    """Return what the run of an encoder is called: by its name alone if its features are ranked as they are."""
    return encoder if ranking == PLAIN else f"{encoder}{JOINED}{ranking}"


def stage_of(run: str, dataset: str) -> str:
    """Return the stage that evaluates a run on a dataset."""
    encoder, _, ranking = run.partition(JOINED)
    return f"rerank@{encoder}-{dataset}-{ranking}" if ranking else f"evaluate@{encoder}-{dataset}"
