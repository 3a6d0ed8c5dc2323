"""The steps of a ranking, apart from its title.

``python -m pipeline.recipe ranking=k_reciprocal`` writes ``data/rankings/k_reciprocal.json``, which ``rerank`` depends
on, and ``data/titles/ranking/k_reciprocal.json``: an edit of the title ranks nothing again.
"""

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.files import write_json
from pipeline.results.titles import without_title, write_title


@app("recipe")
def main(config: DictConfig) -> None:
    """Run the stage."""
    name, options = config.ranking_name, plain(config.ranking)
    write_json(path_of(config, "out"), without_title(options))
    write_title("ranking", name, options, path_of(config, "titles"))


if __name__ == "__main__":
    main()
