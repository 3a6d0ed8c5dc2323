"""A dataset's own layout -> its manifest, every image opened once.

``python -m pipeline.prepare dataset=digits`` writes ``data/prepared/digits/``, and prints what it found.
"""

import sys

from omegaconf import DictConfig

from pipeline.datasets.overview import doubts_about, found_in
from pipeline.datasets.preparing import prepare
from pipeline.frame.app import app, path_of, plain


@app("prepare")
def main(config: DictConfig) -> None:
    """Run the stage."""
    manifest, passed_over = prepare(config.dataset_name, plain(config.dataset), path_of(config, "out"))
    print(found_in(manifest, passed_over))
    for doubt in doubts_about(manifest):
        print(f"warning: {manifest.dataset}: {doubt}", file=sys.stderr)


if __name__ == "__main__":
    main()
