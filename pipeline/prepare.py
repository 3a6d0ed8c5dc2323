"""A dataset's own layout -> its manifest, every image opened once.

``python -m pipeline.prepare dataset=digits`` writes ``data/prepared/digits/``, ``data/titles/dataset/digits.json``, and
``data/rules/digits.json``, by which results on it are judged; it prints what it found.
"""

import sys

from omegaconf import DictConfig

from pipeline.datasets.overview import doubts_about, found_in
from pipeline.datasets.preparing import prepare
from pipeline.frame.app import app, path_of, plain
from pipeline.manifest.rules import rules_in, write_rules
from pipeline.results.titles import without_title, write_title


@app("prepare")
def main(config: DictConfig) -> None:
    """Run the stage."""
    options = plain(config.dataset)
    rules = rules_in(options, where=f"conf/dataset/{config.dataset_name}.yaml")
    manifest, passed_over = prepare(config.dataset_name, without_title(options), path_of(config, "out"))
    write_rules(path_of(config, "rules"), rules)
    write_title("dataset", config.dataset_name, options, path_of(config, "titles"))
    print(found_in(manifest, passed_over))
    for doubt in doubts_about(manifest):
        print(f"warning: {manifest.dataset}: {doubt}", file=sys.stderr)


if __name__ == "__main__":
    main()
