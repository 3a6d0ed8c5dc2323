"""How long the page takes to open in a real browser, and to show another query.

``python -m benchmarks.page`` makes results of several runs on data sets of several numbers of images at random, writes
the page from them as the stages do, and opens it from the disk in Chromium. It prints a Markdown table.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from pipeline.frame.app import plain
from pipeline.frame.files import write_text
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest
from pipeline.results.cost import Cost
from pipeline.results.retrievals import Retrieval
from pipeline.results.titles import Titles
from pipeline.views.explorer import results_of, write_results
from pipeline.views.looks import looks_of
from pipeline.views.page import Found, PageStyle, charting, page_of
from pipeline.views.style import Style

CONF = Path(__file__).resolve().parent.parent / "conf"
DATASET = "made_up"


def some_retrievals(images: int, seed: int) -> list[Retrieval]:
    """Return results at random, a top ten a query."""
    random = np.random.default_rng(seed)
    items = random.integers(0, images, (images, 10))
    scores = -np.sort(-random.random((images, 10), dtype=np.float32), axis=1)
    hits = random.random((images, 10)) < 0.5
    return [Retrieval(n, float(ap), items[n], scores[n], hits[n]) for n, ap in enumerate(random.random(images))]


def write_page(folder: Path, *, images: int, runs: int) -> None:
    """Write a page as the stages ``thumbnails``, ``explore`` and ``page`` do, of results made here."""
    items = tuple(Item(f"images/{n % 100}/{n}.jpg", (f"class {n % 100}",), 128, 96, "0") for n in range(images))
    names = [f"encoder_{n}" for n in range(runs)]
    found = {name: some_retrievals(images, seed) for seed, name in enumerate(names)}
    chunk = OmegaConf.load(CONF / "explore.yaml").division.chunk
    results = folder / "results" / DATASET
    for name, content in results_of(Manifest(DATASET, folder, items), found, chunk=chunk):
        write_results(results, name, content, dataset=DATASET)
    levels = np.linspace(1, 0, 11)
    write = partial(write_results, results, dataset=DATASET)
    curves = {
        name: {
            **{key: (levels * factor).tolist() for key in ("precision", "low", "high")},
            "population": None,
            "intervals": {},
        }
        for factor, name in zip(np.linspace(0.3, 1, runs), names, strict=True)
    }
    write("curves", {"runs": curves, "chance": 0.01})
    labels = sorted({label for item in items for label in item.labels})
    means = np.random.default_rng(0).random(len(labels)).tolist()
    write("classes", {"labels": labels, "queries": [images // 100] * len(labels), "runs": dict.fromkeys(names, means)})
    thumbnails = folder / "thumbnails" / DATASET
    thumbnails.mkdir(parents=True)
    random = np.random.default_rng(0)
    for n in range(images):
        coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((128, 96), Image.Resampling.BICUBIC).save(thumbnails / f"{n}.jpg", quality=85)
    config = OmegaConf.load(CONF / "page.yaml")
    assert isinstance(config, DictConfig)
    style = Style(**plain(OmegaConf.load(CONF / "style/default.yaml")))
    cell = Found({"mAP": 0.5}, 0.01, {"tested": (0.4, 0.6), "queries": (0.4, 0.6)}, {}, False, True, False)
    mean = {"mean_mAP": 0.5, "low": 0.4, "high": 0.6, "relative": 1.0, "alike": True}
    rows = [{"run": name, "found": {DATASET: cell}, **mean, "cost": Cost(4, 9.0)} for name in names]
    texts = {"dataset": DATASET, "features": "x: 1\n" * 40, "metrics": "y: 1\n" * 60, "device": "cpu"}
    origins = [{"run": name, **texts} for name in names]
    looks = looks_of(names, style)
    page = page_of(
        {DATASET: "mAP"},
        rows,
        [],
        origins,
        PageStyle(**plain(config.page)),
        looks,
        Titles(),
        caption="mAP.",
        written="a benchmark",
    )
    write_text(folder / "vega.js", charting())
    write_text(folder / "index.html", page)


def opened(browser: Browser, page: Path) -> Iterator[tuple[str, float]]:
    """Yield the seconds until the page has curves, rankings and pictures, and until a click shows another query."""
    context = browser.new_context(offline=True, viewport={"width": 1280, "height": 900})
    tab = context.new_page()
    start = time.perf_counter()
    tab.goto(page.as_uri())
    tab.wait_for_selector("#chart svg.marks")
    tab.wait_for_selector("#rankings li img")
    tab.locator("#rankings").scroll_into_view_if_needed()  # pictures are loaded where they are looked at
    tab.wait_for_function("[...document.querySelectorAll('#rankings img')].every(image => image.complete)")
    yield "opened", time.perf_counter() - start
    before = tab.locator("#asked-name").inner_text()
    start = time.perf_counter()
    tab.locator("#rankings li button").nth(1).click()
    tab.wait_for_function("name => document.getElementById('asked-name').textContent !== name", arg=before)
    yield "another query", time.perf_counter() - start
    context.close()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1300, 20000])
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    rows: list[list[Any]] = []
    binary = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox", "--disable-gpu"])
        for images in options.images:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                write_page(folder, images=images, runs=options.runs)
                results = sum(file.stat().st_size for file in (folder / "results").rglob("*.js"))
                times: dict[str, list[float]] = {}
                for _ in range(options.repeats):
                    for what, seconds in opened(browser, folder / "index.html"):
                        times.setdefault(what, []).append(seconds)
            medians = [f"{statistics.median(values):.2f}" for values in times.values()]
            rows.append([images, options.runs, f"{results / 2**20:.1f}", *medians])
        browser.close()
    print("| images | runs | results, MiB | opened, s | another query, s |\n|---|---|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |")


if __name__ == "__main__":
    main()
