"""Commands: results of other stages damaged, settings damaged, and whatever may be typed."""

import json
import math
import os
import shutil
import sys
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml

import pipeline.frame.app as app
import pipeline.search.server as server
from tests.attack import mutation
from tests.attack.lists import TABLE, TEXT, picture
from tests.attack.project import command, copied
from tests.attack.verdicts import Escaped, Refused, Wrong

CONF = app.CONF
NAMES = ("encoder=raw_pixels", "dataset=digits")
# What each command reads of the results of others; the command is run after one of these was damaged.
READS = {
    "extract": (NAMES, ("data/prepared/digits/*", "data/weights/raw_pixels/*")),
    "evaluate": (NAMES, ("data/prepared/digits/*.*", "data/rules/*", "features/raw_pixels/digits/*")),
    "pr": (NAMES[1:], ("data/titles/*/*", "metrics/per_query/digits/*")),
    "gallery": (NAMES[1:], ("data/prepared/digits/*.*", "data/titles/*/*", "metrics/per_query/digits/*")),
    "compare": ((), ("data/titles/*/*", "metrics/runs/*/*", "metrics/per_query/digits/*", "metrics/costs/*/*")),
    "headline": ((), ("metrics/runs/*/*", "metrics/per_query/digits/*")),
    "figures": (
        (),
        (
            "data/titles/*/*",
            "metrics/cost.csv",
            "metrics/per_class/*/*",
            "metrics/table.csv",
            "metrics/similarities/*/*",
            "metrics/per_query/*/*",
        ),
    ),
    "thumbnails": (NAMES[1:], ("data/prepared/digits/*.*",)),
    "explore": (
        NAMES[1:],
        (
            "data/prepared/digits/*.*",
            "metrics/per_class/digits/*",
            "metrics/per_query/digits/*",
            "plots/pr/digits.csv",
        ),
    ),
    "page": (
        (),
        (
            "features/*/*/provenance.json",
            "metrics/*.csv",
            "metrics/runs/*/*",
            "metrics/summary.json",
            "plots/report/results/*/*",
        ),
    ),
    "show": ((*NAMES, "query=3"), ("data/prepared/digits/*.*", "metrics/per_query/digits/*")),
    "query": (
        (*NAMES, "image=photo.png"),
        ("data/prepared/digits/*.*", "data/weights/raw_pixels/*", "features/raw_pixels/digits/*", "photo.png"),
    ),
    "export": ((*NAMES,), ("data/prepared/digits/*.*", "metrics/per_query/digits/*")),
    "power": ((*NAMES[1:], "a=raw_pixels", "b=color_histogram"), ("metrics/per_query/digits/*",)),
}


def damaged(rng: Random, path: Path) -> None:
    """Change a file as what it is."""
    content = path.read_bytes()
    kind = rng.randrange(8)
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.write_bytes(mutation.data(rng, content))
    elif path.suffix == ".json":
        path.write_bytes(mutation.as_json(mutation.tree(rng, json.loads(content))))
    elif path.suffix == ".csv":
        path.write_bytes(mutation.lines(rng, content.decode(), ","))
    elif path.suffix == ".npz":
        with np.load(path) as arrays:
            held = dict(arrays)
        for _ in range(rng.choice((1, 1, 2))):
            name = rng.choice(sorted(held))
            held[name] = array_changed(rng, held[name])
            if rng.random() < 0.1:
                del held[name]
        np.savez(path, **held)
    elif path.suffix == ".npy":
        np.save(path, array_changed(rng, np.load(path)))
    else:
        path.write_bytes(mutation.data(rng, content))


def array_changed(rng: Random, array: np.ndarray) -> np.ndarray:
    """Return an array of another shape, type or content."""
    kind = rng.randrange(7)
    if kind == 0:
        return array[..., :-1] if array.ndim and array.shape[-1] else array[None]
    if kind == 1:
        return array[:-1] if array.ndim else array[None]
    if kind == 2:
        return (
            array.astype(rng.choice(("U9", "f2", "f8", "i1", "c8", "?"))) if array.dtype.kind != "U" else np.array("x")
        )
    if kind == 3:
        return array[None]
    if kind == 4:
        return np.array(rng.choice((0, "x", float("nan"), [1, 2])))
    changed = array.copy()
    if changed.size and changed.dtype.kind in "fiu?":
        new = (
            rng.choice((0, 1, 7, 127))
            if changed.dtype.kind != "f"
            else rng.choice((0.0, math.nan, math.inf, -1.0, 2.0, 1e30))
        )
        changed.reshape(-1)[rng.randrange(changed.size)] = new
    return changed


