"""The weights of an encoder -> a folder that DVC keeps, fetched once and checked by hash.

``python -m pipeline.weights encoder=clip`` writes ``data/weights/clip/``: the checkpoint; ``origin.json``, which says
where it came from; ``encoder.json``, the encoder's config; and ``code.json``, the modules that it alone is made of. An
encoder without a checkpoint gets the latter three. The config's title goes to ``data/titles/encoder/clip.json``.
"""

from omegaconf import DictConfig

from pipeline.checkpoints.providing import fetch, write_weights
from pipeline.encoders.made_of import code_of
from pipeline.frame.app import app, path_of, plain
from pipeline.frame.places import located
from pipeline.results.titles import without_title, write_title


@app("weights")
def main(config: DictConfig) -> None:
    """Run the stage."""
    options = without_title(plain(config.encoder))
    files = fetch(config.encoder_name, options, located(path_of(config, "store")), config.weights.path)
    write_weights(config.encoder_name, options, files, path_of(config, "out"), code=code_of(options))
    write_title("encoder", config.encoder_name, plain(config.encoder), path_of(config, "titles"))


if __name__ == "__main__":
    main()
