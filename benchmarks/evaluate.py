"""Full-ranking AP of every query: this project against other ways to get it, in one run.

    python -m benchmarks.evaluate
    python -m benchmarks.evaluate --only ours product --items 25000 50000 100000 --dim 384 --classes 1000 --top 100

The report's way is written from its description: rows divided by their norm, the whole similarity
matrix, an argsort of every row, the first rank dropped, and a Python loop over the ranks.
"""

import argparse
import os
import platform
import resource
import time
from collections import deque
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from pipeline.retrieval.distances import similarity_of
from pipeline.retrieval.evaluation import scores_of
from pipeline.retrieval.metrics import average_precision, interpolated_precision
from pipeline.retrieval.protocols import by_labels
from pipeline.retrieval.ranking import Ranking, each_ranking, rank
from pipeline.retrieval.relevance import SharedLabel, Unjudged
from pipeline.retrieval.similarity import Products, unit_rows
from pipeline.retrieval.summary import report
from pipeline.retrieval.twins import twins_of
from pipeline.retrieval.wanted import Settings

Data = tuple[Float[np.ndarray, "item dim"], Int[np.ndarray, " item"]]


def clustered_features(items: int, dim: int, classes: int, seed: int) -> Data:
    """Return random float32 features around a centre a class, and the class of each item."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, items)
    centres = rng.standard_normal((classes, dim), dtype=np.float32)
    features = rng.standard_normal((items, dim), dtype=np.float32)
    features += 0.3 * centres[labels]
    return features, labels


def by_the_report(data: Data, top: int) -> float:
    """Return mAP as the report computed it, with its 11-point curve."""
    features, labels = data
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    order = np.argsort(-(unit @ unit.T), axis=1)
    aps, curves = [], []
    for query in range(len(features)):
        ranked = order[query][1:]
        relevant = np.count_nonzero(labels == labels[query]) - 1
        hits, precisions, recalls = 0, [], []
        for rank_, item in enumerate(ranked, start=1):
            if labels[item] == labels[query]:
                hits += 1
                precisions.append(hits / rank_)
                recalls.append(hits / relevant)
        aps.append(sum(precisions) / relevant)
        curve = []
        for level in np.arange(11) / 10:
            curve.append(max(p for p, r in zip(precisions, recalls, strict=True) if r >= level))
        curves.append(curve)
    return float(np.mean(aps))


def by_torchmetrics(data: Data, top: int) -> float:
    """Return mAP by torchmetrics' function a query; scores shifted, as it leaves out those of zero and less."""
    import torch
    from torchmetrics.functional.retrieval import retrieval_average_precision

    features, labels = data
    unit, classes = torch.from_numpy(unit_rows(features)), torch.from_numpy(labels)
    aps = []
    for query in range(len(unit)):
        others = torch.arange(len(unit)) != query
        scores = (unit @ unit[query])[others] + 2
        aps.append(float(retrieval_average_precision(scores, classes[others] == classes[query])))
    return float(np.mean(aps))


def by_scikit_learn(data: Data, top: int) -> float:
    """Return mAP by scikit-learn's function a query."""
    from sklearn.metrics import average_precision_score

    features, labels = data
    unit = unit_rows(features)
    aps = []
    for query in range(len(unit)):
        others = np.arange(len(unit)) != query
        scores = (unit @ unit[query])[others]
        aps.append(average_precision_score(labels[others] == labels[query], scores))
    return float(np.mean(aps))


def by_this_project(data: Data, top: int) -> float:
    """Return mAP, with the 11-point curve and the top of each ranking."""
    features, labels = data
    judge = SharedLabel([(str(label),) for label in labels])
    scorer = similarity_of("cosine", features, features)
    made = list(each_ranking(ap_and_curve, scorer, judge, top=top))
    return float(np.concatenate([ap for ap, *_ in made]).mean())


def by_this_project_on_torch(data: Data, top: int) -> float:
    """Return the same by torch: on a GPU where there is one, else on its CPU."""
    import torch

    from pipeline.retrieval import ranking_by_torch

    features, labels = data
    device = "cuda" if torch.cuda.is_available() else "cpu"
    judge = SharedLabel([(str(label),) for label in labels])
    scorer = similarity_of("cosine", features, features)
    made = list(ranking_by_torch.each_ranking(ap_and_curve, scorer, judge, top=top, device=device))
    return float(np.concatenate([ap for ap, *_ in made]).mean())


def ap_and_curve(ranking: Ranking) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return AP, the 11-point curve and the first items of some queries."""
    return average_precision(ranking.ranks), interpolated_precision(ranking.ranks), ranking.top_items


def by_the_stage(data: Data, top: int) -> float:
    """Return mAP, with all that the stage ``evaluate`` computes."""
    features, labels = data
    named = [(str(label),) for label in labels]
    names = [str(item) for item in range(len(features))]
    settings = Settings(top=top)
    protocol = by_labels(named)
    scorer = scores_of(features, protocol, settings)
    _, summary = report(scorer, [protocol], labels=named, contents=names, names=names, settings=settings)
    return float(summary["mAP"])


def bare_product(data: Data, top: int) -> float:
    """Compute the similarities and nothing else: the floor for any exact method."""
    unit = unit_rows(data[0])
    for start in range(0, len(unit), 256):
        unit[start : start + 256] @ unit.T
    return float("nan")


def top_by_this_project(data: Data, top: int) -> float:
    """Search the first ``top`` items of every query; no AP."""
    unit = unit_rows(data[0])
    deque(rank(Products(unit, unit, twins_of(unit)), Unjudged(np.arange(len(unit))), top=top), maxlen=0)
    return float("nan")


def top_by_faiss(data: Data, top: int) -> float:
    """Search the first ``top`` items of every query by faiss' exact index; no AP."""
    import faiss

    unit = unit_rows(data[0])
    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(unit)
    index.search(unit, top + 1)  # the query itself among them
    return float("nan")


