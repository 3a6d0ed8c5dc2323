"""The lists and annotations of published benchmarks, in miniature."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from scipy.io import savemat

from pipeline.datasets.readers import read_dataset
from tests.attack import mutation
from tests.attack.truths import write_all
from tests.attack.verdicts import Wrong

BOXES = "1 2.0 3.0 20.0 15.0\n2 0.0 0.0 9.0 9.0\n"


def annotated() -> bytes:
    """Return annotations of Cars196 as MATLAB keeps them."""
    names = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")
    structs = np.zeros((1, 2), dtype=[(name, object) for name in names])
    for place in range(2):
        structs[0, place] = (*(np.array([[side]], np.uint16) for side in (1, 2, 9, 9, 99)), np.array([f"{place}.jpg"]))
    file = io.BytesIO()
    savemat(file, {"annotations": structs})
    return file.getvalue()


def splits(*paths: str) -> bytes:
    """Return a split of UnED."""
    return json.dumps([{"path": path, "class_id": [7, 8]} for path in paths]).encode()


# Of each kind: the YAML's keys, the images, and what describes them.
MINIATURES: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...], Mapping[str, bytes]]] = {
    "cub": (
        {"classes": [1, 200], "split": "test", "crop": "bounding_box"},
        ("images/a/1.jpg", "images/a/2.jpg"),
        {
            "images.txt": b"1 a/1.jpg\n2 a/2.jpg\n",
            "image_class_labels.txt": b"1 101\n2 101\n",
            "train_test_split.txt": b"1 0\n2 0\n",
            "bounding_boxes.txt": BOXES.encode(),
        },
    ),
    "cars": (
        {"classes": [1, 196], "halves": {"test": "a.mat"}, "crop": "bounding_box"},
        ("test/0.jpg", "test/1.jpg"),
        {"a.mat": annotated()},
    ),
    "sop": (
        {},
        ("a_final/1.JPG", "a_final/2.JPG"),
        {"Ebay_test.txt": b"image_id class_id super_class_id path\n1 1 1 a_final/1.JPG\n2 1 1 a_final/2.JPG\n"},
    ),
    "inshop": (
        {"crop": "bounding_box"},
        ("Img/img/1.jpg", "Img/img/2.jpg"),
        {
            "Eval/list_eval_partition.txt": b"2\nimage_name item_id evaluation_status\n"
            b"img/1.jpg 1 query\nimg/2.jpg 1 gallery\n",
            "Anno/list_bbox_inshop.txt": b"2\nimage_name clothes_type pose_type x_1 y_1 x_2 y_2\n"
            b"img/1.jpg 1 1 1 2 9 9\nimg/2.jpg 1 1 1 2 9 9\n",
        },
    ),
    "inaturalist": (
        {"list": "list.txt", "labels": "json", "annotations": ["a.json"]},
        ("p/7/1.jpg", "p/7/2.jpg"),
        {
            "list.txt": b"p/7/1.jpg\np/7/2.jpg\n",
            "a.json": b'{"images": [{"id": 1, "file_name": "p/7/1.jpg"}, {"id": 2, "file_name": "p/7/2.jpg"}], '
            b'"annotations": [{"image_id": 1, "category_id": 7}, {"image_id": 2, "category_id": 7}]}',
        },
    ),
    "uned": (
        {"domain": "d", "gallery": "index"},
        ("images/1.jpg", "images/2.jpg"),
        {"info_files/d/test.json": splits("1.jpg"), "info_files/d/index.json": splits("2.jpg")},
    ),
}  # fmt: skip


def benchmarks(rng: Random, folder: Path) -> None:
    """Read a miniature, one of whose lists is not as it was published."""
    kind = rng.choice(sorted(MINIATURES))
    keys, images, described = MINIATURES[kind]
    files = dict(described)
    target = rng.choice(sorted(files))
    if target.endswith(".txt"):
        files[target] = mutation.lines(rng, files[target].decode(), " ")
    elif target.endswith(".json") and rng.random() < 0.7:
        files[target] = mutation.as_json(mutation.tree(rng, json.loads(files[target])))
    else:
        files[target] = mutation.data(rng, files[target])
    write_all(folder, {**dict.fromkeys(images, b""), **files})
    found = read_dataset("x", {"kind": kind, "root": str(folder), **keys}, folder)
    if not {path for path, _ in found.entries} <= set(images):
        raise Wrong(f"{found.entries} of the images {images}")
    if not all(labels for _, labels in found.entries):
        raise Wrong(f"an image without a label: {found.entries}")
