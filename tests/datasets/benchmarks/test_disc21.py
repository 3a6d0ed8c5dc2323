"""DISC21: a miniature in its layout, with queries that were made from no reference."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.datasets.readers import read_dataset
from pipeline.retrieval.queries import Query
from tests.datasets.benchmarks.published import answers, prepared, published, refused, refuses_a_miniature

Draw = Callable[..., Path]

PAIRS = "query_id,reference_id\nQ00000,\nQ00003,R000002\nQ00001,\nQ00004,R000000\n"


@pytest.fixture
def raw(draw: Draw, tmp_path: Path) -> Path:
    """Write four references, one in a folder of its own, and five queries, one of which is not listed."""
    images = [*(f"references/R00000{n}" for n in (2, 0, 1)), "references/part2/R000003"]
    images += [f"queries/Q0000{n}" for n in range(5)]
    for seed, path in enumerate(images):
        draw(f"raw/disc21/{path}.jpg", seed=seed)
    (tmp_path / "raw/disc21/references/.DS_Store").write_text("x")
    (tmp_path / "raw/disc21/public_ground_truth.csv").write_text(PAIRS)
    return tmp_path / "raw"


def test_references_come_first_then_the_listed_queries(raw: Path) -> None:
    found = read_dataset("disc21", published("disc21", raw), raw)
    references = [f"references/{name}.jpg" for name in ("R000000", "R000001", "R000002", "part2/R000003")]
    queries = [f"queries/Q0000{number}.jpg" for number in (0, 3, 1, 4)]
    assert [path for path, _ in found.entries] == [*references, *queries]
    assert found.given == "listed"
    assert found.queries == (Query(4, (), (), ()), Query(5, (2,), (), ()), Query(6, (), (), ()), Query(7, (0,), (), ()))
    assert found.passed_over == {"hidden": 1, "excluded": 0, "queries that are not listed": 1}


def test_without_a_header_and_with_several_references(raw: Path) -> None:
    text = "Q00003,R000002\r\nQ00004,R000001\r\nQ00003,R000000\r\n"
    (raw / "disc21/public_ground_truth.csv").write_bytes(text.encode())
    found = read_dataset("own", published("disc21", raw), raw)
    assert found.queries == (Query(4, (2, 0), (), ()), Query(5, (1,), (), ()))


def test_from_the_files_to_the_positives(raw: Path, tmp_path: Path) -> None:
    manifest, protocol = prepared("disc21", published("disc21", raw), tmp_path)
    expected: dict[str, tuple[set[str], set[str]]] = {}
    for line in PAIRS.splitlines()[1:]:
        query, reference = line.split(",")
        expected[f"queries/{query}.jpg"] = ({f"references/{reference}.jpg"} if reference else set(), set())
    assert answers(manifest, protocol) == expected
    assert len(protocol.gallery) == 4
    refuses_a_miniature("disc21", published("disc21", raw))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("Q00003\n", r"public_ground_truth\.csv:1: expected query_id,reference_id, got 'Q00003'"),
        ("Q00000,\nQ00003,R000002,x\n", r"public_ground_truth\.csv:2: expected query_id,reference_id"),
        (",R000002\n", r":1: expected query_id,reference_id"),
        ("Q00000,\nQ00000,R000002\n", r":2: Q00000 stands already at .*:1, with another answer or the same"),
        ("Q00000,R000002\nQ00000,\n", r":2: Q00000 stands already at .*:1"),
        ("Q00000,R000002\nQ00000,R000002\n", r":2: Q00000 stands already at .*:1"),
        ("Q00000,R000009\n", r":1: there is no image R000009\.jpg in .*: extract all archives"),
        ("Q00009,\n", r":1: there is no image Q00009\.jpg in "),
        ("query_id,reference_id\n", r"public_ground_truth\.csv lists no query"),
        (None, r"public_ground_truth\.csv cannot be read"),
    ],
)
def test_wrong_pairs(raw: Path, text: str | None, match: str) -> None:
    path = raw / "disc21/public_ground_truth.csv"
    path.unlink()
    if text is not None:
        path.write_text(text)
    refused(match, "own", published("disc21", raw))


def test_wrong_folders(raw: Path, draw: Draw) -> None:
    config = published("disc21", raw)
    (raw / "disc21/references/notes.txt").write_text("x")
    refused(r"references has strays: notes\.txt \(no name like R326040\.jpg\): remove or move them$", "own", config)
    (raw / "disc21/references/notes.txt").unlink()
    draw("raw/disc21/references/R000003.jpg")
    refused(r"both R000003\.jpg and part2/R000003\.jpg are named R000003\.jpg", "own", config)
    (raw / "disc21/references/R000003.jpg").unlink()
    refused("pictures is not a folder", "own", {**config, "queries": "pictures"})
