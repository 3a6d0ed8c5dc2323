"""Published benchmarks in miniature: their lists, tables, boxes, JSON and MATLAB files."""

import io
import json
from collections.abc import Mapping
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

BOXES = "1 2.0 3.0 20.0 15.0\n2 0.0 0.0 9.0 9.0\n"
GALLERY = ("a/1.jpg", "a/2.jpg", "b/3.jpg")
INDEX = ("0123456789abcdef", "f123456789abcdef")
ASKED = "aaaa456789abcdef"
DATABASE = [{"id": 7, "path": "a/1.jpg"}, {"id": 8, "path": "a/2.jpg"}]
QUERIES = [{"path": "b/3.jpg", "MET_id": 7}, {"path": "b/4.jpg"}]
NIGHTS = "right_vote,votes,ref_path,left_path,right_path,is_imagenet,split\n1.0,7,a/1.jpg,a/2.jpg,b/3.jpg,True,test\n"
SOLUTION = f"id,images,Usage\n{ASKED},{INDEX[0]} {INDEX[1]},Private\n{ASKED[::-1]},None,Ignored\n"


def nested(name: str) -> str:
    """Return where an image of Google Landmarks lies."""
    return f"{name[0]}/{name[1]}/{name[2]}/{name}.jpg"


def instre() -> bytes:
    """Return the ground truth of INSTRE as MATLAB writes it."""
    gallery, asked = np.empty((1, 3), object), np.empty((1, 1), object)
    gallery[0], asked[0, 0] = GALLERY, "b/4.jpg"
    truth = np.empty((1, 1), [("ok", object), ("bbx", object)])
    truth[0, 0] = np.array([[1.0, 3.0]]), np.array([[1.0, 2.0, 30.0, 20.0]])
    file = io.BytesIO()
    savemat(file, {"imlist": gallery, "qimlist": asked, "gnd": truth})
    return file.getvalue()


def cars() -> bytes:
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


# Of each kind: the YAML's keys, with {} for the folder, the images that are there, and what describes them.
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
        {"a.mat": cars()},
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
    "gldv2": (
        {"solution": "{}/solution.csv", "index": "{}/index.csv", "usage": "Private"},
        (*(f"index/{nested(name)}" for name in INDEX), f"test/{nested(ASKED)}"),
        {"solution.csv": SOLUTION.encode(), "index.csv": "\n".join(["id", *INDEX]).encode()},
    ),
    "met": (
        {},
        ("images/a/1.jpg", "images/a/2.jpg", "images/b/3.jpg", "images/b/4.jpg"),
        {
            "ground_truth/MET_database.json": json.dumps(DATABASE).encode(),
            "ground_truth/testset.json": json.dumps(QUERIES).encode(),
        },
    ),
    "ilias": (
        {"crop_queries": True},
        ("ilias_core/x_0/pos/P0.jpg", "ilias_core/x_0/query/Q0.jpg"),
        {
            "image_ids/positive_ids.txt": b"x_0/pos/P0.jpg,0.5,3\n",
            "image_ids/image_query_ids.txt": b"x_0/query/Q0.jpg,0.5\n",
            "ilias_core/x_0/query/Q0_bbox.txt": b"1 2 3 4\n-1 2 9 9\n",
        },
    ),
    "instre": ({"ground_truth": "{}/gnd.mat"}, (*GALLERY, "b/4.jpg"), {"gnd.mat": instre()}),
    "nights": ({}, GALLERY, {"data.csv": NIGHTS.encode()}),
    "disc21": (
        {"ground_truth": "{}/pairs.csv"},
        ("references/R1.jpg", "references/R2.jpg", "queries/Q1.jpg", "queries/Q2.jpg"),
        {"pairs.csv": b"query_id,reference_id\nQ1,\nQ2,R1\n"},
    ),
}  # fmt: skip


def hostile(rng: Random, name: str, content: bytes) -> bytes:
    """Return a hostile variant of what describes the images."""
    if name.endswith(".mat"):
        return mutation.data(rng, content)
    if name.endswith(".json"):
        tree = rng.random() < 0.7
        return mutation.as_json(mutation.tree(rng, json.loads(content))) if tree else mutation.data(rng, content)
    return mutation.lines(rng, content.decode(), "," if b"," in content else " ")


def benchmarks(rng: Random, folder: Path) -> None:
    """Read a miniature, one of whose files is not as it was published."""
    kind = rng.choice(sorted(MINIATURES))
    keys, images, described = MINIATURES[kind]
    changed = rng.choice(sorted(described))
    write_all(folder, {**dict.fromkeys(images, b""), **described})
    write_all(folder, {changed: hostile(rng, changed, described[changed])})
    config = {key: value.format(folder) if isinstance(value, str) else value for key, value in keys.items()}
    found = read_dataset("x", {"kind": kind, "root": str(folder), **config}, folder)
    check_queries(found.queries or (), len(found.entries))
    there = {(folder / image).resolve() for image in images}
    if not {Path(found.root / path).resolve() for path, _ in found.entries} <= there:
        raise Wrong(f"{found.entries} of the images {images}")
    if found.queries is None and not all(labels for _, labels in found.entries):
        raise Wrong(f"an image without a label: {found.entries}")
    if any(not (left < right and upper < lower) for left, upper, right, lower in found.boxes.values()):
        raise Wrong(f"a box without area: {found.boxes}")
