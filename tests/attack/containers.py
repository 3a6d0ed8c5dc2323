"""Archives, checkpoints and features: what others packed."""

import gzip
import io
import json
import struct
import tarfile
import warnings
import zipfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from pipeline.datasets.parcels import fetch as fetch_parcel
from pipeline.datasets.parcels import read_parcels
from pipeline.extraction.features import read_features
from pipeline.extraction.scratch import Scratch
from pipeline.frame.files import sha256_of
from pipeline.results.per_query import read_results
from pipeline.retrieval.reading.matrices import read_matrix
from tests.attack import mutation
from tests.attack.verdicts import Wrong

TAR_TYPES = (b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"g", b"x", b"L", b"K", b"S", b"Z", b"\0")
NAMES = ("../x", "/tmp/x", "a/../../x", "..", ".", "", "a\\..\\x", "C:x", "a\0b", "a\nb", "é", "a" * 300, "a/b", "a/b/")


def zipped(rng: Random) -> bytes:
    """Return a zip, maybe with odd members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that come twice
        for number in range(rng.randint(1, 4)):
            info = zipfile.ZipInfo(
                f"images/{number}.png" if rng.random() < 0.7 else rng.choice((*NAMES, mutation.text(rng)))
            )
            info.compress_type = rng.choice(
                (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
            )
            if rng.random() < 0.2:
                info.external_attr = rng.choice((0o120777, 0o020666, 0o060666, 0o010666, 0o140777, 0o040755, 0)) << 16
            try:
                file.writestr(info, rng.choice((b"", b"a" * 1000, bytes(3 << 20), rng.randbytes(50))))
            except (UnicodeEncodeError, struct.error, ValueError):
                continue  # zipfile would not write it
    return buffer.getvalue()


def tarred(rng: Random) -> bytes:
    """Return a tar, maybe with odd members."""
    buffer = io.BytesIO()
    with tarfile.open(
        fileobj=buffer, mode="w", format=rng.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    ) as file:
        for number in range(rng.randint(1, 4)):
            info = tarfile.TarInfo(
                f"images/{number}.png" if rng.random() < 0.7 else rng.choice((*NAMES, mutation.text(rng)))
            )
            content = rng.choice((b"", b"a" * 1000, rng.randbytes(50)))
            info.size = len(content)
            if rng.random() < 0.3:
                info.type, info.linkname = rng.choice(TAR_TYPES), rng.choice(NAMES)
            if rng.random() < 0.1:
                info.pax_headers = {
                    rng.choice(("size", "path", "mtime", "hdrcharset", "GNU.sparse.map", "x")): mutation.text(rng)
                }
            try:
                file.addfile(info, io.BytesIO(content))
            except (UnicodeError, ValueError, OverflowError):
                continue  # tarfile would not write it
    return buffer.getvalue()


def summed(rng: Random, tar: bytes) -> bytes:
    """Return a tar of which a header was changed and has the right checksum again."""
    place = 512 * rng.randrange(max(1, len(tar) // 512))
    header = bytearray(tar[place : place + 512])
    if len(header) < 512:
        return tar
    field, width = rng.choice(
        ((0, 100), (100, 8), (108, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155))
    )
    new = rng.choice(
        (b"\xff" * width, b"7" * width, b"-1", rng.randbytes(width), b"\x80" + b"\xff" * (width - 1), bytes(width))
    )
    header[field : field + width] = new[:width].ljust(width, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return tar[:place] + bytes(header) + tar[place + 512 :]


def archives(rng: Random, folder: Path) -> None:
    """Make a dataset's folder from an archive that is there already, as ``pipeline.fetch`` does."""
    kind = rng.choice((".zip", ".tar", ".tar.gz"))
    made = zipped(rng) if kind == ".zip" else tarred(rng)
    if kind != ".zip" and rng.random() < 0.5:
        made = summed(rng, made)
    elif rng.random() < 0.7:
        made = mutation.data(rng, made)
    if kind == ".tar.gz":
        made = gzip.compress(made)
        made = mutation.data(rng, made) if rng.random() < 0.3 else made
    downloads = folder / "data" / "raw" / "downloads"
    downloads.mkdir(parents=True)
    (downloads / f"x{kind}").write_bytes(made)
    file = {"url": f"http://127.0.0.1/x{kind}", "unverified": True}
    most = rng.choice((0.001, 0.01))
    parcels = read_parcels("x", {"fetch": {"into": "data/raw/x", "files": [file], "max_gigabytes": most}})
    target = folder / "data" / "raw" / "x"
    try:
        fetch_parcel(parcels[0])
    except Exception:
        if target.exists():
            raise Wrong("refused, and the folder is there") from None
        raise
    found = [path for path in target.rglob("*") if not path.is_dir()]
    if any(path.is_symlink() or not path.is_file() or path.stat().st_nlink > 1 for path in found):
        raise Wrong("a link or a device came out")
    if sum(path.stat().st_size for path in found) > most * 1e9:
        raise Wrong("more bytes came out than allowed")


