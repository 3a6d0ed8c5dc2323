"""How many queries, images and classes would tell a difference of two runs apart.

``python -m pipeline.power a=hog b=raw_pixels dataset=digits`` takes from the results of two runs how much a difference
of mAP, or of the metric that the dataset's YAML names, varies, and says how large a dataset like this one must be for
the paired t test of conf/compare.yaml to tell ``difference=0.01`` apart with the probability ``power=0.8``, two-sided
at the level 0.05. ``out=plan.json`` keeps all numbers. It runs nothing: make the results first, by ``dvc repro``.
"""

from dataclasses import asdict

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.files import write_json
from pipeline.results.planning import Wanted, plan_of, read_pair
from pipeline.retrieval.settings import call
from pipeline.views.plan import in_words


@app("power", texts=("a", "b", "out"))
def main(config: DictConfig) -> None:
    """Run the command."""
    values = plain(config)
    options = {name: values[name] for name in ("difference", "power", "images_per_class")}
    wanted = call(Wanted, options, where="conf/power.yaml")
    pair, metric = read_pair(path_of(config, "per_query"), config.dataset_name, config.a, config.b)
    plan = plan_of(pair, wanted)
    if config.out is not None:
        names = {"dataset": values["dataset_name"], "a": values["a"], "b": values["b"]}
        write_json(path_of(config, "out"), {**names, "wanted": asdict(wanted), **asdict(plan)})
    print(in_words(plan, wanted, title=f"{config.a} and {config.b} on {config.dataset_name}", metric=metric))


if __name__ == "__main__":
    main()
