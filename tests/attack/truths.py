"""Ground truth that others publish: pickles, lists of landmarks, annotations of VOC."""

import pickle
import struct
from pathlib import Path
from random import Random
from typing import Any

from pipeline.datasets.readers import read_dataset
from pipeline.datasets.revisited import read_ground_truth
from tests.attack import mutation
from tests.attack.verdicts import Wrong

TRUTH = {
    "imlist": [f"all_souls_{number:06d}" for number in range(5)],
    "qimlist": ["all_souls_000010", "christ_000011"],
    "gnd": [
        {"bbx": [1.0, 2.0, 30.5, 40.0], "easy": [0, 1], "hard": [2], "junk": [3]},
        {"bbx": [1, 2, 30, 40], "easy": [], "hard": [4], "junk": []},
    ],
}
XML = """<annotation><folder>VOC2012</folder><filename>1.jpg</filename>
<object><name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>
<object><name>dog</name><difficult>1</difficult><bndbox><xmin>1.5</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object>
</annotation>
"""
BOMB = (
    '<!DOCTYPE a [<!ENTITY x "'
    + "x" * 100
    + '">'
    + "".join(f'<!ENTITY {"xyzuvw"[n + 1]} "{("&" + "xyzuvw"[n] + ";") * 50}">' for n in range(5))
    + "]><annotation><object><name>&w;</name></object></annotation>"
)


def opcodes(rng: Random) -> bytes:
    """Return a program for the unpickler, mostly of opcodes that allocate, refer or call."""
    size = rng.choice(mutation.SIZES)
    four, eight = struct.pack("<I", size & 0xFFFFFFFF), struct.pack("<Q", size & (1 << 64) - 1)
    pieces = (
        b"(",
        b")",
        b"]",
        b"}",
        b"N",
        b"0",
        b"2",
        b"\x88",
        b"K\x07",
        b"a",
        b"e",
        b"s",
        b"u",
        b"t",
        b"\x85",
        b"\x86",
        b"r" + four,
        b"j" + four,
        b"q\x01",
        b"h\x01",
        b"p" + str(size).encode() + b"\n",
        b"g1\n",
        b"\x94",
        b"X" + four,
        b"T" + four,
        b"B" + four,
        b"\x8d" + eight,
        b"\x8e" + eight,
        b"\x96" + eight,
        b"\x95" + eight,
        b"\x8a\xff" + bytes(255),
        b"\x8b" + four,
        b"I" + b"9" * rng.choice((1, 100, 6000)) + b"\n",
        b"L99L\n",
        b"F1e999\n",
        b"S'a'\n",
        b"V\\ud800\n",
        b"cos\nsystem\n",
        b"ios\nsystem\n",
        b"R",
        b"o",
        b"b",
        b"\x81",
        b"\x93",
        b"P1\n",
        b"Q",
        b"\x82\x01",
        b"\x83\x01\x00",
        b"\x97",
        b"\x98",
        b"\x8f",
        b"\x90",
        b"\x91",
        b"d",
        b"l",
        b"1",
    )
    return (
        rng.choice((b"", b"\x80\x02", b"\x80\x04", b"\x80\x05"))
        + b"".join(rng.choice(pieces) * rng.choice((1, 1, 1, 2, 40, 4000)) for _ in range(rng.randint(1, 12)))
        + rng.choice((b".", b"", b"."))
    )


def revisited(rng: Random, folder: Path) -> None:
    """Read a pickle of ground truth, or a JSON."""
    kind = rng.randrange(4)
    if kind == 3:
        made = mutation.as_json(mutation.tree(rng, TRUTH))
    elif kind == 0:
        made = opcodes(rng)
    elif kind == 1:
        made = mutation.data(rng, pickle.dumps(TRUTH, rng.randrange(6)))
    else:
        try:
            made = pickle.dumps(mutation.tree(rng, TRUTH), rng.randrange(6))
        except RecursionError:
            made = b"]" * 10000 + b"a" * 9999 + b"."
    path = folder / ("gnd.json" if kind == 3 else "gnd.pkl")
    path.write_bytes(made)
    found = read_ground_truth(path)
    count = len(found.gallery)
    if len(found.queries) != len(found.asked) or len(found.boxes) != len(found.asked):
        raise Wrong("not as many queries as names")
    for query in found.queries:
        if not all(0 <= index < count for index in (*query.easy, *query.hard, *query.junk)):
            raise Wrong(f"an index is none of the {count} images of the gallery")