@cache
def checkpoint_seeds() -> dict[str, bytes]:
    """Return small valid checkpoints by the ends of their names."""
    import torch
    from safetensors.torch import save

    tensors = {
        "a.weight": torch.arange(6.0).reshape(2, 3),
        "b": torch.ones(2, dtype=torch.bfloat16),
        "n": torch.tensor(3),
    }
    made = {".safetensors": save(tensors)}
    for name, content in (
        (".pth", tensors),
        ("entry.pth", {"state_dict": tensors, "epoch": 3}),
        ("list.pth", [tensors]),
        ("keys.pth", {1: torch.ones(1), "a": torch.ones(1)}),
        ("none.pth", {None: torch.ones(1), (1, 2): torch.ones(1)}),
        ("view.pth", {"a": torch.ones(9)[2:5], "b": torch.ones(3, 3).t()}),
        ("sparse.pth", {"a": torch.eye(3).to_sparse()}),
        ("object.pth", {"a": torch.nn.Linear(1, 1)}),
        ("empty.pth", {}),
        ("meta.pth", {"a": torch.ones(2, device="meta")}),
    ):
        for legacy in (False, True):
            buffer = io.BytesIO()
            torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
            made[("legacy" if legacy else "") + name] = buffer.getvalue()
    return made


def header_changed(rng: Random, given: bytes) -> bytes:
    """Return safetensors whose header was changed and has the right length again."""
    length = int.from_bytes(given[:8], "little")
    header = mutation.as_json(mutation.tree(rng, json.loads(given[8 : 8 + length])))
    return (
        (len(header) + (rng.choice((0, 0, 0, 1, -1)))).to_bytes(8, "little", signed=True) + header + given[8 + length :]
    )


def rezipped(rng: Random, given: bytes) -> bytes:
    """Return a checkpoint whose pickle was changed, in a sound zip."""
    from tests.attack.truths import opcodes

    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(given)) as old, zipfile.ZipFile(buffer, "w") as new:
        for info in old.infolist():
            content = old.read(info)
            if info.filename.endswith("data.pkl"):
                content = opcodes(rng) if rng.random() < 0.3 else mutation.data(rng, content)
            elif rng.random() < 0.1:
                content = mutation.data(rng, content)
            new.writestr(info.filename, content)
    return buffer.getvalue()


def checkpoints(rng: Random, folder: Path) -> None:
    """Write the weights of an encoder from a file or a folder of one's own."""
    from pipeline.checkpoints.providing import fetch, write_weights

    seeds = checkpoint_seeds()
    name = rng.choice(sorted(seeds))
    given = seeds[name]
    kind = rng.randrange(6)
    if kind == 0 and name == ".safetensors":
        given = header_changed(rng, given)
    elif kind < 3 and given[:2] == b"PK":
        given = rezipped(rng, given)
    elif kind == 3 and rng.random() < 0.3:
        given = rng.choice(
            (
                b"",
                b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
                b"<!DOCTYPE html><html></html>",
                b"{}",
                b"\x80\x02.",
                b"PK\x05\x06" + bytes(18),
                bytes(8) + b"{",
                b"\xff" * 8 + b"{",
                (1 << 40).to_bytes(8, "little") + b"{",
            )
        )
    elif kind < 5:
        given = mutation.data(rng, given, list(seeds.values()))
    source = folder / "own"
    source.mkdir()
    file = "model" + (".safetensors" if name == ".safetensors" else ".pth")
    weights: dict[str, Any] = {"kind": "checkpoint", "sha256": "unverified", "path": str(source / file)}
    config: dict[str, Any] = {"source": "torchvision", "name": "resnet18", "weights": weights}
    if rng.random() < 0.3:
        weights["entry"] = rng.choice(("state_dict", "a", "", "x"))
    if rng.random() < 0.2:
        weights["rename"] = [[rng.choice(("a", "(", ".*", "^", "")), rng.choice(("b", "\\1", "\\9", ""))]]
    (source / file).write_bytes(given)
    if rng.random() < 0.25:  # a folder as Hugging Face's save_pretrained writes it
        config = {"source": "huggingface", "weights": weights}
        weights["path"] = str(source)
        index: Any = {"metadata": {"total_size": 1}, "weight_map": {"a.weight": file, "b": file}}
        (source / "model.safetensors.index.json").write_bytes(mutation.as_json(mutation.tree(rng, index)))
        (source / "config.json").write_bytes(mutation.as_json(mutation.tree(rng, {"model_type": "resnet"})))
        (source / "preprocessor_config.json").write_bytes(b"{}")
    target = folder / "weights" / "x"
    try:
        write_weights("x", config, fetch("x", config, folder / "store", None), target, code={})
    except Exception:
        if target.exists():
            raise Wrong("refused, and the folder is there") from None
        raise
    origin = json.loads((target / "origin.json").read_text())
    for file, described in origin["files"].items():
        if sha256_of(target / file) != described["sha256"]:
            raise Wrong(f"{file} is not what origin.json says")


