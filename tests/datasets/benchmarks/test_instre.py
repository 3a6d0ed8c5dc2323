"""INSTRE: a miniature in its layout, with a ground truth as MATLAB writes it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from pipeline.datasets.readers import read_dataset
from pipeline.retrieval.evaluation import evaluate, scores_of
from pipeline.retrieval.queries import Query
from pipeline.retrieval.wanted import Settings
from tests.datasets.benchmarks.published import answers, prepared, published, refused, refuses_a_miniature

Draw = Callable[..., Path]

GALLERY = ["INSTRE-S1/01a_book/002.jpg", "INSTRE-S1/01b_cup/001.jpg", "INSTRE-M/01/001.jpg", "INSTRE-S2/05/003.jpg"]
QUERIES = ["INSTRE-S1/01a_book/001.jpg", "INSTRE-S2/05/001.jpg"]
POSITIVES = [[1, 3], [4]]  # counted from 1
BOXES = [[2, 3, 20, 21], [1, 1, 32, 24]]


def cells(texts: Sequence[str]) -> Any:
    made = np.empty((1, len(texts)), object)
    made[0] = list(texts)
    return made


def content(positives: Sequence[Any] = POSITIVES, boxes: Sequence[Any] = BOXES, **changes: Any) -> dict[str, Any]:
    truth = np.empty((1, len(positives)), [("ok", object), ("bbx", object)])
    for number, (right, box) in enumerate(zip(positives, boxes, strict=True)):
        truth[0, number] = (np.array([right], float), np.array([box], float))
    return {"imlist": cells(GALLERY), "qimlist": cells(QUERIES), "gnd": truth, **changes}


@pytest.fixture
def raw(draw: Draw, tmp_path: Path) -> Path:
    for seed, path in enumerate([*GALLERY, *QUERIES]):
        draw(f"raw/instre/{path}", seed=seed)
    savemat(tmp_path / "raw/instre/gnd_instre.mat", content())
    return tmp_path / "raw"


def test_the_gallery_comes_first_then_the_queries(raw: Path) -> None:
    found = read_dataset("instre", published("instre", raw), raw)
    assert [path for path, _ in found.entries] == [*GALLERY, *QUERIES]
    assert found.queries == (Query(4, (0, 2), (), ()), Query(5, (3,), (), ()))
    assert found.boxes == {4: (2, 3, 20, 21), 5: (1, 1, 32, 24)}
    assert read_dataset("own", published("instre", raw, crop_queries=False), raw).boxes == {}


def test_compressed_and_of_small_integers(raw: Path) -> None:
    expected = read_dataset("instre", published("instre", raw), raw)
    truth = content()
    for number, (right, box) in enumerate(zip(POSITIVES, BOXES, strict=True)):
        truth["gnd"][0, number] = (np.array(right, np.uint16), np.array(box, np.uint8))
    savemat(raw / "instre/gnd_instre.mat", truth, do_compression=True)
    assert read_dataset("instre", published("instre", raw), raw) == expected


def test_from_the_files_to_the_positives(raw: Path, tmp_path: Path) -> None:
    manifest, protocol = prepared("instre", published("instre", raw), tmp_path)
    read = loadmat(raw / "instre/gnd_instre.mat")
    names = [str(cell[0]) for cell in read["imlist"][0]]
    expected = {}
    for cell, truth in zip(read["qimlist"][0], read["gnd"][0], strict=True):
        expected[str(cell[0])] = ({names[int(index) - 1] for index in truth[0].ravel()}, set())
    assert answers(manifest, protocol) == expected
    assert [item.box for item in manifest.items[4:]] == [(2, 3, 20, 21), (1, 1, 32, 24)]
    refuses_a_miniature("instre", published("instre", raw))


def test_ap_by_the_trapezoid(raw: Path, tmp_path: Path) -> None:
    config = published("instre", raw)
    manifest, protocol = prepared("instre", config, tmp_path)
    # The first query: its positives, 0 and 2, come second and fourth. Trapezoids of two steps of recall by 1/2:
    # (0/1 + 1/2) / 2 and (1/3 + 2/4) / 2, each by 1/2, in all 1/8 + 5/24 = 1/3. The second: 3 comes first, 1.
    features = np.array([[0.8, 0.6], [1, 0.0], [0, 1.0], [0.6, 0.8], [1, 0.0], [0.6, 0.8]], np.float32)
    settings = Settings(ap=config["ap"])
    found = evaluate(scores_of(features, protocol, settings), protocol, names=manifest.paths, settings=settings)
    assert found.ap == pytest.approx([1 / 3, 1], abs=1e-6)


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (content(qimlist=cells(QUERIES[:1])), "'gnd' has not a pair of positives and box for each of 1 queries"),
        (content(gnd=np.zeros((1, 2))), "'gnd' has not a pair"),
        (content(imlist=cells([*GALLERY[:3], GALLERY[0]])), "a path stands twice in 'imlist'"),
        (content(imlist=cells([*GALLERY[:3], ""])), "'imlist' is no list of paths"),
        (content(qimlist=np.zeros(2)), "'qimlist' is no list of paths"),
    ],
)
def test_a_wrong_ground_truth(raw: Path, made: dict[str, Any], match: str) -> None:
    savemat(raw / "instre/gnd_instre.mat", made)
    refused(rf"gnd_instre\.mat is no ground truth of INSTRE \(.*{match}.*\): fetch", "own", published("instre", raw))


@pytest.mark.parametrize(
    ("made", "match"),
    [
        (content(positives=[[0, 3], [4]]), "query 0: its positives are not different indices from 1 to 4"),
        (content(positives=[[1], [5]]), "query 1: its positives are not different indices from 1 to 4"),
        (content(positives=[[1.5], [4]]), "query 0: its positives are not different indices"),
        (content(positives=[[1, 1], [4]]), "query 0: its positives are not different indices"),
        (content(boxes=[[2, 3, 20], [1, 1, 32, 24]]), "query 0: its box is not four numbers"),
        (content(boxes=[[20, 3, 2, 21], [1, 1, 32, 24]]), r"query 0: '20.0 3.0 2.0 21.0' is no box of left, top"),
        (content(boxes=[[2, 3, np.nan, 21], [1, 1, 32, 24]]), r"query 0: '2.0 3.0 nan 21.0' is no box of left, top"),
    ],
)
def test_a_wrong_query(raw: Path, made: dict[str, Any], match: str) -> None:
    savemat(raw / "instre/gnd_instre.mat", made)
    refused(rf"gnd_instre\.mat, {match}.*: fetch it anew$", "own", published("instre", raw))


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"MATLAB 5.0 MAT-file" + bytes(200), b"\x89HDF\r\n\x1a\n" + bytes(600)]
)
def test_what_is_no_mat(raw: Path, data: bytes) -> None:
    (raw / "instre/gnd_instre.mat").write_bytes(data)
    refused(
        r"gnd_instre\.mat cannot be read as a MAT-file \(it is .*\): fetch it anew", "own", published("instre", raw)
    )


def test_what_is_missing(raw: Path) -> None:
    config = published("instre", raw)
    (raw / "instre" / GALLERY[2]).unlink()
    refused(r"gnd_instre\.mat: INSTRE-M/01/001\.jpg is not there", "own", config)
    savemat(raw / "instre/gnd_instre.mat", content(qimlist=cells(["../x.jpg", QUERIES[1]])))
    refused(r"gnd_instre\.mat: (INSTRE-M/01/001\.jpg is not there|\.\./x\.jpg leaves the root)", "own", config)
    (raw / "instre/gnd_instre.mat").unlink()
    refused(r"gnd_instre\.mat cannot be read", "own", config)
