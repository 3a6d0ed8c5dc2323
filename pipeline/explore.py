"""Per-query results and curves of a dataset -> what the page loads to show them.

``python -m pipeline.explore dataset=digits`` writes ``plots/report/results/digits/``: the items, the curves, the
intervals of all metrics, hit rates, the classes, and for each run the metrics of every query, what is found in the
place of each class and, some queries a file, the first of their rankings. Labels and paths are untrusted: they reach
the page as data, and are shown as text only. ``metrics/by_attribute/digits.csv`` has the mean of every run over the
queries with each value of what the dataset says of its images, such as how they were edited; no row where it says
nothing.
"""

from functools import partial

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.experiment import read_experiment
from pipeline.frame.files import replacing_directory
from pipeline.manifest.manifest import read_manifest
from pipeline.results.by_attribute import by_attribute, read_attributes
from pipeline.results.per_query import read_metrics, read_told_apart
from pipeline.results.retrievals import read_retrievals
from pipeline.results.tables import write_table
from pipeline.retrieval.settings import call
from pipeline.views.classes import instead_of, most_alike, read_classes
from pipeline.views.explorer import Division, read_curves, results_of, with_populations, write_results
from pipeline.views.measures import hit_rates, measured, share_of_positives, values_of


@app("explore")
def main(config: DictConfig) -> None:
    """Run the stage."""
    division = call(Division, plain(config.division), where="conf/explore.yaml")
    runs, manifest = read_experiment().runs, read_manifest(path_of(config, "prepared"))
    paths = {run: path_of(config, "per_query") / f"{run}.npz" for run in runs}
    retrievals = {run: read_retrievals(path, manifest) for run, path in paths.items()}
    metrics = {run: read_metrics(path) for run, path in paths.items()}
    curves = read_curves(path_of(config, "curves"), runs)
    drawn = {run: with_populations(curve, paths[run]) for run, curve in curves.items()}
    classes = read_classes(path_of(config, "per_class"), runs)
    attributes = read_attributes(path_of(config, "prepared"), len(manifest.items))
    metric, queries, told_apart = read_told_apart(paths)
    write_table(path_of(config, "by_attribute"), by_attribute(attributes, queries, told_apart, metric=metric))
    with replacing_directory(path_of(config, "out")) as folder:
        write = partial(write_results, folder, dataset=manifest.dataset)
        write("curves", {"runs": drawn, "chance": share_of_positives(metrics[runs[0]])})
        write("metrics", measured(metrics))
        write("hits", hit_rates(metrics))
        write("classes", classes)
        for name, content in results_of(manifest, retrievals, chunk=division.chunk):
            write(name, content)
        for run, found in retrievals.items():
            write(f"{run}/metrics", values_of(metrics[run]))
            write(f"{run}/classes", instead_of(manifest, found, classes["labels"]))
            write(f"{run}/alike", most_alike(found))


if __name__ == "__main__":
    main()