def write_all(folder: Path, files: dict[str, bytes]) -> None:
    """Write files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def classic(rng: Random, folder: Path) -> None:
    """Read a folder of lists as Oxford 5k and Paris 6k have them."""
    images = {
        f"raw/{name}.jpg": b"" for name in ("all_souls_000001", "all_souls_000002", "christ_000003", "christ_000004")
    }
    lists: dict[str, bytes] = {
        "all_souls_1_query.txt": b"oxc1_all_souls_000001 1.5 2 30 40.25\n",
        "all_souls_1_good.txt": b"all_souls_000001\n",
        "all_souls_1_ok.txt": b"all_souls_000002\n",
        "all_souls_1_junk.txt": b"christ_000003\n",
        "christ_1_query.txt": b"christ_000003 0 0 10 10\n",
        "christ_1_good.txt": b"christ_000004\n",
        "christ_1_ok.txt": b"",
        "christ_1_junk.txt": b"",
    }
    for name in rng.sample(sorted(lists), rng.choice((1, 1, 2))):
        lists[name] = mutation.lines(rng, lists[name].decode(), " ")
    if rng.random() < 0.2:
        lists[rng.choice(("._all_souls_1_query.txt", ".DS_Store", "_query.txt", "a_query.txt"))] = rng.randbytes(8)
    write_all(folder, images)
    write_all(folder / "truth", lists)
    config: dict[str, Any] = {"kind": "classic", "root": str(folder / "raw"), "ground_truth": str(folder / "truth")}
    found = read_dataset("x", config, folder)
    for query in found.queries or ():
        if query.item < 4 or not set(query.easy) <= set(range(4)):
            raise Wrong(f"{query} of four images")


def voc(rng: Random, folder: Path) -> None:
    """Read a year of VOC: its split and its annotations."""
    files = {f"JPEGImages/{number}.jpg": b"" for number in range(3)}
    files |= {f"Annotations/{number}.xml": XML.encode() for number in range(3)}
    files["ImageSets/Main/val.txt"] = b"0\n1\n2\n"
    target = rng.choice(("Annotations/0.xml", "Annotations/1.xml", "ImageSets/Main/val.txt"))
    kind = rng.randrange(10)
    if target.endswith(".txt"):
        files[target] = mutation.lines(rng, "0\n1\n2\n", " ")
    elif kind == 0:
        files[target] = BOMB.encode(rng.choice(("utf-8", "utf-16")))
    elif kind == 1:
        files[target] = b"<a>" * rng.choice((10, 1000, 100_000))
    elif kind == 2:
        files[target] = f"<?xml version='1.0' encoding='{mutation.text(rng)}'?>".encode(errors="replace") + XML.encode()
    elif kind < 6:
        files[target] = mutation.data(rng, XML.encode())
    else:
        parts = XML.split(">")
        for _ in range(rng.choice((1, 2, 4))):
            place = rng.randrange(len(parts))
            parts[place] = rng.choice((mutation.text(rng), "1e999", "nan", "-5", "9" * 400)) + parts[place]
        files[target] = ">".join(parts).encode(errors="surrogatepass")
    write_all(folder, files)
    found = read_dataset(
        "x",
        {
            "kind": "voc",
            "root": str(folder),
            "split": "val" if rng.random() < 0.9 else mutation.text(rng),
            "labels": rng.choice(("all", "largest")),
            "difficult": rng.random() < 0.5,
            "unlabelled": rng.choice(("error", "drop")),
        },
        folder,
    )
    if any(not labels for _, labels in found.entries):
        raise Wrong("an image without a label")
