"""AmsterTime: pairs of a new and an old image by their names."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.benchmarks.judging import apart, asked, listed, published, refused, refuses_other_counts

PAIRS = ["0000", "0001", "1230"]


@pytest.fixture
def root(draw: Callable[..., Path], tmp_path: Path) -> Path:
    top = tmp_path / "amstertime"
    for seed, name in enumerate(PAIRS):
        draw(f"new/{name}.png", seed=seed, folder=top)
        draw(f"old/{name}.jpg", seed=seed + 10, folder=top)
    (top / "image_pairs.csv").write_text("id\n")
    return top


def test_each_asks_for_its_partner_on_the_other_side(root: Path, tmp_path: Path) -> None:
    new, old = ({f"{side}/{name}.{end}": name for name in PAIRS} for side, end in (("new", "png"), ("old", "jpg")))
    found = asked(published("amstertime", root), tmp_path)
    assert found == apart(new, old)
    assert found["new/0001.png"].relevant == {"old/0001.jpg"}
    assert asked(published("amstertime", root, queries="old"), tmp_path) == apart(old, new)


def test_pairs_that_are_not_complete(root: Path, draw: Callable[..., Path]) -> None:
    (root / "new/0001.png").unlink()
    refused(published("amstertime", root), r"old/0001\.jpg have no partner in the other folder: the archive is not")
    draw("new/0001.jpg", folder=root)
    assert len(listed(published("amstertime", root)).entries) == 6
    draw("new/0001.png", folder=root)
    refused(published("amstertime", root), r"new: 0001\.jpg and 0001\.png have one name: remove one")
    (root / "new/list.csv").touch()
    refused(published("amstertime", root), r"list\.csv \(no name like 0000\.png or 0000\.jpg\)")


def test_a_folder_that_is_not_there(root: Path) -> None:
    (root / "old").rename(root / "older")
    refused(published("amstertime", root), "amstertime/old is not a folder")


def test_the_published_counts(root: Path) -> None:
    refuses_other_counts(
        "amstertime", root, "6 images, not 2,462; 3 queries, not 1,231; 3 gallery, not 1,231; 3 labels"
    )
