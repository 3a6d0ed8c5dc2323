"""Oxford and Paris: labels from file names, and the revisited ground truth with its queries, crops and junk."""

import json
import os
import pickle
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pipeline.datasets.listing import Listing
from pipeline.datasets.preparing import prepare
from pipeline.datasets.readers import read_dataset
from pipeline.datasets.revisited import read_ground_truth
from pipeline.manifest.items import Item, join_box, split_box
from pipeline.manifest.manifest import Manifest, read_manifest, write_manifest
from pipeline.manifest.protocols import protocols_of
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.queries import Query
from tests.conftest import TOP

Draw = Callable[..., Path]


def refused(match: str, function: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(RetrievalError, match=match) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)


# --- labels from names


def by_names(root: Path, **options: object) -> Listing:
    return read_dataset("own", {"kind": "landmark_names", "root": str(root), **options}, root / "unused")


@pytest.fixture
def named(draw: Draw, tmp_path: Path) -> Path:
    for name in ["b/paris_louvre_000002.jpg", "b/paris_louvre_000001.jpg", "a/paris_general_000009.jpg"]:
        draw(f"own/{name}")
    draw("own/all_souls_000013.jpg")
    return tmp_path / "own"


def test_the_landmark_is_in_the_name(named: Path) -> None:
    (named / ".DS_Store").write_text("x")
    assert by_names(named).entries == (
        ("a/paris_general_000009.jpg", ("general",)),
        ("all_souls_000013.jpg", ("all_souls",)),
        ("b/paris_louvre_000001.jpg", ("louvre",)),
        ("b/paris_louvre_000002.jpg", ("louvre",)),
    )


@pytest.mark.parametrize(
    "name",
    ["louvre.jpg", "louvre_00001.jpg", "louvre_000001.png", "_000001.jpg", "louvre_000001.jpg.txt", "notes.txt"],
)
def test_a_name_of_another_form(named: Path, name: str) -> None:
    (named / "b" / name).write_text("x")
    refused(rf"own has strays: b/{name} \(no name like", by_names, named)
    (named / "b" / name).unlink()
    assert len(by_names(named).entries) == 4


def test_known_corrupt_files_are_left_out_by_name_and_must_be_there(named: Path) -> None:
    (named / "notes.txt").write_text("x")
    found = by_names(named, exclude=["paris_louvre_000001.jpg", "notes.txt"]).entries
    assert [name for name, _ in found] == [
        "a/paris_general_000009.jpg",
        "all_souls_000013.jpg",
        "b/paris_louvre_000002.jpg",
    ]
    with pytest.raises(RetrievalError, match="'paris_louvre_000007.jpg' under 'exclude' is not in the dataset"):
        by_names(named, exclude=["notes.txt", "paris_louvre_000007.jpg"])


def test_patterns_are_of_names_and_of_paths(named: Path) -> None:
    for name in ("b/Thumbs.db", "Thumbs.db", "b/@eaDir/S.jpg"):
        (named / name).parent.mkdir(exist_ok=True)
        (named / name).write_text("x")
    refused("own has strays: Thumbs.db, b/@eaDir/S.jpg, b/Thumbs.db \\(no name like", by_names, named)
    found = by_names(named, exclude=["Thumbs.*", "**/@eaDir/*"])
    assert found.passed_over["excluded"] == 3


def test_an_image_linked_from_elsewhere(named: Path, draw: Draw) -> None:
    os.symlink(draw("elsewhere/x.jpg"), named / "paris_louvre_000003.jpg")
    refused("leaves the root by a symbolic link: set follow_links", by_names, named)
    assert len(by_names(named, follow_links=True).entries) == 5


def test_the_corrupt_files_of_paris() -> None:
    known = {
        "louvre": [136, 146], "moulinrouge": [422], "museedorsay": [1059], "notredame": [188],
        "pantheon": [284, 960, 974], "pompidou": [195, 196, 201, 467, 640], "sacrecoeur": [299, 330, 353],
        "triomphe": [662, 833, 863, 867],
    }  # fmt: skip
    config = yaml.safe_load((TOP / "conf/dataset/paris.yaml").read_text())
    assert sorted(config["exclude"]) == [f"paris_{name}_{n:06d}.jpg" for name, all_n in known.items() for n in all_n]


