"""Per-query results + images -> the best and the worst retrievals of each encoder, as pictures.

``python -m pipeline.gallery dataset=digits`` writes ``plots/gallery/digits/hog_best.png`` and ``hog_worst.png``, and so
for every encoder: the queries with the highest and the lowest AP, equal ones by index, of different classes as long as
there are; or, with ``choose=per_class``, the best and the worst of each class. A query with AP 1 is none of the worst.
Each has the first of its ranking, and above them its number and path, by which ``pipeline.show`` finds it. Queries
without positives are in neither.
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
from pipeline.results.titles import Titles, read_titles
from pipeline.retrieval.settings import call
from pipeline.views.gallery import Choice, Which
from pipeline.views.sheet import SheetStyle, caption_of, draw_sheet, row_of
from pipeline.views.style import save_png


@app("gallery")
def main(config: DictConfig) -> None:
    """Run the stage."""
    style = call(SheetStyle, plain(config.sheet), where="conf/sheet")
    values = plain(config)
    choice = call(Choice, {name: values[name] for name in ("choose", "queries", "encoders")}, where="conf/gallery.yaml")
    manifest = read_manifest(path_of(config, "prepared"))
    experiment = read_experiment()
    titles = read_titles(path_of(config, "titles"), experiment)
    drawing = partial(draw, manifest, path_of(config, "per_query"), path_of(config, "out"), choice, style, titles)
    draw_all(drawing, choice.among(experiment.encoders), path_of(config, "out"))


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
    manifest: Manifest, per_query: Path, out: Path, choice: Choice, style: SheetStyle, titles: Titles, encoder: str
) -> None:
    """Draw the best and the worst queries of an encoder."""
    retrievals = read_retrievals(per_query / f"{encoder}.npz", manifest)
    sheets: tuple[Which, Which] = ("best", "worst")
    for which in sheets:
        chosen, words = choice.of(retrievals, manifest.labels, which)
        rows = [row_of(one, manifest, pixels=style.pixels) for one in chosen]
        captions = [caption_of(one, manifest) for one in chosen]
        title = f"{titles.run(encoder)} on {titles.dataset(manifest.dataset)}: {words}"
        figure = draw_sheet(rows, title=title, style=style, captions=captions)
        save_png(figure, out / f"{encoder}_{which}.png", dpi=style.dpi)


if __name__ == "__main__":
    main()
