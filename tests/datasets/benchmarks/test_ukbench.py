"""UKBench: groups of four by the numbers in the names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.benchmarks.judging import asked, leave_one_out, listed, published, refused, refuses_other_counts

Draw = Callable[..., Path]
NUMBERS = [0, 1, 2, 3, 4, 5, 6, 7, 10196, 10197, 10198, 10199]


@pytest.fixture
def root(draw: Draw, tmp_path: Path) -> Path:
    for number in NUMBERS:
        draw(f"ukbench/full/ukbench{number:05d}.jpg", seed=number)
    return tmp_path / "ukbench/full"


def test_four_that_follow_each_other_are_of_one_object(root: Path, tmp_path: Path) -> None:
    found = asked(published("ukbench", root), tmp_path)
    assert found == leave_one_out({f"ukbench{number:05d}.jpg": str(number // 4) for number in NUMBERS})
    assert found["ukbench00005.jpg"].relevant == {f"ukbench0000{number}.jpg" for number in (4, 6, 7)}
    assert listed(published("ukbench", root)).entries[-1] == ("ukbench10199.jpg", ("2549",))


def test_what_is_no_image_of_it(root: Path, draw: Draw) -> None:
    (root / ".DS_Store").write_text("x")
    assert listed(published("ukbench", root)).passed_over == {"hidden": 1, "excluded": 0}
    draw("ukbench0008.jpg", folder=root)
    refused(published("ukbench", root), r"ukbench0008\.jpg \(no name like ukbench00000\.jpg\): remove or move")
    assert len(listed(published("ukbench", root, exclude=["ukbench0008.jpg"])).entries) == 12


def test_small_copies_of_the_images(root: Path, draw: Draw) -> None:
    draw("ukbench/thumbnails/ukbench00000.jpg")
    refused(published("ukbench", root.parent), r"full/ukbench00000\.jpg and thumbnails/\S+ are named \S+: remove one")


def test_a_group_that_is_not_complete(root: Path) -> None:
    (root / "ukbench00006.jpg").unlink()
    refused(
        published("ukbench", root), r"3 images of ukbench00004\.jpg to ukbench00007\.jpg, not 4: the archive is not"
    )


def test_the_published_counts(root: Path) -> None:
    refuses_other_counts("ukbench", root, "12 images, not 10,200; .* 3 labels, not 2,550")
