"""CUB-200-2011 in its own layout, by its two splits."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.benchmarks.judging import (
    asked,
    leave_one_out,
    listed,
    published,
    refused,
    refuses_other_counts,
    windows,
    write_lines,
)

# Image, class, whether for training, box.
BIRDS = [
    ("001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg", 1, 0, "2.0 3.0 20.0 15.0"),
    ("001.Black_footed_Albatross/Black_Footed_Albatross_0009_34.jpg", 1, 1, "0.0 0.0 32.0 24.0"),
    ("100.Brown_Pelican/Brown_Pelican_0001_95192.jpg", 100, 0, "1.0 1.0 5.0 5.0"),
    ("100.Brown_Pelican/Brown_Pelican_0002_94432.jpg", 100, 0, "1.0 1.0 5.0 5.0"),
    ("101.White_Pelican/White_Pelican_0001_96272.jpg", 101, 1, "4.5 1.25 10.0 20.0"),
    ("101.White_Pelican/White_Pelican_0007_97010.jpg", 101, 0, "1.0 1.0 5.0 5.0"),
    ("101.White_Pelican/White_Pelican_0012_95847.jpg", 101, 0, "1.0 1.0 5.0 5.0"),
    ("200.Common_Yellowthroat/Common_Yellowthroat_0003_190521.jpg", 200, 1, "1.0 1.0 5.0 5.0"),
    ("200.Common_Yellowthroat/Common_Yellowthroat_0008_190703.jpg", 200, 1, "1.0 1.0 5.0 5.0"),
]
IDS = [3, 1, 2, 4, 5, 6, 7, 8, 10]  # neither sorted nor without a gap
LISTS = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "bounding_boxes.txt")


@pytest.fixture
def root(draw: Callable[..., Path], tmp_path: Path) -> Path:
    top = tmp_path / "CUB_200_2011"
    for seed, (path, *_) in enumerate(BIRDS):
        draw(f"images/{path}", seed=seed, folder=top)
    for column, name in enumerate(LISTS):
        order = reversed(range(len(BIRDS))) if column else range(len(BIRDS))  # lists are joined by id, not by line
        write_lines(top / name, (f"{IDS[place]} {BIRDS[place][column]}" for place in order))
    write_lines(top / "classes.txt", ["1 001.Black_footed_Albatross"])
    return top


def test_metric_learning_takes_the_upper_half_of_the_classes(root: Path, tmp_path: Path) -> None:
    expected = leave_one_out({f"images/{path}": str(number) for path, number, *_ in BIRDS if 101 <= number <= 200})
    assert len(expected) == 5
    pelican = "images/101.White_Pelican/White_Pelican_0001_96272.jpg"
    assert expected[pelican].relevant == {f"images/{path}" for path, *_ in BIRDS[5:7]}
    assert asked(published("cub_dml", root), tmp_path) == expected
    assert listed(published("cub_dml", root)).passed_over == {"of other classes": 4}


def test_the_official_split_takes_the_test_half_of_all_classes(root: Path, tmp_path: Path) -> None:
    own = published("cub_official", root)
    assert [path for path, _ in listed(own).entries] == [f"images/{BIRDS[place][0]}" for place in (0, 2, 3, 5, 6)]
    assert listed(own).passed_over == {"for training": 4}
    assert asked(own, tmp_path) == leave_one_out(
        {f"images/{path}": str(number) for path, number, half, _ in BIRDS if not half}
    )


def test_lists_as_windows_leaves_them(root: Path) -> None:
    before = listed(published("cub_dml", root))
    for name in LISTS:
        windows(root / name)
    assert listed(published("cub_dml", root)) == before


def test_boxes_are_a_choice(root: Path, tmp_path: Path) -> None:
    assert listed(published("cub_dml", root)).boxes == {}
    found = listed(published("cub_dml", root, crop="bounding_box"))
    assert found.boxes[0] == (4.5, 1.25, 14.5, 21.25)  # 4.5 + 10, 1.25 + 20
    assert len(found.boxes) == len(found.entries) == 5
    (root / "bounding_boxes.txt").unlink()
    listed(published("cub_dml", root))
    refused(published("cub_dml", root, crop="bounding_box"), r"bounding_boxes\.txt cannot be read")


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("images.txt", "3", r"images\.txt:10: expected 'image_id path', got '3': fetch it anew"),
        ("images.txt", "3 200.x/x.jpg", r"images\.txt:10: 3 stands already in \S+images\.txt:1: remove one"),
        ("images.txt", "11 200.x/x.jpg", r"labels\.txt has no line of image 11, which \S+images\.txt:10 has"),
        ("image_class_labels.txt", "11 200", r"labels\.txt:10: image 11 is not in images\.txt: fetch it anew"),
        ("image_class_labels.txt", "4 200", r"labels\.txt:10: 4 stands already in \S+:6: remove one"),
        ("train_test_split.txt", "7 1 1", r"split\.txt:10: expected 'image_id is_training_image', got '7 1 1'"),
    ],
)
def test_wrong_lists(root: Path, name: str, line: str, message: str) -> None:
    with (root / name).open("a") as file:
        file.write(f"{line}\n")
    refused(published("cub_official", root), message)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("image_class_labels.txt", "10 200", "10 2OO", r"labels\.txt:1: the class is '2OO', no whole number"),
        ("train_test_split.txt", "3 0", "3 2", r"split\.txt:9: '2' is neither 1, for training, nor 0"),
        ("images.txt", "4 100.Brown", "4 ../../100.Brown", r"images\.txt:4: .* leaves the root"),
        ("images.txt", "4 100.Brown_Pelican/", "4 100.Gone/", r"images\.txt:4: images/100\.Gone.* is not there"),
        ("bounding_boxes.txt", "4 1.0 1.0 5.0 5.0", "4 1.0 1.0 0.0 5.0", r"boxes\.txt:6: '1.0 1.0 1.0 6.0' is no box"),
        ("bounding_boxes.txt", "4 1.0 1.0 5.0 5.0", "4 1.0 x 5.0 5.0", r"boxes\.txt:6: '1.0 x 5.0 5.0' are not"),
        ("bounding_boxes.txt", "4 1.0 1.0 5.0 5.0", "4 1.0 1.0 inf 5.0", r"boxes\.txt:6: .* is no box"),
    ],
)  # fmt: skip
def test_wrong_lines(root: Path, name: str, old: str, new: str, message: str) -> None:
    text = (root / name).read_text()
    assert text.count(f"{old}") == 1
    (root / name).write_text(text.replace(old, new))
    refused(published("cub_official", root, crop="bounding_box"), message)


def test_a_list_that_is_not_there(root: Path) -> None:
    (root / "train_test_split.txt").unlink()
    refused(published("cub_dml", root), r"train_test_split\.txt cannot be read .*the archive is not complete")


@pytest.mark.parametrize("classes", [[], [101], [200, 101], [0, 100], [1, 2, 3]])
def test_classes_are_a_first_and_a_last(root: Path, classes: list[int]) -> None:
    refused(published("cub_dml", root, classes=classes), "'classes' is .*give the number of the first and of the last")


def test_the_published_counts(root: Path) -> None:
    refuses_other_counts("cub_dml", root, r": 5 images, not 5,924; .* 2 labels, not 100")
    refuses_other_counts("cub_official", root, r"5 images, not 5,794; .* 3 labels, not 200")
