"""Per-query results + images -> the best and the worst retrievals of a run, as pictures.

``python -m pipeline.gallery encoder=hog dataset=digits`` writes ``plots/gallery/digits/hog_best.png`` and
``plots/gallery/digits/hog_worst.png``: the queries with the highest and the lowest AP, equal ones by index, each with
the first of its ranking. Queries without positives are in neither.
"""

from pathlib import Path

from omegaconf import DictConfig

from pipeline.frame.app import app, plain
from pipeline.manifest.manifest import read_manifest
from pipeline.results.retrievals import read_retrievals
from pipeline.retrieval.settings import call
from pipeline.views.gallery import Choice, best, worst
from pipeline.views.sheet import SheetStyle, draw_sheet, row_of
from pipeline.views.style import save_png


@app("gallery")
def main(config: DictConfig) -> None:
    """Run the stage."""
    style = call(SheetStyle, plain(config.sheet), where="conf/sheet")
    count = call(Choice, {"queries": config.queries}, where="conf/gallery.yaml").queries
    manifest = read_manifest(Path(config.prepared))
    retrievals = read_retrievals(Path(config.per_query), manifest)
    for which, choose in (("best", best), ("worst", worst)):
        rows = [row_of(retrieval, manifest, pixels=style.pixels) for retrieval in choose(retrievals, count)]
        title = f"{config.encoder_name} on {config.dataset_name}: the {len(rows)} {which} queries by AP"
        save_png(draw_sheet(rows, title=title, style=style), Path(config[which]), dpi=style.dpi)


if __name__ == "__main__":
    main()
