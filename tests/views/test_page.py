"""The page of all results: what is in its files, and what a real browser without a network makes of it."""

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from playwright.sync_api import Browser, expect

from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest, read_manifest
from pipeline.results.cost import Cost, cost_of
from pipeline.results.retrievals import Retrieval
from pipeline.results.titles import Titles
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.settings import call
from pipeline.views.explorer import items_of, read_curves, results_of
from pipeline.views.looks import looks_of
from pipeline.views.page import PageStyle, p_values_of, shown_p
from pipeline.views.style import Style
from pipeline.views.tables import md, tex
from pipeline.views.templates import render
from tests.browser import PHONE, Watched, watched
from tests.conftest import TOP, Project, once
from tests.views.opening import address, curves, ready, results

LOOK = {"light": "#000000", "dark": "#ffffff", "mark": "circle"}
HOSTILE = [
    "<script>alert(1)</script>",
    "a/../../b",
    "\N{GRINNING FACE} emoji",
    "x" * 300,
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(2)</script>",
    "a|b & $c_d$",
]


def retrieval(query: int, items: list[int]) -> Retrieval:
    return Retrieval(query, 0.5, np.array(items), np.linspace(1, 0.123456789, len(items)), np.array(items) % 2 == 0)


def test_results_in_files_of_some_queries() -> None:
    items = tuple(Item(f"{n}.jpg", labels, 9, 9, "0") for n, labels in enumerate([("b",), ("a", "b"), (), ("a",)]))
    manifest = Manifest("own", Path("r"), items)
    runs = {"hog": [retrieval(0, [1, 3]), retrieval(1, [0]), retrieval(3, [1, 2])]}
    files = dict(results_of(manifest, runs, chunk=2))
    assert list(files) == ["items", "hog/ap", "hog/0", "hog/1"]
    assert files["items"] == {
        "paths": ["0.jpg", "1.jpg", "2.jpg", "3.jpg"],
        "names": ["b", "a"],
        "labels": [[0], [1, 0], [], [1]],
        "queries": [0, 1, 3],
        "chunk": 2,
    }
    assert files["items"] == items_of(manifest, [0, 1, 3], chunk=2)
    assert files["hog/0"] == [[[1, 3], [1.0, 0.1235], [0, 0]], [[0], [1.0], [1]]]
    assert files["hog/1"] == [[[1, 2], [1.0, 0.1235], [0, 1]]]
    with pytest.raises(RetrievalError, match=r"b\+r was evaluated on other queries of own than hog: run dvc repro rer"):
        dict(results_of(manifest, {**runs, "b+r": [retrieval(0, [1])]}, chunk=2))


def test_curves_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    with pytest.raises(RetrievalError, match="run dvc repro pr@d"):
        read_curves(path, ["a"])
    points = [f"NA,{step / 10},0.5,0.4,0.6\n" for step in range(11)]
    path.write_text("".join(["encoder,recall,precision,low,high\n", *points]))
    assert read_curves(path, ["NA"]) == {"NA": {"precision": [0.5] * 11, "low": [0.4] * 11, "high": [0.6] * 11}}
    for run, wrong in (
        ("b", points),
        ("NA", points[::-1]),
        ("NA", points[:5]),
        ("NA", [*points[:10], "NA,1.0,0.5,,1\n"]),
    ):
        path.write_text("".join(["encoder,recall,precision,low,high\n", *wrong]))
        with pytest.raises(RetrievalError, match="run dvc repro pr@d"):
            read_curves(path, [run])


def test_a_page_of_no_queries() -> None:
    with pytest.raises(RetrievalError, match=r"conf/page\.yaml: "):
        call(PageStyle, {"title": "t", "grid": 0}, where="conf/page.yaml")


