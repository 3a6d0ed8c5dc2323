"""Lists, manifests, and names that file systems allow."""

import csv
import hashlib
import json
import os
import posixpath
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from pipeline.datasets.preparing import prepare
from pipeline.datasets.readers import read_dataset
from pipeline.manifest.items import COLUMNS, WITH_TEXT, Item, row_of
from pipeline.manifest.labels import read_labels
from pipeline.manifest.manifest import Manifest, read_manifest, write_manifest
from pipeline.manifest.parquet import schema_of
from pipeline.manifest.protocols import protocols_of
from pipeline.retrieval.queries import Query
from tests.attack import mutation
from tests.attack.verdicts import Wrong

TEXT = "images/a/1.png\ta\nimages/a/2.png\ta\nimages/b/3.png\tb\nimages/b/4.png\tb\n"
TABLE = (
    "path,labels,role,group\nimages/a/1.png,a,both,\nimages/a/2.png,a|b,query,g\nimages/b/3.png,b,gallery,g\n"
    'images/b/4.png,,gallery,\nimages/b/5.png,"b\\|c",both,h\n'
)
PATHS = ("images/a/1.png", "images/a/2.png", "images/b/3.png", "images/b/4.png", "images/b/5.png")


def lists(rng: Random, folder: Path) -> None:
    """Read a list by itself, and as a dataset's list of images that are there."""
    name, given, separator = rng.choice((("list.txt", TEXT, "\t"), ("list.csv", TABLE, ",")))
    path = folder / name
    made = twins(rng, given, separator)
    path.write_bytes(mutation.lines(rng, made, separator) if made == given or rng.random() < 0.2 else made.encode())
    if rng.random() < 0.5:
        found = read_labels(path, alone=rng.random() < 0.5)
        if not len(found.names) == len(found.labels) == len(found.lines):
            raise Wrong(f"{len(found.names)} names, {len(found.labels)} labels, {len(found.lines)} lines")
        refuse_merged(path, found.labels, found.lines)
        return
    for image in PATHS:
        place = folder / image
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    listing = read_dataset("x", {"kind": "list", "root": str(folder), "list": name}, folder)
    files = [os.path.realpath(folder / entry) for entry, _ in listing.entries]
    if len(set(files)) < len(files):
        raise Wrong(f"a file is in the dataset twice: {[entry for entry, _ in listing.entries]}")
    for entry, _ in listing.entries:
        if posixpath.normpath(entry) != entry:
            raise Wrong(f"another spelling of a path is kept: {entry!r}")


def twins(rng: Random, given: str, separator: str) -> str:
    """Return a list, maybe with lines that differ from others by what is easily overlooked."""
    made = given
    if rng.random() < 0.3:
        row = rng.choice(given.split("\n")[1:3])
        name, rest = row.split(separator, 1)
        spelling = rng.choice(
            (f"./{name}", name.replace("/", "//", 1), name.replace("a/", "a/./"), f"{name}/", f" {name}")
        )
        made += f"{spelling}{separator}{rest}\n"
    if rng.random() < 0.3:
        label = rng.choice(("a\\", "\\a", "a\\|", "a\\\\", "\\\\a", "a\u200b", "e\u0301", "\u00e9", "a|", "|a", "a||b"))
        row = rng.choice(given.split("\n")[1:3])
        extra = row.count(separator) - 1
        made += (
            f"images/b/5.png{separator}{label}{(separator * extra)}\n"
            if extra
            else f"images/b/5.png{separator}{label}\n"
        )
    return made


def refuse_merged(path: Path, labels: object, lines: object) -> None:
    """Raise ``Wrong`` if fields that differ in more than white space around them were read as the same labels."""
    if path.suffix != ".csv":
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        fields = dict(map(lambda row: (reader.line_num, row["labels"] or ""), reader))
    known: dict[object, str] = {}
    for label, line in zip(labels, lines, strict=True):  # type: ignore[call-overload]
        field = "|".join(part.strip() for part in fields[line].strip().split("|"))
        if known.setdefault(label, field) != field:
            raise Wrong(f"the labels {known[label]!r} and {field!r} became one")


