"""Cars196 with the annotations of its development kit, and in the copy with a folder for each class."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

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

Car = tuple[str, int, tuple[int, int, int, int]]
# File, class, and left, top, right, bottom. The halves use the same names.
TRAIN: list[Car] = [
    ("00001.jpg", 14, (3, 2, 30, 20)),
    ("00002.jpg", 99, (1, 1, 32, 24)),
    ("00003.jpg", 196, (5, 6, 20, 21)),
    ("00004.jpg", 98, (5, 6, 20, 21)),
]
TEST: list[Car] = [
    ("00001.jpg", 99, (4, 3, 31, 22)),
    ("00002.jpg", 14, (1, 1, 9, 9)),
    ("00003.jpg", 196, (2, 2, 9, 9)),
]
HALVES = {"train": TRAIN, "test": TEST}
WITH_LABELS = "cars_test_annos_withlabels.mat"


def annotations(cars: Sequence[Car], *, labelled: bool = True) -> np.ndarray:
    """Return a struct array as MATLAB has it: 1 x N, every field a matrix of its own."""
    fields = [*("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"), *(["class"] if labelled else []), "fname"]
    structs = np.zeros((1, len(cars)), dtype=[(field, object) for field in fields])
    for place, (name, number, box) in enumerate(cars):
        values = [*box, *([number] if labelled else [])]
        structs[0, place] = (*(np.array([[value]], np.uint16) for value in values), np.array([name]))
    return structs


@pytest.fixture
def kit(draw: Callable[..., Path], tmp_path: Path) -> Path:
    top = tmp_path / "cars"
    for seed, (half, cars) in enumerate(HALVES.items()):
        for name, number, _ in cars:
            draw(f"cars_{half}/{name}", seed=10 * number + seed, folder=top)
    (top / "devkit").mkdir()
    savemat(top / "devkit/cars_train_annos.mat", {"annotations": annotations(TRAIN)})
    savemat(top / "devkit/cars_test_annos.mat", {"annotations": annotations(TEST, labelled=False)})
    savemat(top / WITH_LABELS, {"annotations": annotations(TEST)})
    return top


@pytest.fixture
def copy(draw: Callable[..., Path], tmp_path: Path) -> Path:
    """The layout of the copy on Kaggle: lists without a header, folders named by class, a slash in a name as a dash."""
    top = tmp_path / "copy"
    names = [f"Car {number}/{number} 2012" for number in range(1, 197)]
    write_lines(top / "names.csv", names)
    for half, cars in HALVES.items():
        write_lines(
            top / f"anno_{half}.csv", (f"{name},{','.join(map(str, box))},{number}" for name, number, box in cars)
        )
        for name, number, _ in cars:
            draw(f"car_data/car_data/{half}/Car {number}-{number} 2012/{name}", seed=number, folder=top)
    return top


COPY = {
    "names": "names.csv",
    "halves": {"car_data/car_data/train": "anno_train.csv", "car_data/car_data/test": "anno_test.csv"},
}


def test_metric_learning_takes_the_upper_half_of_the_classes_of_both_halves(kit: Path, tmp_path: Path) -> None:
    classes = {f"cars_{half}/{name}": str(number) for half, cars in HALVES.items() for name, number, _ in cars}
    expected = leave_one_out({path: number for path, number in classes.items() if int(number) >= 99})
    assert expected["cars_train/00002.jpg"].relevant == {"cars_test/00001.jpg"}
    own = published("cars_dml", kit)
    assert asked(own, tmp_path) == expected
    assert [path for path, _ in listed(own).entries] == [
        *("cars_train/00002.jpg", "cars_train/00003.jpg", "cars_test/00001.jpg", "cars_test/00003.jpg")
    ]
    assert listed(own).passed_over == {"of other classes": 3}


def test_the_official_split_is_the_test_half(kit: Path) -> None:
    found = listed(published("cars_official", kit))
    assert found.entries == tuple((f"cars_test/{name}", (str(number),)) for name, number, _ in TEST)


def test_the_copy_with_folders_has_the_same_images(copy: Path, kit: Path) -> None:
    found, expected = listed(published("cars_dml", copy, **COPY)), listed(published("cars_dml", kit))
    assert found.entries[2] == ("car_data/car_data/test/Car 99-99 2012/00001.jpg", ("99",))
    assert [labels for _, labels in found.entries] == [labels for _, labels in expected.entries]
    for name in ("names.csv", "anno_train.csv", "anno_test.csv"):
        windows(copy / name)
    assert listed(published("cars_dml", copy, **COPY)) == found


def test_boxes_are_a_choice(kit: Path, copy: Path) -> None:
    assert listed(published("cars_official", kit)).boxes == {}
    for config in (published("cars_dml", kit), published("cars_dml", copy, **COPY)):
        boxes = listed({**config, "crop": "bounding_box"}).boxes
        assert boxes == {0: (1, 1, 32, 24), 1: (5, 6, 20, 21), 2: (4, 3, 31, 22), 3: (2, 2, 9, 9)}


def test_a_single_annotation(kit: Path) -> None:
    savemat(kit / WITH_LABELS, {"annotations": annotations(TEST[:1])})
    assert listed(published("cars_official", kit)).entries == (("cars_test/00001.jpg", ("99",)),)


def test_annotations_without_classes(kit: Path) -> None:
    halves = {"cars_test": "devkit/cars_test_annos.mat"}
    refused(
        published("cars_official", kit, halves=halves), "cars_test_annos.mat says no classes: take cars_test_annos_w"
    )


def broken(place: int, field: str, value: object) -> np.ndarray:
    structs = annotations(TEST)
    structs[0, place][field] = value
    return structs


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"other": 1}, r"as a MAT-file \(there is no variable 'annotations'\): fetch it anew"),
        ({"annotations": np.zeros(3)}, "mat: its annotations are no structs: fetch it anew"),
        ({"annotations": {"class": 1}}, "mat: its annotations have no bbox_x1, .*, fname: fetch it anew"),
        ({"annotations": broken(1, "class", 1.5)}, "mat: annotation 2: the class is 1.5, no whole number: fetch"),
        ({"annotations": broken(1, "class", 0)}, "mat: annotation 2: the class is 0, and classes count from 1"),
        ({"annotations": broken(2, "class", "a")}, "mat: annotation 3 is not a name, a class and four sides of a box"),
        ({"annotations": broken(2, "fname", 7)}, "mat: annotation 3 is not a name"),
        ({"annotations": broken(0, "bbox_x2", 4)}, "mat: annotation 1: '4.0 3.0 4.0 22.0' is no box"),
        ({"annotations": broken(0, "bbox_x2", [1, 2])}, "mat: annotation 1 is not a name"),
        ({"annotations": broken(0, "fname", "../1.jpg")}, "mat: annotation 1: .* leaves the root"),
        ({"annotations": broken(0, "fname", "9.jpg")}, "mat: annotation 1: cars_test/9.jpg is not there"),
        ({"annotations": broken(0, "fname", "00002.jpg")}, "cars_test/00002.jpg is there twice"),
    ],
)
def test_wrong_annotations(kit: Path, content: dict[str, object], message: str) -> None:
    savemat(kit / WITH_LABELS, content)
    refused(published("cars_official", kit), message)


@pytest.mark.parametrize("data", [b"", b"<html>", b"MATLAB 5.0", bytes(200), b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_what_is_no_mat_file(kit: Path, data: bytes) -> None:
    (kit / WITH_LABELS).write_bytes(data)
    refused(
        published("cars_official", kit), r"withlabels\.mat cannot be read as a MAT-file \(it is .*\): fetch it anew"
    )


def test_damaged_mat_files(kit: Path) -> None:
    whole = (kit / WITH_LABELS).read_bytes()
    for end in range(0, len(whole), 97):
        (kit / WITH_LABELS).write_bytes(whole[:end])
        refused(published("cars_official", kit), "withlabels.mat")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("anno_test.csv", "00001.jpg,4,3,31,22\n", r"anno_test\.csv:1: expected 'file x1 y1 x2 y2 class', got '00001"),
        ("anno_test.csv", "\n00001.jpg,4,3,31,22,b\n", r"anno_test\.csv:2: the class is 'b', no whole number"),
        ("anno_test.csv", "00001.jpg,4,3,31,22,0\n", r"anno_test\.csv:1: the class is 0, and classes count from 1"),
        ("anno_test.csv", "00001.jpg,4,3,a,22,99\n", r"anno_test\.csv:1: '4 3 a 22' are not 4 numbers"),
        ("anno_test.csv", "00009.jpg,4,3,31,22,99\n", r"anno_test\.csv:1: car_data/.*/00009\.jpg is not there"),
        ("names.csv", "Car 1\n", r"anno_train\.csv:2: class 99 is not among the 1 names of classes"),
        ("names.csv", None, r"names\.csv cannot be read .*it lists the names of the classes, one a line"),
    ],
)
def test_wrong_lists_of_the_copy(copy: Path, name: str, text: str | None, message: str) -> None:
    (copy / name).unlink()
    if text is not None:
        (copy / name).write_text(text)
    refused(published("cars_dml", copy, **COPY), message)


def test_the_copy_needs_the_names_of_classes(copy: Path) -> None:
    refused(
        published("cars_dml", copy, halves=COPY["halves"]), r"anno_train\.csv needs 'names', the list of the classes"
    )


@pytest.mark.parametrize("halves", [{"../cars": "a.mat"}, {"cars_test": "/etc/a.mat"}])
def test_halves_below_the_root(kit: Path, halves: dict[str, str]) -> None:
    refused(published("cars_dml", kit, halves=halves), "'halves': .* leaves the root")


def test_the_published_counts(kit: Path) -> None:
    refuses_other_counts("cars_dml", kit, "4 images, not 8,131; .* 2 labels, not 98")
    refuses_other_counts("cars_official", kit, "3 images, not 8,041; .* 3 labels, not 196")
