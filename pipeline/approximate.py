"""Features + index -> how much of the exact ranking an approximate search finds, which mAP@k users see, how fast.

``python -m pipeline.approximate encoder=hog dataset=digits search=hnsw`` builds the index of ``conf/search/hnsw.yaml``
on the gallery of a dataset, searches it for every query with each of its settings, and writes
``metrics/runs/hog/digits/hnsw.json``: recall against the exact ranking, mAP@k beside that of the exact ranking, bytes
of the index. What was measured, queries/s, latency and build time, is in ``metrics/costs/hog/digits/hnsw.json``, which
no stage depends on. Similarity, positives and what is left out of a ranking are those of the evaluation. Needs faiss.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from omegaconf import DictConfig

from pipeline.frame.app import app, path_of, plain
from pipeline.frame.files import write_json
from pipeline.frame.machine import processor_name
from pipeline.retrieval.approximate import asked_of, exact, found_by, judged
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.indices import Rows, build, cores, read_kind, speed_of
from pipeline.retrieval.settings import Cutoff, call
from pipeline.retrieval.wanted import refuse_cutoffs
from pipeline.sharing.outcome import read_outcome


@dataclass(frozen=True)
class Asked:
    """What is asked of a search; conf/approximate.yaml.

    Attributes:
        k: how many results.
        cutoffs: of recall, at most ``k``.
    """

    k: Cutoff
    cutoffs: Sequence[Cutoff]

    def __post_init__(self) -> None:
        """Raise :class:`RetrievalError` for cutoffs that are none."""
        refuse_cutoffs(self.cutoffs)
        if max(self.cutoffs) > self.k:
            raise RetrievalError(f"'cutoffs' has {max(self.cutoffs)}, but 'k' is {self.k}: raise k, or leave it out")


@app("approximate")
def main(config: DictConfig) -> None:
    """Run the stage."""
    asked = call(Asked, {name: plain(config)[name] for name in ("k", "cutoffs")}, where="conf/approximate.yaml")
    where = f"conf/search/{config.search_name}.yaml"
    kind = read_kind(plain(config.search), where=where)
    outcome = read_outcome(
        config.encoder_name,
        prepared=path_of(config, "prepared"),
        features=path_of(config, "features"),
        runs=path_of(config, "runs"),
        per_query=path_of(config, "per_query"),
    )
    scorer, judge = outcome.scorer, outcome.protocol.judge
    rows = Rows.of(scorer)
    index = build(kind, rows, k=asked.k, where=where)
    known = exact(scorer, judge, k=asked.k)
    cutoffs = [cutoff for cutoff in sorted(asked.cutoffs) if cutoff <= known.longest]
    found = judged(found_by(index, rows, known), scorer, judge, known, cutoffs=cutoffs, whole=kind.whole)
    # In both files, which git and DVC keep apart: so one can be told to be of other searches than the other.
    searched = {"kind": plain(config.search)["kind"], **index.built_with, "k": asked.k}
    quality = {
        **searched,
        "similarity": outcome.metrics["similarity"],
        "protocol": outcome.protocol.name,
        "queries": known.queries,
        "gallery": scorer.items,
        "asked": asked_of(index, rows, known),
        "exact_mAP": known.mean_ap,
        "index_bytes": index.bytes,
        "settings": [
            {"setting": setting.described, "recall": one.recalls, "mAP": one.mean_ap}
            for setting, one in zip(index.settings, found, strict=True)
        ],
    }
    costs = {
        **searched,
        "device": processor_name(),
        "cores": cores(),
        "build_seconds": index.seconds,
        "settings": [
            {"setting": setting.described, **asdict(speed_of(index, rows.queries, asked.k, setting))}
            for setting in index.settings
        ],
    }
    write_json(path_of(config, "quality"), quality)
    write_json(path_of(config, "costs"), costs)


if __name__ == "__main__":
    main()
