"""Per-query results and curves of a dataset -> what the page loads to show them.

``python -m pipeline.explore dataset=digits`` writes ``plots/report/results/digits/``: the items, the curves, and for
each run the AP of every query and, some queries a file, the first of their rankings. Labels and paths are untrusted:
they reach the page as data, and are shown as text only.
"""

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.experiment import read_experiment
from pipeline.frame.files import replacing_directory
from pipeline.manifest.manifest import read_manifest
from pipeline.results.retrievals import read_retrievals
from pipeline.retrieval.settings import call
from pipeline.views.explorer import Division, read_curves, results_of, write_results


@app("explore")
def main(config: DictConfig) -> None:
    """Run the stage."""
    division = call(Division, plain(config.division), where="conf/explore.yaml")
    runs, manifest = read_experiment().runs, read_manifest(path_of(config, "prepared"))
    retrievals = {run: read_retrievals(path_of(config, "per_query") / f"{run}.npz", manifest) for run in runs}
    with replacing_directory(path_of(config, "out")) as folder:
        write_results(folder, "curves", read_curves(path_of(config, "curves"), runs), dataset=manifest.dataset)
        for name, content in results_of(manifest, retrievals, chunk=division.chunk):
            write_results(folder, name, content, dataset=manifest.dataset)


if __name__ == "__main__":
    main()
