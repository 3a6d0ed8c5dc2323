"""GPR1200: categories and subsets by the numbers in the names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.benchmarks.judging import asked, leave_one_out, listed, published, refused, refuses_other_counts

Draw = Callable[..., Path]
# One category of each subset, and both ends; the names after the number are those of the sources.
NAMES = [
    *("0_0a1b2c.jpg", "0_ff00.jpg", "199_9c.jpg", "199_9d.jpg"),
    *("200_b2.jpg", "200_b3.jpg", "400_sketch_4.JPEG", "400_sketch_5.jpg"),
    *("600_001.jpg", "600_002.jpg", "800_111085122871_0.JPG", "800_111085122871_1.jpg"),
    *("1000_nm0001.jpg", "1000_nm0002.jpg", "1199_a.jpg", "1199_b.jpg"),
]
SUBSETS = [
    *["landmarks"] * 4,
    *["nature"] * 2,
    *["sketches"] * 2,
    *["objects"] * 2,
    *["products"] * 2,
    *["faces"] * 4,
]


@pytest.fixture
def root(draw: Draw, tmp_path: Path) -> Path:
    for seed, name in enumerate(NAMES):
        draw(f"images/{name}", seed=seed)
    return tmp_path / "images"


def test_every_image_asks_for_the_others_of_its_category(root: Path, tmp_path: Path) -> None:
    found = asked(published("gpr1200", root), tmp_path)
    assert found == leave_one_out({name: name.split("_")[0] for name in NAMES})
    attributes = (tmp_path / "prepared/attributes.csv").read_text().splitlines()
    assert attributes == ["path,subset", *(f"{name},{subset}" for name, subset in zip(NAMES, SUBSETS, strict=True))]


def test_blocks_of_2000_are_the_subsets(tmp_path: Path) -> None:
    """The authors cut the ranking's values, in the order of the categories, into six blocks of 2,000."""
    for category in range(1200):
        for image in range(10):
            (tmp_path / f"{category}_{image}.jpg").touch()
    found = listed(published("gpr1200", tmp_path, expected={"images": 12000, "labels": 1200}))
    blocks = [
        {found.attributes[place]["subset"] for place in range(first, first + 2000)} for first in range(0, 12000, 2000)
    ]
    assert blocks == [{name} for name in dict.fromkeys(SUBSETS)]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a_1.jpg", r"a_1\.jpg \(no name like 0_name\.jpg\)"),
        ("1.jpg", r"1\.jpg \(no name like 0_name\.jpg\)"),
        ("1_a.txt", r"1_a\.txt \(no name like 0_name\.jpg\)"),
        ("1200_a.jpg", r"1200_a\.jpg is of category 1200, and the last one is 1199"),
    ],
)
def test_other_names(root: Path, name: str, message: str) -> None:
    (root / name).touch()
    refused(published("gpr1200", root), message)
    assert len(listed(published("gpr1200", root, exclude=[name])).entries) == 16


def test_the_published_counts(root: Path) -> None:
    refuses_other_counts("gpr1200", root, "16 images, not 12,000; .* 8 labels, not 1,200")
