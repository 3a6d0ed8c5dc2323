"""Per-query results + images -> the best and the worst retrievals of a run, as pictures.

``python -m pipeline.gallery encoder=hog dataset=digits`` writes ``plots/gallery/digits/hog_best.png`` and
``plots/gallery/digits/hog_worst.png``: the queries with the highest and the lowest AP, equal ones by index, each with
the first of its ranking. Queries without positives are in neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from pipeline.frame.app import app
from pipeline.manifest.manifest import read_manifest
from pipeline.results.retrievals import Retrieval, read_retrievals
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call, plain
from pipeline.views.sheet import SheetStyle, draw_sheet, row_of
from pipeline.views.style import save_png


def best(retrievals: Sequence[Retrieval], count: int) -> list[Retrieval]:
    """Return the queries with the highest AP, the highest first."""
    return sorted(retrievals, key=lambda one: (-one.ap, one.query))[:count]


def worst(retrievals: Sequence[Retrieval], count: int) -> list[Retrieval]:
    """Return the queries with the lowest AP, the lowest first."""
    return sorted(retrievals, key=lambda one: (one.ap, one.query))[:count]


@dataclass(frozen=True)
class Choice:
    """What is shown; conf/gallery.yaml.

    Attributes:
        queries: how many of the best, and of the worst.
    """

    queries: int

    def __post_init__(self) -> None:
        """Check the setting."""
        if self.queries < 1:
            raise RetrievalError(f"conf/gallery.yaml: 'queries' is {self.queries}: expected 1 or more")


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
