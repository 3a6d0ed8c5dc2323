"""The metrics of all runs -> the comparative table.

``python -m pipeline.compare`` writes ``metrics/table.csv`` (one row per run), ``metrics/table.md`` and ``table.tex``
(encoder x dataset), ``metrics/pairwise.csv`` (one row per pair of encoders on a dataset), ``metrics/summary.json``,
``metrics/cost.csv`` and ``cost.md`` (one row per run, over all datasets), and ``metrics/search.csv`` and ``search.md``
(one row per setting of an approximate search), for the encoders, datasets and searches named in params.yaml.

What extractions and searches measured is the one thing here that DVC does not watch: another measurement of the same
features changes no result. The tables of costs and searches have what was measured last when they were made.
"""

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.experiment import read_experiment
from pipeline.frame.files import write_json, write_text
from pipeline.results.comparison import compare, long_table, read_runs, summarise
from pipeline.results.cost import MEAN, cost_table
from pipeline.results.estimates import read_estimates
from pipeline.results.pairs import Design, compare_pairs, populations_in_words
from pipeline.results.published import against, read_published, with_published
from pipeline.results.searches import search_table
from pipeline.results.shrinking import smaller_runs
from pipeline.results.tables import write_table
from pipeline.results.titles import read_titles
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.measures import measure_of
from pipeline.retrieval.settings import call
from pipeline.retrieval.uncertainty import average_of, average_of_drawn
from pipeline.views.search_table import search_markdown
from pipeline.views.shrinking import smaller_markdown
from pipeline.views.tables import caption, cost_markdown, headings, latex, markdown


@app("compare")
def main(config: DictConfig) -> None:
    """Run the stage."""
    published = read_published(path_of(config, "published"))
    design = call(Design, plain(config.design), where="conf/compare.yaml")
    experiment = read_experiment()
    titles = read_titles(path_of(config, "titles"), experiment)
    per_query = path_of(config, "per_query")
    runs = read_runs(path_of(config, "runs"), experiment)
    most = {name: measure_of(metrics["headline"]["metric"]).most for (_, name), metrics in runs.items()}
    found, populations = {}, {}
    for dataset in experiment.datasets:
        populations[dataset], found[dataset] = read_estimates(per_query, dataset, experiment.runs, design.population)
    if design.datasets == "drawn" and len(found) < 2:
        raise RetrievalError(
            "conf/compare.yaml: datasets are drawn, but there is one alone: set it to fixed, or add some"
        )
    average = (average_of if design.datasets == "fixed" else average_of_drawn)(list(found.values()))
    together = {**found, **({MEAN: average} if len(found) > 1 else {})}
    compared = compare_pairs(experiment.runs, together, design, most=most)
    stored = {run: max(runs[run, name]["feature_bytes"] for name in experiment.datasets) for run in experiment.runs}
    smaller = smaller_runs(experiment, stored, together, design, most=most)
    table = with_published(long_table(runs, experiment, found, populations, compared), published)
    comparison = compare(table)
    summary = summarise(comparison, average, compared)
    shown = {titles.dataset(name): population for name, population in populations.items()}
    words = caption(table, compared, summary, design, populations_in_words(shown), titles)
    plain_words = caption(table, compared, summary, design, populations_in_words(populations))
    means = {str(run): float(value) for run, value in comparison[MEAN].items()}
    costs = cost_table(means, stored, experiment.datasets, path_of(config, "costs"))
    searches = search_table(experiment, path_of(config, "runs"), path_of(config, "costs"))
    write_text(path_of(config, "csv"), table.to_csv(index=False, lineterminator="\n"))
    write_text(path_of(config, "pairs"), compared.pairs.to_csv(index=False, lineterminator="\n"))
    heads = headings(table, titles)
    beside = [smaller_markdown(smaller, heads, titles), *(against(runs, one, titles) for one in published)]
    parts = (comparison, table, compared.pairs, summary, words, titles)
    write_text(path_of(config, "markdown"), "\n".join([markdown(*parts), *filter(None, beside)]))
    write_text(path_of(config, "latex"), latex(*parts))
    write_json(path_of(config, "summary"), {**summary, "smaller": smaller, "caption": plain_words})
    write_table(path_of(config, "cost_csv"), costs)
    write_text(path_of(config, "cost_markdown"), cost_markdown(costs, titles, mean=heads[MEAN]))
    write_table(path_of(config, "search_csv"), searches)
    write_text(path_of(config, "search_markdown"), search_markdown(searches, titles))


if __name__ == "__main__":
    main()
