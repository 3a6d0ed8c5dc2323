"""Per-query results + images -> the best and the worst retrievals of each encoder, as pictures.

``python -m pipeline.gallery dataset=digits`` writes ``plots/gallery/digits/hog_best.png`` and ``hog_worst.png``, and so
for every encoder: the queries with the highest and the lowest AP, equal ones by index, each with the first of its
ranking. Queries without positives are in neither.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.ending import discard
from pipeline.frame.experiment import read_experiment
from pipeline.frame.files import left_in
from pipeline.frame.places import RAW
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.results.retrievals import read_retrievals
from pipeline.retrieval.settings import call
from pipeline.views.gallery import Choice, best, worst
from pipeline.views.sheet import SheetStyle, draw_sheet, row_of
from pipeline.views.style import save_png


@app("gallery")
def main(config: DictConfig) -> None:
    """Run the stage."""
    style = call(SheetStyle, plain(config.sheet), where="conf/sheet")
    values = plain(config)
    choice = call(Choice, {name: values[name] for name in ("queries", "encoders")}, where="conf/gallery.yaml")
    manifest = read_manifest(path_of(config, "prepared"))
    drawing = partial(
        draw, config.dataset_name, manifest, path_of(config, "per_query"), path_of(config, "out"), choice.queries, style
    )
    draw_all(drawing, choice.among(read_experiment().encoders), path_of(config, "out"))


def draw_all(drawing: Callable[[str], None], encoders: Sequence[str], out: Path) -> None:
    """Draw those of all encoders, each in a process of its own.

    Raises:
        BrokenExecutor: a process was killed; what it left half-written in ``out`` is removed.
    """
    try:
        with ProcessPoolExecutor(min(len(encoders), os.cpu_count() or 1)) as pool:
            list(pool.map(drawing, encoders))
    except BrokenExecutor:
        for path in left_in(out, but=RAW):
            discard(path)
        raise


def draw(
    dataset: str, manifest: Manifest, per_query: Path, out: Path, queries: int, style: SheetStyle, encoder: str
) -> None:
    """Draw the best and the worst queries of an encoder."""
    retrievals = read_retrievals(per_query / f"{encoder}.npz", manifest)
    for which, choose in (("best", best), ("worst", worst)):
        rows = [row_of(one, manifest, pixels=style.pixels) for one in choose(retrievals, queries)]
        title = f"{encoder} on {dataset}: the {len(rows)} {which} queries by AP"
        save_png(draw_sheet(rows, title=title, style=style), out / f"{encoder}_{which}.png", dpi=style.dpi)


if __name__ == "__main__":
    main()
