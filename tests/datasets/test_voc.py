"""PASCAL VOC in its native layout: real annotations against independent readings, and made ones that are wrong."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.datasets.preparing import prepare
from pipeline.datasets.readers import read_dataset
from pipeline.manifest.manifest import read_manifest
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.relevance import SharedLabel

Draw = Callable[..., Path]
Object = tuple[str, tuple[object, object, object, object], int]

CAT: Object = ("cat", (1, 1, 10, 10), 0)
DOG: Object = ("dog", (1, 1, 20, 20), 0)


@pytest.fixture
def voc(draw: Draw, tmp_path: Path) -> Callable[..., Path]:
    """Write a VOC folder of one image, 2007_000001, and return it."""

    def write(*objects: Object, split: str = "2007_000001\n") -> Path:
        top = tmp_path / "VOC2007"
        draw("VOC2007/JPEGImages/2007_000001.jpg")
        (top / "ImageSets/Main").mkdir(parents=True, exist_ok=True)
        (top / "ImageSets/Main/val.txt").write_text(split, encoding="utf-8", newline="")
        annotate(top, "".join(map(element, objects)))
        return top

    return write


def element(made: Object) -> str:
    name, (left, upper, right, lower), difficult = made
    return (
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><xmin>{left}</xmin>"
        f"<ymin>{upper}</ymin><xmax>{right}</xmax><ymax>{lower}</ymax></bndbox></object>"
    )


def annotate(top: Path, objects: str, *, before: str = "") -> Path:
    path = top / "Annotations/2007_000001.xml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{before}<annotation><folder>VOC2007</folder>{objects}</annotation>")
    return path


def options(top: Path, **changes: object) -> dict[str, object]:
    chosen = {"labels": "all", "difficult": True, "unlabelled": "error"}
    return {"kind": "voc", "root": str(top), "split": "val", **chosen, **changes}


def read(top: Path, **changes: object) -> dict[str, tuple[str, ...]]:
    listing = read_dataset("own", options(top, **changes), top / "unused")
    assert listing.root == top
    return dict(listing.entries)


def refused(top: Path, match: str, **changes: object) -> None:
    with pytest.raises(RetrievalError, match=match) as caught:
        read(top, **changes)
    assert "\n" not in str(caught.value)


def objects_by_regex(path: Path) -> list[tuple[str, bool, int]]:
    """Return name, difficult and area of each object, read without an XML parser."""
    found = []
    for text in re.findall(r"<object>.*?</object>", path.read_text(), flags=re.DOTALL):
        field = dict(re.findall(r"<(name|difficult|xmin|ymin|xmax|ymax)>\s*([^<\s]+)\s*</", text))
        area = (int(field["xmax"]) - int(field["xmin"]) + 1) * (int(field["ymax"]) - int(field["ymin"]) + 1)
        found.append((field["name"], field["difficult"] == "1", area))
    return found


def ids_of(top: Path, split: str) -> list[str]:
    return (top / f"ImageSets/Main/{split}.txt").read_text().split()


@pytest.mark.parametrize("split", ["trainval", "test"])
@pytest.mark.parametrize("difficult", [True, False])
def test_real_images_have_every_class_of_their_annotation(real_images: Path, split: str, difficult: bool) -> None:
    top = real_images / "mini_voc"
    expected = {}
    for name in ids_of(top, split):
        counted = [
            label for label, hard, _ in objects_by_regex(top / f"Annotations/{name}.xml") if difficult or not hard
        ]
        if counted:
            expected[f"JPEGImages/{name}.jpg"] = set(counted)
    found = read(top, split=split, difficult=difficult, unlabelled="drop")
    assert {name: set(labels) for name, labels in found.items()} == expected
    assert all(len(set(labels)) == len(labels) for labels in found.values())
    assert list(found) == list(expected)  # the split's order
    assert max(len(labels) for labels in found.values()) > 2


def test_real_images_agree_with_the_lists_of_the_classes(real_images: Path) -> None:
    """-1: no instance, 0: difficult ones only, 1: others too; the XML here marks fewer of them as difficult."""
    top = real_images / "mini_voc"
    every = read(top, split="trainval")
    easy = read(top, split="trainval", difficult=False, unlabelled="drop")
    counts = {-1: 0, 0: 0, 1: 0}
    for path in sorted((top / "ImageSets/Main").glob("*_trainval.txt")):
        label = path.name.partition("_")[0]
        for name, flag in (line.split() for line in path.read_text().splitlines()):
            image, value = f"JPEGImages/{name}.jpg", int(flag)
            counts[value] += 1
            assert (label in every[image]) == (value != -1), (label, name)
            if value:
                assert (label in easy.get(image, ())) == (value == 1), (label, name)
    assert counts == {-1: 3043, 0: 21, 1: 316}


def test_real_images_have_the_class_of_their_largest_box(real_images: Path) -> None:
    top = real_images / "mini_voc"
    found = read(top, split="trainval", labels="largest")
    for name in ids_of(top, "trainval"):
        boxes = objects_by_regex(top / f"Annotations/{name}.xml")
        largest = max(area for _, _, area in boxes)
        assert found[f"JPEGImages/{name}.jpg"] == (next(label for label, _, area in boxes if area == largest),)
    several = read(top, split="trainval")
    assert sum(found[name] != (labels[0],) for name, labels in several.items()) > 5  # not just the first object


@pytest.mark.parametrize("labels", ["all", "largest"])
def test_real_images_are_prepared_and_relevant_by_a_shared_class(
    real_images: Path, tmp_path: Path, labels: str
) -> None:
    prepare("mini", options(real_images / "mini_voc", split="test", labels=labels), tmp_path / "mini")
    manifest = read_manifest(tmp_path / "mini")
    assert len(manifest.items) == 151
    positives, ignored = SharedLabel(manifest.labels)(0, 151)
    sets = [set(names) for names in manifest.labels]
    for item, (names, found, left_out) in enumerate(zip(sets, positives.rows(), ignored.rows(), strict=True)):
        assert found.tolist() == [other for other, theirs in enumerate(sets) if names & theirs and other != item]
        assert left_out.tolist() == [item]


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([CAT, DOG], "dog"),
        ([DOG, CAT], "dog"),
        ([CAT, ("dog", (11, 11, 20, 20), 0)], "cat"),  # equal: the first in the XML
        ([("dog", (11, 11, 20, 20), 0), CAT], "dog"),
        ([("cat", (1, 1, 20, 2), 0), ("dog", (1, 1, 6, 6), 0)], "cat"),  # 20 x 2 against 6 x 6 pixels, both ends in
        ([CAT, ("dog", (1, 1, 20, 20), 1)], "dog"),  # difficult counts here
        ([("cat", ("45.7", "1.0", "60.2", "9"), 0), ("dog", (1, 1, 3, 3), 0)], "cat"),  # fractions, as in 2012
    ],
)
def test_the_largest_box_gives_the_label(voc: Callable[..., Path], boxes: Sequence[Object], expected: str) -> None:
    assert read(voc(*boxes), labels="largest") == {"JPEGImages/2007_000001.jpg": (expected,)}


def test_difficult_instances_count_or_not(voc: Callable[..., Path]) -> None:
    top = voc(CAT, ("dog", (1, 1, 20, 20), 1), CAT)
    assert set(read(top).popitem()[1]) == {"cat", "dog"}
    assert read(top, difficult=False).popitem()[1] == ("cat",)
    assert read(top, difficult=False, labels="largest").popitem()[1] == ("cat",)


def test_an_image_with_difficult_instances_only(voc: Callable[..., Path]) -> None:
    top = voc(("dog", (1, 1, 20, 20), 1))
    assert read(top) == {"JPEGImages/2007_000001.jpg": ("dog",)}
    refused(top, r"2007_000001\.xml: no instance that counts .*: set unlabelled: drop", difficult=False)
    refused(top, "no image in", difficult=False, unlabelled="drop")  # it was the only one


def test_a_part_is_no_object_and_no_box_of_one(voc: Callable[..., Path]) -> None:
    top = voc()
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>500</xmax><ymax>500</ymax></bndbox></part>"
    person = element(("person", (1, 1, 5, 5), 0)).replace("<object>", f"<object>{part}")
    annotate(top, person + element(CAT))
    assert read(top).popitem()[1] == ("person", "cat")
    assert read(top, labels="largest").popitem()[1] == ("cat",)


def test_difficult_may_be_unsaid(voc: Callable[..., Path]) -> None:
    top = voc()
    annotate(top, element(CAT).replace("<difficult>0</difficult>", ""))
    assert read(top, difficult=False).popitem()[1] == ("cat",)


@pytest.mark.parametrize(
    ("objects", "match"),
    [
        ("<object>", "is no annotation as in PASCAL VOC .*mismatched tag"),
        (element(("", (1, 1, 2, 2), 0)), "an object has no name"),
        (element(("cat", (1, 1, 2, 2), 2)), "cat: difficult is '2', not 0 or 1"),
        (element(("cat", (5, 1, 2, 2), 0)), "cat: the box .* has no area"),
        (element(("cat", (1, 1, "nan", 2), 0)), "cat: the box .* has no area"),
        (element(("cat", (1, 1, "1e999", 2), 0)), "cat: the box .* has no area"),
        (element(("cat", (1, 1, "wide", 2), 0)), "cat: the box .* is not four numbers"),
        ("<object><name>cat</name></object>", "cat: the box .* is not four numbers"),
    ],
)
def test_a_wrong_annotation_is_named(voc: Callable[..., Path], objects: str, match: str) -> None:
    top = voc(CAT)
    annotate(top, objects)
    refused(top, rf"2007_000001\.xml is no annotation .*{match.removeprefix('is no annotation ')}", labels="largest")


LAUGHS = '<!DOCTYPE a [<!ENTITY b "cat"><!ENTITY c "&b;&b;&b;&b;">]>'


@pytest.mark.parametrize("before", [LAUGHS, '<!DOCTYPE annotation SYSTEM "voc.dtd">', f'<?xml version="1.0"?>{LAUGHS}'])
def test_entities_are_refused(voc: Callable[..., Path], before: str) -> None:
    top = voc(CAT)
    annotate(top, element(CAT).replace("cat", "&c;"), before=before)
    refused(top, r"2007_000001\.xml is no annotation .*declares a document type")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_entities_are_not_hidden_by_an_encoding(voc: Callable[..., Path], encoding: str) -> None:
    top = voc(CAT)
    declared = f'<?xml version="1.0" encoding="{encoding.removesuffix("-le")}"?>'
    path = annotate(top, element(CAT).replace("cat", "&c;"), before=declared + LAUGHS)
    path.write_bytes(path.read_text().encode(encoding))
    refused(top, r"2007_000001\.xml is no annotation .*declares a document type")


def test_a_declared_encoding_is_followed(voc: Callable[..., Path]) -> None:
    top = voc()
    path = annotate(top, element(("café", (1, 1, 2, 2), 0)), before='<?xml version="1.0" encoding="latin-1"?>')
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    assert read(top).popitem()[1] == ("café",)


def test_a_missing_annotation_image_or_root(voc: Callable[..., Path], tmp_path: Path) -> None:
    top = voc(CAT)
    (top / "Annotations/2007_000001.xml").unlink()
    refused(top, r"2007_000001\.xml cannot be read \(No such file.*\): put the file there")
    (top / "JPEGImages/2007_000001.jpg").unlink()
    refused(top, r"split val: JPEGImages/2007_000001\.jpg is not there")
    refused(tmp_path / "nowhere", "nowhere is not a folder: put the images there or mend 'root'")


@pytest.mark.parametrize(
    ("split", "match"),
    [
        ("2007_000001\n2007_000001\n", r"val\.txt:2: 2007_000001 stands already at .*val\.txt:1: remove one"),
        ("2007_000001  1\n", r"val\.txt:1: expected an image id, got '2007_000001  1': name a split without a class"),
        ("../2007_000001\n", r"val\.txt:1: \.\./2007_000001 leaves the root"),
    ],
)
def test_a_wrong_line_of_a_split(voc: Callable[..., Path], split: str, match: str) -> None:
    refused(voc(CAT, split=split), match)


def test_an_image_without_instances(voc: Callable[..., Path]) -> None:
    refused(voc(), r"\(difficult: true\), so that .* no label: set unlabelled: drop to leave such images out$")


def test_the_same_image_in_a_split_by_two_spellings(voc: Callable[..., Path]) -> None:
    refused(
        voc(CAT, split="2007_000001\n.//2007_000001\n"),
        r"val\.txt:2: 2007_000001 stands already at .*val\.txt:1: remove one",
    )


def test_a_split_that_is_no_file(voc: Callable[..., Path]) -> None:
    top = voc(CAT)
    (top / "ImageSets/Main/val.txt").unlink()
    os.mkfifo(top / "ImageSets/Main/val.txt")
    refused(top, r"val\.txt is a named pipe \(FIFO\), not a file")


def test_a_split_with_windows_line_ends_and_blanks(voc: Callable[..., Path]) -> None:
    assert len(read(voc(CAT, split="\ufeff2007_000001 \r\n\r\n"))) == 1


@pytest.mark.parametrize("split", ["train", "../Main/val", ""])
def test_an_unknown_split(voc: Callable[..., Path], split: str) -> None:
    refused(voc(CAT), r"\.txt is not there: 'split' names a list in ImageSets/Main", split=split)


def test_unknown_choices(voc: Callable[..., Path]) -> None:
    refused(voc(CAT), "'labels' is 'first': expected all or largest", labels="first")
    refused(voc(CAT), "'unlabelled' is 'skip': expected error or drop", unlabelled="skip")
    refused(voc(CAT), "'difficult' is 'yes': expected true or false", difficult="yes")
