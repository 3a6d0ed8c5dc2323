"""Manifest + encoder -> features, where they came from, and what they cost.

``python -m pipeline.extract encoder=hog dataset=digits`` writes ``features/hog/digits/`` and
``metrics/costs/hog/digits.json``. The encoder is the one whose config and weights ``weights`` wrote. What was killed
goes on from its finished parts (:mod:`pipeline.extraction.scratch`), which one process at a time writes.
"""

from omegaconf import DictConfig

from pipeline.checkpoints.config import read_config
from pipeline.cluster.connection import read_cluster
from pipeline.encoders.building import build_encoder
from pipeline.encoders.fitting import asked_by_text, takes_text
from pipeline.encoders.precomputed import NAME as PRECOMPUTED
from pipeline.encoders.precomputed import without_images
from pipeline.extraction.extraction import Guarded, encoded, engine_of, given, scratch_of
from pipeline.extraction.guards import Limits, refuse_unknown
from pipeline.extraction.provenance import provenance
from pipeline.extraction.runtime import read_runtime, settle
from pipeline.frame.app import app, path_of, plain
from pipeline.frame.holding import holding
from pipeline.manifest.manifest import read_manifest
from pipeline.retrieval.settings import call


@app("extract")
def main(config: DictConfig) -> None:
    """Run the stage."""
    name, weights = config.encoder_name, path_of(config, "weights")
    runtime = read_runtime(plain(config.runtime))
    settle(runtime)
    manifest, options = read_manifest(path_of(config, "prepared")), read_config(weights)
    without = options.get("without_guards", [])
    refuse_unknown(without, where=f"conf/encoder/{name}.yaml")
    limits = call(Limits, plain(config.guards), where="guards in conf/extract.yaml")
    guarded = Guarded(limits, without, where=f"{name} on {manifest.dataset}")
    parts = path_of(config, "scratch") / f"{name}-{manifest.dataset}"
    with holding(parts.with_name(f"{parts.name}.lock"), f"an extraction of {name} on {manifest.dataset}"):
        if options.get("source") == PRECOMPUTED:
            made = given(name, options, manifest, guarded)
        else:
            if not manifest.has_images:
                raise without_images(name, manifest.dataset)
            if manifest.texts and not takes_text(options):
                raise asked_by_text(name, manifest.dataset)
            encoder = build_encoder(name, options, weights)
            scratch = scratch_of(parts, options, encoder, manifest)
            with engine_of(read_cluster(plain(config.runtime))) as engine:
                made = encoded(name, encoder, manifest, runtime, engine, scratch, guarded)
        origin = provenance(name, options, manifest, made.made, made.guards)
        made.write(path_of(config, "out"), path_of(config, "costs"), origin)


if __name__ == "__main__":
    main()
