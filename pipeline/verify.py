"""Whether this machine has reproduced the results that are committed.

``python -m pipeline.verify`` compares the mAP of every run in params.yaml, as it was made here, with the one in
``metrics/runs`` of a commit, prints the largest difference and where it is, and ends with 1 if that is beyond the
tolerance. It runs nothing: make the results first, by ``dvc repro``.
"""

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.experiment import read_experiment
from pipeline.results.reproduced import Reproduction, compare_with
from pipeline.retrieval.settings import call


@app("verify")
def main(config: DictConfig) -> None:
    """Run the command."""
    values = plain(config)
    wanted = call(Reproduction, {name: values[name] for name in ("tolerance", "revision")}, where="conf/verify.yaml")
    found = compare_with(
        wanted.revision, read_experiment(), runs=path_of(config, "runs"), per_query=path_of(config, "per_query")
    )
    print(wanted.said_of(found))
    if not wanted.holds(found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
