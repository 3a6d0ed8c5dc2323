"""In-Shop Clothes Retrieval in its own layout."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.benchmarks.judging import (
    apart,
    asked,
    listed,
    published,
    refused,
    refuses_other_counts,
    windows,
    write_lines,
)

HEADER = "image_name item_id evaluation_status"
BOX_HEADER = "image_name clothes_type pose_type x_1 y_1 x_2 y_2"
# Padded with spaces, as published.
GARMENTS = [
    "img/WOMEN/Dresses/id_00000002/02_1_front.jpg                 id_00000002 train",
    "img/WOMEN/Blouses_Shirts/id_00000001/02_1_front.jpg          id_00000001 query",
    "img/WOMEN/Blouses_Shirts/id_00000001/02_2_side.jpg           id_00000001 gallery",
    "img/WOMEN/Blouses_Shirts/id_00000001/02_3_back.jpg           id_00000001 gallery",
    "img/MEN/Denim/id_00000080/01_1_front.jpg                     id_00000080 gallery",
    "img/MEN/Denim/id_00000080/01_2_side.jpg                      id_00000080 query",
    "img/MEN/Denim/id_00000080/01_7_additional.jpg                id_00000080 query",
]
NAMES = [line.split()[0] for line in GARMENTS]
BOXES = [f"{name}   1   {place % 3 + 1}  00{place + 1} 002 030 024" for place, name in enumerate(NAMES)]


@pytest.fixture
def root(draw: Callable[..., Path], tmp_path: Path) -> Path:
    top = tmp_path / "inshop"
    for seed, name in enumerate(NAMES):
        draw(f"Img/{name}", seed=seed, folder=top)
    write_lines(top / "Eval/list_eval_partition.txt", ["7", HEADER, *GARMENTS])
    write_lines(top / "Anno/list_bbox_inshop.txt", ["7", BOX_HEADER, *BOXES])
    return top


def test_queries_are_asked_of_the_gallery_alone(root: Path, tmp_path: Path) -> None:
    items = {f"Img/{name}": (line.split()[1], line.split()[2]) for name, line in zip(NAMES, GARMENTS, strict=True)}
    queries, gallery = (
        {path: item for path, (item, part) in items.items() if part == role} for role in ("query", "gallery")
    )
    found = asked(published("inshop", root), tmp_path)
    assert found == apart(queries, gallery) and len(found) == 3
    # The other query of the same item is neither ranked nor relevant.
    assert found[f"Img/{NAMES[5]}"].relevant == {f"Img/{NAMES[4]}"}
    assert listed(published("inshop", root)).passed_over == {"for training": 1}


def test_lists_may_lie_elsewhere(root: Path) -> None:
    before = listed(published("inshop", root))
    (root / "Eval/list_eval_partition.txt").rename(root / "list_eval_partition.txt")
    (root / "Img/img").rename(root / "img")
    found = listed(published("inshop", root, partition="list_eval_partition.txt", images="."))
    assert [(f"Img/{path}", labels) for path, labels in found.entries] == list(before.entries)
    assert found.roles == before.roles


def test_boxes_are_a_choice(root: Path) -> None:
    for name in ("Eval/list_eval_partition.txt", "Anno/list_bbox_inshop.txt"):
        windows(root / name)
    assert listed(published("inshop", root)).boxes == {}
    found = listed(published("inshop", root, crop="bounding_box"))
    assert found.boxes == {place - 1: (place + 1, 2, 30, 24) for place in range(1, 7)}  # all but the one for training
    write_lines(root / "Anno/list_bbox_inshop.txt", ["6", BOX_HEADER, *BOXES[:-1]])
    refused(published("inshop", root, crop="bounding_box"), r"partition\.txt:9: img/MEN/.* has no box in \S+list_bbox")
    (root / "Anno/list_bbox_inshop.txt").unlink()
    listed(published("inshop", root))
    refused(published("inshop", root, crop="bounding_box"), r"list_bbox_inshop\.txt cannot be read")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], r"partition\.txt:1: the number of rows is '', no whole number"),
        ([HEADER, *GARMENTS], r"partition\.txt:1: the number of rows is 'image_name .*', no whole number"),
        (["7", *GARMENTS], rf"partition\.txt:2: expected the header '{HEADER}', got 'img/WOMEN"),
        (["8", HEADER, *GARMENTS], r"partition\.txt has 7 rows, and says that it has 8: fetch it anew"),
        (["2", HEADER, GARMENTS[1], "img/a.jpg"], rf"partition\.txt:4: expected '{HEADER}', got 'img/a\.jpg'"),
        (["2", HEADER, GARMENTS[1], f"{NAMES[1]} id_2 gallery"], r"txt:4: \S+ stands already in \S+txt:3: remove one"),
        (["1", HEADER, "img/a.jpg id_1 val"], r"txt:3: the part is 'val': expected train, query or gallery"),
        (["1", HEADER, "img/a.jpg id_1 query"], r"txt:3: Img/img/a\.jpg is not there"),
        (["1", HEADER, "../../a.jpg id_1 query"], r"txt:3: Img/\.\./\.\./a\.jpg leaves the root"),
    ],
)
def test_wrong_partitions(root: Path, lines: list[str], message: str) -> None:
    write_lines(root / "Eval/list_eval_partition.txt", lines)
    refused(published("inshop", root), message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{NAMES[1]} 1 1 010 002 010 024", r"bbox_inshop\.txt:3: '10\.0 2\.0 10\.0 24\.0' is no box"),
        (f"{NAMES[1]} 1 1 010 002 x 024", r"bbox_inshop\.txt:3: '010 002 x 024' are not 4 numbers"),
        (f"{NAMES[1]} 1 1 010 002 024", rf"bbox_inshop\.txt:3: expected '{BOX_HEADER}'"),
    ],
)
def test_wrong_boxes(root: Path, line: str, message: str) -> None:
    write_lines(root / "Anno/list_bbox_inshop.txt", ["1", BOX_HEADER, line])
    refused(published("inshop", root, crop="bounding_box"), message)


def test_the_published_counts(root: Path) -> None:
    refuses_other_counts("inshop", root, "6 images, not 26,830; 3 queries, not 14,218; 3 gallery, not 12,612; 2 labels")