def results(rng: Random, folder: Path) -> None:
    """Damage what one stage wrote, and run another that reads it."""
    copied(folder)
    (folder / "photo.png").write_bytes(picture())
    name = rng.choice(sorted(READS))
    overrides, patterns = READS[name]
    paths = sorted(path for path in folder.glob(rng.choice(patterns)) if path.is_file())
    if not paths:
        raise Wrong(f"{name} reads nothing of {patterns}")
    damaged(rng, rng.choice(paths))
    command(name, *overrides)


def in_range(folder: Path) -> None:
    """Raise ``Wrong`` if a metric of a run is not in [0, 1]."""
    for path in folder.glob("metrics/runs/*/*.json"):
        found = json.loads(path.read_text())
        if not 0 <= found["mAP"] <= 1:
            raise Wrong(f"{path.name}: mAP {found['mAP']}")


@cache
def own_conf() -> Path:
    """Return a copy of ``conf`` that cases may change, and that all commands read."""
    copy = Path.cwd().parent / "conf"
    shutil.copytree(CONF, copy, dirs_exist_ok=True)
    app.CONF = server.CONF = copy
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith("pipeline.") and getattr(module, "CONF", None) == CONF:
            module.CONF = copy  # type: ignore[attr-defined]
    return copy


TOUCHED = {
    "add": (("dataset=own", "root=data/prepared/digits/images"), ("add.yaml",)),
    "prepare": (NAMES[1:], ("prepare.yaml", "base.yaml", "dataset/digits.yaml")),
    "weights": (NAMES[:1], ("weights.yaml", "encoder/raw_pixels.yaml", "runtime/default.yaml")),
    "recipe": (("ranking=k_reciprocal",), ("recipe.yaml", "ranking/k_reciprocal.yaml")),
    "extract": (NAMES, ("extract.yaml", "runtime/default.yaml")),
    "evaluate": (NAMES, ("evaluate.yaml", "ranking/similarity.yaml")),
    "approximate": ((*NAMES, "search=ivf_pq"), ("approximate.yaml", "search/ivf_pq.yaml")),
    "pr": (NAMES[1:], ("pr.yaml", "style/default.yaml")),
    "gallery": (NAMES[1:], ("gallery.yaml", "sheet/default.yaml")),
    "compare": ((), ("compare.yaml",)),
    "headline": ((), ("headline.yaml",)),
    "figures": ((), ("figures.yaml", "style/default.yaml")),
    "thumbnails": (NAMES[1:], ("thumbnails.yaml",)),
    "explore": (NAMES[1:], ("explore.yaml",)),
    "page": ((), ("page.yaml", "style/default.yaml")),
    "show": ((*NAMES, "query=3"), ("show.yaml", "sheet/default.yaml")),
    "query": ((*NAMES, "image=photo.png"), ("query.yaml", "encoder/raw_pixels.yaml")),
    "export": (NAMES, ("export.yaml",)),
    "fetch": (("dataset=digits",), ("fetch.yaml", "dataset/digits.yaml")),
    "check": ((), ("check.yaml",)),
    "verify": ((), ("verify.yaml",)),
    "power": ((*NAMES[1:], "a=raw_pixels", "b=color_histogram"), ("power.yaml",)),
}


def conf(rng: Random, folder: Path) -> None:
    """Change one YAML, and run a command that reads it."""
    top = own_conf()
    copied(folder)
    (folder / "photo.png").write_bytes(picture())
    name = rng.choice(sorted(TOUCHED))
    overrides, files = TOUCHED[name]
    path = top / rng.choice(files)
    if rng.random() < 0.25:
        path = folder / "params.yaml"
        name, overrides = rng.choice((("compare", ()), ("headline", ()), ("figures", ()), ("page", ()), ("check", ())))
    completed(name, folder)
    before = path.read_bytes()
    try:
        path.write_bytes(yaml_changed(rng, before))
        tried(name, *overrides)
    finally:
        if path.is_relative_to(top):
            path.write_bytes(before)


