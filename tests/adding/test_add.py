"""A dataset or an encoder from a command line: what is written, what is refused, and that nothing is half-written."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

import pipeline.add
from pipeline.adding.entry import Entry, put, read_entry, value_of
from pipeline.adding.writing import inserted, naming
from pipeline.frame.experiment import check_names, read_experiment
from pipeline.frame.files import sha256_of
from pipeline.retrieval.errors import RetrievalError
from tests.conftest import TOP, Project
from tests.own_networks import cifar_resnet

Add = Callable[..., str]
NATIVE = "native={resize: [32, 32], interpolation: bilinear, crop: null, mean: [0.0, 0.0, 0.0], std: [1.0, 1.0, 1.0]}"


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with conf/, params.yaml and dvc.yaml, to work in."""
    folder = tmp_path / "top"
    shutil.copytree(TOP / "conf", folder / "conf")
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(TOP / name, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def add(top: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Add:
    """Run the command; return what it printed, or the one line of its error."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr("sys.argv", ["add.py", *arguments])
        try:
            pipeline.add.main()
        except SystemExit as ended:
            assert ended.code == 2
            out, err = capsys.readouterr()
            assert out == "" and len(err.splitlines()) == 1
            return err
        return "".join(capsys.readouterr())

    return run


@pytest.fixture
def photos(draw: Callable[..., Path], tmp_path: Path) -> Path:
    """Five images of two labels."""
    for seed, name in enumerate(["cat/1.png", "cat/2.png", "dog/a.png", "dog/b.png", "dog/c.png"]):
        draw(f"my photos, 2019 #1/{name}", seed=seed)
    return tmp_path / "my photos, 2019 #1"


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_photographs(add: Add, top: Path, photos: Path) -> None:
    before = (top / "params.yaml").read_text()
    said = add("dataset=photos", f"root={photos}")
    assert said.startswith(
        "photos: 5 images, 2 labels of 2 to 3 images (median 2.5), 5 of them opened; passed over: no"
    )
    assert "params.yaml names conf/dataset/photos.yaml, which is new: git add it\nNext: dvc repro, which runs\n" in said
    assert "\n  prepare@photos\n  extract@raw_pixels-photos and 4 more\n" in said and "rerank" not in said
    assert "warning: 2 labels are few: intervals will be wide (docs/uncertainty.md)\n" in said
    text = (top / "conf/dataset/photos.yaml").read_text()
    assert yaml.safe_load(text) == {"kind": "folder", "root": str(photos)} and "\nkind: folder\nroot: " in text
    # Of params.yaml all else stays, comments too.
    assert (top / "params.yaml").read_text() == before.replace("  - clutter\n", "  - clutter\n  - photos\n")
    check_names(read_experiment(), Path("conf"))
    assert not list((top / "data/scratch").iterdir())
    again = add("dataset=photos", f"root={photos}")
    assert "params.yaml has 'photos' under 'datasets' already: edit conf/dataset/photos.yaml, or remove it" in again


def test_any_key_of_a_yaml(add: Add, top: Path, photos: Path) -> None:
    (photos / "list.csv").write_text("path,labels\ncat/1.png,x\ndog/a.png,x|y\ndog/b.png,y\ncat/2.png,z\n")
    said = add("dataset=some", f"root={photos}", "list=list.csv", "exclude=['*/1.png']")
    assert "some: 3 images, 3 labels of 1 to 2 images (median 1), 3 of them opened; passed over: 1 excluded" in said
    assert "warning: 2 labels have a single image (x, z), a query without positives" in said
    written = yaml.safe_load((top / "conf/dataset/some.yaml").read_text())
    assert written == {"kind": "list", "root": str(photos), "list": "list.csv", "exclude": ["*/1.png"]}


def test_a_yaml_that_is_there_is_named(add: Add, top: Path, photos: Path) -> None:
    before = contents(top / "conf")
    assert "features of 512 dimensions" in add("encoder=resnet18_random") and contents(top / "conf") == before
    assert read_experiment().encoders[-1] == "resnet18_random"
    assert "git add" not in add("encoder=resnet34_random")
    # The same said again, in another order, is no other; a key more is.
    (top / "conf/dataset/photos.yaml").write_text(f"root: '{photos}'  # mine\nkind: folder\n")
    before = contents(top)
    said = add("dataset=photos", f"root={photos}", "exclude=['cat/1.png']")
    assert "conf/dataset/photos.yaml is there and says something else" in said and contents(top) == before
    assert "photos: 5 images" in add("dataset=photos", f"root={photos}")
    assert {path.name for path, content in contents(top).items() if before.get(path) != content} == {"params.yaml"}


def test_weights_of_ones_own_are_tried(add: Add, top: Path) -> None:
    torch.save(cifar_resnet(1).state_dict(), top / "own.pth")
    keys = ("factory=tests.own_networks:cifar_resnet", "settings.blocks=1", NATIVE)
    assert "own: of python, features of 64 dimensions" in add("encoder=own", "weights=own.pth", *keys)
    written = yaml.safe_load((top / "conf/encoder/own.yaml").read_text())
    sha256 = sha256_of(top / "own.pth")
    assert written["weights"] == {"kind": "checkpoint", "path": "own.pth", "sha256": sha256}
    assert (written["source"], written["settings"]) == ("python", {"blocks": 1})
    assert "features of 64 dimensions" in add("encoder=encoder", "weights=random", *keys)
    other = add("encoder=other", "weights=own.pth", keys[0], "settings.blocks=2", NATIVE)
    assert "the checkpoint does not fit the network of the encoder's YAML" in other


def test_published_weights_are_not_fetched(add: Add, top: Path) -> None:
    said = add("encoder=dino", "name=facebook/dinov2-base", "revision=main", "pooling=cls", "weights=published")
    assert "dino: of huggingface; dvc repro fetches its weights, and builds it then" in said
    assert list(yaml.safe_load((top / "conf/encoder/dino.yaml").read_text())) == [
        *("source", "name", "revision", "pooling", "weights"),
    ]
    repository = ("name=PE-Core-B-16", "repository=timm/PE-Core-B-16", "revision=main", "text=true")
    assert "pe: of open_clip; dvc repro fetches its weights" in add("encoder=pe", *repository, "weights=published")
    assert yaml.safe_load((top / "conf/encoder/pe.yaml").read_text())["text"] is True
    assert "unknown key 'poling', missing key 'pooling'" in add(
        "encoder=d", "name=a/b", "poling=c", "weights=published"
    )


def test_features_made_elsewhere(add: Add, top: Path) -> None:
    np.save(top / "F.npy", np.eye(4, dtype=np.float32))
    (top / "L.txt").write_text("a\tx\nb\tx\nc\ty\nd\ty\n")
    files = ("datasets.seen.features=F.npy", "datasets.seen.labels=L.txt")
    said = add("encoder=mine", *files)
    assert "mine: features of seen, made elsewhere" in said
    stops, runs = said.split("Then it runs:\n")
    assert "Before dvc repro, which stops at this:\n  encoder 'mine' has no features of 'digits': add them" in stops
    assert "Next:" not in said and "  extract@mine-digits and 2 more\n" in runs
    written = yaml.safe_load((top / "conf/encoder/mine.yaml").read_text())["datasets"]["seen"]
    assert written["features_sha256"] == sha256_of(top / "F.npy")
    said = add("dataset=seen", "root=.", "list=L.txt", "images=none")
    assert "seen: 4 items, 2 labels of 2 images each, no image files" in said
    stops, runs = said.split("Then it runs:\n")
    assert "stops at this:\n  encoder 'raw_pixels' takes images, and dataset 'seen' has none (images: none in" in stops
    assert "  prepare@seen\n" in runs
    assert "encoder 'mine'" not in said
    (top / "L.txt").write_text("a\tx\n")
    assert "F.npy has 4 rows, but L.txt lists 1 items" in add("encoder=less", *files)
    assert "gone.npy is not there: mend the path" in add("encoder=m", "datasets.seen.features=gone.npy", files[1])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "give dataset=<its name> root=<its folder>, or encoder=<its name> and keys of its YAML"),
        (["dataset=a", "encoder=b"], "give dataset=<its name> root=<its folder>, or encoder="),
        (["dataset=a"], "conf/dataset/a.yaml is not there: give root=<the folder of the images>"),
        (["dataset=a", "root=nowhere"], "nowhere is not a folder: put the images there or mend 'root'"),
        (["dataset=a", "root=.", "root=.."], "root is given twice: leave one"),
        (["dataset=a", "PHOTOS"], "unknown key 'rot', missing key 'root'; its keys are root, exclude, follow_links"),
        (["dataset=a", "root=7"], "conf/dataset/a.yaml: 'root' is 7: expected a string"),
        (["dataset=a", "root=[x"], "root=[x cannot be read as YAML: as a text it is 'root=\"[x\"'"),
        (["dataset=a", "kind=csv", "root=."], "unknown kind 'csv'; one of amstertime, "),
        (["dataset=7up", "root=."], "'7up' under 'datasets': use letters, digits, '_' and '.', a letter first"),
        (["dataset=../a", "root=."], "'../a' under 'datasets': use letters"),
        (["dataset=", "root=."], "'' under 'datasets': use letters"),
        (["dataset=null", "root=."], "'null' under 'datasets' is a value to Hydra or YAML: use another name"),
        (["dataset=digits", "kind=digits"], "params.yaml has 'digits' under 'datasets' already"),
        (["dataset=voc_val", "root=."], "conf/dataset/voc_val.yaml is there and says something else: edit it, or"),
        (["dataset=a", "root"], "'root' is no option: write key=value"),
        (["dataset=a", "root=.", "root.b=1"], "root.b: 'root' is given as one value too: leave one of the two"),
        (["dataset=a", "root.b=1", "root=."], "root: 'root' is given by its parts too: leave one of the two"),
        (["dataset=a", "root=${nothing}"], "Interpolation key 'nothing' not found"),
        (["dataset=a", "root=.", "defaults=[x]"], "a 'defaults' list is not allowed here"),
        (["given=3"], "given is 3: write key=value for each key of the YAML instead"),
        (["dataset=a", "root=.", "graph=none.yaml"], "none.yaml cannot be read (No such file or directory)"),
        (["encoder=a", "weights=x.pth"], "a.yaml: which library is it of? give source=, one of handcrafted"),
        (["encoder=a", "source=timm", "name=r", "weights=x.pth"], "x.pth is not there: mend the path, or give pub"),
        (["encoder=a", "source=handcrafted", "name=hig", "settings={}"], "unknown name 'hig'; one of color_histogram,"),
        (["encoder=a", "source=none"], "conf/encoder/a.yaml: unknown source 'none'; one of handcrafted"),
        (["encoder=a", "source=timm", "name=n", "weights.kind=some"], "unknown weights kind 'some'; one of checkpoint"),
        (["encoder=a", "source=handcrafted", "name=hog", "settings={}", "without_guards=[x]"], "without_guards"),
        (["encoder=a", "datasets={}"], "conf/encoder/a.yaml: no dataset under 'datasets': add the features of one"),
    ],
)  # fmt: skip
def test_what_is_refused_writes_nothing(add: Add, top: Path, photos: Path, arguments: list[str], expected: str) -> None:
    before = contents(top)
    said = add(*(f"rot={photos}" if one == "PHOTOS" else one for one in arguments))
    assert said.startswith("error: ") and expected in said
    assert contents(top) == before


def test_images_that_cannot_be_used(add: Add, top: Path, photos: Path) -> None:
    before = contents(top)
    (photos / "dog/a.png").write_bytes(b"no image")
    assert "dog/a.png is not an image that Pillow can identify" in add("dataset=a", f"root={photos}")
    shutil.rmtree(photos / "dog")
    (photos / "cat/2.png").rename(photos / "cat/deep")
    assert "has strays: cat/deep (no image by its name)" in add("dataset=a", f"root={photos}")
    (photos / "cat/deep").unlink()
    said = add("dataset=a", f"root={photos}")
    assert "conf/dataset/a.yaml: no label has two images, so that nothing can be found" in said
    assert contents(top) == before


def test_many_labels_are_not_few(add: Add, draw: Callable[..., Path], tmp_path: Path) -> None:
    for number in range(20):
        draw(f"ten/{number // 2}/{number}.png", seed=number)
    assert " are few" not in add("dataset=ten", f"root={tmp_path / 'ten'}")


def test_photographs_without_folders(add: Add, top: Path, draw: Callable[..., Path], tmp_path: Path) -> None:
    before = contents(top)
    draw("flat/1.png")
    (tmp_path / "flat/2.HEIC").touch()
    assert add("dataset=a", f"root={tmp_path / 'flat'}") == (
        f"error: {tmp_path / 'flat'} has 2 images, but no folders, which are the labels: make a folder for each label, "
        "or give list=<file of path<TAB>label> (kind: list)\n"
    )
    assert contents(top) == before


@pytest.mark.parametrize("failing", ["params.yaml", "photos.yaml"])
def test_both_files_or_neither(
    add: Add, top: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    import os

    before, replace = contents(top), os.replace

    def refuse(source: Path, target: Path) -> None:
        if Path(target).name == failing:
            raise OSError(28, "No space left on device", str(target))
        replace(source, target)

    monkeypatch.setattr("os.replace", refuse)
    assert "No space left on device" in add("dataset=photos", f"root={photos}")
    assert contents(top) == before
    monkeypatch.setattr("os.replace", replace)
    assert "photos: 5 images" in add("dataset=photos", f"root={photos}")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("datasets:\n- a  # one\n\n# of it\nx: 1\n", "datasets:\n- a  # one\n- new\n\n# of it\nx: 1\n"),
        ("datasets:\n    - a\n    - 'b'", "datasets:\n    - a\n    - 'b'\n    - new"),
        ("datasets: [a, b]  # two\nx: []\n", "datasets: [a, b, new]  # two\nx: []\n"),
        ("datasets: [\n  a,\n  b\n]\n", "datasets: [\n  a,\n  b, new\n]\n"),
        ("x: [y]\r\ndatasets:\r\n  - a\r\n", "x: [y]\r\ndatasets:\r\n  - a\r\n  - new\r\n"),
        ("{datasets: [a]}", "{datasets: [a, new]}"),
    ],
)
def test_a_name_comes_to_the_end_of_its_list(before: str, after: str) -> None:
    assert inserted(before, "datasets", "new") == after


def test_a_list_that_stands_for_two_is_the_users(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("encoders: &all [hog]\ndatasets: *all\nrankings: []\nencoder: hog\n")
    with pytest.raises(RetrievalError, match="'datasets' is written in a way that only you can add to: add b there"):
        naming(Entry("dataset", "b", {}), read_experiment(params), params)


@given(st.text())
def test_a_text_is_itself_or_one_value_of_yaml(text: str) -> None:
    try:
        value = value_of("key", text)
    except RetrievalError:
        return
    assert value == text or not isinstance(value, str) or text[0] in "'\""


def test_values_of_a_command_line() -> None:
    entry = read_entry(["dataset=a", "b=true", "c.d=1.5", "c.e=x: y # z", "f=[1, 'x']", "g=", "h='7'", "i=@x"])
    assert entry == Entry(
        "dataset",
        "a",
        {"b": True, "c": {"d": 1.5, "e": "x: y # z"}, "f": [1, "x"], "g": None, "h": "7", "i": "@x"},
    )
    assert entry.where == "conf/dataset/a.yaml"
    values: dict[str, object] = {}
    put(values, "a.b", 1)
    assert values == {"a": {"b": 1}}


def test_what_is_added_runs(on_digits: Project, tmp_path: Path) -> None:
    shutil.copytree(on_digits.top / "data/prepared/digits/images", tmp_path / "own")
    said = on_digits.stage("add", "dataset=own", f"root={tmp_path / 'own'}").stdout
    promised = set(re.findall(r"^  (\w+@[\w-]+)", said, flags=re.MULTILINE))
    found = on_digits.repro("prepare@own", "extract@raw_pixels-own")
    assert found == {"check", "prepare@own", "extract@raw_pixels-own"} and found - {"check"} <= promised
