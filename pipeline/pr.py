"""Per-query results of all encoders on a dataset -> their 11-point precision-recall curves.

``python -m pipeline.pr dataset=digits`` writes ``plots/pr/digits.csv``, ``.png`` and ``.svg``.
"""

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.experiment import read_experiment
from pipeline.results.estimates import read_curve
from pipeline.results.tables import write_table
from pipeline.results.titles import read_titles, titled
from pipeline.retrieval.settings import call
from pipeline.views.curves import Shown, draw, long_table
from pipeline.views.style import Style, save_png, save_svg


@app("pr")
def main(config: DictConfig) -> None:
    """Run the stage."""
    style = call(Style, plain(config.style), where="conf/style")
    shown = call(Shown, {"population": config.population}, where="conf/pr.yaml")
    experiment = read_experiment()
    titles = read_titles(path_of(config, "titles"), experiment)
    curves = {run: read_curve(path_of(config, "per_query") / f"{run}.npz", shown.population) for run in experiment.runs}
    population = next(iter(curves.values())).population
    title = f"{titles.dataset(config.dataset_name)}: interpolated precision, 95 % interval over {population}"
    figure = draw(titled(curves, titles), title=title, style=style)
    save_png(figure, path_of(config, "png"), dpi=style.dpi)
    save_svg(figure, path_of(config, "svg"))
    write_table(path_of(config, "csv"), long_table(curves))


if __name__ == "__main__":
    main()
