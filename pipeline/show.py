"""One query of a run, as a picture and a table.

``python -m pipeline.show encoder=hog dataset=digits query=17`` shows what the stage ``evaluate`` found for item 17, by
the first of its ranking; ``query=images/3/0007.png`` names the item by its path. It is no stage.
"""

from collections.abc import Sequence

from omegaconf import DictConfig
from tabulate import tabulate

from pipeline.frame.app import app, path_of, plain
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.results.retrievals import Retrieval, read_retrievals
from pipeline.retrieval.errors import RetrievalError, shown
from pipeline.retrieval.settings import call, fits
from pipeline.views.items import named
from pipeline.views.sheet import SIGNS, SheetStyle, draw_sheet, row_of
from pipeline.views.style import save_png


def find(retrievals: Sequence[Retrieval], manifest: Manifest, query: int | str) -> Retrieval:
    """Return the results of the query that is named by its number among the items, or by its path.

    Raises:
        RetrievalError: there is no such query, or it has no positives; several have this path.
    """
    found = [one for one in retrievals if query in (one.query, manifest.items[one.query].path)]
    if len(found) > 1:
        numbers = ", ".join(str(one.query) for one in found)
        raise RetrievalError(f"several queries of {manifest.dataset} have the path {query!r}: name one of {numbers}")
    if not found:
        few = ", ".join(f"{one.query} ({shown(manifest.items[one.query].path)})" for one in retrievals[:3])
        raise RetrievalError(f"{query!r} is no query of {manifest.dataset} with positives: try {few}, ...")
    return found[0]


def names_of(item: Item) -> tuple[str, str]:
    """Return an item's label and path for a terminal."""
    return shown(named(item)), shown(item.path)


def table(retrieval: Retrieval, manifest: Manifest) -> str:
    """Return the ranking as text, one line per item."""
    columns = (retrieval.items.tolist(), retrieval.scores.tolist(), retrieval.hits.tolist())
    rows = [
        (rank, SIGNS["hit" if hit else "miss"], f"{score:.4f}", *names_of(manifest.items[item]))
        for rank, (item, score, hit) in enumerate(zip(*columns, strict=True), start=1)
    ]
    return tabulate(rows, headers=("rank", "", "score", "label", "path"), disable_numparse=True)


@app("show")
def main(config: DictConfig) -> None:
    """Run the command."""
    style = call(SheetStyle, plain(config.sheet), where="conf/sheet")
    if not fits(config.query, int | str):
        raise RetrievalError(f"query is {config.query}: give the number of an item, or its path")
    manifest = read_manifest(path_of(config, "prepared"))
    if config.run != config.encoder_name and not path_of(config, "per_query").is_file():
        raise RetrievalError(
            f"there are no results of {config.run} on {manifest.dataset}: name {config.ranking_name} under rankings in "
            "params.yaml and run dvc repro"
        )
    retrieval = find(read_retrievals(path_of(config, "per_query"), manifest), manifest, config.query)
    item = manifest.items[retrieval.query]
    title = f"{config.run} on {manifest.dataset}: query {retrieval.query}, {item.path}"
    row = row_of(retrieval, manifest, pixels=style.pixels)
    save_png(draw_sheet([row], title=title, style=style), path_of(config, "out"), dpi=style.dpi)
    label, path = names_of(item)
    print(f"query {retrieval.query}: {path} ({label}), AP {retrieval.ap:.4f}\n")
    print(f"{table(retrieval, manifest)}\n\n{config.out} has the picture")


if __name__ == "__main__":
    main()
