"""Hydra multirun over encoders and datasets, every job through DVC and its cache.

``python -m pipeline.sweep -m encoder=hog,raw_pixels dataset=digits,clutter`` brings those runs up to
date, prints a table and writes all metrics to ``table.csv`` beside the notes of its jobs. ``hydra/launcher=joblib``
runs the jobs in processes side by side. ``'+encoder.pooling=gem,rmac'`` gives an encoder other values of a key, each
under a name of its own: a new YAML, named in params.yaml before the first job begins.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import current_process
from pathlib import Path
from typing import Any

import hydra
from filelock import FileLock
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from tabulate import tabulate

from pipeline.adding.variants import add_variant, name_of, variant_of
from pipeline.frame.app import CONF, app, one_line, path_of, plain
from pipeline.frame.ending import die_with
from pipeline.frame.experiment import PARAMS, read_experiment
from pipeline.frame.files import write_json, write_text
from pipeline.frame.rows import csv_of
from pipeline.frame.upstream import read_json
from pipeline.mending.mending import mend_if_idle, run_dvc
from pipeline.results.runs import read_run, scalars
from pipeline.retrieval.errors import RetrievalError

LOCK = Path(".dvc/tmp/sweep.lock")
SECONDS = "seconds"  # of extraction


def reproduce(encoder: str, dataset: str) -> None:
    """Bring one run up to date with ``dvc repro``.

    Raises:
        RetrievalError: params.yaml does not name the encoder or the dataset, so that DVC has no such
            stage; or a stage failed.
    """
    experiment = read_experiment()
    for group, name, names in (
        ("encoder", encoder, experiment.encoders),
        ("dataset", dataset, experiment.datasets),
    ):
        if name not in names:
            raise RetrievalError(f"{group} '{name}' is not in params.yaml: add it under {group}s there")
    run = f"{encoder}-{dataset}"
    # Jobs side by side share these stages. DVC does not wait for a stage that another process runs, and even one
    # that is up to date is busy while another job reads what it made: so that is asked first.
    shared = ["check", f"prepare@{dataset}", f"weights@{encoder}"]
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(LOCK):
        mend_if_idle()
        while shared and (first := first_outdated(shared)):
            repro(first)
            shared = shared[shared.index(first) + 1 :]  # asked again: what it made may be new to those after it
    repro(f"extract@{run}", f"evaluate@{run}")


def first_outdated(stages: Sequence[str]) -> str | None:
    """Return the first stage that DVC would run again, the deps, params and outs of each considered; None if none."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "status", "--json", *stages]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        return stages[0]  # DVC cannot tell; repro says why
    changed = json.loads(done.stdout)
    return next((stage for stage in stages if stage in changed), None)


def repro(*stages: str) -> None:
    """Run ``dvc repro`` on just these stages.

    Raises:
        RetrievalError: a stage failed.
    """
    # Without --wait-for-lock, jobs side by side would fail on the lock of the repository.
    if run_dvc("--wait-for-lock", "repro", "--single-item", *stages):
        raise RetrievalError(f"dvc repro {' '.join(stages)} failed, as said above: mend that, then sweep again")


class Table(Callback):
    """Names what a sweep asks for, and prints its runs in their order if all of its jobs finished.

    The first job that fails ends the sweep without a table. What finished before stays in DVC's cache, so
    that the same sweep, started again, goes on from there.
    """

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Name what the jobs ask for, all of it before the first of them."""
        with one_line():
            for overrides in jobs_of(config.hydra.overrides.task):
                job = hydra.compose(config.hydra.job.config_name, overrides, return_hydra_config=True)
                name_variant(job.hydra.runtime.choices.encoder, job)

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Name what the only job asks for."""
        with one_line():
            name_variant(config.hydra.runtime.choices.encoder, config)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        """Print the table of all jobs."""
        self.show(Path(config.hydra.sweep.dir), config)

    def on_run_end(self, config: DictConfig, **_: Any) -> None:
        """Print the table of the only job."""
        self.show(Path(config.hydra.run.dir).parent, config)

    def show(self, directory: Path, config: DictConfig) -> None:
        """Print some columns, and write all, of a row for each ``<job number>/run.json`` in ``directory``."""
        notes = sorted(directory.glob("*/run.json"), key=lambda note: int(note.parent.name))
        names = [json.loads(note.read_text(encoding="utf-8")) for note in notes]
        rows = [
            row_of(run["encoder"], run["dataset"], path_of(config, "runs"), path_of(config, "costs")) for run in names
        ]
        shown = ["encoder", "dataset", *config.shown, SECONDS]
        print(tabulate([[row.get(key) for key in shown] for row in rows], shown, floatfmt=".4f"))
        columns = list(dict.fromkeys(key for row in rows for key in row))
        table = directory / "table.csv"
        write_text(table, csv_of([columns, *([row.get(key) for key in columns] for row in rows)]))
        print(f"{table} has all metrics")


def jobs_of(task: Sequence[str]) -> list[list[str]]:
    """Return the overrides of each job of a multirun, as Hydra's own sweeper makes them of the command line's."""
    parsed = OverridesParser.create().parse_overrides(list(task))
    return [job for batch in BasicSweeper.split_arguments(parsed, max_batch_size=None) for job in batch]


def changes_of(config: DictConfig) -> dict[str, Any]:
    """Return what ``+encoder.<key>=<value>`` says on top of the encoder's YAML."""
    return {} if config.encoder is None else dict(plain(config.encoder))


def name_variant(encoder: str, config: DictConfig) -> None:
    """Write the YAML of an encoder with other values, and name it in params.yaml, unless both are done."""
    changes = changes_of(config)
    if changes and add_variant(variant_of(encoder, changes, CONF), CONF, PARAMS):
        print(f"{PARAMS} names conf/encoder/{name_of(encoder, changes)}.yaml, which is new")


def row_of(encoder: str, dataset: str, runs: Path, costs: Path) -> dict[str, Any]:
    """Return the metrics of a run that are single numbers, and the seconds that its extraction took, if they are known.

    Raises:
        RetrievalError: what a stage wrote of it is missing or of another form.
    """
    stage = f"extract@{encoder}-{dataset}"
    cost = read_json(costs / encoder / f"{dataset}.json", dict[str, Any], stage=stage, what="costs")
    metrics = scalars(read_run(runs, encoder, dataset))
    return {"encoder": encoder, "dataset": dataset, **metrics, SECONDS: cost.get("seconds")}


@app("sweep", multirun=True)
def main(config: DictConfig) -> None:
    """Run one job."""
    if current_process().name != "MainProcess":  # joblib's, which would wait for more when the sweep was ended
        die_with(os.getppid(), signal.SIGTERM)
    encoder = name_of(config.encoder_name, changes_of(config))
    reproduce(encoder, config.dataset_name)
    # What Table reads: with some launchers the jobs run in other processes.
    write_json(path_of(config, "note"), {"encoder": encoder, "dataset": config.dataset_name})


if __name__ == "__main__":
    main()
