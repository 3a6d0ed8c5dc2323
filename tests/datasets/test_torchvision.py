"""Datasets of torchvision: made tiny in their true layout, from a server on this machine or on disk."""

import csv
import gc
import hashlib
import io
import pickle
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from pipeline.datasets.getting.dataset import may_be_missing, ways_to_get
from pipeline.datasets.preparing import prepare
from pipeline.datasets.readers import read_dataset
from pipeline.frame.experiment import Experiment
from pipeline.manifest.manifest import Manifest
from pipeline.preset import provide_images
from pipeline.retrieval.errors import RetrievalError
from tests.conftest import TOP, Project, Web

Draw = Callable[..., Path]
ROOT = "data/raw/torchvision"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RETRIEVAL_RAW", str(tmp_path / "raw"))
    return tmp_path / "raw/torchvision"


def kind(name: str, **arguments: object) -> dict[str, Any]:
    return {"kind": "torchvision", "name": name, "root": ROOT, "arguments": arguments}


def fetch(config: Mapping[str, Any]) -> None:
    for get in ways_to_get("own", config):
        get()


def prepared(config: dict[str, Any], tmp_path: Path) -> Manifest:
    return prepare("own", config, tmp_path / "prepared")[0]


def listed(config: dict[str, Any], tmp_path: Path) -> list[tuple[str, tuple[str, ...]]]:
    return list(read_dataset("own", config, tmp_path).entries)


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def tgz(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def refused(config: dict[str, Any], tmp_path: Path) -> str:
    with pytest.raises(RetrievalError) as caught:
        read_dataset("own", config, tmp_path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def not_fetched(config: dict[str, Any]) -> str:
    with pytest.raises(RetrievalError) as caught:
        fetch(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- a dataset of arrays

CLASSES = ["plane", "car", "bird"]


def batch(labels: list[int], seed: int) -> tuple[np.ndarray, bytes]:
    """Return images as CIFAR-10 keeps them, a row of 32 x 32 reds, as many greens and blues, and a file of them."""
    data = np.random.default_rng(seed).integers(0, 256, (len(labels), 3 * 32 * 32), dtype=np.uint8)
    return data, pickle.dumps({"data": data, "labels": labels})


@pytest.fixture
def cifar(web: Web, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """CIFAR-10 with one batch to train on, of two images, and four to test, whose rows this returns."""
    _, train = batch([0, 1], seed=1)
    rows, test = batch([2, 0, 2, 1], seed=2)
    meta = pickle.dumps({"label_names": CLASSES})
    inside = {"data_batch_1": train, "test_batch": test, "batches.meta": meta}
    web.files["/cifar.tar.gz"] = archive = tgz({f"cifar-10-batches-py/{name}": data for name, data in inside.items()})
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{web.url}/cifar.tar.gz")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive))
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [["data_batch_1", md5(train)]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5(test)]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": md5(meta)})
    return rows


def test_arrays_become_png_files(cifar: np.ndarray, root: Path, tmp_path: Path) -> None:
    config = kind("CIFAR10", train=False)
    fetch(config)
    manifest = prepared(config, tmp_path)
    assert manifest.labels == [("bird",), ("plane",), ("bird",), ("car",)]
    assert manifest.root == Path(f"{ROOT}/CIFAR10-files/train-False")
    for row, item in zip(cifar, manifest.items, strict=True):
        file = root / "CIFAR10-files/train-False" / item.path
        assert file.suffix == ".png" and item.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
        assert np.array_equal(np.asarray(Image.open(file)), row.reshape(3, 32, 32).transpose(1, 2, 0))


def test_arrays_are_fetched_once(cifar: np.ndarray, root: Path, web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(kind("CIFAR10", train=False))
    asked = len(web.requests)
    fetch(kind("CIFAR10", train=False))
    assert "is there already and is left as it is" in capsys.readouterr().out
    fetch(kind("CIFAR10"))  # the archive has both parts
    assert len(web.requests) == asked
    assert sorted(path.name for path in (root / "CIFAR10-files").iterdir()) == ["all", "train-False"]
    assert len(list((root / "CIFAR10-files/all").rglob("*.png"))) == 2


def test_prepare_downloads_nothing(cifar: np.ndarray, root: Path, tmp_path: Path, web: Web) -> None:
    said = refused(kind("CIFAR10", train=False), tmp_path)
    assert said.startswith(f"torchvision's CIFAR10 is not usable in {root} (Dataset not found or corrupted.")
    assert said.endswith("python -m pipeline.fetch dataset=<its name> gets what is missing")
    assert web.requests == []
    datasets.CIFAR10(str(root), download=True)  # by someone else
    assert "holds arrays, and no image files of them are in data/raw/torchvision/CIFAR10-files/train-False" in refused(
        kind("CIFAR10", train=False), tmp_path
    )


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("broken", ["hash", "server"])
def test_a_failed_download_leaves_nothing(
    cifar: np.ndarray, root: Path, web: Web, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken == "hash":
        monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", "0" * 32)
    else:
        web.files.clear()
    said = not_fetched(kind("CIFAR10", train=False))
    assert said.startswith("torchvision could not fetch CIFAR10 (") and f"put its files at {root} as" in said
    assert list(root.iterdir()) == []
    gc.collect()  # torchvision does not close the answer of a server that refuses


def test_damaged_files_in_the_way_are_named(cifar: np.ndarray, root: Path) -> None:
    fetch(kind("CIFAR10", train=False))
    (root / "cifar-10-batches-py/test_batch").write_bytes(b"damaged")
    said = not_fetched(kind("CIFAR10"))
    assert said.startswith(f"torchvision's CIFAR10 is damaged in {root} (")
    assert said.endswith("remove cifar-10-batches-py, cifar-10-python.tar.gz there and run it again")
    assert (root / "cifar-10-batches-py/test_batch").read_bytes() == b"damaged"


def test_damaged_files_are_said(cifar: np.ndarray, root: Path, tmp_path: Path) -> None:
    config = kind("CIFAR10", train=False)
    fetch(config)
    folder = root / "CIFAR10-files/train-False"
    (folder / "images/0000/0000001.png").unlink()
    assert "list.csv:3: images/0000/0000001.png is not there" in refused(config, tmp_path)
    (folder / "origin.json").write_text("{}")
    assert "origin.json is damaged ('asked'): remove the folder and run python -m pipeline.fetch" in refused(
        config, tmp_path
    )


def test_digits_without_names_have_their_numbers(root: Path, tmp_path: Path) -> None:
    """SVHN: pixels as (32, 32, 3, image), labels 1 to 10, where 10 is the digit 0."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 3), dtype=np.uint8)
    root.mkdir(parents=True)
    savemat(root / "test_32x32.mat", {"X": pixels, "y": np.array([[10], [3], [3]], dtype=np.uint8)})
    split = ["", "test_32x32.mat", md5((root / "test_32x32.mat").read_bytes())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.SVHN, "split_list", {"test": split})
        fetch(kind("SVHN", split="test"))
    manifest = prepared(kind("SVHN", split="test"), tmp_path)
    assert manifest.labels == [("0",), ("3",), ("3",)]
    last = np.asarray(Image.open(root / "SVHN-files/split-test" / manifest.items[2].path))
    assert np.array_equal(last, pixels[..., 2])


def test_the_class_minus_one_is_a_distractor(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """STL-10: pixels as (image, 3, column, row), labels from 1; what is unlabelled has the class -1."""
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 3, 96, 96), dtype=np.uint8)
    parts = {"train_X": pixels[:2], "train_y": np.array([2, 1], dtype=np.uint8), "unlabeled_X": pixels[2:]}
    for name, part in parts.items():
        part.tofile(folder / f"{name}.bin")
    (folder / "class_names.txt").write_text("airplane\nbird\n")
    listed_there = [[f"{name}.bin", md5((folder / f"{name}.bin").read_bytes())] for name in parts]
    monkeypatch.setattr(datasets.STL10, "train_list", listed_there)
    monkeypatch.setattr(datasets.STL10, "test_list", [])
    config = kind("STL10", split="train+unlabeled")
    fetch(config)
    listing = read_dataset("own", config, tmp_path)
    assert [labels for _, labels in listing.entries] == [("bird",), ("airplane",), ()]
    assert listing.roles == {2: "gallery"}
    first = np.asarray(Image.open(root / "STL10-files/split-train+unlabeled" / listing.entries[0][0]))
    assert np.array_equal(first, pixels[0].transpose(2, 1, 0))


# --- datasets of files, each in its layout


def pets(root: Path, draw: Draw) -> tuple[dict[str, Any], dict[str, str]]:
    """A list for each split: name, class from 1, species, breed."""
    top = root / "oxford-iiit-pet"
    (top / "annotations").mkdir(parents=True)
    names = ["Abyssinian_201", "great_pyrenees_10", "Abyssinian_202", "great_pyrenees_11"]
    for seed, name in enumerate([*names, "pug_1"]):
        draw(f"{name}.jpg", seed=seed, folder=top / "images")
    lines = [f"{name} {1 + name.startswith('great')} 1 1" for name in names]
    (top / "annotations/test.txt").write_text("\n".join(lines) + "\n")
    labels = ["Abyssinian", "Great Pyrenees", "Abyssinian", "Great Pyrenees"]
    paths = [f"oxford-iiit-pet/images/{name}.jpg" for name in names]
    return kind("OxfordIIITPet", split="test"), dict(zip(paths, labels, strict=True))


def flowers(root: Path, draw: Draw) -> tuple[dict[str, Any], dict[str, str]]:
    """Numbers of images for each split, and the class of every image, from 1, in files of MATLAB."""
    top = root / "flowers-102"
    for number in range(1, 6):
        draw(f"image_{number:05}.jpg", seed=number, folder=top / "jpg")
    savemat(top / "imagelabels.mat", {"labels": np.array([[1, 2, 1, 2, 1]])})
    savemat(top / "setid.mat", {"trnid": [[2]], "valid": [[4]], "tstid": [[1, 3, 5]]})
    expected = {f"flowers-102/jpg/image_{number:05}.jpg": "pink primrose" for number in (1, 3, 5)}
    return kind("Flowers102", split="test"), expected


def eurosat(root: Path, draw: Draw) -> tuple[dict[str, Any], dict[str, str]]:
    """A folder for each class."""
    paths = [f"eurosat/2750/{label}/{label}_{n}.jpg" for label in ("Forest", "River") for n in (1, 2)]
    for seed, path in enumerate(paths):
        draw(path, seed=seed, folder=root)
    return kind("EuroSAT"), {path: path.split("/")[2] for path in paths}


def caltech(root: Path, draw: Draw) -> tuple[dict[str, Any], dict[str, str]]:
    """A folder for each class, whose files the dataset does not list but counts."""
    folder = "caltech101/101_ObjectCategories"
    paths = [f"{folder}/{label}/image_{n:04}.jpg" for label in ("Faces", "ant", "cup") for n in (1, 2)]
    for seed, path in enumerate([*paths, f"{folder}/BACKGROUND_Google/image_0001.jpg"]):
        draw(path, seed=seed, folder=root)
    (root / "caltech101/Annotations").mkdir()
    return kind("Caltech101"), {path: path.split("/")[2] for path in paths}


def signs(root: Path, draw: Draw) -> tuple[dict[str, Any], dict[str, str]]:
    """GTSRB, whose classes have no names: a folder for each number."""
    paths = [f"gtsrb/GTSRB/Training/{label:05}/{n:05}.ppm" for label in (0, 1) for n in (0, 1)]
    for seed, path in enumerate(paths):
        draw(path, seed=seed, folder=root)
    return kind("GTSRB", split="train"), {path: str(int(path.split("/")[3])) for path in paths}


@pytest.mark.parametrize("make", [pets, flowers, eurosat, caltech, signs], ids=lambda make: make.__name__)
def test_files_are_taken_byte_by_byte(
    make: Callable[..., Any], root: Path, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, expected = make(root, draw)
    if make is flowers:
        files = {part: (name, "") for part, (name, _) in datasets.Flowers102._file_dict.items()}
        files = {
            part: (name, md5((root / "flowers-102" / name).read_bytes()) if part != "image" else "")
            for part, (name, _) in files.items()
        }
        monkeypatch.setattr(datasets.Flowers102, "_file_dict", files)
    before = sorted(root.rglob("*"))
    fetch(config)  # there already: nothing to do, no network
    assert sorted(root.rglob("*")) == before
    manifest = prepared(config, tmp_path)
    assert {item.path: item.labels for item in manifest.items} == {path: (label,) for path, label in expected.items()}
    assert manifest.root == Path(ROOT)
    for item in manifest.items:
        assert item.sha256 == hashlib.sha256((root / item.path).read_bytes()).hexdigest()
        assert (item.width, item.height) == (32, 24)


def test_files_are_downloaded(
    web: Web, root: Path, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = draw("one.jpg").read_bytes()
    names = [f"country211/{split}/{country}/1.jpg" for split in ("train", "test") for country in ("FR", "JP")]
    web.files["/country211.tgz"] = tgz(dict.fromkeys(names, image))
    monkeypatch.setattr(datasets.Country211, "_URL", f"{web.url}/country211.tgz")
    monkeypatch.setattr(datasets.Country211, "_MD5", md5(web.files["/country211.tgz"]))
    fetch(kind("Country211", split="test"))
    expected = [("country211/test/FR/1.jpg", ("FR",)), ("country211/test/JP/1.jpg", ("JP",))]
    assert listed(kind("Country211", split="test"), tmp_path) == expected
    assert sorted(path.name for path in root.iterdir()) == ["country211", "country211.tgz"]


def test_what_a_cut_off_extraction_left_is_not_taken_as_whole(
    web: Web, root: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = draw("one.jpg").read_bytes()
    whole = tgz({f"country211/test/FR/{number}.jpg": image + bytes([number]) * 999 for number in range(9)})
    web.files["/country211.tgz"] = whole[: len(whole) // 2]
    monkeypatch.setattr(datasets.Country211, "_URL", f"{web.url}/country211.tgz")
    monkeypatch.setattr(datasets.Country211, "_MD5", md5(whole[: len(whole) // 2]))
    assert "torchvision could not fetch Country211" in not_fetched(kind("Country211", split="test"))
    assert list(root.iterdir()) == []


# --- what is wrong


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (kind("CIFAR11"), "torchvision has no dataset 'CIFAR11': one of .*CIFAR10, CIFAR100"),
        (kind("../../CIFAR10"), "'name' is '../../CIFAR10': expected the name of a class of torchvision.datasets"),
        (kind("wrap_dataset_for_transforms_v2"), "torchvision has no dataset 'wrap_dataset"),
        (kind("CIFAR10", split="test"), "CIFAR10 takes no argument 'split': its arguments are train$"),
        (kind("EuroSAT", download=True), "EuroSAT takes no argument 'download': its arguments are none$"),
        (kind("EMNIST", root="x"), "EMNIST takes no argument 'root': its arguments are split, train"),
        (kind("OxfordIIITPet", split="val"), r"OxfordIIITPet refuses \(Unknown value 'val' for argument split"),
        ({**kind("EuroSAT"), "arguments": ["a"]}, "'arguments' is .*: expected keys and values"),
        ({"kind": "torchvision", "root": ROOT}, "missing key 'name'"),
    ],
)
def test_wrong_settings_are_said(config: dict[str, Any], match: str, root: Path, tmp_path: Path) -> None:
    with pytest.raises(RetrievalError, match=match):
        read_dataset("own", config, tmp_path)
    with pytest.raises(RetrievalError, match=match):
        fetch(config)


def test_what_is_no_class_is_said(root: Path, draw: Draw, tmp_path: Path) -> None:
    config, _ = pets(root, draw)
    two = {**config, "arguments": {"split": "test", "target_types": ["category", "binary-category"]}}
    assert "OxfordIIITPet, item 0: its target (0, 0) is no class: choose one by 'arguments'" in refused(two, tmp_path)
    for number in (201, 202):
        draw(f"Abyssinian_{number}.png", folder=root / "oxford-iiit-pet/annotations/trimaps")
    masks = {**config, "arguments": {"split": "test", "target_types": "segmentation"}}
    assert "item 0, is made of 2 images: this is no dataset of classes" in refused(masks, tmp_path)
    species = {**config, "arguments": {"split": "test", "target_types": "binary-category"}}
    assert "its class is" not in str(listed(species, tmp_path))


def test_a_missing_file_is_named(root: Path, draw: Draw, tmp_path: Path) -> None:
    config, expected = pets(root, draw)
    (root / list(expected)[2]).unlink()
    assert "OxfordIIITPet, item 2, cannot be read" in (said := refused(config, tmp_path))
    assert "Abyssinian_202.jpg" in said


def test_a_class_that_alters_its_files_is_refused(
    root: Path, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, _ = eurosat(root, draw)
    whole = datasets.EuroSAT.__getitem__

    def cropped(self: Any, number: int) -> Any:
        image, target = whole(self, number)
        return image.crop((0, 0, image.width - 1, image.height)), target

    monkeypatch.setattr(datasets.EuroSAT, "__getitem__", cropped)
    assert "item 0, has other pixels than" in refused(config, tmp_path)


def test_an_item_between_is_looked_at_too(
    root: Path, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, expected = eurosat(root, draw)
    whole = datasets.EuroSAT.__getitem__

    def turned(self: Any, number: int) -> Any:
        image, target = whole(self, number)
        return (image.rotate(180), target) if number == 2 else (image, target)

    monkeypatch.setattr(datasets.EuroSAT, "__getitem__", turned)
    assert len(expected) == 4 and "item 2, has other pixels than" in refused(config, tmp_path)


def test_names_that_two_classes_share_are_told_apart(
    root: Path, draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ImageNet has two cranes, the bird and the machine, and its names are tuples."""
    config, expected = eurosat(root, draw)
    start = datasets.EuroSAT.__init__

    def renamed(self: Any, root: str, download: bool = False) -> None:
        start(self, root)
        self.classes = [("crane",), ("crane",)]

    monkeypatch.setattr(datasets.EuroSAT, "__init__", renamed)
    assert [labels for _, labels in listed(config, tmp_path)] == [("crane (0)",)] * 2 + [("crane (1)",)] * 2
    assert len(expected) == 4


def test_a_dataset_that_torchvision_does_not_download(root: Path) -> None:
    said = not_fetched(kind("ImageNet", split="val"))
    assert said.startswith("torchvision does not download ImageNet (The archive ILSVRC2012_devkit_t12.tar.gz")
    assert said.endswith(f": put it at {root}")


def test_presets_ask_for_what_shares_its_root(root: Path) -> None:
    root.mkdir(parents=True)
    assert may_be_missing(kind("CIFAR10"))
    assert not may_be_missing({"kind": "folder", "root": ROOT})
    assert may_be_missing({"kind": "folder", "root": f"{ROOT}/other"})
    assert not may_be_missing({"kind": "digits"})


def test_a_preset_provides_them(root: Path, draw: Draw, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, _ = pets(root, draw)
    (tmp_path / "conf/dataset").mkdir(parents=True)
    (tmp_path / "conf/dataset/pets.yaml").write_text(yaml.safe_dump({**config, "title": "Cats and dogs"}))
    provide_images(Experiment(encoders=("hog",), datasets=("pets",), rankings=(), encoder="hog"), tmp_path / "conf")
    assert capsys.readouterr().out == f"{root} has the 4 images of OxfordIIITPet\n"


@pytest.mark.parametrize("name", ["oxford_pets", "flowers102", "cifar10_test"])
def test_the_yamls_name_what_there_is(name: str, root: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((TOP / f"conf/dataset/{name}.yaml").read_text())
    assert config["root"] == ROOT
    assert "is not usable in" in refused(config, tmp_path)


def test_through_the_whole_graph(on_digits: Project, draw: Draw) -> None:
    config, _ = pets(on_digits.top / ROOT, draw)
    on_digits.edit("conf/dataset/pets.yaml", **config)
    on_digits.edit("params.yaml", datasets=["pets"], encoders=["color_histogram"], encoder="color_histogram")
    assert on_digits.stage("fetch", "dataset=pets").stdout.endswith("has the 4 images of OxfordIIITPet\n")
    assert {"prepare@pets", "evaluate@color_histogram-pets"} <= on_digits.repro("compare")
    # Every ranking is of three others, one of them a positive: AP is 1, 1/2 or 1/3.
    [row] = csv.DictReader((on_digits.top / "metrics/table.csv").read_text().splitlines())
    assert (row["encoder"], row["dataset"]) == ("color_histogram", "pets") and 1 / 3 <= float(row["mAP"]) <= 1
