"""Features + manifest -> how alike a query is to its positives and to all others.

``python -m pipeline.similarities encoder=hog dataset=digits`` writes ``metrics/similarities/digits/hog.csv``: a row an
interval of cosines with the numbers of positives and of negatives in it, over some queries drawn at random.
"""

from pathlib import Path

from omegaconf import DictConfig

from pipeline.extraction.features import read_checked
from pipeline.frame.app import app, plain
from pipeline.frame.files import write_text
from pipeline.manifest.manifest import read_manifest
from pipeline.manifest.protocols import protocols_of
from pipeline.retrieval.histogram import Sample, histogram
from pipeline.retrieval.settings import call


@app("similarities")
def main(config: DictConfig) -> None:
    """Run the stage."""
    sample = call(Sample, plain(config.sample), where="conf/similarities.yaml")
    manifest = read_manifest(Path(config.prepared))
    features, _ = read_checked(Path(config.features), manifest)
    protocol = protocols_of(manifest, difficulty=sample.difficulty)[0]
    table = histogram(features, protocol, sample)
    write_text(Path(config.csv), table.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    main()