def saved(array: np.ndarray) -> bytes:
    """Return an array as a ``.npy``."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=array.dtype.hasobject)
    return buffer.getvalue()


@cache
def feature_seeds() -> list[bytes]:
    """Return valid arrays."""
    rows = np.random.default_rng(0).normal(size=(4, 3))
    made = [saved(rows.astype(kind)) for kind in ("f2", "f4", "f8", ">f4", "c8", "i4", "V2", "g", "O", "U3", "M8[s]")]
    made += [saved(np.asfortranarray(rows)), saved(rows[0]), saved(rows[None]), saved(rows[:0]), saved(rows[:, :0])]
    buffer = io.BytesIO()
    np.savez(buffer, rows)
    return [*made, buffer.getvalue(), saved(np.zeros(3, [("a", "f4"), ("b", "f4")])), saved(np.float64(3))]


def described_otherwise(rng: Random, given: bytes) -> bytes:
    """Return a ``.npy`` with another header of the right length."""
    size = rng.choice(mutation.SIZES)
    shape = rng.choice(
        (
            "(4, 3)",
            f"({size}, 3)",
            "(-1, 3)",
            f"(4, {size})",
            f"({size}, {size})",
            "(4.0, 3)",
            "4",
            "(True, 3)",
            "()",
            "(4, 3, 1)",
            "(0, 3)",
            f"(0, {size})",
        )
    )
    kind = rng.choice(
        (
            "'<f4'",
            "'<f8'",
            "'|O'",
            "'<f3'",
            "'<f16'",
            "'|V2'",
            "'<U9'",
            f"'|S{size}'",
            f"'|V{size}'",
            "[('a', '<f4')]",
            "''",
            "None",
            "'<f4' * 9",
            "'f'",
            "'<c16'",
            "'<m8[s]'",
        )
    )
    header = f"{{'descr': {kind}, 'fortran_order': {rng.choice(('False', 'True', '3', 'None'))}, 'shape': {shape}, }}"
    if rng.random() < 0.1:
        header = rng.choice(
            ("(" * 200, "{" * 5000, "9" * 9000, "[" * 90 + "]" * 90, "", "x", "-" * 5000 + "1", "{'a': 1j}")
        )
    body = header.encode() + b"\n"
    if rng.random() < 0.7:
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(body)) + body + given[80:]
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(body)) + body + given[80:]


def features(rng: Random, folder: Path) -> None:
    """Read features, parts of an extraction, and the results of queries."""
    given = rng.choice(feature_seeds())
    made = described_otherwise(rng, given) if rng.random() < 0.4 else mutation.data(rng, given, feature_seeds())
    kind = rng.randrange(4)
    if kind == 0:
        path = folder / "features.npy"
        path.write_bytes(made)
        matrix, _ = read_matrix(path)
    elif kind == 1:
        (folder / "x").mkdir()
        (folder / "x" / "features.npy").write_bytes(made if rng.random() < 0.5 else feature_seeds()[1])
        provenance = {"manifest_sha256": "0", "encoder": "hog", "weights": {"kind": "none"}}
        (folder / "x" / "provenance.json").write_bytes(mutation.as_json(mutation.tree(rng, provenance)))
        matrix, found = read_features(folder / "x")
        if not isinstance(found, dict):
            raise Wrong(f"a provenance that is {type(found).__name__}")
    elif kind == 2:
        scratch = Scratch(folder / "x", "key")
        rows = np.ones((4, 3), np.float32)
        scratch.write(0, rows, seconds=1.0)
        if rng.random() < 0.5:
            scratch.path(0).write_bytes(mutation.data(rng, scratch.path(0).read_bytes()))
        said = scratch.path(0).with_suffix(".json")
        said.write_bytes(mutation.as_json(mutation.tree(rng, json.loads(said.read_text()))))
        part = scratch.read(0, rows=4, dim=3)
        if part is not None and not (np.array_equal(part[0], rows) and isinstance(part[1], float)):
            raise Wrong("a part that is not the one written")
        return
    else:
        buffer = io.BytesIO()
        np.savez(buffer, AP=np.ones(3), queries=np.arange(3))
        path = folder / "x" / "hog.npz"
        path.parent.mkdir()
        content = mutation.data(rng, buffer.getvalue(), feature_seeds())
        path.write_bytes(content)
        results = read_results(path, "queries", "AP")
        if sorted(results) != ["AP", "queries"]:
            raise Wrong(f"{sorted(results)}")
        return
    if matrix.ndim != 2 or matrix.dtype.kind != "f" or matrix.dtype.itemsize > 8:
        raise Wrong(f"a matrix that is {matrix.dtype} {matrix.shape}")
