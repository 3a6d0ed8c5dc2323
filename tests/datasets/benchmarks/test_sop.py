"""Stanford Online Products in its own layout."""

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

HEADER = "image_id class_id super_class_id path"
PRODUCTS = [
    "59552 11319 1 bicycle_final/111265328556_0.JPG",
    "59553 11319 1 bicycle_final/111265328556_1.JPG",
    "59554 11320 1 bicycle_final/121346100881_0.JPG",
    "59555 11320 1 bicycle_final/121346100881_1.JPG",
    "59556 11319 12 toaster_final/111265328556_2.JPG",
]
PATHS = [line.split()[3] for line in PRODUCTS]


@pytest.fixture
def root(draw: Callable[..., Path], tmp_path: Path) -> Path:
    top = tmp_path / "Stanford_Online_Products"
    for seed, path in enumerate(PATHS):
        draw(path, seed=seed, folder=top)
    draw("bicycle_final/111085122871_0.JPG", folder=top)  # of the training list, which is not read
    write_lines(top / "Ebay_test.txt", [HEADER, *PRODUCTS])
    return top


def test_every_image_of_the_list_asks_for_the_others_of_its_product(root: Path, tmp_path: Path) -> None:
    found = asked(published("sop", root), tmp_path)
    assert found == leave_one_out({path: line.split()[1] for path, line in zip(PATHS, PRODUCTS, strict=True)})
    assert found[PATHS[0]].relevant == {PATHS[1], PATHS[4]}
    attributes = (tmp_path / "prepared/attributes.csv").read_text().splitlines()
    assert attributes == ["path,super_class", *(f"{path},bicycle" for path in PATHS[:4]), f"{PATHS[4]},toaster"]


def test_a_list_as_windows_leaves_it(root: Path) -> None:
    before = listed(published("sop", root))
    assert [path for path, _ in before.entries] == PATHS
    windows(root / "Ebay_test.txt")
    assert listed(published("sop", root)) == before


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], rf"Ebay_test\.txt:1: expected the header '{HEADER}', got '': fetch it anew"),
        (PRODUCTS, rf"Ebay_test\.txt:1: expected the header '{HEADER}', got '59552 "),
        ([HEADER, *PRODUCTS, "1 2 3"], rf"Ebay_test\.txt:7: expected '{HEADER}', got '1 2 3'"),
        ([HEADER, *PRODUCTS, PRODUCTS[1]], r"txt:7: \S+_1\.JPG stands already in \S+txt:3: remove one of the lines"),
        ([HEADER, "1 2 3 bicycle_final/1.JPG"], r"Ebay_test\.txt:2: bicycle_final/1\.JPG is not there"),
        ([HEADER, "1 2 3 ../1.JPG"], r"Ebay_test\.txt:2: \.\./1\.JPG leaves the root"),
        ([HEADER], r"no image in .*Stanford_Online_Products"),
    ],
)
def test_wrong_lists(root: Path, lines: list[str], message: str) -> None:
    write_lines(root / "Ebay_test.txt", lines)
    refused(published("sop", root), message)


def test_a_list_that_is_not_there(root: Path) -> None:
    refused(published("sop", root, list="Ebay_info.txt"), r"Ebay_info\.txt cannot be read")


def test_links_out_of_the_root_are_a_choice(root: Path, tmp_path: Path) -> None:
    image = root / PATHS[0]
    image.rename(tmp_path / "elsewhere.jpg")
    image.symlink_to(tmp_path / "elsewhere.jpg")
    refused(published("sop", root), "leaves the root by a symbolic link")
    assert len(listed(published("sop", root, follow_links=True)).entries) == 5


def test_the_published_counts(root: Path) -> None:
    refuses_other_counts("sop", root, "5 images, not 60,502; .* 2 labels, not 11,316")