def yaml_changed(rng: Random, given: bytes) -> bytes:
    """Return a YAML, changed as a text or as what it holds."""
    kind = rng.randrange(10)
    if kind < 4:
        return mutation.as_json(mutation.tree(rng, yaml.safe_load(given)))  # JSON is YAML
    if kind < 6:
        return mutation.lines(rng, given.decode(), ": ")
    if kind == 6:
        return given + rng.choice(
            (
                b"a: &a [*a]\n",
                b"? [a]\n: b\n",
                b"\t- x\n",
                b"seed: 1\nseed: 2\n",
                b"x: !!python/object:os.system {}\n",
                b"<<: {a: 1}\n",
                b"a: &a [x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c]\n",
                b"%YAML 9.9\n---\n",
                b"---\n---\n",
                b"x: ${x}\n",
                b"x: ${nothing:1}\n",
                b"x: ${oc.env:NOTHING}\n",
                b"hydra: {run: {dir: /x}}\n",
                b"defaults: [{x: y}]\n",
                b"x: " + b"[" * 3000,
                b"x: '",
                b"x: 2024-01-01\n",
                b"x: 1e1000\n",
                b"x: 0b1\n",
                b"1: 2\n",
                b"null: x\n",
                b"size: 3\n",
            )
        )
    return mutation.data(rng, given)


def completed(name: str, folder: Path) -> None:
    """Put into an experiment what some commands look for beside results."""
    if name in ("check", "verify"):
        (folder / "pipeline").mkdir()
    if name == "add":
        shutil.copy(CONF.parent / "dvc.yaml", folder)


def tried(name: str, *overrides: str) -> None:
    """Run a command that may be told to write anywhere, and is stopped where that is not the case's folder."""
    try:
        command(name, *overrides)
    except Escaped as escaped:
        if str(escaped).startswith("shutil.rmtree"):
            raise
        raise Refused("stopped: it was told to write elsewhere") from None


@cache
def keys(name: str) -> list[str]:
    """Return the settings of a command, dots between their levels."""
    found: list[str] = []

    def walk(prefix: str, node: Any) -> None:
        if isinstance(node, dict):
            for key, inner in node.items():
                walk(f"{prefix}{key}.", inner)
        else:
            found.append(prefix.rstrip("."))

    content = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    walk("", {key: inner for key, inner in content.items() if key not in ("defaults", "hydra")})
    return [*found, "encoder", "dataset", "ranking", "runtime", "style", "sheet"]


def overrides(rng: Random, folder: Path) -> None:
    """Type anything."""
    copied(folder)
    (folder / "photo.png").write_bytes(picture())
    rows = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    np.save(folder / "rows.npy", rows)
    np.save(folder / "four.npy", rows[:4])
    (folder / "list.txt").write_text(TEXT)
    (folder / "list.csv").write_text(TABLE)
    name = rng.choice((*sorted(TOUCHED), "score", "score", "score", "score"))
    given = (
        list(TOUCHED[name][0])
        if name in TOUCHED
        else rng.choice(
            (
                ["features=rows.npy", "labels=list.csv"],
                ["features=four.npy", "labels=list.txt"],
                ["features=rows.npy", "labels=list.csv", "out=o.json"],
            )
        )
    )
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        kind = rng.randrange(12)
        if kind == 0 and given:
            given.remove(rng.choice(given))
        elif kind == 1:
            given.append(mutation.text(rng))
        elif kind == 2:
            given.append(f"{mutation.text(rng)}={mutation.text(rng)}")
        elif kind == 3 and given:
            place = rng.randrange(len(given))
            given[place] = mutation.altered(rng, given[place])
        else:
            sign = rng.choice(("", "", "", "", "", "+", "++", "~"))
            new = rng.choice(
                (
                    mutation.text(rng),
                    str(mutation.number(rng)),
                    json.dumps(mutation.value(rng))[:500],
                    "null",
                    "true",
                    "[1,2]",
                    "{a: 1}",
                )
            )
            given.append(f"{sign}{rng.choice(keys(name))}={new}")
    completed(name, folder)
    given = [one.replace("\0", "") for one in given]  # no argument has one
    try:
        given = [os.fsdecode(one.encode(errors="surrogatepass")) for one in given]
    except UnicodeError:
        return
    tried(name, *given)
    in_range(folder)