def test_no_two_runs_look_the_same() -> None:
    style = Style(6.0, 4.0, 60, ["#000000", "C1"], ["o", "s", "P"], ["#ffffff", "0.5"])
    looks = looks_of(list("abc"), style)
    assert [tuple(look[name] for name in ("run", "light", "dark", "mark", "sign")) for look in looks] == [
        ("a", "#000000", "#ffffff", "circle", "●"),
        ("b", "#ff7f0e", "#808080", "square", "■"),
        ("c", "#000000", "#ffffff", "cross", "✚"),
    ]
    style = Style(**yaml.safe_load((TOP / "conf/style/default.yaml").read_text()))
    looks = looks_of([str(number) for number in range(72)], style)
    assert [(look["light"].upper(), look["dark"].upper()) for look in looks[:8]] == list(
        zip(style.colors, style.dark, strict=True)
    )
    for ground in ("light", "dark"):
        assert len({(look[ground], look["mark"]) for look in looks}) == 72
    with pytest.raises(RetrievalError, match="conf/style: the page cannot draw the marker 'x': one of o s "):
        looks_of(["a"], Style(6.0, 4.0, 60, ["#000000"], ["x"]))


@pytest.mark.parametrize(
    ("p", "least", "shown"),
    [(0.5, 0.0, "0.5000"), (0.00004, 0.0, "< 0.0001"), (0.0, 0.0, "< 0.0001"), (2 / 2**10, 2 / 2**10, "≤ 0.0020"),
     (1 / 100_001, 1 / 100_001, "≤ 0.0001"), (0.0005, 1 / 100_001, "0.0005")],
)  # fmt: skip
def test_p_values_that_are_bounds(p: float, least: float, shown: str) -> None:
    assert shown_p(p, least) == shown


def test_corrected_p_values_are_bounds_where_p_values_are() -> None:
    least = 2 / 2**12
    assert p_values_of({"p": least, "p_holm": 10 * least, "p_least": least}) == {
        "shown_p": "≤ 0.0005",
        "shown_p_holm": "≤ 0.0049",
    }
    assert p_values_of({"p": 2e-9, "p_holm": 2e-8, "p_least": 0.0}) == {
        "shown_p": "< 0.0001",
        "shown_p_holm": "< 0.0001",
    }
    assert p_values_of({"p": 0.01, "p_holm": 0.02, "p_least": least})["shown_p_holm"] == "0.0200"


def test_features_made_elsewhere_have_no_speed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/d.json").write_text(json.dumps({"feature_bytes": 8}))
    known = {"device": "cpu (some chip)", "precision": "fp32", "parameters": 7, "flops_per_image": 9}
    peaks = {"peak_memory_bytes": 5, "peak_gpu_memory_bytes": None}
    cost = {"feature_bytes": 8, "seconds": 2.0, "images": 6, **known, **peaks}
    (tmp_path / "a/e.json").write_text(json.dumps(cost))
    assert cost_of("a", ["d", "e"], tmp_path) == Cost(8)
    made = Cost(8, 3.0, "cpu (some chip)", "fp32", 7, 9, 5, None)
    assert cost_of("a", ["e"], tmp_path) == made
    assert (made.million, Cost(8).million) == (1e6 / 3, None)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_on_the_page_are_text(name: str) -> None:
    text = render(
        "report/page.html",
        title=name,
        written=name,
        devices=[name],
        metrics={name: name},
        headlines={name: name},
        kind=name,
        counted=[name],
        datasets=[name],
        rows=[],
        caption=name,
        marked_alike=True,
        smaller=[
            {
                "run": name,
                "bytes": 8,
                "changes": {name: dict.fromkeys(("difference", "low", "high", "distinguishable"), 0.0)},
            }
        ],
        extent=1.0,
        factor=lambda one: name,
        verdicts=[name],
        mean="mean",
        pairs=[],
        looks=[{**LOOK, "run": name, "sign": "●"}],
        titles=Titles({name: name}, {name: name}),
        provenances=[{"run": name, "dataset": name, "features": name, "metrics": name}],
        data={"datasets": [name], "looks": [], "grid": 1},
    )
    outside = text[: text.index('<script type="application/json"')]
    assert "alert(" not in re.sub(r"&lt;script&gt;alert|&lt;/script&gt;|onerror=alert", "", outside)
    assert "<img" not in text and len(re.findall(r"<script", text)) == 3
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, flags=re.DOTALL)
    assert found and json.loads(found[1])["datasets"] == [name]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a|b", r"a\|b"), ("<script>", r"\<script\>"), ("**x**", r"\*\*x\*\*"), ("[a](b)", r"\[a\](b)"), ("a_b", "a_b")],
)
def test_names_in_markdown_are_text(name: str, shown: str) -> None:
    assert md(name) == shown


