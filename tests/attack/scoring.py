"""Features, labels and settings that are given to ``score_features`` in Python."""

import contextlib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from pipeline.retrieval.comparing import compare_features
from pipeline.retrieval.queries import Query
from pipeline.retrieval.scoring import score_features
from tests.attack import mutation
from tests.attack.verdicts import Wrong

ITEMS, CLASSES = 24, 4
NEAR = 0.02  # of mAP; what rounding of float32 may do to near ties


def naive(rows: np.ndarray, labels: list[str], similarity: str) -> float:
    """Return the mAP from its definition, in float64."""
    rows = rows.astype(np.float64)
    if similarity == "euclidean":
        scores = -((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    else:
        unit = rows
        if similarity == "cosine":
            unit = rows / np.abs(rows).max(axis=1, keepdims=True)  # their squares may be beyond float64
            unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        scores = unit @ unit.T
    aps = []
    for query in range(len(rows)):
        order = [int(item) for item in np.argsort(-scores[query], kind="stable") if item != query]
        hits = [labels[item] == labels[query] for item in order]
        ranks = [rank for rank, hit in enumerate(hits, start=1) if hit]
        if ranks:
            aps.append(sum(number / rank for number, rank in enumerate(ranks, start=1)) / len(ranks))
    return sum(aps) / len(aps)


def matrix(rng: Random) -> Any:
    """Return features: sound ones, far from the origin, of any scale, or odd in other ways."""
    noise = np.random.default_rng(rng.randrange(1 << 30))
    centres = noise.normal(size=(CLASSES, 5))
    rows = centres[np.arange(ITEMS) % CLASSES] + 0.7 * noise.normal(size=(ITEMS, 5))
    kind = rng.randrange(8)
    if kind == 0:
        rows = rows + rng.choice((10.0, 1e3, 1e4, 1e6))
    elif kind == 1:
        rows = rows * rng.choice((1e-300, 1e-30, 1e-5, 1e5, 1e30, 1e300))
    elif kind == 2:
        value = mutation.number(rng) if rng.random() < 0.5 else float("nan")
        with contextlib.suppress(OverflowError):  # an integer of thousands of digits
            rows[rng.randrange(ITEMS), rng.randrange(5)] = value
    elif kind == 3:
        rows[rng.randrange(ITEMS)] = rng.choice((0.0, 1e-320, -0.0))
    elif kind == 4:
        other = (
            rows[:1],
            rows[:0],
            rows[:, :0],
            rows[0],
            rows[None],
            rows.astype(object),
            rows.astype("U5"),
            rows > 0,
            np.ma.masked_array(rows, rows > 1),
            np.asfortranarray(rows),
            rows[:, ::-1],
            rows.astype(int),
            rows + 1j,
            np.asarray(rows, ">f4"),
            np.matrix(rows),
            rows.astype("g"),
            rows.tolist(),
            list(rows),
            [*rows, rows[0][:2]],
        )
        return rng.choice(other)
    return rows.astype(rng.choice((np.float16, np.float32, np.float64)))


def scoring(rng: Random, folder: Path) -> None:
    """Score features; with plain labels the mAP is compared with one from the definition."""
    with np.errstate(all="ignore"):
        rows = matrix(rng)
    labels: Any = [f"class {item % CLASSES}" for item in range(ITEMS)]
    plain = labels
    given: dict[str, Any] = {}
    kind = rng.randrange(8)
    if kind == 0:
        labels = mutation.tree(rng, labels)
    elif kind == 1:
        odd = (
            [label.encode() for label in labels],
            np.array(labels),
            np.array([label.encode() for label in labels]),
            [item % CLASSES for item in range(ITEMS)],
            [float("nan")] * ITEMS,
            [None] * ITEMS,
            [(label, label) for label in labels],
            [[label] for label in labels],
            [{label} for label in labels],
            iter(labels),
            dict.fromkeys(range(ITEMS), "a"),
            "a" * ITEMS,
            b"a" * ITEMS,
            [("",)] * ITEMS,
            [(b"a",), (b"b",)] * (ITEMS // 2),
            [()] * ITEMS,
            [True, False] * (ITEMS // 2),
            [bytearray(label.encode()) for label in labels],
            [np.str_(label) for label in labels],
        )
        labels = rng.choice(odd)
    elif kind == 2:
        given["groups"] = rng.choice(
            (
                [item // 2 for item in range(ITEMS)],
                [0] * ITEMS,
                [float("nan")] * ITEMS,
                [""] * ITEMS,
                np.arange(ITEMS),
                "g" * ITEMS,
                [None] * ITEMS,
                [b"a"] * ITEMS,
                [np.int64(item) for item in range(ITEMS)],
                mutation.tree(rng, ["g", None] * (ITEMS // 2)),
            )
        )
    elif kind == 3:
        given["roles"] = rng.choice(
            (["both"] * ITEMS, ["query", "gallery"] * (ITEMS // 2), ["x"] * ITEMS, mutation.tree(rng, ["both"] * ITEMS))
        )
    elif kind == 4:
        indices = [rng.choice((0, 1, 2, 5, ITEMS - 1, ITEMS, -1, True, 1.5, "a", None, 1 << 70)) for _ in range(6)]
        given["ground_truth"], labels = (
            [Query(ITEMS - 1, tuple(indices[:2]), tuple(indices[2:4]), tuple(indices[4:]))],
            None,
        )
    elif kind == 5:
        names = (
            "similarity",
            "ap",
            "cutoffs",
            "top",
            "left_out",
            "seed",
            "memory",
            "device",
            "difficulty",
            "steps",
            "learn_on",
            "names",
            "per_query",
            "queries",
            "gallery",
            "query_labels",
        )
        given[rng.choice(names)] = mutation.value(rng)
    if rng.random() < 0.5:
        given.setdefault("similarity", rng.choice(("cosine", "dot", "euclidean")))
    elif kind == 6:
        return comparing(rng, rows, labels)
    found = score_features(rows, labels, **given)
    if not 0 <= found["mAP"] <= 1 or not np.isfinite(found["mAP"]):
        raise Wrong(f"mAP {found['mAP']}")
    if labels is plain and set(given) <= {"similarity"}:
        with np.errstate(all="ignore"):
            scaled = np.asarray(rows, np.float64)
            if given.get("similarity", "cosine") != "cosine":
                scaled = scaled / np.abs(scaled).max()
            meant = naive(scaled, plain, given.get("similarity", "cosine"))
        # Scores that are one number in float32 tie, as those of an item a thousand million times further than others.
        if abs(meant - found["mAP"]) > NEAR + found["tie_gap"]:
            raise Wrong(f"mAP {found['mAP']}, by its definition {meant}, its ties are worth {found['tie_gap']}")
    elif kind == 1 and not isinstance(labels, dict):
        raise_if_perfect(found, rows, labels, given)


def comparing(rng: Random, rows: Any, labels: list[str]) -> None:
    """Compare features with others; the two must differ by as much as their mAPs, within the interval."""
    with np.errstate(all="ignore"):
        other = matrix(rng)
    given = {rng.choice(("metric", "population", "left_out", "cutoffs", "top", "groups")): mutation.value(rng)}
    given = rng.choice(({}, given))
    found = compare_features(rows, other, labels, **given)
    if not found["low"] <= found["difference"] <= found["high"] or not 0 <= found["p"] <= 1:
        raise Wrong(f"{found}")
    means = [score_features(each, labels)["mAP"] for each in (rows, other)]
    if not given and abs(found["difference"] - (means[0] - means[1])) > 1e-9:
        raise Wrong(f"a difference of {found['difference']} between mAPs of {means}")


def raise_if_perfect(found: dict[str, Any], rows: Any, labels: Any, given: dict[str, Any]) -> None:
    """Raise ``Wrong`` if labels of another type gave another mAP than the texts that they stand for."""
    if (
        isinstance(labels, list)
        and labels
        and isinstance(labels[0], bytes | int | np.str_)
        and not isinstance(labels[0], bool)
    ):
        texts = [label.decode() if isinstance(label, bytes) else str(label) for label in labels]
        meant = score_features(rows, texts, **given)
        if abs(meant["mAP"] - found["mAP"]) > NEAR:
            raise Wrong(
                f"mAP {found['mAP']} with {type(labels[0]).__name__} labels, {meant['mAP']} with the same as text"
            )
