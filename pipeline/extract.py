"""Manifest + encoder -> features, and where they came from.

``python -m pipeline.extract encoder=hog dataset=digits`` writes ``features/hog/digits/``. What was killed goes on from
its finished parts (``pipeline.extraction.scratch``).
"""

from pathlib import Path

from omegaconf import DictConfig

from pipeline.cluster.connection import read_cluster
from pipeline.encoders.building import build_encoder
from pipeline.extraction.extraction import determining, engine_of, extracted, inspected
from pipeline.extraction.features import check_features, write_features
from pipeline.extraction.guards import (
    Finding,
    Limits,
    guard,
    refuse_unknown,
)
from pipeline.extraction.precomputed import NAME as PRECOMPUTED
from pipeline.extraction.precomputed import read_precomputed
from pipeline.extraction.provenance import provenance
from pipeline.extraction.runtime import read_runtime, settle
from pipeline.extraction.scratch import Scratch, key_of
from pipeline.frame.app import app, plain
from pipeline.manifest.manifest import read_manifest
from pipeline.retrieval.settings import call


@app("extract")
def main(config: DictConfig) -> None:
    """Run the stage."""
    name, options = config.encoder_name, plain(config.encoder)
    runtime = read_runtime(plain(config.runtime))
    settle(runtime)
    limits = call(Limits, plain(config.guards), where="guards in conf/extract.yaml")
    manifest = read_manifest(Path(config.prepared))
    where = f"{name} on {manifest.dataset}"
    without = options.get("without_guards", [])
    refuse_unknown(without, where=f"conf/encoder/{name}.yaml")
    findings: dict[str, Finding] = {}
    scratch: Scratch | None = None
    if options.get("source") == PRECOMPUTED:
        features, made = read_precomputed(name, options, manifest)
    else:
        encoder = build_encoder(name, options, Path(config.weights))
        key = key_of(determining(options, encoder, manifest))
        scratch = Scratch(Path(config.scratch) / f"{name}-{manifest.dataset}", key)
        scratch.drop_stale()
        with engine_of(read_cluster(plain(config.runtime))) as engine:
            features, made, findings = extracted(
                encoder, manifest, runtime, limits, without, scratch, engine, where=where
            )
    check_features(features, manifest.paths, where=where)
    guards = guard({**findings, **inspected(features, manifest, limits)}, without, where=where)
    write_features(Path(config.out), features, provenance(name, options, manifest, made, guards))
    if scratch is not None:
        scratch.clear()


if __name__ == "__main__":
    main()