def test_names_in_latex_are_text() -> None:
    assert tex("<script>a|b_$") == r"\textless{}script\textgreater{}a\textbar{}b\_\$"


# ---- in a browser


@pytest.fixture(scope="session")
def hostile(small_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project on images with names and labels that mean harm."""
    folder = once(tmp_path_factory, "hostile", lambda folder: make_hostile(small_project, folder))
    return Project(folder / "project", small_project.bin)


def make_hostile(small_project: Project, folder: Path) -> None:
    """Make what :func:`hostile` describes, and beside it the images."""
    lines = []
    (folder / "images").mkdir(parents=True)
    for number, label in enumerate(HOSTILE):
        for copy in range(2):
            name = f"<b>{number} & {copy}.png"
            coarse = np.random.default_rng(10 * number + copy).integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((40, 30)).save(folder / "images" / name)
            lines.append(f"{name}\t{label}\n")
    (folder / "images/list_of_images.txt").write_text("".join(lines), encoding="utf-8")
    project = small_project.copy(folder / "project")
    project.edit("conf/dataset/own.yaml", kind="list", root=str(folder / "images"))
    project.edit("params.yaml", datasets=["own"])
    project.repro()


def test_it_shows_what_was_found(opened: Watched, small_project: Project) -> None:
    page = opened.page
    manifest = read_manifest(small_project.top / "data/prepared/digits")
    expect(page.locator("#asked-name")).to_have_text(f"Query 0: {manifest.paths[0]}")
    for side, run in enumerate(("raw_pixels", "color_histogram")):
        found = results(small_project, "digits", run)
        ranking = page.locator("#rankings > div").nth(side)
        expect(ranking.locator("h3")).to_have_text(f"{run}: AP {found['AP'][0]:.4f}")
        tiles = ranking.locator("li")
        assert tiles.count() == 10
        for rank, (item, score, hit) in enumerate(
            zip(found["top_items"][0], found["top_scores"][0], found["top_hits"][0], strict=True)
        ):
            text = tiles.nth(rank).inner_text()
            assert f"{rank + 1}. {score:.4f}" in text and manifest.labels[item][0] in text
            assert ("✓" if hit else "✗") in text
            expect(tiles.nth(rank).locator("img")).to_have_attribute("src", f"thumbnails/digits/{item}.jpg")
    # Each picture is there, not a broken one, once it is looked at.
    page.locator("#rankings").scroll_into_view_if_needed()
    page.wait_for_function("[...document.querySelectorAll('#rankings img')].every(i => i.complete && i.naturalWidth)")


def test_a_result_becomes_the_query_and_back(opened: Watched, small_project: Project) -> None:
    page = opened.page
    found = results(small_project, "digits", "raw_pixels")
    second = int(found["top_items"][0][1])
    page.locator("#rankings > div").first.locator("li button").nth(1).click()
    expect(page.locator("#asked-name")).to_contain_text(f"Query {second}:")
    expect(page.locator("#asked-name")).to_be_focused()
    place = found["queries"].tolist().index(second)
    expect(page.locator("#status")).to_contain_text(f"AP {found['AP'][place]:.4f} by raw_pixels")
    expect(page).to_have_url(re.compile(f"query={second}"))
    page.go_back()
    expect(page.locator("#asked-name")).to_contain_text("Query 0:")


def test_the_keyboard_is_enough(opened: Watched) -> None:
    page = opened.page
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator("#rankings li button").first.focus()
    before = page.locator("#asked-name").inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#asked-name")).not_to_have_text(before)
    page.locator("#shown input").first.focus()
    page.keyboard.press("Space")
    expect(page.locator("#chart svg .runs_marks path")).to_have_count(1)


def test_an_encoder_is_switched_off_and_on(opened: Watched) -> None:
    page = opened.page
    assert curves(opened) == 2
    page.get_by_role("checkbox", name="color_histogram").uncheck()
    expect(page.locator("#chart svg .runs_marks path")).to_have_count(1)
    expect(page.locator("#chart")).to_have_attribute("aria-label", re.compile(": raw_pixels$"))
    assert page.locator("#numbers tbody tr").count() == 1
    page.get_by_role("checkbox", name="color_histogram").check()
    expect(page.locator("#chart svg .runs_marks path")).to_have_count(2)


def test_a_point_says_what_it_is(opened: Watched, small_project: Project) -> None:
    page = opened.page
    page.get_by_role("checkbox", name="color_histogram").uncheck()
    expect(page.locator("#chart svg .runs_marks path")).to_have_count(1)
    page.locator("#chart svg .points_marks path").nth(5).hover(force=True)
    tip = page.locator("#vg-tooltip-element")
    expect(tip).to_contain_text("raw_pixels")
    table = pd.read_csv(small_project.top / "plots/pr/digits.csv").set_index(["encoder", "recall"])
    expect(tip).to_contain_text(f"{table.loc[('raw_pixels', 0.5), 'precision']:.4f}")


def test_the_table_sorts_both_ways(opened: Watched) -> None:
    page = opened.page
    table = page.locator("section[aria-labelledby=table] table").first
    header = table.locator("thead th").nth(1)
    orders = []
    for direction in ("descending", "ascending"):
        header.locator("button").click()
        expect(header).to_have_attribute("aria-sort", direction)
        orders.append(
            [float(cell.get_attribute("data-value")) for cell in table.locator("tbody tr td:nth-child(2)").all()]
        )
    assert orders[0] == sorted(orders[0], reverse=True) and orders[1] == sorted(orders[0])
    table.locator("thead th").first.locator("button").click()
    names = table.locator("tbody th").all_inner_texts()
    assert names == sorted(names)
    assert header.get_attribute("aria-sort") is None


def test_the_table_is_that_of_the_metrics(opened: Watched, small_project: Project) -> None:
    written = pd.read_csv(small_project.top / "metrics/table.csv").set_index(["encoder", "dataset"])
    pairs = pd.read_csv(small_project.top / "metrics/pairwise.csv")
    summary = json.loads((small_project.top / "metrics/summary.json").read_text())
    table = opened.page.locator("section[aria-labelledby=table] table").first
    for row in table.locator("tbody tr").all():
        encoder = row.locator("th").inner_text()
        for cell, dataset in zip(row.locator("td").all()[:2], ("digits", "photo_views"), strict=True):
            values = written.loc[(encoder, dataset)]
            text = " ".join(cell.inner_text().split())
            assert text.startswith(f"{values['mAP']:.4f} [{values['mAP_low']:.3f}, {values['mAP_high']:.3f}]")
            told = bool(pairs.set_index("dataset").loc[dataset, "distinguishable"])
            best = values["mAP"] == written["mAP"].unstack()[dataset].max()
            assert ("~" in text) == (not told and not best)
            assert ("?" in text) == (values["mAP_low"] <= values["mAP_random"])
        share = summary["encoders"][encoder]
        text = " ".join(row.locator("td").nth(2).inner_text().split())
        assert text.startswith(f"{share['mean_mAP']:.4f} [{share['low']:.3f}, {share['high']:.3f}]")
        told = bool(pairs.set_index("dataset").loc["mean over datasets", "distinguishable"])
        assert ("~" in text) == (not told and encoder != summary["best"])
    assert summary["caption"] in " ".join(opened.page.inner_text("section[aria-labelledby=table]").split())


def test_queries_by_class_by_ap_and_in_pages(opened: Watched, small_project: Project) -> None:
    page = opened.page
    found = results(small_project, "digits", "raw_pixels")
    manifest = read_manifest(small_project.top / "data/prepared/digits")
    tiles = page.locator("#grid li")
    assert tiles.count() == len(found["AP"]) == 40
    page.get_by_label("class, or part of a path").fill("3")
    threes = [place for place, item in enumerate(found["queries"]) if manifest.labels[item] == ("3",)]
    expect(tiles).to_have_count(len(threes))
    page.get_by_label("order").select_option("worst")
    shown = [float(re.search(r"AP (\S+),", text)[1]) for text in tiles.all_inner_texts()]  # type: ignore[index]
    assert shown == [float(f"{ap:.4f}") for ap in np.sort(found["AP"][threes])]
    page.get_by_label("class, or part of a path").fill("")
    page.get_by_label("AP to").fill("0.5")
    page.get_by_label("AP to").press("Tab")
    expect(tiles).to_have_count(int((found["AP"] <= 0.5).sum()))
    page.get_by_label("AP to").fill("")
    page.get_by_label("AP to").press("Tab")
    expect(tiles).to_have_count(40)
    page.locator("[data-choice=dataset]").select_option("photo_views")
    expect(page.locator("#asked-name")).to_contain_text("images/")
    expect(page).to_have_url(re.compile("dataset=photo_views"))
    page.get_by_label("beside it", exact=False).first.select_option("")
    expect(page.locator("#rankings > div")).to_have_count(1)


def test_more_queries_than_a_page_has(browser: Browser, project: Project) -> None:
    project.edit("conf/page.yaml", page={"title": "t", "grid": 16})
    project.edit("conf/explore.yaml", division={"chunk": 7})
    assert {name.split("@")[0] for name in project.repro()} == {"explore", "page", "results"}
    with watched(browser) as seen:
        seen.page.goto(address(project, dataset="digits", a="raw_pixels", b="", query=38))
        ready(seen)
        found = results(project, "digits", "raw_pixels")
        expect(seen.page.locator("#asked-name")).to_contain_text("Query 38:")
        expect(seen.page.locator("#rankings h3")).to_have_text(f"raw_pixels: AP {found['AP'][38]:.4f}")
        expect(seen.page.locator("#place")).to_have_text("page 1 of 3, 40 of 40 queries")
        for _ in range(2):
            seen.page.get_by_role("button", name="Next page").click()
        expect(seen.page.locator("#grid li")).to_have_count(8)
        expect(seen.page.get_by_role("button", name="Next page")).to_be_disabled()
        assert seen.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [None, PHONE], ids=["wide", "phone"])
def test_wide_and_narrow_light_and_dark(
    browser: Browser, small_project: Project, scheme: str, viewport: dict[str, int] | None
) -> None:
    options = {"viewport": viewport} if viewport else {}
    with watched(browser, color_scheme=scheme, **options) as seen:
        seen.page.goto(address(small_project))
        ready(seen)
        assert not seen.too_wide()
        assert seen.violations() == []
        for details in seen.page.locator("details").all()[:4]:
            details.locator("summary").click()
        seen.page.locator("#rankings li button").first.click()
        assert seen.violations() == []
        ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 22, 26)")
        assert seen.problems == []


@pytest.fixture(scope="module")
def slow(small_project: Project) -> Iterator[tuple[str, dict[str, float]]]:
    """The page from a server that can be told to send a file late: its address, and seconds by the end of a path."""
    late: dict[str, float] = {}

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(sum(seconds for end, seconds in late.items() if self.path.endswith(end)))
            super().do_GET()

        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = partial(Handler, directory=str(small_project.top / "plots/report"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/index.html", late
        server.shutdown()


@pytest.mark.parametrize(
    ("label", "choice", "file"),
    [
        ("dataset", "photo_views", "photo_views/items.js"),
        ("a", "color_histogram", "digits/color_histogram/ap.js"),
        ("b", "color_histogram", "digits/color_histogram/0.js"),
    ],
)
def test_what_comes_late_is_not_mixed_with_what_is_shown(
    browser: Browser, small_project: Project, slow: tuple[str, dict[str, float]], label: str, choice: str, file: str
) -> None:
    url, late = slow
    with watched(browser, offline=False) as seen:
        page = seen.page
        page.goto(f"{url}#dataset=digits&a=raw_pixels&b=")
        ready(seen)
        late[file] = 0.7
        page.locator(f"[data-choice={label}]").select_option(choice)
        page.locator("#rankings li button").nth(2).click()  # before the file is there
        late.clear()
        expect(page.locator("#queries-of")).not_to_have_attribute("aria-busy", "true")
        dataset = "photo_views" if label == "dataset" else "digits"
        run = "color_histogram" if label == "a" else "raw_pixels"
        found = results(small_project, dataset, run)
        name = page.locator("#asked-name").inner_text()
        number = int(re.findall(r"Query (\d+):", name)[0])
        paths = read_manifest(small_project.top / f"data/prepared/{dataset}").paths
        place = found["queries"].tolist().index(number)
        assert name == f"Query {number}: {paths[number]}"
        expect(page.locator("#rankings h3").first).to_have_text(f"{run}: AP {found['AP'][place]:.4f}")
        shown = page.locator("#rankings > div").first.locator("img").all()
        assert [image.get_attribute("src") for image in shown] == [
            f"thumbnails/{dataset}/{item}.jpg" for item in found["top_items"][place]
        ]
        assert seen.problems == []


def test_the_address_says_what_is_shown(browser: Browser, small_project: Project) -> None:
    with watched(browser) as seen:
        page = seen.page
        page.goto(address(small_project))
        ready(seen)
        page.get_by_label("order").select_option("worst")
        page.get_by_label("class, or part of a path").fill("images/3")
        page.get_by_role("checkbox", name="color_histogram").uncheck()
        page.locator("#grid li button").nth(2).click()
        page.get_by_role("link", name="provenance").click()
        expect(page.locator("#provenance")).to_be_focused()
        texts = [page.locator(place).inner_text() for place in ("#asked-name", "#place", "#status")]
        again = page.url
    with watched(browser) as seen:
        page = seen.page
        page.goto(again)
        ready(seen)
        assert [page.locator(place).inner_text() for place in ("#asked-name", "#place", "#status")] == texts
        expect(page.get_by_role("checkbox", name="color_histogram")).not_to_be_checked()
        assert curves(seen) == 1
        page.goto(address(small_project, dataset="nothing", a="x", b="y", query=99999))
        page.reload()
        ready(seen)
        expect(page.locator("#asked-name")).to_contain_text("Query 0:")
        page.wait_for_function("location.hash.includes('dataset=digits&a=raw_pixels&b=&query=0')")
        assert seen.problems == []


def test_digits_are_rounded_as_in_the_pictures(opened: Watched) -> None:
    values = [0.03125, 0.15625, 0.09375, 0.00005, 0.12345, 1.0, 0.0, 0.99995, 0.5, 0.28125, 2.5e-5]
    source = (TOP / "pipeline/views/templates/report/base.js").read_text()
    four = source[source.index("function fixed") : source.index("function mean")]
    assert opened.page.evaluate(f"values => {{ {four}; return values.map(four) }}", values) == [
        f"{value:.4f}" for value in values
    ]


def test_names_that_mean_harm_are_shown_as_text(browser: Browser, hostile: Project) -> None:
    with watched(browser) as seen:
        seen.page.goto(address(hostile))
        ready(seen)
        expect(seen.page.locator("#asked-name")).to_have_text("Query 0: <b>0 & 0.png")
        texts = seen.page.locator("#grid .name").all_text_contents()
        assert texts == [label for label in HOSTILE for _ in range(2)]
        for label in HOSTILE:
            seen.page.get_by_label("class, or part of a path").fill(label)
            expect(seen.page.locator("#grid li")).to_have_count(2)
        assert not seen.too_wide()
        assert seen.problems == []


def test_names_that_mean_harm_in_the_csvs(hostile: Project) -> None:
    table = pd.read_csv(hostile.top / "metrics/per_class/own/raw_pixels.csv")
    assert sorted(table["label"]) == sorted(HOSTILE) and (table["queries"] == 2).all()
    manifest = read_manifest(hostile.top / "data/prepared/own")
    assert [labels[0] for labels in manifest.labels] == [label for label in HOSTILE for _ in range(2)]


def test_a_page_without_its_files_says_so(browser: Browser, project: Project) -> None:
    shutil.rmtree(project.top / "plots/report/results/digits/raw_pixels")
    (project.top / "plots/report/vega.js").unlink()
    (project.top / "plots/report/results/photo_views/curves.js").write_text("received(")
    with watched(browser) as seen:
        trouble = seen.page.locator("#trouble")
        seen.page.goto(address(project))
        expect(trouble).to_contain_text("results/digits/raw_pixels/ap.js cannot be read: keep the folder")
        expect(trouble).to_contain_text("vega.js cannot be read")
        seen.page.locator("#choice [data-choice=a]").select_option("color_histogram")
        expect(trouble).not_to_contain_text("raw_pixels")  # this one is there
        seen.page.locator("[data-choice=dataset]").select_option("photo_views")
        expect(trouble).to_contain_text("photo_views/curves.js cannot be read")


def test_without_scripts_there_are_tables(browser: Browser, small_project: Project) -> None:
    with watched(browser, java_script_enabled=False) as seen:
        seen.page.goto(address(small_project))
        assert "Without JavaScript" in seen.page.inner_text("body")
        assert seen.page.locator("table tbody tr").count() >= 2


def test_the_page_of_dvc_needs_no_network(browser: Browser, project: Project) -> None:
    project.dvc("plots", "show")
    for extra in ((), ("diff", "HEAD")):
        if extra:
            project.edit("conf/pr.yaml", population="queries")
            project.dvc("repro", "pr@digits")
            project.dvc("plots", *extra)
        with watched(browser) as seen:
            seen.page.goto((project.top / "dvc_plots/index.html").as_uri())
            seen.page.wait_for_selector(".vega-embed canvas, .vega-embed svg")
            assert seen.page.locator(".vega-embed").count() == 3
            assert seen.problems == []
            assert {url.split(":")[0] for url in seen.requests} <= {"file", "data"}
    (project.top / "plots/report/vega.js").unlink()
    with watched(browser) as seen:
        seen.page.goto((project.top / "dvc_plots/index.html").as_uri())
        assert "dvc repro page must have run" in seen.page.inner_text("body")


def test_curves_as_pngs_without_a_browser(project: Project) -> None:
    done = project.stage("export")
    assert done.stdout.split() == [f"plots/export/{name}.png" for name in ("digits", "photo_views", "headline_pr")]
    for path in done.stdout.split():
        with Image.open(project.top / path) as picture:
            assert picture.width > 500
    project.stage("export", "revisions=[HEAD]", "out=two")
    assert (project.top / "two/digits.png").is_file()
    for change, message in (
        ("revisions=[nothing]", "unknown Git revision 'nothing'"),
        ("revisions=[--open]", "none may begin with a hyphen"),
        ("scale=0", "'scale' is 0: expected a number above 0 to 100"),
    ):
        wrong = project.stage("export", change, "out=wrong", check=False)
        assert wrong.returncode == 2 and message in wrong.stderr and len(wrong.stderr.splitlines()) == 1
    assert not (project.top / "wrong").exists()
    (project.top / "plots/headline_pr.csv").unlink()  # the last of them
    before = {path: path.stat().st_mtime_ns for path in (project.top / "plots/export").iterdir()}
    assert project.stage("export", check=False).returncode == 2
    assert {path: path.stat().st_mtime_ns for path in (project.top / "plots/export").iterdir()} == before


def test_thumbnails_are_small_pictures_of_all_items(small_project: Project) -> None:
    manifest = read_manifest(small_project.top / "data/prepared/photo_views")
    folder = small_project.top / "plots/report/thumbnails/photo_views"
    assert sorted(int(path.stem) for path in folder.glob("*.jpg")) == list(range(len(manifest.items)))
    with (
        Image.open(folder / "3.jpg") as small,
        Image.open(small_project.top / manifest.root / manifest.paths[3]) as image,
    ):
        expected = image.convert("RGB")
        expected.thumbnail((128, 128))
        difference = np.abs(np.asarray(small, float) - np.asarray(expected, float)).mean()
    assert small.size == expected.size and difference < 5


def test_an_image_that_changed_is_no_thumbnail(project: Project) -> None:
    image = sorted((project.top / "data/prepared/digits/images/3").iterdir())[0]
    image.chmod(0o644)
    Image.new("L", (8, 8), 77).save(image)
    done = project.stage("thumbnails", "dataset=digits", "out=elsewhere", check=False)
    assert done.returncode == 2 and "has changed since it was prepared" in done.stderr
    assert not (project.top / "elsewhere").exists()
