"""Contact sheets: which queries, what is on them, names that come from outside; and the commands that make them."""

import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline.encoders.building import build_encoder
from pipeline.extraction.features import read_features
from pipeline.extraction.runtime import Runtime
from pipeline.frame.files import replacing_file
from pipeline.gallery import draw_all
from pipeline.manifest.images import decode_rgb
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.results.retrievals import Retrieval, read_retrievals
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call
from pipeline.search.searching import encode, search
from pipeline.show import find
from pipeline.views.gallery import MOST_CLASSES, Choice, Which, in_order
from pipeline.views.sheet import Cell, SheetStyle, caption_of, draw_sheet, row_of
from pipeline.views.style import plain_text, save_png
from tests.conftest import Project

STYLE = SheetStyle(1.0, 60, 15, {"query": "#000000", "hit": "#0072B2", "miss": "#D55E00", "found": "#555555"})
NASTY = ["<script>alert(1)</script>", "a/../../b", "😀 emoji", "x" * 300, "$\\frac{1", "line\nbreak\x07", "_hidden"]


def killed_while_drawing(encoder: str, *, out: Path) -> None:
    with replacing_file(out / f"{encoder}_best.png") as partial:
        partial.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_is_killed_leaves_nothing_half_written(tmp_path: Path) -> None:
    with pytest.raises(BrokenExecutor):
        draw_all(partial(killed_while_drawing, out=tmp_path), ["a", "b"], tmp_path)
    assert not list(tmp_path.iterdir())


def retrieval(query: int, ap: float, top: int = 2) -> Retrieval:
    return Retrieval(query, ap, np.arange(top), np.linspace(1, 0, top), np.arange(top) % 2 == 0)


def test_best_and_worst_break_ties_by_index() -> None:
    found = [retrieval(0, 0.5), retrieval(1, 0.9), retrieval(2, 0.5), retrieval(3, 0.1), retrieval(4, 0.9)]
    assert [one.query for one in in_order(found, "best")] == [1, 4, 0, 2, 3]
    assert [one.query for one in in_order(found, "worst")] == [3, 0, 2, 1, 4]


