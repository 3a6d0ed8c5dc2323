"""iNaturalist 2018 by the split of Smooth-AP."""

import json
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

LIST = "Inat_dataset_splits/Inaturalist_test_set1.txt"
PATHS = [
    "train_val2018/Plantae/7477/3b60c9486db1d2ee875f11a669fbde4a.jpg",
    "train_val2018/Plantae/7477/0e5a06ca29d76d1f2f5b9c4b0a4d7a3c.jpg",
    "train_val2018/Aves/2774/1a2b.jpg",
    "train_val2018/Aves/2774/3c4d.jpg",
    "train_val2018/Aves/2774/5e6f.jpg",
]
SPECIES = dict(zip(PATHS, ("7477", "7477", "2774", "2774", "2774"), strict=True))


def annotations(places: list[int]) -> dict[str, object]:
    """Return what a file of the competition says of some of the images; ids are 100 and the place."""
    return {
        "info": {"year": 2018},
        "images": [{"id": 100 + place, "file_name": PATHS[place], "license": 3} for place in places],
        "annotations": [
            {"id": 500 + place, "image_id": 100 + place, "category_id": int(SPECIES[PATHS[place]])}
            for place in reversed(places)
        ],
    }


@pytest.fixture
def root(draw: Callable[..., Path], tmp_path: Path) -> Path:
    top = tmp_path / "inat2018"
    for seed, path in enumerate(PATHS):
        draw(path, seed=seed, folder=top)
    write_lines(top / LIST, PATHS)
    (top / "train2018.json").write_text(json.dumps(annotations([0, 3, 4])))
    (top / "val2018.json").write_text(json.dumps(annotations([1, 2])))
    return top


@pytest.mark.parametrize("labels", ["path", "json"])
def test_every_listed_image_asks_for_the_others_of_its_species(root: Path, tmp_path: Path, labels: str) -> None:
    found = asked(published("inat2018", root, labels=labels), tmp_path)
    assert found == leave_one_out(SPECIES)
    assert found[PATHS[2]].relevant == {PATHS[3], PATHS[4]}


def test_both_ways_to_know_the_species_agree_in_order(root: Path) -> None:
    by_path = listed(published("inat2018", root))
    assert [path for path, _ in by_path.entries] == PATHS
    windows(root / LIST)
    assert listed(published("inat2018", root, labels="json")) == by_path
    for name in ("train2018.json", "val2018.json"):
        (root / name).unlink()
    assert listed(published("inat2018", root)) == by_path
    refused(published("inat2018", root, labels="json"), r"train2018\.json cannot be read .*the archive is not complete")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train_val2018/Aves/Bird/1.jpg", r"set1\.txt:6: \S+ lies in no folder of a species, as Plantae/7477"),
        ("1.jpg", r"set1\.txt:6: 1\.jpg lies in no folder of a species"),
        ("train_val2018/Aves/2774/none.jpg", r"set1\.txt:6: \S+none\.jpg is not there"),
        ("../2774/1.jpg", r"set1\.txt:6: \.\./2774/1\.jpg leaves the root"),
        (PATHS[0], r"set1\.txt:6: \S+ stands already in \S+set1\.txt:1: remove one"),
        ("a b", r"set1\.txt:6: expected 'path', got 'a b'"),
    ],
)
def test_wrong_lists(root: Path, draw: Callable[..., Path], line: str, message: str) -> None:
    draw("1.jpg", folder=root)
    draw("train_val2018/Aves/Bird/1.jpg", folder=root)
    write_lines(root / LIST, [*PATHS, line])
    refused(published("inat2018", root), message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", r"val2018\.json is not as published \(Expecting value.*\): fetch it anew"),
        ("[]", r"val2018\.json is not as published \(all of it: .*dictionary"),
        ('{"images": []}', r"val2018\.json is not as published \(annotations: Field required\)"),
        ('{"images": [{"id": "1", "file_name": "a"}], "annotations": []}', r"\(images\.0\.id: .* valid integer\)"),
        (f'{{"images": [{{"id": 9, "file_name": "{PATHS[0]}"}}], "annotations": []}}', r"image \S+ is 100 and 9"),
        ('{"images": [], "annotations": [{"image_id": 100, "category_id": 5}]}', r"image 100 is 7477 and 5: fetch"),
        ('{"images": [], "annotations": []}', r"set1\.txt:2: \S+ has no species in train2018\.json nor val2018\.json"),
        ("[" * 100_000, r"val2018\.json is not as published"),
    ],
)  # fmt: skip
def test_wrong_annotations(root: Path, content: str, message: str) -> None:
    (root / "val2018.json").write_text(content)
    refused(published("inat2018", root, labels="json"), message)


def test_the_published_counts(root: Path) -> None:
    refuses_other_counts("inat2018", root, "5 images, not 136,093; .* 2 labels, not 2,452")