# --- the revisited ground truth


def truth(**changes: Any) -> dict[str, Any]:
    """Return a ground truth of three gallery images and two queries; one image is both."""
    return {
        "imlist": ["a_000001", "b_000001", "c_000001"],
        "qimlist": ["q_000001", "b_000001"],
        "gnd": [
            {"bbx": [1.5, 2, 20.25, 24], "easy": [2], "hard": [0], "junk": []},
            {"bbx": [0, 0, 32, 24], "easy": [], "hard": [1, 0], "junk": [2]},
        ],
        **changes,
    }


def second(**changes: Any) -> dict[str, Any]:
    """Return the ground truth with another second query."""
    one, two = truth()["gnd"]
    return truth(gnd=[one, {**two, **changes}])


@pytest.fixture
def revisited(draw: Draw, tmp_path: Path) -> Callable[[Any], dict[str, object]]:
    """Write images and a ground truth; return the dataset's options."""

    def write(content: Any) -> dict[str, object]:
        for seed, name in enumerate(["x/a_000001.jpg", "x/b_000001.jpg", "c_000001.jpg", "y/z/q_000001.jpg"]):
            draw(f"raw/{name}", seed=seed)
        (tmp_path / "gnd.pkl").write_bytes(pickle.dumps(content, protocol=2))
        return {"kind": "revisited", "root": str(tmp_path / "raw"), "ground_truth": str(tmp_path / "gnd.pkl")}

    return write


def test_the_real_ground_truth_is_that_of_the_json_beside_it(real_images: Path) -> None:
    folder = real_images / "landmarks/oxford5k"
    found = read_ground_truth(folder / "gnd_roxford5k.pkl")
    expected = json.loads((folder / "gnd_roxford5k.json").read_text())
    assert list(found.gallery) == expected["imlist"] and len(found.gallery) == 4993
    assert list(found.asked) == expected["qimlist"] and len(found.asked) == 70
    assert [list(box) for box in found.boxes] == [entry["bbx"] for entry in expected["gnd"]]
    assert [query.item for query in found.queries] == list(range(4993, 5063))
    for key, total in {"easy": 3029, "hard": 2497, "junk": 1356}.items():
        lists = [list(getattr(query, key)) for query in found.queries]
        assert lists == [entry[key] for entry in expected["gnd"]]
        assert sum(map(len, lists)) == total


def test_the_real_ground_truth_is_the_same_as_json(real_images: Path) -> None:
    folder = real_images / "landmarks/oxford5k"
    assert read_ground_truth(folder / "gnd_roxford5k.json") == read_ground_truth(folder / "gnd_roxford5k.pkl")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", r"gnd\.json is not as published \(Expecting value"),
        ("[" * 100_000, r"gnd\.json is not as published \(maximum recursion"),
        ('{"imlist": [NaN]}', r"gnd\.json is no revisited ground truth \(nan in 'imlist' is no name"),
        ("[]", r"gnd\.json is not as published \(all of it: Input should be a valid dictionary\)"),
        (json.dumps(truth(qimlist=["q", "../b"])), r"gnd\.json is no revisited ground truth \('\.\./b' in 'qimlist'"),
        (json.dumps(second(easy=[2.0])), r"gnd\.json is no revisited ground truth \(query 1: 2\.0 is no index"),
        (json.dumps(truth(gnd={})), r"gnd\.json is no revisited ground truth \('gnd' is no list\)"),
    ],
)
def test_a_wrong_ground_truth_as_json(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "gnd.json").write_text(text)
    refused(match, read_ground_truth, tmp_path / "gnd.json")


