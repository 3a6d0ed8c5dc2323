"""Google Landmarks v2: a miniature in its layout."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.datasets.readers import read_dataset
from pipeline.retrieval.queries import Query
from tests.datasets.benchmarks.published import answers, prepared, published, refused, refuses_a_miniature

Draw = Callable[..., Path]

INDEX = ["f0a1b2c3d4e5f601", "0123456789abcdef", "f0a9b2c3d4e5f602", "9876543210fedcba"]
SOLUTION = [
    ["aaaa456789abcdef", f"{INDEX[2]} {INDEX[0]}", "Public"],
    ["bbbb456789abcdef", "None", "Ignored"],
    ["cccc456789abcdef", INDEX[1], "Private"],
    ["dddd456789abcdef", f"{INDEX[1]} {INDEX[3]} {INDEX[0]}", "Private"],
    ["eeee456789abcdef", "None", "Ignored"],
]


def at(folder: str, name: str) -> str:
    return f"{folder}/{name[0]}/{name[1]}/{name[2]}/{name}.jpg"


@pytest.fixture
def raw(draw: Draw, tmp_path: Path) -> Path:
    """Write the index, and of the queries only those that count."""
    used = [name for name, _, usage in SOLUTION if usage != "Ignored"]
    for seed, path in enumerate([*(at("index", name) for name in INDEX), *(at("test", name) for name in used)]):
        draw(f"raw/gldv2/{path}", seed=seed)
    write(tmp_path / "raw/gldv2/index.csv", [["id"], *([name] for name in INDEX)])
    write(tmp_path / "raw/gldv2/retrieval_solution_v2.1.csv", [["id", "images", "Usage"], *SOLUTION])
    return tmp_path / "raw"


def write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def test_the_gallery_is_the_index_and_the_queries_are_those_of_a_usage(raw: Path) -> None:
    found = read_dataset("gldv2_private", published("gldv2_private", raw), raw)
    paths = [*(at("index", name) for name in INDEX), at("test", SOLUTION[2][0]), at("test", SOLUTION[3][0])]
    assert found.entries == tuple((path, ()) for path in paths)
    assert found.given == "listed"
    assert found.queries == (Query(4, (1,), (), ()), Query(5, (1, 3, 0), (), ()))
    assert found.passed_over == {"ignored queries": 2, "queries of the other usage": 1}
    public = read_dataset("gldv2_public", published("gldv2_public", raw), raw)
    assert public.queries == (Query(4, (2, 0), (), ()),)
    assert public.passed_over == {"ignored queries": 2, "queries of the other usage": 2}


def test_from_the_files_to_the_positives(raw: Path, tmp_path: Path) -> None:
    for usage in ("Public", "Private"):
        name = f"gldv2_{usage.lower()}"
        manifest, protocol = prepared(name, published(name, raw), tmp_path)
        expected = {}
        for line in (raw / "gldv2/retrieval_solution_v2.1.csv").read_text().splitlines()[1:]:
            query, images, whose = line.split(",")
            if whose == usage and images != "None":
                expected[at("test", query)] = ({at("index", image) for image in images.split(" ")}, set())
        assert answers(manifest, protocol) == expected
        assert len(protocol.gallery) == 4 and protocol.rule == "rectangle"
        refuses_a_miniature(name, published(name, raw))


def test_as_windows_leaves_it(raw: Path) -> None:
    expected = read_dataset("gldv2_private", published("gldv2_private", raw), raw)
    for name in ("index.csv", "retrieval_solution_v2.1.csv"):
        path = raw / "gldv2" / name
        text = path.read_bytes().decode().replace("\r\n", "\n").replace("\n", "\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_dataset("gldv2_private", published("gldv2_private", raw), raw) == expected


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (
            [["id", "images"], ["aaaa456789abcdef", "None"]],
            r"v2\.1\.csv:1: its columns are \['id', 'images'\]: expected",
        ),
        ([["id", "images", "Usage", "id"]], r"v2\.1\.csv:1: its columns are"),
        ([["id", "images", "Usage"], ["aaaa456789abcdef", "None"]], r"v2\.1\.csv:2: 2 cells, and not 3"),
        ([["id", "images", "Usage"], ["../../etc", "None", "Public"]], r":2: '\.\./\.\./etc' is no id of an image"),
        ([["id", "images", "Usage"], SOLUTION[1], SOLUTION[1]], r":3: bbbb\w+ stands already at .*:2: fetch it anew"),
        (
            [["id", "images", "Usage"], ["aaaa456789abcdef", "None", "public"]],
            ":2: unknown Usage 'public': one of Public, Private, Ignored",
        ),
        ([["id", "images", "Usage"], ["cccc456789abcdef", "beef", "Private"]], ":2: beef is not in the index"),
        ([["id", "images", "Usage"], ["cccc456789abcdef", "", "Private"]], ":2: '' is no list of different ids"),
        (
            [["id", "images", "Usage"], ["cccc456789abcdef", f"{INDEX[0]} {INDEX[0]}", "Private"]],
            ":2: '.*' is no list of different ids",
        ),
        ([["id", "images", "Usage"], SOLUTION[0]], "has no query of Usage Private: take that of release 2.1"),
        ([], r"v2\.1\.csv:1: its columns are \[\]"),
        (
            [["id", "images", "Usage"], ["abcd456789abcdef", INDEX[0], "Private"]],
            r":2: test/a/b/c/abcd456789abcdef\.jpg is not there .*: extract all archives",
        ),
    ],
)
def test_wrong_solutions(raw: Path, rows: list[list[str]], match: str) -> None:
    write(raw / "gldv2/retrieval_solution_v2.1.csv", rows)
    refused(match, "gldv2_private", published("gldv2_private", raw))


def test_wrong_indices(raw: Path) -> None:
    config = published("gldv2_private", raw)
    (raw / "gldv2" / at("index", INDEX[3])).unlink()
    refused(r"index\.csv:5: index/9/8/7/\w+\.jpg is not there", "gldv2_private", config)
    write(raw / "gldv2/index.csv", [["id"], [INDEX[0]], [INDEX[0]]])
    refused(r"index\.csv:3: f0a1\w+ stands already at .*index\.csv:2", "gldv2_private", config)
    (raw / "gldv2/index.csv").write_text('id\n"f0a1')
    refused(r"index\.csv:\d: it is no CSV", "gldv2_private", config)
    (raw / "gldv2/index.csv").unlink()
    refused(r"index\.csv cannot be read .*: fetch it anew", "gldv2_private", config)


def test_a_usage_that_there_is_not(raw: Path) -> None:
    refused("'usage' is 'Ignored': expected Public or Private", "own", published("gldv2_public", raw, usage="Ignored"))