APS = [0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize(
    ("labels", "choose", "count", "which", "expected", "words"),
    [
        # Those of c and of b come before the second one of a, which is worse than that of b.
        ("aacab", "best_and_worst", 3, "worst", [0, 2, 4], "the 3 worst queries by AP, of different classes"),
        ("aacab", "best_and_worst", 4, "worst", [0, 1, 2, 4], "the 4 worst queries by AP"),
        ("aaaaa", "best_and_worst", 2, "best", [4, 3], "the 2 best queries by AP"),
        ("aacab", "best_and_worst", 9, "best", [4, 3, 2, 1, 0], "the 5 best queries by AP"),
        (["", "", "", "", ""], "best_and_worst", 2, "worst", [0, 1], "the 2 worst queries by AP"),
        (["", "", "", "", ""], "per_class", 2, "worst", [0, 1], "the 2 worst queries by AP"),
        ("aacab", "per_class", 1, "worst", [0, 2, 4], "the worst query of each class by AP"),
        ("aacab", "per_class", 1, "best", [4, 3, 2], "the best query of each class by AP"),
        # The last is the best of both its labels, and stands once.
        (["a", "b", "c", "b", "ab"], "per_class", 1, "best", [4, 2], "the best query of each class by AP"),
        # While there are others, no two share one of several labels.
        (["a", "ab", "b", "c", "c"], "best_and_worst", 2, "worst", [0, 2], "the 2 worst queries by AP, of "),
        (["ab", "b", "a", "c", "c"], "best_and_worst", 2, "worst", [0, 3], "the 2 worst queries by AP, of "),
    ],
)
def test_which_queries_are_shown(
    labels: str | list[str], choose: Any, count: int, which: Which, expected: list[int], words: str
) -> None:
    found = [retrieval(number, ap) for number, ap in enumerate(APS)]
    chosen, said = Choice(choose, count, None).of(found, [tuple(some) for some in labels], which)
    assert [one.query for one in chosen] == expected and said.startswith(words)


WORST = "the worst query of each class by AP"


@pytest.mark.parametrize(
    ("aps", "labels", "choose", "which", "expected", "words"),
    [
        # b and c are perfect: the second query of a comes before them.
        ([2, 4, 10, 10], "aabc", "all", "worst", [0, 1], "the 2 worst queries by AP; all other queries have AP 1"),
        ([2, 4, 6, 10], "aabc", "all", "worst", [0, 2], "the 2 worst queries by AP, of different classes"),
        ([10, 4, 10, 10], "aabc", "all", "worst", [1], "the worst query by AP; all other queries have AP 1"),
        ([10, 10, 10, 10], "aabc", "all", "worst", [], "no worst query, all have AP 1"),
        ([], "", "all", "worst", [], "no query has positives"),
        ([], "", "all", "best", [], "no query has positives"),
        ([10, 10, 5, 10], "aabc", "all", "best", [0, 3], "2 of the 3 queries with AP 1, of different classes"),
        ([10, 10, 5, 10], "aaba", "all", "best", [0, 2], "the 2 best queries by AP, of different classes"),
        ([10, 4, 5, 10], "aabc", "all", "best", [0, 3], "the 2 best queries by AP, of different classes"),
        ([2, 4, 10, 5], "aabc", "each", "worst", [0, 3], f"{WORST}; classes in which all have AP 1 are left out"),
        ([2, 4, 9, 5], "aabc", "each", "worst", [0, 3, 2], WORST),
        ([2, 4, 10, 5], "aabc", "each", "best", [2, 3, 1], "the best query of each class by AP"),
        ([10, 10, 10, 10], "aabc", "each", "worst", [], "no worst query, all have AP 1"),
    ],
)
def test_a_perfect_query_is_none_of_the_worst(
    aps: list[int], labels: str, choose: str, which: Which, expected: list[int], words: str
) -> None:
    """APs are in tenths."""
    found = [retrieval(number, ap / 10) for number, ap in enumerate(aps)]
    choice = Choice("per_class" if choose == "each" else "best_and_worst", 2, None)
    chosen, said = choice.of(found, [tuple(some) for some in labels], which)
    assert ([one.query for one in chosen], said) == (expected, words)


def test_a_sheet_of_no_query_has_its_title() -> None:
    figure = draw_sheet([], title="a on d: no worst query, all have AP 1", style=STYLE)
    [text] = figure.axes[0].texts
    box = text.get_window_extent()
    assert "no worst query" in text.get_text() and box.x0 >= 0 and box.x1 <= figure.bbox.width


def test_of_very_many_classes_some_are_shown() -> None:
    found = [retrieval(number, number / 50) for number in range(50)]
    chosen, words = Choice("per_class", 1, None).of(found, [(str(number),) for number in range(50)], "worst")
    assert [one.query for one in chosen] == list(range(MOST_CLASSES)) and words.endswith("by AP, 40 of 50")


def test_all_that_is_written_on_a_sheet_is_within_it() -> None:
    image = Image.new("RGB", (20, 20))
    for columns in (2, 11):
        row = [Cell(image, "hit", "W" * 90, "10.  0.1234")] * columns
        captions = ["query=17   " + "W" * 300, "query=18"]
        figure = draw_sheet([row, row], title="W" * 300, style=STYLE, captions=captions)
        [axes] = figure.axes
        for text in axes.texts:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height
        labels = [text.get_window_extent() for text in axes.texts if text.get_text().startswith("✓")]
        assert not any(one.overlaps(two) for one, two in zip(labels, labels[1:], strict=False))


def texts(row: list[Cell], title: str = "t") -> list[str]:
    figure = draw_sheet([row], title=title, style=STYLE)
    figure.canvas.draw()
    return [text.get_text() for text in figure.axes[0].texts]


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", NASTY)
def test_names_from_outside_are_shown_as_text(name: str) -> None:
    image = Image.new("RGB", (30, 20))
    shown = texts([Cell(image, "query", name, "AP 0.5"), Cell(image, "hit", name, "1.  0.9")], title=name)
    assert len(shown[0]) <= 130 and "\n" not in shown[0] and "\x07" not in shown[0]
    for title in (shown[1], shown[3]):
        assert len(title) <= 20
        body = title.replace("\u200b", "").split(" ", 1)[1].replace(r"\$", "$")
        clean = " ".join(name.replace("\n", "\ufffd").replace("\x07", "\ufffd").split())
        assert body == (clean if len(clean) <= STYLE.letters else clean[: STYLE.letters - 1] + "…")


def test_plain_text_is_one_line_and_no_mathematics() -> None:
    assert plain_text("a$b$") == "\u200ba\\$b\\$"
    assert plain_text("x" * 100, most=10) == "\u200b" + "x" * 9 + "…"


def test_hits_and_misses_are_told_apart_by_sign_and_line(draw: Callable[..., Path]) -> None:
    image = Image.new("RGB", (20, 30))
    row = [Cell(image, kind, "a", "b") for kind in ("query", "hit", "miss", "found")]
    figure = draw_sheet([row], title="t", style=STYLE)
    signs = [text.get_text().split("\u200b")[0].strip() for text in figure.axes[0].texts[1::2]]
    assert signs == ["?", "✓", "✗", ""]
    lines = [patch.get_linestyle() for patch in figure.axes[0].patches if not patch.get_fill()]
    assert lines[2] != lines[0] == lines[1]


def test_a_row_has_the_images_in_their_order(draw: Callable[..., Path], tmp_path: Path) -> None:
    import hashlib

    items = []
    for seed in range(3):
        path = draw(f"{seed}.png", seed=seed, size=(300, 200))
        items.append(Item(path.name, (f"label {seed}",), 300, 200, hashlib.sha256(path.read_bytes()).hexdigest()))
    manifest = Manifest("own", tmp_path, (*items[:2], Item(**{**vars(items[2]), "labels": ()})))
    asked = Retrieval(1, 0.25, np.array([2, 0]), np.array([0.75, 0.5]), np.array([True, False]))
    row = row_of(asked, manifest, pixels=60)
    assert [(cell.kind, cell.title, cell.note) for cell in row] == [
        ("query", "label 1", "AP 0.2500"),
        ("hit", "2", "1.  0.7500"),
        ("miss", "label 0", "2.  0.5000"),
    ]
    assert all(max(cell.image.size) == 60 for cell in row)
    for cell, number in zip(row, (1, 2, 0), strict=True):
        with Image.open(tmp_path / f"{number}.png") as original:
            expected = original.convert("RGB")
        expected.thumbnail((60, 60))
        np.testing.assert_array_equal(np.asarray(cell.image), np.asarray(expected))
    draw("0.png", seed=9, size=(300, 200))
    with pytest.raises(RetrievalError, match=r"0\.png has changed since it was prepared: run dvc repro -f prepare@own"):
        row_of(asked, manifest, pixels=60)


def test_the_stage_draws_what_the_results_say(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project.top / "metrics/per_query/digits/raw_pixels.npz"
    manifest = read_manifest(project.top / "data/prepared/digits")
    found = read_retrievals(path, manifest)
    with np.load(path) as arrays:
        ap, queries = arrays["AP"], arrays["queries"]
    assert [one.ap for one in in_order(found, "best")] == sorted(ap.tolist(), reverse=True)
    assert [one.ap for one in in_order(found, "worst")] == sorted(ap.tolist())
    for one in found:
        assert one.ap == ap[queries.tolist().index(one.query)]
        labels = [manifest.items[item].labels for item in one.items.tolist()]
        assert one.hits.tolist() == [label == manifest.items[one.query].labels for label in labels]
    monkeypatch.chdir(project.top)  # where the manifest's root starts
    config = yaml.safe_load((project.top / "conf/sheet/default.yaml").read_text())
    style = SheetStyle(**config)
    for which, first in (("best", max), ("worst", min)):
        chosen, words = Choice("best_and_worst", 2, None).of(found, manifest.labels, which)
        assert chosen[0].ap == first(ap)
        assert manifest.labels[chosen[0].query] != manifest.labels[chosen[1].query]
        rows = [row_of(one, manifest, pixels=style.pixels) for one in chosen]
        captions = [f"query={one.query}   {manifest.paths[one.query]}" for one in chosen]
        assert captions == [caption_of(one, manifest) for one in chosen]
        figure = draw_sheet(rows, title=f"raw_pixels on digits: {words}", style=style, captions=captions)
        save_png(figure, project.top / "expected.png", dpi=style.dpi)
        drawn = (project.top / f"plots/gallery/digits/raw_pixels_{which}.png").read_bytes()
        assert drawn == (project.top / "expected.png").read_bytes()


def test_results_of_another_manifest_are_refused(project: Project) -> None:
    path = project.top / "metrics/per_query/digits/raw_pixels.npz"
    manifest = read_manifest(project.top / "data/prepared/digits")
    with pytest.raises(RetrievalError, match="is of another manifest of digits: run dvc repro evaluate@raw_pixels-dig"):
        read_retrievals(path, replace(manifest, sha256="other"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": 0}, "'cell' is 0: expected a number above 0 to 200"),
        ({"cell": 0.001}, "has no pixel"),
        ({"colors": {**STYLE.colors, "hit": "nocolor"}}, "'nocolor' is no color"),
        ({"colors": {"hit": "#000000"}}, "expected query, hit, miss, found"),
    ],
)
def test_wrong_sheets(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RetrievalError, match=f"conf/sheet: .*{message}"):
        call(SheetStyle, {**vars(STYLE), **change}, where="conf/sheet")


def test_a_sheet_without_a_ranking_has_the_queries(draw: Callable[..., Path]) -> None:
    figure = draw_sheet([[Cell(Image.new("RGB", (1, 400)), "query", "a", "b")]] * 2, title="t", style=STYLE)
    assert len(figure.axes[0].images) == 2


def test_an_edit_of_the_sheets_runs_only_galleries(project: Project) -> None:
    project.edit("conf/sheet/default.yaml", letters=12)
    assert {name.split("@")[0] for name in project.repro()} == {"gallery"}
    shutil.rmtree(project.top / "plots/gallery")
    assert project.repro() == set()  # from the cache
    assert (project.top / "plots/gallery/digits/raw_pixels_best.png").is_file()


def test_show_one_query(project: Project) -> None:
    done = project.stage("show", "encoder=raw_pixels", "dataset=digits", "query=3", "out=one.png")
    manifest = read_manifest(project.top / "data/prepared/digits")
    with np.load(project.top / "metrics/per_query/digits/raw_pixels.npz") as arrays:
        place = arrays["queries"].tolist().index(3)
        ap, items = arrays["AP"][place], arrays["top_items"][place]
    lines = done.stdout.splitlines()
    assert lines[0] == f"query 3: {manifest.paths[3]} ({manifest.labels[3][0]}), AP {ap:.4f}"
    assert [line.split()[-1] for line in lines[4 : 4 + len(items)]] == [manifest.paths[item] for item in items]
    assert (project.top / "one.png").is_file()
    again = project.stage("show", "encoder=raw_pixels", "dataset=digits", f"query='{manifest.paths[3]}'", "out=o.png")
    assert again.stdout.splitlines()[0] == lines[0]
    other = project.stage(
        "show", "encoder=raw_pixels", "dataset=digits", "query=3", "ranking=k_reciprocal", check=False
    )
    assert other.returncode == 2 and "name k_reciprocal under rankings in params.yaml" in other.stderr
    wrong = project.stage("show", "encoder=raw_pixels", "dataset=digits", "query=true", check=False)
    assert wrong.returncode == 2 and "query is True: give the number of an item, or its path" in wrong.stderr
    missing = project.stage("show", "encoder=raw_pixels", "dataset=digits", "query=nothing.png", check=False)
    assert missing.returncode == 2 and "'nothing.png' is no query of digits with positives: try 0 (" in missing.stderr


def test_a_path_that_several_queries_have() -> None:
    items = tuple(Item("a.jpg", (), 9, 9, "0", (0.0, 0.0, 1.0 + n, 1.0)) for n in range(2))
    with pytest.raises(RetrievalError, match=r"several queries of own have the path 'a\.jpg': name one of 0, 1"):
        find([retrieval(0, 1.0), retrieval(1, 1.0)], Manifest("own", Path("r"), items), "a.jpg")


@pytest.mark.parametrize("encoder", ["raw_pixels", "color_histogram"])
def test_an_image_of_the_dataset_finds_itself(project: Project, encoder: str) -> None:
    manifest = read_manifest(project.top / "data/prepared/photo_views")
    path = project.top / manifest.root / manifest.paths[7]
    with Image.open(path) as opened:
        turned = opened.convert("RGB").transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    turned.save(project.top / "turned.png", exif=exif)
    done = project.stage(
        "query", f"encoder={encoder}", "dataset=photo_views", f"image=['{path}',turned.png]", "k=3", "out=q.png"
    )
    firsts = re.findall(r"^ *1 +(\S+) +(\S+) +(\S+)$", done.stdout, flags=re.MULTILINE)
    assert len(firsts) == 2
    for score, label, name in firsts:
        assert abs(float(score) - 1) < 1e-4 and (label, name) == (manifest.labels[7][0], manifest.paths[7])
    assert (project.top / "q.png").is_file()
    features, provenance = read_features(project.top / f"features/{encoder}/photo_views")
    network = build_encoder(encoder, provenance["config"], Path("unused"))
    images = [decode_rgb(file.read_bytes(), name="query") for file in (path, project.top / "turned.png")]
    rows = encode(network, images, [path.name, "turned.png"], Runtime("cpu", 8, 0))
    for [(item, score), *_] in search(rows, features, k=3, similarity="cosine"):
        assert item == 7 and abs(score - 1) < 1e-5
    [[(item, distance), (_, further), *_], *_] = search(rows, features, k=3, similarity="euclidean")
    assert item == 7 and distance == pytest.approx(0, abs=0.05)
    assert further == pytest.approx(np.sort(np.linalg.norm(features - rows[0], axis=1))[1], rel=1e-3)


def test_a_search_by_a_black_image(small_project: Project, tmp_path: Path) -> None:
    """Its pixels are zeros: without a direction, but at a distance."""
    Image.new("RGB", (9, 9)).save(tmp_path / "black.png")
    arguments = ["encoder=raw_pixels", "dataset=digits", f"image={tmp_path}/black.png", "k=1", f"out={tmp_path}/q.png"]
    done = small_project.stage("query", *arguments, check=False)
    assert done.returncode == 2 and "black.png) has only zeros, and so no cosine, as have 1 in all: ask" in done.stderr
    done = small_project.stage("query", *arguments, "similarity=euclidean")
    [distance] = re.findall(r"^ *1 +(\S+) ", done.stdout, flags=re.MULTILINE)
    features, _ = read_features(small_project.top / "features/raw_pixels/digits")
    assert float(distance) == pytest.approx(np.linalg.norm(features, axis=1).min(), abs=1e-4)


def test_a_search_refuses_other_features_and_bad_images(project: Project) -> None:
    image = project.top / "data/prepared/digits" / read_manifest(project.top / "data/prepared/digits").paths[0]
    arguments = ["encoder=raw_pixels", "dataset=digits"]
    (project.top / "bad.jpg").write_bytes(b"no image")
    unreadable = "bad.jpg is not an image that Pillow can identify: ask with another image\n"
    for value, message in (("bad.jpg", unreadable), ("none.jpg", "none.jpg cannot be read")):
        done = project.stage("query", *arguments, f"image={value}", check=False)
        assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1
    for change, message in (
        ("image=[]", "'image' names none"),
        ("image=17", "'image' is 17: expected a string or a list"),
        ("k=1.5", "'k' is 1.5: expected an integer"),
        ("k=0", "'k' is 0: expected an integer from 1 to"),
        ("similarity=foo", "'similarity' is 'foo': expected cosine or dot or euclidean"),
    ):
        done = project.stage(
            "query", *arguments, *([] if "image" in change else [f"image='{image}'"]), change, check=False
        )
        assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1
    project.edit("conf/encoder/raw_pixels.yaml", settings={"side": 5})
    done = project.stage("query", *arguments, f"image='{image}'", check=False)
    assert done.returncode == 2
    assert "were made with another config than the encoder has now: run dvc repro extract@raw_pixels" in done.stderr
    provenance = json.loads((project.top / "features/raw_pixels/digits/provenance.json").read_text())
    assert provenance["config"]["settings"] == {"side": 16}
