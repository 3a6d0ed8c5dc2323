"""Annotations of published benchmarks: tables, lists of ids, boxes, JSON and MATLAB files."""

import io
import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from scipy.io import savemat

from pipeline.datasets.readers import read_dataset
from pipeline.retrieval.queries import check_queries
from tests.attack import mutation
from tests.attack.truths import write_all
from tests.attack.verdicts import Wrong

GALLERY = ("a/1.jpg", "a/2.jpg", "b/3.jpg")
INDEX = ("0123456789abcdef", "f123456789abcdef")
ASKED = "aaaa456789abcdef"
DATABASE = [{"id": 7, "path": "a/1.jpg"}, {"id": 8, "path": "a/2.jpg"}]
QUERIES = [{"path": "b/3.jpg", "MET_id": 7}, {"path": "b/4.jpg"}]
NIGHTS = "right_vote,votes,ref_path,left_path,right_path,is_imagenet,split\n1.0,7,a/1.jpg,a/2.jpg,b/3.jpg,True,test\n"


def nested(name: str) -> str:
    """Return where an image of Google Landmarks lies."""
    return f"{name[0]}/{name[1]}/{name[2]}/{name}.jpg"


def matlab() -> bytes:
    """Return a ground truth as MATLAB writes it."""
    gallery, asked = np.empty((1, 3), object), np.empty((1, 1), object)
    gallery[0], asked[0, 0] = GALLERY, "b/4.jpg"
    truth = np.empty((1, 1), [("ok", object), ("bbx", object)])
    truth[0, 0] = np.array([[1.0, 3.0]]), np.array([[1.0, 2.0, 30.0, 20.0]])
    file = io.BytesIO()
    savemat(file, {"imlist": gallery, "qimlist": asked, "gnd": truth})
    return file.getvalue()


SOLUTION = f"id,images,Usage\n{ASKED},{INDEX[0]} {INDEX[1]},Private\n{ASKED[::-1]},None,Ignored\n"
# Of each kind of dataset: its keys, with {} for the folder, the images that are there, and its annotations.
KINDS: dict[str, tuple[dict[str, Any], tuple[str, ...], dict[str, bytes]]] = {
    "gldv2": (
        {"root": "{}", "solution": "{}/solution.csv", "index": "{}/index.csv", "usage": "Private"},
        (*(f"index/{nested(name)}" for name in INDEX), f"test/{nested(ASKED)}"),
        {"solution.csv": SOLUTION.encode(), "index.csv": "\n".join(["id", *INDEX]).encode()},
    ),
    "met": (
        {"root": "{}"},
        ("images/a/1.jpg", "images/a/2.jpg", "images/b/3.jpg", "images/b/4.jpg"),
        {
            "ground_truth/MET_database.json": json.dumps(DATABASE).encode(),
            "ground_truth/testset.json": json.dumps(QUERIES).encode(),
        },
    ),
    "ilias": (
        {"root": "{}", "crop_queries": True},
        ("ilias_core/x_0/pos/P0.jpg", "ilias_core/x_0/query/Q0.jpg"),
        {
            "image_ids/positive_ids.txt": b"x_0/pos/P0.jpg,0.5,3\n",
            "image_ids/image_query_ids.txt": b"x_0/query/Q0.jpg,0.5\n",
            "ilias_core/x_0/query/Q0_bbox.txt": b"1 2 3 4\n-1 2 9 9\n",
        },
    ),
    "instre": ({"root": "{}", "ground_truth": "{}/gnd.mat"}, (*GALLERY, "b/4.jpg"), {"gnd.mat": matlab()}),
    "nights": ({"root": "{}"}, GALLERY, {"data.csv": NIGHTS.encode()}),
    "disc21": (
        {"root": "{}", "ground_truth": "{}/pairs.csv"},
        ("references/R1.jpg", "references/R2.jpg", "queries/Q1.jpg", "queries/Q2.jpg"),
        {"pairs.csv": b"query_id,reference_id\nQ1,\nQ2,R1\n"},
    ),
}


def hostile(rng: Random, name: str, content: bytes) -> bytes:
    """Return a hostile variant of an annotation."""
    if name.endswith(".mat"):
        return mutation.data(rng, content)
    if name.endswith(".json"):
        return mutation.as_json(mutation.tree(rng, json.loads(content)))
    return mutation.lines(rng, content.decode(), " " if name.endswith("_bbox.txt") else ",")


def published(rng: Random, folder: Path) -> None:
    """Read a published dataset, one of whose annotations is not what it was."""
    kind = rng.choice(sorted(KINDS))
    keys, images, annotations = KINDS[kind]
    changed = rng.choice(sorted(annotations))
    write_all(folder, dict.fromkeys(images, b""))
    write_all(folder, {**annotations, changed: hostile(rng, changed, annotations[changed])})
    config = {key: value.format(folder) if isinstance(value, str) else value for key, value in keys.items()}
    found = read_dataset("x", {"kind": kind, **config}, folder)
    check_queries(found.queries or (), len(found.entries))
    top = folder.resolve()
    for path, _ in found.entries:
        if not Path(found.root / path).resolve().is_relative_to(top):
            raise Wrong(f"{path!r} leaves the root")
    if any(not (left < right and upper < lower) for left, upper, right, lower in found.boxes.values()):
        raise Wrong(f"a box without area: {found.boxes}")