def test_queries_as_whole_images(revisited: Callable[[Any], dict[str, object]], tmp_path: Path) -> None:
    config = revisited(truth())
    cut = read_dataset("own", config, tmp_path / "unused")
    assert read_dataset("own", {**config, "crop_queries": True}, tmp_path) == cut
    assert read_dataset("own", {**config, "crop_queries": False}, tmp_path) == replace(cut, boxes={})
    prepare("own", {**config, "crop_queries": False}, tmp_path / "own")
    assert [item.box for item in read_manifest(tmp_path / "own").items] == [None] * 5


@pytest.mark.parametrize("name", ["roxford5k", "rparis6k"])
def test_uncropped_is_all_else_the_same(name: str) -> None:
    cropped, whole = (
        yaml.safe_load((TOP / f"conf/dataset/{one}.yaml").read_text()) for one in (name, f"{name}_uncropped")
    )
    assert whole == {**cropped, "crop_queries": False}


@pytest.mark.parametrize("name", ["roxford5k", "rparis6k"])
def test_a_million_distractors_beside_the_ground_truth(
    name: str, revisited: Callable[[Any], dict[str, object]], draw: Draw, tmp_path: Path
) -> None:
    own = revisited(truth())
    paths = ["5f/1a.jpg", "00/2b.jpg"]
    for seed, path in enumerate(paths):
        draw(f"revisitop1m/jpg/{path}", seed=seed)
    (tmp_path / "revisitop1m/revisitop1m.txt").write_text("\n".join(paths))
    text = (TOP / f"conf/dataset/{name}_1m.yaml").read_text()
    config = yaml.safe_load(text.replace("data/raw/revisitop1m", str(tmp_path / "revisitop1m")))
    refused(r"7 images, not 1,00\d,\d{3}; 2 queries, not 70", read_dataset, name, config | own, tmp_path)
    assert config["expected"]["images"] - config["expected"]["gallery"] == config["expected"]["queries"] == 70
    del config["expected"]
    prepare(name, config | own, tmp_path / name)
    manifest = read_manifest(tmp_path / name)
    assert manifest.paths[5:] == paths and manifest.queries == (Query(3, (2,), (0,), ()), Query(4, (), (1, 0), (2,)))
    medium = protocols_of(manifest, difficulty="medium")[0]
    assert medium.gallery.tolist() == [0, 1, 2, 5, 6]
    positives, ignored = medium.judge(0, 2)
    assert [row.tolist() for row in positives.rows()] == [[0, 2], [0, 1]]
    assert [row.tolist() for row in ignored.rows()] == [[], [2]]


def test_the_gallery_comes_first_then_the_queries(
    revisited: Callable[[Any], dict[str, object]], tmp_path: Path
) -> None:
    listing = read_dataset("own", revisited(truth()), tmp_path / "unused")
    assert [path for path, _ in listing.entries] == [
        "x/a_000001.jpg", "x/b_000001.jpg", "c_000001.jpg", "y/z/q_000001.jpg", "x/b_000001.jpg",
    ]  # fmt: skip
    assert {labels for _, labels in listing.entries} == {()}
    assert listing.queries == (Query(3, (2,), (0,), ()), Query(4, (), (1, 0), (2,)))
    assert listing.boxes == {3: (1.5, 2.0, 20.25, 24.0), 4: (0.0, 0.0, 32.0, 24.0)}


def test_prepare_keeps_queries_and_crops(revisited: Callable[[Any], dict[str, object]], tmp_path: Path) -> None:
    prepare("own", revisited(truth()), tmp_path / "own")
    manifest = read_manifest(tmp_path / "own")
    assert [item.box for item in manifest.items] == [None] * 3 + [(1.5, 2.0, 20.25, 24.0), (0.0, 0.0, 32.0, 24.0)]
    assert manifest.queries == (Query(3, (2,), (0,), ()), Query(4, (), (1, 0), (2,)))
    assert manifest.labels == [()] * 5
    rows = (tmp_path / "own/manifest.csv").read_text().splitlines()
    assert rows[0] == "path,labels,width,height,sha256,box,role,group,root"
    assert rows[1].endswith(",,both,,") and rows[4].endswith(",1.5 2.0 20.25 24.0,both,,")
    summary = json.loads((tmp_path / "own/summary.json").read_text())
    assert summary == {
        "dataset": "own", "root": str(tmp_path / "raw"), "images": 5, "queries": 2, "gallery": 3, "exact_duplicates": 0,
    }  # fmt: skip


