"""The metrics of all runs -> figures: metrics with intervals, AP of the queries, classes, similarities, cost, search.

``python -m pipeline.figures`` writes ``plots/figures/png/`` and ``plots/figures/svg/`` for the runs and datasets of
params.yaml.
"""

from dataclasses import replace

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.experiment import read_experiment
from pipeline.frame.files import replacing_directory
from pipeline.frame.upstream import read_json
from pipeline.results.breakdown import read_classes, read_similarities
from pipeline.results.comparison import Summary
from pipeline.results.cost import MEAN, read_costs
from pipeline.results.per_query import read_results
from pipeline.results.searches import read_points, titled_points
from pipeline.results.titles import read_titles, titled
from pipeline.retrieval.settings import call
from pipeline.views.breakdown import draw_classes, draw_similarities
from pipeline.views.figures import draw_cost, draw_distribution, draw_map, metric_of, read_scores
from pipeline.views.search_figure import draw_searches
from pipeline.views.shrinking import draw_smaller
from pipeline.views.style import Style, save_png, save_svg


@app("figures")
def main(config: DictConfig) -> None:
    """Run the stage."""
    style = call(Style, plain(config.style), where="conf/style")
    experiment = read_experiment()
    titles = read_titles(path_of(config, "titles"), experiment)
    named = read_scores(path_of(config, "table"), experiment)
    scores = [replace(one, run=titles.run(one.run), dataset=titles.dataset(one.dataset)) for one in named]
    figures = {"map": draw_map(scores, style)}
    for dataset in experiment.datasets:
        directory = path_of(config, "per_query") / dataset
        title = titles.dataset(dataset)
        aps = {run: read_results(directory / f"{run}.npz", "AP")["AP"] for run in experiment.runs}
        figures[f"ap_{dataset}"] = draw_distribution(
            titled(aps, titles), title=f"{title}: AP of the queries", style=style
        )
        classes = titled(read_classes(path_of(config, "per_class"), dataset, experiment.runs), titles)
        if any(classes.values()):
            figures[f"classes_{dataset}"] = draw_classes(classes, title=f"{title}: mAP of each class", style=style)
        figures[f"similarities_{dataset}"] = draw_similarities(
            titled(read_similarities(path_of(config, "similarities"), dataset, experiment.encoders), titles),
            title=f"{title}: similarity of positives and negatives",
            style=style,
        )
    heads = {one.dataset: shown.heading for one, shown in zip(named, scores, strict=True)}
    smaller = read_json(path_of(config, "summary"), Summary, stage="compare", what="summary").get("smaller", [])
    drawn = draw_smaller(smaller, heads | {MEAN: f"mean {metric_of(scores)}"}, titles, style=style)
    if drawn is not None:
        figures["smaller"] = drawn
    figures["cost"] = draw_cost(titled(read_costs(path_of(config, "costs")), titles), scores, style=style)
    points = read_points(path_of(config, "searches"))
    if points:
        figures["search"] = draw_searches(titled_points(points, titles), style)
    with replacing_directory(path_of(config, "png")) as partial:
        for name, figure in figures.items():
            save_png(figure, partial / f"{name}.png", dpi=style.dpi)
    with replacing_directory(path_of(config, "svg")) as partial:
        for name, figure in figures.items():
            save_svg(figure, partial / f"{name}.svg")


if __name__ == "__main__":
    main()
