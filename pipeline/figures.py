"""The metrics of all runs -> figures: mAP with intervals, AP of the queries, classes, similarities, cost.

``python -m pipeline.figures`` writes ``plots/figures/png/`` and ``plots/figures/svg/`` for the runs and datasets of
params.yaml.
"""

from pathlib import Path

from omegaconf import DictConfig

from pipeline.frame.app import app, plain
from pipeline.frame.experiment import read_experiment
from pipeline.frame.files import replacing_directory
from pipeline.results.cost import read_costs
from pipeline.results.per_query import read_results
from pipeline.retrieval.settings import call
from pipeline.views.figures import (
    cost_points,
    draw_classes,
    draw_cost,
    draw_distribution,
    draw_map,
    draw_similarities,
    read_classes,
    read_similarities,
    run_table,
)
from pipeline.views.style import Style, save_png, save_svg


@app("figures")
def main(config: DictConfig) -> None:
    """Run the stage."""
    style = call(Style, plain(config.style), where="conf/style")
    experiment = read_experiment()
    table = run_table(Path(config.runs), experiment)
    figures = {"map": draw_map(table, style)}
    for dataset in experiment.datasets:
        directory = Path(config.per_query) / dataset
        aps = {run: read_results(directory / f"{run}.npz", "AP")["AP"] for run in experiment.runs}
        figures[f"ap_{dataset}"] = draw_distribution(aps, title=f"{dataset}: AP of the queries", style=style)
        classes = read_classes(Path(config.per_class), dataset, experiment.runs)
        if len(classes):
            figures[f"classes_{dataset}"] = draw_classes(classes, title=f"{dataset}: mAP of each class", style=style)
        figures[f"similarities_{dataset}"] = draw_similarities(
            read_similarities(Path(config.similarities), dataset, experiment.encoders),
            title=f"{dataset}: similarity of positives and negatives",
            style=style,
        )
    costs = cost_points(read_costs(Path(config.costs)), table)
    if len(costs):
        figures["cost"] = draw_cost(costs, style=style)
    with replacing_directory(Path(config.png)) as partial:
        for name, figure in figures.items():
            save_png(figure, partial / f"{name}.png", dpi=style.dpi)
    with replacing_directory(Path(config.svg)) as partial:
        for name, figure in figures.items():
            save_svg(figure, partial / f"{name}.svg")


if __name__ == "__main__":
    main()
