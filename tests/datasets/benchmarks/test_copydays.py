"""INRIA Copydays: the copies of a block against the originals."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.datasets.benchmarks.judging import Asked, apart, asked, listed, published, refused, refuses_other_counts

BLOCKS = {
    "original": ["200000", "200100", "207600"],
    "strong": ["200001", "200002", "207601", "200101"],
    "jpegqual/3": ["200000", "200100", "207600"],
    "crops/50": ["200000", "200100", "207600"],
}


@pytest.fixture
def root(draw: Callable[..., Path], tmp_path: Path) -> Path:
    for seed, (block, names) in enumerate(BLOCKS.items()):
        for name in names:
            draw(f"copydays/{block}/{name}.jpg", seed=seed + 10 * int(name))
    return tmp_path / "copydays"


@pytest.mark.parametrize("block", ["strong", "jpegqual/3", "crops/50"])
def test_each_copy_asks_for_its_original(root: Path, tmp_path: Path, block: str) -> None:
    pictures = {name: {f"{name}/{file}.jpg": file[:4] for file in files} for name, files in BLOCKS.items()}
    found = asked(published("copydays_strong", root, block=block), tmp_path)
    assert found == apart(pictures[block], pictures["original"])
    assert all(len(one.relevant) == 1 for one in found.values())


def test_distractors_are_ranked_too(root: Path, tmp_path: Path, draw: Callable[..., Path]) -> None:
    draw("others/1.jpg", seed=5)
    found = asked(published("copydays_strong", root, distractors=[str(tmp_path / "others")]), tmp_path)
    originals = {f"original/{name}.jpg" for name in BLOCKS["original"]}
    assert found["strong/200002.jpg"] == Asked({"original/200000.jpg"}, originals | {"1.jpg"})


def test_wrong_names(root: Path, draw: Callable[..., Path]) -> None:
    refused(published("copydays_strong", root, block="medium"), "copydays/medium is not a folder")
    refused(
        published("copydays_strong", root, block="../strong"), r"'block' and 'originals': \.\./strong leaves the root"
    )
    draw("original/200101.jpg", folder=root)
    refused(published("copydays_strong", root), r"original: 200100\.jpg and 200101\.jpg are of one picture: remove one")
    (root / "original/200100.jpg").unlink()
    (root / "original/200101.jpg").unlink()
    refused(
        published("copydays_strong", root), r"strong: 200101\.jpg has no original, 200100\.jpg: put it into original"
    )
    draw("strong/name.jpg", folder=root)
    refused(published("copydays_strong", root), r"name\.jpg \(no name like 200000\.jpg\)")


def test_hidden_files_are_passed_over(root: Path) -> None:
    (root / "original/.DS_Store").write_text("x")
    (root / "strong/.DS_Store").write_text("x")
    assert listed(published("copydays_strong", root)).passed_over["hidden"] == 2


def test_the_published_counts(root: Path) -> None:
    refuses_other_counts("copydays_strong", root, "7 images, not 386; 4 queries, not 229; 3 gallery, not 157; 3 labels")
