"""Names of files and labels that are hard to read: they work, or are named so that they can be found."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.datasets.overview import doubts_about, found_in
from pipeline.datasets.preparing import prepare
from pipeline.datasets.readers import read_dataset
from pipeline.manifest.manifest import read_manifest
from pipeline.retrieval.errors import RetrievalError

Draw = Callable[..., Path]
AWKWARD = [
    "a\r.png",
    "a\n.png",
    "a\t.png",
    "a  b.png",
    " a .png",
    "\x1b[31m.png",
    "a,|\\.png",
    "\u202ea.png",
    "\x85.png",
]


@pytest.fixture
def folder(draw: Draw, tmp_path: Path) -> Path:
    for seed, name in enumerate(["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]):
        draw(f"own/{name}", seed=seed)
    return tmp_path / "own"


def read(folder: Path, **options: object) -> list[str]:
    listing = read_dataset("own", {"kind": "folder", "root": str(folder), **options}, folder)
    return [path for path, _ in listing.entries]


def refused(folder: Path, **options: object) -> str:
    with pytest.raises(RetrievalError) as caught:
        read(folder, **options)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_awkward_names_and_labels_are_read_back(draw: Draw, tmp_path: Path) -> None:
    for number, name in enumerate(AWKWARD):
        draw(f"own/{number} {name.removesuffix('.png')}/{name}", seed=number)
    config = {"kind": "folder", "root": str(tmp_path / "own")}
    made, _ = prepare("own", config, tmp_path / "prepared")
    assert {path.partition("/")[2] for path in made.paths} == set(AWKWARD)
    assert read_manifest(tmp_path / "prepared").items == made.items


def test_a_name_that_is_no_utf_8_is_shown_in_bytes(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/cat/caf\xe9.png")).write_bytes((folder / "cat/1.png").read_bytes())
    assert r"'cat/caf\udce9.png' is no UTF-8" in refused(folder)
    Path(os.fsdecode(os.fsencode(folder) + b"/cat/caf\xe9.png")).unlink()
    (folder / "cat").rename(os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))
    assert r"'caf\udce9/1.png' is no UTF-8" in refused(folder)


@pytest.mark.parametrize("other", ["cat ", "c\u200bat", "\u00a0cat"])
def test_folders_that_look_the_same(folder: Path, other: str) -> None:
    (folder / "dog").rename(folder / other)
    said = refused(folder)
    assert f"{ascii(other)}" in said and "'cat'" in said and "look the same" in said


def test_labels_and_groups_of_a_list_that_look_the_same(folder: Path) -> None:
    options = {"kind": "list", "list": "L.csv"}
    rows = "cat/1.png,caf\u00e9,g\ncat/2.png,caf\u00e9,g\ndog/1.png,{},{}\n"
    for label, group in (("cafe\u0301", ""), ("dog", "g\u00a0"), ("dog| dog", "")):
        (folder / "L.csv").write_text("path,labels,group\n" + rows.format(label, group))
        assert "look the same" in refused(folder, **options)
    (folder / "L.csv").write_text("path,labels,group\n" + rows.format("dog", "h"))
    assert len(read(folder, **options)) == 3


@pytest.mark.parametrize("again", ["./cat/1.png", "cat//1.png", "cat/./1.png", ".//cat/1.png"])
def test_the_same_file_in_a_list_by_two_spellings(folder: Path, again: str) -> None:
    for name, text in {"L.txt": "cat/1.png\tcat\n{}\tdog\n", "L.csv": "path,labels\ncat/1.png,cat\n{},dog\n"}.items():
        (folder / name).write_text(text.format(again))
        assert "cat/1.png stands already in line " in refused(folder, kind="list", list=name)
        (folder / name).write_text(text.replace("cat/1.png", "cat/2.png", 1).format(again))
        assert read(folder, kind="list", list=name) == ["cat/2.png", "cat/1.png"]
    (folder / "L.txt").write_text("cat/../cat/1.png\tcat\n")
    assert "L.txt:1: cat/../cat/1.png leaves the root: use a path below it, without '..'" in refused(
        folder, kind="list", list="L.txt"
    )


def test_the_same_file_by_two_roots(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder / "dog")
    for distractors in ([f"{folder}/cat/../dog"], [str(tmp_path / "link")], [str(folder / "dog")] * 2):
        assert "own/dog/1.png is there twice: list it, or its folder, once" in refused(folder, distractors=distractors)


def test_strays_are_named_together_and_excluded_by_patterns(folder: Path) -> None:
    for name in ("Thumbs.db", "cat/Thumbs.db", "dog/a.txt", "dog/b.txt", "dog/c  d.txt", "dog/\x1b.txt"):
        (folder / name).write_text("x")
    assert (
        "own has strays: Thumbs.db (beside the class folders); cat/Thumbs.db, 'dog/\\x1b.txt', dog/a.txt and 2 more "
        "(no image by its name): remove or move them, or name them under 'exclude', which takes patterns"
    ) in refused(folder)
    assert len(read(folder, exclude=["**/Thumbs.db", "dog/[ab].txt", "*/c  ?.txt", "dog/\x1b.txt"])) == 4


def test_what_a_pattern_fits(folder: Path, draw: Draw) -> None:
    for name in ("cat/.thumbnails/1.png", "cat/@eaDir/1.png/S.png", "cat/[1].png"):
        draw(f"own/{name}")
    exclude = ["*/.thumbnails/*", "**/@eaDir/**", "cat/[1].png"]  # the last is first of all a name
    assert read(folder, exclude=exclude) == ["cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"]
    assert "'*/1.gif' under 'exclude' is not in the dataset" in refused(folder, exclude=[*exclude, "*/1.gif"])
    assert "'cat/**.png' under 'exclude' is no pattern" in refused(folder, exclude=["cat/**.png"])
    (folder / "L.txt").write_text("cat/1.png\tcat\ncat/2.png\tcat\ndog/1.png\tdog\n")
    assert read(folder, kind="list", list="L.txt", exclude=["./cat/1.png", "dog/*"]) == ["cat/2.png"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "is a named pipe (FIFO), not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
        (lambda path: path.symlink_to(path.name), "is a link that leads back to itself, not a file"),
        (lambda path: path.symlink_to("nowhere.png"), "cat/3.png is a link to nothing: mend or remove it"),
        (lambda path: socket.socket(socket.AF_UNIX).bind(os.path.relpath(path)), "is a socket, not a file"),
    ],
    ids=["pipe", "device", "loop", "dangling", "socket"],
)
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_what_is_no_file_in_a_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object], said: str
) -> None:
    monkeypatch.chdir(folder)
    make(folder / "cat/3.png")
    assert said in refused(folder)
    (folder / "L.txt").write_text("cat/1.png\tcat\ncat/3.png\tcat\n")
    assert said.partition(": ")[0] in refused(folder, kind="list", list="L.txt")


def test_what_was_found_is_said_in_a_line(folder: Path, tmp_path: Path) -> None:
    (folder / "cat/3.png").write_bytes((folder / "cat/1.png").read_bytes())
    for name in (".DS_Store", "cat/._1.png", "dog/notes.txt"):
        (folder / name).write_text("x")
    config = {"kind": "folder", "root": str(folder), "exclude": ["dog/*.txt"]}
    made, passed_over = prepare("own", config, tmp_path / "prepared")
    assert found_in(made, passed_over) == (
        "own: 5 images, 2 labels of 2 to 3 images (median 2.5), 1 exact duplicates; passed over: 2 hidden, 1 excluded"
    )
    assert list(doubts_about(made)) == []


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        ({"cat": "images/cat", "dog": "images/dog"}, ["all images have one label, images", "called like a part"]),
        ({"cat": "one/cat", "dog": "one/dog"}, ["all images have one label, one"]),
        ({"cat": "Train/cat", "dog": "val/dog"}, ["a label is called like a part of a dataset, Train, val"]),
        ({"cat/2.png": "cat/@eaDir/1.png/S.png"}, ["1 of 4 images lie in folders of thumbnails (cat/@eaDir/1"]),
        ({"dog": "thumbnails"}, ["2 of 4 images lie in folders of thumbnails (thumbnails/1.png)"]),
    ],
)  # fmt: skip
def test_what_is_rarely_meant_is_said(folder: Path, tmp_path: Path, moved: dict[str, str], said: list[str]) -> None:
    for source, target in moved.items():
        (folder / target).parent.mkdir(parents=True, exist_ok=True)
        (folder / source).rename(folder / target)
    made, _ = prepare("own", {"kind": "folder", "root": str(folder)}, tmp_path / "prepared")
    for doubt, words in zip(doubts_about(made), said, strict=True):
        assert words in doubt