@pytest.mark.parametrize("box", [[0, 0, 33.5, 24], [0, 0, 32, 26], [-2, 0, 3, 3], [0, -1.5, 3, 3]])
def test_a_box_must_lie_in_its_image(
    revisited: Callable[[Any], dict[str, object]], tmp_path: Path, box: list[float]
) -> None:
    match = r"b_000001\.jpg: its box .* leaves the image of 32 x 24 pixels"
    refused(match, prepare, "own", revisited(second(bbx=box)), tmp_path / "own")
    assert not (tmp_path / "own").exists()


@pytest.mark.parametrize("box", [[3.1, 3.1, 3.4, 9], [3, 3.1, 9, 3.4], [3.1, 3.1, 3.4, 3.4], [2.5, 2, 2.7, 2.4]])
def test_a_box_must_have_a_pixel(
    revisited: Callable[[Any], dict[str, object]], tmp_path: Path, box: list[float]
) -> None:
    written = " ".join(str(float(side)) for side in box)
    match = rf"b_000001\.jpg: its box {written} .* has no whole pixel: mend it"
    refused(match, prepare, "own", revisited(second(bbx=box)), tmp_path / "own")
    assert not (tmp_path / "own").exists()


class Command:
    """Unpickled by pickle itself, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_names_a_function_is_refused_and_not_executed(tmp_path: Path, protocol: int) -> None:
    made = tmp_path / "made"
    data = pickle.dumps(truth(qimlist=Command(made)), protocol=protocol)
    (tmp_path / "gnd.pkl").write_bytes(data)
    refused(r"gnd\.pkl is refused as a pickle \(it names \w+\.mkdir", read_ground_truth, tmp_path / "gnd.pkl")
    assert not made.exists()
    pickle.loads(data)
    assert made.is_dir()  # so it would have been


def test_a_pickle_of_an_array_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gnd.pkl").write_bytes(pickle.dumps(second(easy=np.array([2]))))
    refused(r"it names numpy\.", read_ground_truth, tmp_path / "gnd.pkl")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x80\x02Nr\xff\xff\xff\xff.", "LONG_BINPUT 4294967295 in a file of 9 bytes"),
        (b"Np999999999\n.", "PUT 999999999 in a file of 13 bytes"),
        (b"\x80\x04\x95" + b"\xff" * 5 + bytes(3) + b"N.", "FRAME 1099511627775 in a file of 13 bytes"),
        (b"\x80\x05\x96" + b"\xff" * 4 + bytes(4) + b"N.", "expected 4294967295 bytes in a bytearray8"),
        (b"\x80\x02\x8b\xff\xff\xff\x7fN.", "not enough data in stream to read long4"),
        # A tuple of itself twice, 60 times over, as a key: 2^60 steps to its hash.
        (b"\x80\x02})" + b"2\x86" * 60 + b"Ns.", "EMPTY_TUPLE: it has something else than lists"),
    ],
)
def test_a_pickle_that_asks_for_more_than_it_has_is_refused_before_it_gets_it(
    tmp_path: Path, data: bytes, problem: str
) -> None:
    (tmp_path / "gnd.pkl").write_bytes(data)
    tracemalloc.start()
    try:
        refused(rf"gnd\.pkl is refused as a pickle \({problem}", read_ground_truth, tmp_path / "gnd.pkl")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_large_ground_truth_is_read_whole(tmp_path: Path) -> None:
    names = [f"all_souls_{number:06d}" for number in range(5000)]
    query = {
        "bbx": [1.0, 2.0, 3.0, 4.0],
        "easy": [*range(500)],
        "hard": [*range(500, 1500)],
        "junk": [*range(1500, 4000)],
    }
    for protocol in (0, pickle.HIGHEST_PROTOCOL):
        content = {"imlist": names, "qimlist": [f"q{number}" for number in range(70)], "gnd": [query] * 70}
        content = json.loads(json.dumps(content))  # so that nothing in it is shared
        (tmp_path / "gnd.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
        found = read_ground_truth(tmp_path / "gnd.pkl")
        assert len(found.queries) == 70 and found.queries[69].hard == tuple(query["hard"])


def test_what_came_in_place_of_a_pickle_is_named(tmp_path: Path) -> None:
    (tmp_path / "gnd.pkl").write_bytes(b"<!DOCTYPE html>\n<html><body>Not found")
    refused(r"gnd\.pkl is refused as a pickle \(it is an HTML page", read_ground_truth, tmp_path / "gnd.pkl")


@pytest.mark.parametrize("data", [b"", b"no pickle", pickle.dumps(truth())[:-20], b"\x80\x02]q\x00h\x05."])
def test_a_damaged_pickle(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "gnd.pkl").write_bytes(data)
    refused(r"gnd\.pkl is refused as a pickle \(.+\): fetch it anew", read_ground_truth, tmp_path / "gnd.pkl")


def test_no_ground_truth(tmp_path: Path) -> None:
    refused(r"gnd\.pkl cannot be read", read_ground_truth, tmp_path / "gnd.pkl")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ([truth()], "it holds no dictionary"),
        (truth(imlist=None), "'imlist' is no list"),
        ({"imlist": [], "gnd": []}, "'qimlist' is no list"),
        (truth(imlist=["a", "b", 3]), "3 in 'imlist' is no name of an image"),
        (truth(imlist=["a", "b", "../c"]), r"'\.\./c' in 'imlist' is no name"),
        (truth(qimlist=["q", "d\\b"]), r"in 'qimlist' is no name"),
        (truth(qimlist=["q", ""]), "'' in 'qimlist' is no name"),
        (truth(qimlist=["q", "b\n"]), "in 'qimlist' is no name"),
        (truth(imlist=["a", "b", "a"]), "a name stands twice in 'imlist'"),
        (truth(qimlist=["q"]), "'gnd' has 2 entries for 1 queries"),
        (truth(gnd=[[], []]), r"query 0: \[\] is no dictionary"),
        (truth(gnd={0: {}, 1: {}}), "'gnd' is no list"),
        (second(bbx=None), "'bbx' is no list"),
        (second(bbx=[0, 0, 3]), r"query 1: the box \[0, 0, 3\] is not four numbers"),
        (second(bbx=[0, 0, 3, "4"]), "query 1: the box .* is not four numbers"),
        (second(bbx=[0, 0, 3, True]), "query 1: the box .* is not four numbers"),
        (second(bbx=[0, 0, 3, float("nan")]), "query 1: the box .* is not four numbers"),
        (second(bbx=[0, 0, 3, float("inf")]), "query 1: the box .* is not four numbers"),
        (second(bbx=[0, 0, 3, 10**400]), "too large"),
        (second(bbx=[3, 0, 3, 4]), r"query 1: the box .* is not \[left, top, right, bottom\]"),
        (second(bbx=[0, 4, 3, 0]), r"query 1: the box .* is not \[left, top, right, bottom\]"),
        (second(easy={}), "'easy' is no list"),
        (second(easy=[3]), "query 1: 3 is no index of 3 images"),
        (second(hard=[-1]), "query 1: -1 is no index of 3 images"),
        (second(junk=[True]), "query 1: True is no index of 3 images"),
        (second(junk=[1.0]), "query 1: 1.0 is no index of 3 images"),
        (second(easy=[2]), "query 1: an item stands twice among easy, hard and junk"),
        (second(hard=[1, 1]), "query 1: an item stands twice among easy, hard and junk"),
    ],
)
def test_a_malformed_ground_truth(tmp_path: Path, content: Any, match: str) -> None:
    path = tmp_path / "gnd.pkl"
    path.write_bytes(pickle.dumps(content))
    refused(rf"gnd\.pkl is no revisited ground truth \(.*{match}.*\): fetch it anew", read_ground_truth, path)
    path.write_bytes(pickle.dumps(truth()))
    assert len(read_ground_truth(path).queries) == 2


def test_an_image_of_the_ground_truth_is_missing_or_there_twice(
    revisited: Callable[[Any], dict[str, object]], draw: Draw, tmp_path: Path
) -> None:
    config = revisited(truth())
    (tmp_path / "raw/y/z/q_000001.jpg").unlink()
    refused(r"gnd\.pkl: q_000001\.jpg is not there", read_dataset, "own", config, tmp_path)
    draw("raw/q_000001.jpg")
    assert read_dataset("own", config, tmp_path).entries[3] == ("q_000001.jpg", ())
    draw("raw/x/q_000001.jpg")
    refused("both q_000001.jpg and x/q_000001.jpg are named q_000001.jpg", read_dataset, "own", config, tmp_path)


# --- the manifest of a dataset with queries


def written(tmp_path: Path) -> Path:
    items = tuple(
        Item(name, ("x",), 9, 9, name * 64, box) for name, box in [("a", None), ("b", (0.1, 1 / 3, 2.0, 9.0))]
    )
    write_manifest(Manifest("own", Path("r"), items, queries=(Query(1, (0,), (), ()),)), tmp_path)
    return tmp_path


def test_boxes_survive_to_the_last_digit(tmp_path: Path) -> None:
    assert read_manifest(written(tmp_path)).items[1].box == (0.1, 1 / 3, 2.0, 9.0)
    assert split_box(join_box(None)) is None
    with pytest.raises(ValueError, match="'3.0 0.0 3.0 1.0' is no box"):
        split_box("3.0 0.0 3.0 1.0")


@pytest.mark.parametrize(
    "changes",
    [{"item": 2}, {"item": -1}, {"item": True}, {"easy": [2]}, {"easy": ["0"]}, {"easy": 0}, {"easy": "0"}]
    + [{"easy": [0, 0]}, {"hard": [0]}, {"junk": [1]}],
)  # fmt: skip
def test_wrong_queries_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    good = {"item": 1, "easy": [0], "hard": [], "junk": []}
    path = written(tmp_path) / "queries.json"
    assert json.loads(path.read_text()) == {"given": "revisited", "queries": [good]}
    path.write_text(json.dumps({"given": "revisited", "queries": [{**good, **changes}]}))
    refused("no usable manifest in .* run dvc repro prepare@", read_manifest, tmp_path)


@pytest.mark.parametrize("content", [None, "{}", '{"queries": [{}]}', '{"queries": 3}', "[]", "{"])
def test_missing_or_damaged_queries_are_refused(tmp_path: Path, content: str | None) -> None:
    path = written(tmp_path) / "queries.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    refused("no usable manifest in .* run dvc repro prepare@", read_manifest, tmp_path)


def test_without_queries_every_item_needs_a_label(tmp_path: Path) -> None:
    write_manifest(Manifest("own", Path("r"), (Item("a", (), 9, 9, "0"),)), tmp_path)
    refused("a has no label", read_manifest, tmp_path)
    assert not (tmp_path / "queries.json").exists()


ROWS = ["a,cat,9,9,0,,both,", "a,cat,9,9,0,,both,,,x", "a,cat,9,9,0,1 2 3,both,,", "a,cat,9,9,0,nan 0 1 1,both,,"]


@pytest.mark.parametrize("row", [*ROWS, "a,cat,9,9,0,,neither,,", "a,,9,9,0,,both,,"])
def test_a_damaged_row_is_refused(tmp_path: Path, row: str) -> None:
    write_manifest(Manifest("own", Path("r"), (Item("a", ("cat",), 9, 9, "0"),)), tmp_path)
    assert read_manifest(tmp_path).items[0].box is None
    (tmp_path / "manifest.csv").write_text(f"path,labels,width,height,sha256,box,role,group,root\n{row}\n")
    refused("no usable manifest in", read_manifest, tmp_path)