def top_in_chunks(data: Data, top: int) -> float:
    """Return mAP of the first ``top`` items alone, by a matrix product and ``torch.topk`` a chunk, as mteb does."""
    import torch

    unit, labels = torch.from_numpy(unit_rows(data[0])), data[1]
    aps = []
    for start in range(0, len(unit), 512):
        scores = unit[start : start + 512] @ unit.T
        scores[torch.arange(len(scores)), torch.arange(start, start + len(scores))] = -torch.inf
        found = labels[scores.topk(min(top, len(unit) - 1)).indices.numpy()]
        hits = found == labels[start : start + 512, None]
        precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
        aps.append((precision * hits).sum(axis=1) / np.maximum(hits.sum(axis=1), 1))
    return float(np.concatenate(aps).mean())


def by_pytorch_metric_learning(data: Data, top: int) -> float:
    """Return mAP over full rankings as its AccuracyCalculator has it, which searches by faiss."""
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    features, labels = torch.from_numpy(unit_rows(data[0])), torch.from_numpy(data[1])
    calculator = AccuracyCalculator(
        include=("mean_average_precision",), k=len(features) - 1, device=torch.device("cpu")
    )
    return float(calculator.get_accuracy(features, labels)["mean_average_precision"])


def as_runs(data: Data) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Return the judgements and scores of every query and item by name, as libraries for text retrieval want them."""
    unit, labels = unit_rows(data[0]), data[1]
    names = [str(item) for item in range(len(unit))]
    judgements, run = {}, {}
    for query, name in enumerate(names):
        scores = dict(zip(names, (unit @ unit[query]).tolist(), strict=True))
        del scores[name]
        relevant = [names[item] for item in np.flatnonzero(labels == labels[query]) if item != query]
        if relevant:
            judgements[name], run[name] = dict.fromkeys(relevant, 1), scores
    return judgements, run


def by_ranx(data: Data, top: int) -> float:
    """Return mAP by ranx."""
    import ranx

    judgements, run = as_runs(data)
    return float(ranx.evaluate(ranx.Qrels(judgements), ranx.Run(run), "map"))


def by_ir_measures(data: Data, top: int) -> float:
    """Return mAP by ir_measures, that is by trec_eval."""
    import ir_measures

    judgements, run = as_runs(data)
    return float(ir_measures.calc_aggregate([ir_measures.AP], judgements, run)[ir_measures.AP])


WAYS: dict[str, Callable[[Data, int], float]] = {
    "product": bare_product,
    "ours": by_this_project,
    "stage": by_the_stage,
    "ours by torch": by_this_project_on_torch,
    "report": by_the_report,
    "torchmetrics": by_torchmetrics,
    "scikit-learn": by_scikit_learn,
    "our top": top_by_this_project,
    "faiss": top_by_faiss,
    "top in chunks": top_in_chunks,
    "pytorch-metric-learning": by_pytorch_metric_learning,
    "ranx": by_ranx,
    "ir_measures": by_ir_measures,
}
USUAL = ("product", "ours", "stage", "report", "torchmetrics", "scikit-learn")
SLOW = ("report", "torchmetrics", "scikit-learn", "pytorch-metric-learning", "ranx", "ir_measures")


def main() -> None:
    """Print one row per way and size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[5823])
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--top", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(WAYS), default=USUAL)
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}")
    warm = clustered_features(300, 8, 5, seed=1)
    for name in arguments.only:
        WAYS[name](warm, 5)  # compiles, imports
    print("| items | way | s | times the product | times ours | mAP | peak memory so far, GiB |")
    print("|---|---|---|---|---|---|---|")
    for items in arguments.items:
        data = clustered_features(items, arguments.dim, arguments.classes, seed=0)
        times: dict[str, list[float]] = {name: [] for name in arguments.only}
        values, peaks = {}, {}
        for turn in range(arguments.repeats):  # in turns, so that a slow moment of the machine hits all of them
            for name in arguments.only:
                if turn and name in SLOW:
                    continue  # slow enough to be timed once
                time.sleep(0.3)  # BLAS threads of the way before spin for a while in wait of more work
                started = time.perf_counter()
                values[name] = WAYS[name](data, arguments.top)
                times[name].append(time.perf_counter() - started)
                peaks[name] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        seconds = {name: float(np.median(taken)) for name, taken in times.items()}
        for name, taken in seconds.items():
            ratios = [f"{taken / seconds[base]:.2f}" if base in seconds else "-" for base in ("product", "ours")]
            cells = (items, name, f"{taken:.3f}", *ratios, f"{values[name]:.6f}", f"{peaks[name]:.2f}")
            print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
