"""UnED: a domain with queries in its gallery, one with a gallery apart, and every domain's YAML."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.conftest import TOP
from tests.datasets.benchmarks.judging import (
    apart,
    asked,
    leave_one_out,
    listed,
    published,
    refused,
    refuses_other_counts,
)

Draw = Callable[..., Path]
CARS = {"cars/car_ims/008056.jpg": 99, "cars/car_ims/008057.jpg": 99, "cars/car_ims/008200.jpg": 100,
        "cars/car_ims/008201.jpg": 100, "cars/car_ims/008202.jpg": 100}  # fmt: skip
TEST = {"gldv2/images/test/0/0/a/00a.jpg": [7, 9], "gldv2/images/test/1/0/b/10b.jpg": 8}
INDEX = {"gldv2/images/index/0/0/c/00c.jpg": 7, "gldv2/images/index/0/0/d/00d.jpg": 8,
         "gldv2/images/index/0/0/e/00e.jpg": 9, "gldv2/images/index/0/0/f/00f.jpg": 1}  # fmt: skip


def write(draw: Draw, top: Path, domain: str, **splits: dict[str, object]) -> Path:
    for part, images in splits.items():
        file = top / f"info_files/{domain}/{part}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps([{"path": path, "class_id": number} for path, number in images.items()]))
        for seed, path in enumerate(images):
            draw(f"images/{path}", seed=seed, folder=top)
    return top


@pytest.fixture
def root(draw: Draw, tmp_path: Path) -> Path:
    write(draw, tmp_path / "uned", "cars", test=CARS, train={"cars/car_ims/000001.jpg": 1})
    return write(draw, tmp_path / "uned", "gldv2", test=TEST, index=INDEX)


def test_where_there_is_no_index_the_queries_are_the_gallery(root: Path, tmp_path: Path) -> None:
    found = asked(published("uned_cars", root), tmp_path)
    assert found == leave_one_out({f"images/{path}": str(number) for path, number in CARS.items()})
    assert len(found["images/cars/car_ims/008200.jpg"].relevant) == 2


def test_where_there_is_an_index_it_is_the_gallery(root: Path, tmp_path: Path) -> None:
    found = asked(published("uned_gldv2", root), tmp_path)
    gallery = {f"images/{path}": str(number) for path, number in INDEX.items()}
    one, two = (f"images/{path}" for path in TEST)
    assert found[two] == apart({two: "8"}, gallery)[two]
    # A query of two landmarks: the images of either are relevant.
    assert found[one].relevant == {"images/gldv2/images/index/0/0/c/00c.jpg", "images/gldv2/images/index/0/0/e/00e.jpg"}
    assert found[one].ranked == set(gallery)
    assert [path for path, _ in listed(published("uned_gldv2", root)).entries] == [
        f"images/{path}" for path in (*TEST, *INDEX)
    ]


def test_names_as_unzip_escapes_them(draw: Draw, tmp_path: Path) -> None:
    path = "rp2k/all/test/\u5c71\u00e9_1/0.jpg"
    root = write(draw, tmp_path / "uned", "rp2k", test={"rp2k/all/test/\u5c71\u00e9_1/1.jpg": 4, path: 4})
    assert listed(published("uned_rp2k", root)).entries[1] == (f"images/{path}", ("4",))
    (root / "images/rp2k/all/test/\u5c71\u00e9_1").rename(root / "images/rp2k/all/test/#U5c71#U00e9_1")
    refused(published("uned_rp2k", root), r"test\.json: entry 1: .* is not there")
    entries = listed(published("uned_rp2k", root, escaped=True)).entries
    assert entries[1] == ("images/rp2k/all/test/#U5c71#U00e9_1/0.jpg", ("4",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"cars/test\.json is not as published \(Expecting property name.*\): fetch it anew"),
        ("{}", r"cars/test\.json is not as published \(all of it: .*list"),
        ('[{"path": "a.jpg"}]', r"\(0\.class_id: Field required\)"),
        ('[{"path": "a.jpg", "class_id": "7"}]', r"\(0\.class_id\.int: .*valid integer\)"),
        ('[{"path": "a.jpg", "class_id": true}]', r"\(0\.class_id\.int: .*valid integer\)"),
        ('[{"path": 7, "class_id": 7}]', r"\(0\.path: .*valid string\)"),
        ('[{"path": "cars/car_ims/008056.jpg", "class_id": []}]', r"test\.json: entry 1: \S+ has no class"),
        ('[{"path": "cars/none.jpg", "class_id": 1}]', r"entry 1: images/cars/none\.jpg is not there"),
        ('[{"path": "../../a.jpg", "class_id": 1}]', r"entry 1: images/\.\./\.\./a\.jpg leaves the root"),
        (json.dumps([{"path": "cars/car_ims/008056.jpg", "class_id": 1}] * 2), r"entry 2: \S+ is entry 1 too: fetch"),
        ("[]", "no image in"),
    ],
)
def test_wrong_splits(root: Path, content: str, message: str) -> None:
    (root / "info_files/cars/test.json").write_text(content)
    refused(published("uned_cars", root), message)


def test_a_split_that_is_not_there(root: Path) -> None:
    refused(published("uned_met", root), r"info_files/met/test\.json cannot be read .*the archive is not complete")
    refused(published("uned_cars", root, gallery="index"), r"info_files/cars/index\.json cannot be read")
    refused(published("uned_cars", root, domain="../cars"), "'domain': ../cars leaves the root")


def test_the_published_counts(root: Path) -> None:
    refuses_other_counts("uned_cars", root, "5 images, not 8,131; .* 2 labels, not 98")
    refuses_other_counts("uned_gldv2", root, "6 images, not 762,886; 2 queries, not 1,129; 4 gallery, not 761,757")


# From the authors' table of splits: queries, and the images of the index where there is one.
SIZES = {"cars": (8131, None), "sop": (60502, None), "inshop": (14218, 12612), "inat": (136093, None),
         "met": (1003, 397121), "gldv2": (1129, 761757), "food2k": (9979, None), "rp2k": (10931, None)}  # fmt: skip


def test_every_domain_has_a_yaml_with_the_sizes_of_its_splits() -> None:
    files = {path.stem.removeprefix("uned_"): path for path in (TOP / "conf/dataset").glob("uned_*.yaml")}
    assert files.keys() == SIZES.keys()
    for domain, (queries, index) in SIZES.items():
        config = yaml.safe_load(files[domain].read_text())
        assert (config["domain"], config["gallery"]) == (domain, "index" if index else "test")
        images, gallery = (queries + index, index) if index else (queries, queries)
        counts = {name: config["expected"][name] for name in ("images", "queries", "gallery")}
        assert counts == {"images": images, "queries": queries, "gallery": gallery}
