"""Per-query results of all encoders on a dataset -> their 11-point precision-recall curves.

``python -m pipeline.pr dataset=digits`` writes ``plots/pr/digits.csv``, ``.png`` and ``.svg``.
"""

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.experiment import read_experiment
from pipeline.results.tables import write_table
from pipeline.retrieval.settings import call
from pipeline.retrieval.uncertainty import Resampling
from pipeline.views.curves import draw, long_table, read_curve
from pipeline.views.style import Style, save_png, save_svg


@app("pr")
def main(config: DictConfig) -> None:
    """Run the stage."""
    style = call(Style, plain(config.style), where="conf/style")
    draws = call(Resampling, {"resamples": config.resamples, "seed": config.seed}, where="conf/pr.yaml")
    curves = {
        run: read_curve(path_of(config, "per_query") / f"{run}.npz", resamples=draws.resamples, seed=draws.seed)
        for run in read_experiment().runs
    }
    title = f"{config.dataset_name}: interpolated precision, mean over queries, 95 % interval"
    figure = draw(curves, title=title, style=style)
    save_png(figure, path_of(config, "png"), dpi=style.dpi)
    save_svg(figure, path_of(config, "svg"))
    write_table(path_of(config, "csv"), long_table(curves))


if __name__ == "__main__":
    main()
