"""NIGHTS: a miniature in its layout, and the accuracy of its choices."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.readers import read_dataset
from pipeline.retrieval.evaluation import evaluate, scores_of
from pipeline.retrieval.queries import Query
from pipeline.retrieval.wanted import Settings
from tests.datasets.benchmarks.published import answers, prepared, published, refused, refuses_a_miniature

Draw = Callable[..., Path]

HEADER = [
    "id",
    "left_vote",
    "right_vote",
    "votes",
    "ref_path",
    "left_path",
    "right_path",
    "prompt",
    "is_imagenet",
    "split",
]


def row(number: int, right: int, votes: int, split: str, imagenet: bool = True) -> list[str]:
    distorted = [f"distort/000/{number:03d}_{side}.png" for side in (0, 1)]
    ref = f"ref/000/{number:03d}.png"
    return [str(number), str(1 - right), f"{right}.0", str(votes), ref, *distorted, "a, b", str(imagenet), split]


ROWS = [
    row(1, 1, 7, "test"),
    row(2, 0, 6, "test", imagenet=False),
    row(3, 1, 5, "test"),  # too few votes
    row(4, 0, 9, "train"),
    row(5, 0, 8, "test"),
]
USED = ("001", "002", "005")


@pytest.fixture
def raw(draw: Draw, tmp_path: Path) -> Path:
    """Write the images of the triplets that count, and of no other."""
    for seed, name in enumerate(USED):
        for other, path in enumerate((f"ref/000/{name}", f"distort/000/{name}_0", f"distort/000/{name}_1")):
            draw(f"raw/nights/nights/{path}.png", seed=10 * seed + other)
    write(tmp_path / "raw", [HEADER, *ROWS])
    return tmp_path / "raw"


def write(raw: Path, rows: list[list[str]]) -> None:
    with (raw / "nights/nights/data.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def test_candidates_come_first_then_the_references(raw: Path) -> None:
    found = read_dataset("nights", published("nights", raw), raw)
    candidates = [f"distort/000/{name}_{side}.png" for name in USED for side in (0, 1)]
    assert [path for path, _ in found.entries] == [*candidates, *(f"ref/000/{name}.png" for name in USED)]
    assert found.given == "choice"
    assert found.queries == (Query(6, (1,), (0,), ()), Query(7, (2,), (3,), ()), Query(8, (4,), (5,), ()))
    assert found.attributes == {6: {"is_imagenet": "True"}, 7: {"is_imagenet": "False"}, 8: {"is_imagenet": "True"}}
    assert found.passed_over == {"triplets of fewer than 6 votes": 1, "triplets of other splits": 1}


def test_from_the_files_to_the_choice(raw: Path, tmp_path: Path) -> None:
    manifest, protocol = prepared("nights", published("nights", raw), tmp_path)
    expected = {}
    with (raw / "nights/nights/data.csv").open(newline="") as file:
        for one in csv.DictReader(file):
            if one["split"] == "test" and int(one["votes"]) >= 6:
                sides = [one["left_path"], one["right_path"]]
                expected[one["ref_path"]] = sides[int(float(one["right_vote"]))], set(sides)
    found = answers(manifest, protocol)
    gallery = {manifest.paths[item] for item in protocol.gallery}
    assert found == {query: ({right}, gallery - sides) for query, (right, sides) in expected.items()}
    refuses_a_miniature("nights", published("nights", raw))


def test_the_accuracy_of_a_choice(raw: Path, tmp_path: Path) -> None:
    manifest, protocol = prepared("nights", published("nights", raw), tmp_path)
    # Of a reference at 0 degrees the candidates lie at these, left and right; the nearer one is taken to be chosen.
    degrees = {
        "001": (50, 10),
        "002": (20, 30),
        "005": (60, 40),
    }  # right is right; left is; left is, but right is taken
    angles = [0.0] * len(manifest.items)
    for name, sides in degrees.items():
        for side, angle in enumerate(sides):
            angles[manifest.paths.index(f"distort/000/{name}_{side}.png")] = np.radians(angle)
    features = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    settings = Settings(cutoffs=(1,))
    found = evaluate(scores_of(features, protocol, settings), protocol, names=manifest.paths, settings=settings)
    assert found.values["P@1"].tolist() == [1, 1, 0]
    assert found.candidates.tolist() == [2, 2, 2]


def test_a_reference_of_two_triplets_and_a_candidate_of_two(raw: Path) -> None:
    again = ["6", "1", "0", "8", ROWS[0][4], ROWS[1][5], ROWS[4][6], "c", "True", "test"]
    write(raw, [HEADER, *ROWS, again])
    found = read_dataset("own", published("nights", raw), raw)
    assert found.queries is not None and found.queries[3] == Query(9, (2,), (5,), ())
    assert [path for path, _ in found.entries].count("ref/000/001.png") == 2


def test_other_splits_and_fewer_votes(raw: Path, draw: Draw) -> None:
    draw("raw/nights/nights/ref/000/003.png")
    for side in (0, 1):
        draw(f"raw/nights/nights/distort/000/003_{side}.png")
    found = read_dataset("own", published("nights", raw, least_votes=5), raw)
    assert found.queries is not None and len(found.queries) == 4
    refused("data.csv has no triplet of split val with 6 votes", "own", published("nights", raw, split="val"))
    refused("'split' is 'dev': expected train or val or test", "own", published("nights", raw, split="dev"))


@pytest.mark.parametrize(
    ("column", "cell", "match"),
    [
        ("right_vote", "2", "data.csv:2: 'right_vote' is 2, and neither 0 nor 1"),
        ("right_vote", "", "data.csv:2: 'right_vote' is '', no whole number"),
        ("right_vote", "0.5", "data.csv:2: 'right_vote' is '0.5', no whole number"),
        ("votes", "inf", "data.csv:2: 'votes' is 'inf', no whole number"),
        ("votes", "nan", "data.csv:2: 'votes' is 'nan', no whole number"),
        ("ref_path", "../x.png", r"data.csv:2: \.\./x.png leaves the root"),
        ("left_path", "distort/000/009_0.png", "data.csv:2: distort/000/009_0.png is not there"),
        ("left_path", "distort/000/001_1.png", "data.csv:2: both candidates are distort/000/001_1.png"),
    ],
)
def test_wrong_rows(raw: Path, column: str, cell: str, match: str) -> None:
    wrong = list(ROWS[0])
    wrong[HEADER.index(column)] = cell
    write(raw, [HEADER, wrong])
    refused(match, "own", published("nights", raw))


def test_wrong_tables(raw: Path) -> None:
    write(raw, [HEADER[:5], ROWS[0][:5]])
    refused("data.csv:1: its columns are .*: expected right_vote, votes,", "own", published("nights", raw))
    write(raw, [HEADER, ROWS[0], ROWS[1][:5]])
    refused("data.csv:3: 5 cells, and not 10 as in the header", "own", published("nights", raw))
    (raw / "nights/nights/data.csv").unlink()
    refused("data.csv cannot be read", "own", published("nights", raw))
