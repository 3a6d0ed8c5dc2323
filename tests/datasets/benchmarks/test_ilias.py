"""ILIAS: a miniature in its layout."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.datasets.preparing import ATTRIBUTES
from pipeline.datasets.readers import read_dataset
from pipeline.retrieval.queries import Query
from tests.datasets.benchmarks.published import answers, prepared, published, refused, refuses_a_miniature

Draw = Callable[..., Path]

POSITIVES = [
    ("bold_bimp_000/pos/P000_00.jpg", 0.25, 3),
    ("bold_bimp_000/pos/P000_01.jpg", 0.0625, 40),
    ("zippy_zoo_999/pos/P999_00.jpg", 0.5, 20),
]
QUERIES = ["bold_bimp_000/query/Q000_00.jpg", "zippy_zoo_999/query/Q999_00.jpg", "bold_bimp_000/query/Q000_01.jpg"]
DISTRACTORS = ["000/aa11", "000/bb22"]


@pytest.fixture
def raw(draw: Draw, tmp_path: Path) -> Path:
    top = tmp_path / "raw/ilias"
    images = [f"ilias_core/{path}" for path in (*(path for path, *_ in POSITIVES), *QUERIES)]
    images += [f"yfcc100m/{name}.jpg" for name in (*DISTRACTORS, "000/not_listed")]
    for seed, path in enumerate(images):
        draw(f"raw/ilias/{path}", seed=seed)
    (top / "image_ids").mkdir()
    (top / "image_ids/positive_ids.txt").write_text("".join(f"{p},{scale},{n}\n" for p, scale, n in POSITIVES))
    (top / "image_ids/image_query_ids.txt").write_text("".join(f"{path},0.9\n" for path in QUERIES))
    (top / "image_ids/mini_ilias_yfcc100m_ids.txt").write_text("".join(f"{name}\n" for name in DISTRACTORS))
    boxes = ["4 2 10 12\n", "-3 1 8 8\n20 10 5 14\n", "0 0 32 24\n"]
    for path, text in zip(QUERIES, boxes, strict=True):
        (top / f"ilias_core/{path}".replace(".jpg", "_bbox.txt")).write_text(text)
    (top / "ilias_core/bold_bimp_000/query/T000.txt").write_text("a bold bimp")
    return tmp_path / "raw"


def test_positives_then_queries_then_distractors(raw: Path) -> None:
    found = read_dataset("ilias_mini", published("ilias_mini", raw), raw)
    assert found.root == raw / "ilias/ilias_core"
    paths = [*(path for path, *_ in POSITIVES), *QUERIES, *(f"{name}.jpg" for name in DISTRACTORS)]
    assert [path for path, _ in found.entries] == paths
    assert found.queries == (Query(3, (0, 1), (), ()), Query(4, (2,), (), ()), Query(5, (0, 1), (), ()))
    assert found.boxes == {}
    assert found.attributes == {
        0: {"object": "bold_bimp_000", "scale": 0.25, "clutter": 3},
        1: {"object": "bold_bimp_000", "scale": 0.0625, "clutter": 40},
        2: {"object": "zippy_zoo_999", "scale": 0.5, "clutter": 20},
    }


def test_texts_ask_for_the_positives_of_their_object(raw: Path, tmp_path: Path) -> None:
    ids, core = raw / "ilias/image_ids/text_query_ids.txt", raw / "ilias/ilias_core"
    ids.write_text("zippy_zoo_999/query/T999.txt\nbold_bimp_000/query/T000.txt\n")
    (core / "zippy_zoo_999/query/T999.txt").write_text(" A zoo,\nin Züri \n", encoding="utf-8")
    manifest, protocol = prepared("ilias_mini_text", published("ilias_mini_text", raw), tmp_path)
    assert answers(manifest, protocol) == {
        "zippy_zoo_999/query/T999.txt": ({POSITIVES[2][0]}, set()),
        "bold_bimp_000/query/T000.txt": ({POSITIVES[0][0], POSITIVES[1][0]}, set()),
    }
    assert manifest.texts == {3: "A zoo,\nin Züri", 4: "a bold bimp"}
    assert len(protocol.gallery) == len(POSITIVES) + len(DISTRACTORS)
    refuses_a_miniature("ilias_mini_text", published("ilias_mini_text", raw))
    config = published("ilias_mini_text", raw)
    refused("'crop_queries' does nothing to texts", "own", {**config, "crop_queries": True})
    (core / "zippy_zoo_999/query/T999.txt").write_text(" \n")
    refused("T999.txt is empty: extract", "own", config)
    for line, message in (
        ("zippy_zoo_999/query/Q999_00.jpg", "expected <object>/query/<text>.txt, got"),
        ("zippy_zoo_999/query/T1.txt", "T1.txt"),
        ("bold_bimp_000/query/T000.txt\nbold_bimp_000/query/T000.txt", "T000.txt stands already at"),
    ):
        ids.write_text(f"{line}\n")
        refused(message, "own", config)


def test_a_query_is_cut_to_the_smallest_box_around_its_boxes(raw: Path) -> None:
    found = read_dataset("own", published("ilias_mini", raw, crop_queries=True), raw)
    # The second: left min(-3, 20) cut off at 0, top min(1, 10), right max(5, 25), bottom max(9, 24).
    assert found.boxes == {3: (4, 2, 14, 14), 4: (0, 1, 25, 24), 5: (0, 0, 32, 24)}


def test_from_the_files_to_the_positives(raw: Path, tmp_path: Path) -> None:
    manifest, protocol = prepared("ilias_mini", published("ilias_mini", raw), tmp_path)
    assert answers(manifest, protocol) == {
        query: ({path for path, *_ in POSITIVES if path.split("/")[0] == query.split("/")[0]}, set())
        for query in QUERIES
    }
    assert sorted(manifest.paths[item] for item in protocol.gallery) == sorted(
        [*(path for path, *_ in POSITIVES), *(f"{name}.jpg" for name in DISTRACTORS)]
    )
    known = (tmp_path / "prepared/ilias_mini" / ATTRIBUTES).read_text().splitlines()
    assert known[0] == "path,object,scale,clutter"
    assert known[2] == "bold_bimp_000/pos/P000_01.jpg,bold_bimp_000,0.0625,40" and known[-1] == "000/bb22.jpg,,,"
    refuses_a_miniature("ilias_mini", published("ilias_mini", raw))


def test_an_object_that_is_written_beyond_ascii(raw: Path, draw: Draw) -> None:
    lists = raw / "ilias/image_ids"
    for name in ("pos/P001_00.jpg", "query/Q001_00.jpg"):
        draw(f"raw/ilias/ilias_core/café_001/{name}")
    with (lists / "positive_ids.txt").open("a") as file:
        file.write("caf#U00e9_001/pos/P001_00.jpg,0.5,1\n")
    with (lists / "image_query_ids.txt").open("a") as file:
        file.write("caf#U00e9_001/query/Q001_00.jpg,0.5\n")
    found = read_dataset("ilias_mini", published("ilias_mini", raw), raw)
    assert found.entries[3][0] == "café_001/pos/P001_00.jpg" and found.entries[7][0] == "café_001/query/Q001_00.jpg"
    assert found.queries is not None and found.queries[3] == Query(7, (3,), (), ())


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("positive_ids.txt", "bold_bimp_000/pos/P000_00.jpg,0.5\n", r"positive_ids.txt:1: expected path,scale,clutter"),
        (
            "positive_ids.txt",
            "\nbold_bimp_000/pos/P000_00.jpg,x,1\n",
            r"positive_ids.txt:2: expected path,scale,clutter",
        ),
        ("positive_ids.txt", "bold_bimp_000/pos/P000_00.jpg,nan,1\n", r"expected path,scale,clutter"),
        ("positive_ids.txt", "bold_bimp_000/pos/P000_00.jpg,1,1,1\n", r"expected path,scale,clutter"),
        ("positive_ids.txt", "P000_00.jpg,1,1\n", r"positive_ids.txt:1: expected <object>/pos/<image>.jpg, got 'P000"),
        ("positive_ids.txt", "bold_bimp_000/query/Q000_00.jpg,1,1\n", r"expected <object>/pos/<image>.jpg"),
        ("positive_ids.txt", "../pos/P.jpg,1,1\n", r"positive_ids.txt:1: \.\./pos/P.jpg leaves the root"),
        (
            "positive_ids.txt",
            "bold_bimp_000/pos/P000_07.jpg,1,1\n",
            r"positive_ids.txt:1: bold.*P000_07.jpg is not there",
        ),
        ("positive_ids.txt", "bold_bimp_000/pos/P000_00.jpg,1,1\n", r"image_query_ids.txt:2: zippy_zoo_999 has no pos"),
        ("positive_ids.txt", "bold_bimp_000/pos/P000_00.jpg,1,1\n" * 2, r"positive_ids.txt:2: .* stands already at"),
        ("image_query_ids.txt", f"{QUERIES[0]},1\n" * 2, r"image_query_ids.txt:2: .* stands already at .*:1"),
        ("image_query_ids.txt", None, r"image_query_ids.txt cannot be read"),
        ("mini_ilias_yfcc100m_ids.txt", "000/aa11\n../aa\n", r"yfcc100m_ids.txt:2: \.\./aa.jpg leaves the root"),
    ],
)
def test_wrong_lists(raw: Path, name: str, text: str | None, match: str) -> None:
    path = raw / "ilias/image_ids" / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    refused(match, "ilias_mini", published("ilias_mini", raw))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("1 2 3", "Q000_00_bbox.txt:1: expected 'left top width height', got '1 2 3'"),
        ("1 2 3 4\n\n1 2 0 4", r"_bbox.txt:3: '1.0 2.0 1.0 6.0' is no box"),  # 1 + 0, 2 + 4
        ("1 2 nan 4", r"_bbox.txt:1: '1.0 2.0 nan 6.0' is no box"),
        ("1 2 x 4", r"_bbox.txt:1: '1 2 x 4' are not 4 numbers"),
        ("-9 2 9 4", r"_bbox.txt:1: the box -9 2 9 4 lies outside the image"),
        ("2 -9 9 4", r"_bbox.txt:1: the box 2 -9 9 4 lies outside the image"),
        ("", "Q000_00_bbox.txt has no box"),
        (None, "Q000_00_bbox.txt cannot be read"),
    ],
)
def test_wrong_boxes(raw: Path, text: str | None, match: str) -> None:
    path = raw / "ilias/ilias_core/bold_bimp_000/query/Q000_00_bbox.txt"
    path.unlink()
    if text is not None:
        path.write_text(text)
    refused(match, "own", published("ilias_mini", raw, crop_queries=True))
    assert read_dataset("own", published("ilias_mini", raw), raw).boxes == {}  # nothing else asks for it
