"""A dataset's own layout -> its manifest, every image opened once.

``python -m pipeline.prepare dataset=digits`` writes ``data/prepared/digits/``.
"""

from pathlib import Path

from omegaconf import DictConfig

from pipeline.datasets.preparing import prepare
from pipeline.frame.app import app, plain


@app("prepare")
def main(config: DictConfig) -> None:
    """Run the stage."""
    prepare(config.dataset_name, plain(config.dataset), Path(config.out))


if __name__ == "__main__":
    main()
