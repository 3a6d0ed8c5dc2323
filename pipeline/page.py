"""All results -> a page to explore them, which needs no network.

``python -m pipeline.page`` writes ``plots/report/index.html`` for the runs and datasets of params.yaml: the comparative
table, precision-recall curves, the provenance of each run, and every query with what was found. Beside it lie
``vega.js``, which draws, ``results/``, from which the page loads what is looked at (``pipeline.explore``), and
``thumbnails/`` (``pipeline.thumbnails``).
"""

from pathlib import Path

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.experiment import read_experiment
from pipeline.frame.files import write_text
from pipeline.frame.upstream import output_of, read_json
from pipeline.results.comparison import Summary, metrics_of
from pipeline.results.cost import read_costs
from pipeline.results.titles import read_titles
from pipeline.results.written import written_by
from pipeline.retrieval.settings import call
from pipeline.views.looks import looks_of
from pipeline.views.page import PageStyle, charting, page_of, provenances, read_comparison, table_rows
from pipeline.views.style import Style


@app("page")
def main(config: DictConfig) -> None:
    """Run the stage."""
    style = call(PageStyle, plain(config.page), where="conf/page.yaml")
    figures = call(Style, plain(config.style), where="conf/style")
    experiment, runs = read_experiment(), path_of(config, "runs")
    looks, titles = looks_of(experiment.runs, figures), read_titles(path_of(config, "titles"), experiment)
    summary = read_json(path_of(config, "summary"), Summary, stage="compare", what="summary")
    costs = read_costs(path_of(config, "costs"))
    table, pairs = read_comparison(path_of(config, "table"), path_of(config, "pairs"))
    with output_of("compare", f"tables in {config.table}, {config.pairs} and {config.summary}"):
        rows = table_rows(experiment, runs, table, pairs, summary, costs)
        caption = summary["caption"]
    origins = provenances(experiment, path_of(config, "features"), runs)
    write_text(path_of(config, "vega"), charting())
    pair_rows = [{str(name): value for name, value in row.items()} for row in pairs.to_dict("records")]
    written = written_by(Path())
    words = {"caption": caption, "written": written}
    smaller = summary.get("smaller", [])
    page = page_of(metrics_of(table), rows, pair_rows, origins, style, looks, titles, smaller=smaller, **words)
    write_text(path_of(config, "html"), page)


if __name__ == "__main__":
    main()