@cache
def known_manifest(queries: bool) -> Manifest:
    """Return a small manifest."""
    digest = hashlib.sha256(b"").hexdigest()
    items = [
        Item("a/1.png", ("a",), 16, 12, digest),
        Item("a/2.png", ("a", "b|c"), 16, 12, digest, box=(0.0, 1.0, 15.5, 12.0)),
        Item("b/3.png", ("b|c",), 16, 12, digest, role="query", group="g"),
        Item("b/4.png", (), 16, 12, digest, role="gallery"),
        Item("b/5.png", ("b|c", "\\"), 16, 12, digest, group="g", root=Path("elsewhere")),
    ]
    manifest = Manifest("x", Path("data/raw/x"), tuple(items))
    if not queries:
        return manifest
    return replace(manifest, queries=(Query(3, (0,), (1,), (2,)), Query(4, (0, 1), (), ())))


def manifests(rng: Random, folder: Path) -> None:
    """Read a manifest of which one file was changed, and what is judged by it."""
    given = known_manifest(rng.random() < 0.4)
    directory = folder / "x"
    directory.mkdir()
    write_manifest(given, directory)
    names = rng.choice((COLUMNS, WITH_TEXT))
    values = dict(zip(names, map(list, zip(*map(row_of, given.items), strict=True)), strict=False))
    if rng.random() < 0.4:
        parquet.write_table(pa.table(values, schema=schema_of(names)), directory / "manifest.parquet")
        (directory / "manifest.csv").unlink()
    path = rng.choice(sorted(directory.iterdir()))
    if path.suffix == ".json":
        made = mutation.as_json(mutation.tree(rng, json.loads(path.read_text())))
        path.write_bytes(mutation.data(rng, made) if rng.random() < 0.1 else made)
    elif path.suffix == ".csv":
        path.write_bytes(mutation.lines(rng, path.read_text(), ","))
    elif rng.random() < 0.5:
        path.write_bytes(mutation.data(rng, path.read_bytes()))
    else:
        mutated = mutation.tree(rng, values)
        if not isinstance(mutated, dict):
            return
        try:
            parquet.write_table(pa.table(mutated), path)
        except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError, RecursionError):
            return  # not even a table
    found = read_manifest(directory)
    shown = (list(found.items), found.paths, found.contents, found.labels)
    protocols_of(found, difficulty="medium")
    again = folder / "again"
    again.mkdir()
    write_manifest(found, again)
    kept = read_manifest(again)
    if shown != (list(kept.items), kept.paths, kept.contents, kept.labels) or found.queries != kept.queries:
        raise Wrong("the manifest does not read back as it was read")


@cache
def picture() -> bytes:
    """Return a small image."""
    import io

    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (200, 10, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def file_name(rng: Random) -> bytes:
    """Return a name that Linux takes."""
    made = rng.randbytes(rng.randint(1, 8)) if rng.random() < 0.2 else mutation.text(rng).encode(errors="surrogatepass")
    return (made.replace(b"/", b"").replace(b"\0", b"") or b"x")[:200]


def names(rng: Random, folder: Path) -> None:
    """Prepare a folder of images with any names, and read the manifest back."""
    root = os.fsencode(folder / "raw")
    meant = set()
    for label in [file_name(rng) for _ in range(2)] + [b"plain"]:
        inner = os.path.join(root, label)
        os.makedirs(inner, exist_ok=True)
        for number in range(2):
            name = (file_name(rng) if rng.random() < 0.3 else str(number).encode()) + b".png"
            with open(os.path.join(inner, name), "wb") as file:
                file.write(picture() + bytes([number]))
            meant.add((os.fsdecode(label), os.fsdecode(os.path.join(label, name))))
    target = folder / "prepared" / "x"
    prepare("x", {"kind": "folder", "root": str(folder / "raw")}, target)
    found = read_manifest(target)
    visible = {(label, path) for label, path in meant if not any(part.startswith(".") for part in path.split("/"))}
    if {(item.labels[0], item.path) for item in found.items} != visible:
        raise Wrong(f"{sorted(visible)} became {sorted((item.labels[0], item.path) for item in found.items)}")
