"""What is chosen on the page, in a real browser: metrics, intervals, curves, classes, costs; phones and paper."""

import re
import shutil
from itertools import product

import numpy as np
import pandas as pd
import pytest
import yaml
from playwright.sync_api import Browser, Locator, expect

from pipeline.frame.files import write_json
from pipeline.manifest.manifest import read_manifest
from pipeline.results.per_query import read_metrics
from pipeline.results.retrievals import read_retrievals
from pipeline.retrieval.measures import of_query
from pipeline.retrieval.uncertainty import of_queries
from pipeline.views.classes import instead_of, most_alike
from pipeline.views.measures import hit_rates
from tests.browser import PHONE, Watched, watched
from tests.conftest import TOP, Project
from tests.views.opening import address, curves, metrics, ready, results

RUNS, DATASETS = ("raw_pixels", "color_histogram"), ("digits", "photo_views")


def choose(seen: Watched, name: str, value: str) -> None:
    seen.page.locator(f"[data-choice={name}]").select_option(value)


def cell(seen: Watched, run: str, dataset: str) -> Locator:
    return seen.page.locator(f'#comparison tr[data-run="{run}"] td[data-column="{dataset}"]')


def text_of(found: Locator) -> str:
    return " ".join(found.inner_text().split())


@pytest.mark.parametrize("metric", ["P@1", "recall@5", "nDCG@10", "mAP@5", "MAP@R", "MRR", "mAP_interpolated"])
def test_another_metric_in_the_table(opened: Watched, small_project: Project, metric: str) -> None:
    choose(opened, "metric", metric)
    expect(opened.page.locator("#caption")).to_contain_text(f"{metric} with its 95 % interval, about other queries")
    for dataset in DATASETS:
        values = {run: metrics(small_project, run, dataset)[metric] for run in RUNS}
        for run in RUNS:
            kept = results(small_project, dataset, run)[of_query(metric)]
            low, high = of_queries(kept[:, None]).intervals()[:, 0]
            shown = cell(opened, run, dataset)
            expect(shown).to_contain_text("[")
            assert text_of(shown).startswith(f"{values[run]:.4f} [{low:.3f}, {high:.3f}]")
            assert (shown.locator(".best").count() == 1) == (values[run] == max(values.values()))
            assert "~" not in text_of(shown)  # differences are tested for mAP only
    expect(opened.page.locator("#mean-column")).to_have_text(f"mean {metric}")
    for run in RUNS:
        mean = np.mean([metrics(small_project, run, dataset)[metric] for dataset in DATASETS])
        assert text_of(cell(opened, run, " mean")) == f"{mean:.4f}"


def test_titles_stand_where_names_would(browser: Browser, small_project: Project) -> None:
    folder = small_project.top / "titles"
    shutil.copytree(small_project.top / "data/titles", folder)
    write_json(folder / "encoder/raw_pixels.json", {"title": "Raw | <b>pixels</b>"})
    write_json(folder / "dataset/digits.json", {"title": "Digits of 8 × 8"})
    html = small_project.top / "plots/report/titled.html"
    small_project.stage("page", f"titles={folder}", f"html={html}")
    with watched(browser) as seen:
        seen.page.goto(html.as_uri())
        ready(seen)
        assert text_of(seen.page.locator('tr[data-run="raw_pixels"] th')) == "Raw | <b>pixels</b>"
        for place in ("header", "#comparison thead", "[data-choice=dataset]", "#chart-said", "#classes-said"):
            expect(seen.page.locator(place).first).to_contain_text("Digits of 8 × 8")
        for place in (
            "#shown",
            "[data-choice=a]",
            "#heat thead",
            "#rankings",
            "#front",
            "#cost-chart",
            "[aria-labelledby=provenance]",
        ):
            expect(seen.page.locator(place).first).to_contain_text("Raw | <b>pixels</b>")
        assert "raw_pixels" not in seen.page.locator("main").inner_text()


def test_a_metric_without_values_of_queries_has_no_interval(opened: Watched, small_project: Project) -> None:
    choose(opened, "metric", "macro_mAP")
    expect(opened.page.locator("#caption")).to_contain_text("without intervals")
    for run in RUNS:
        assert text_of(cell(opened, run, "digits")) == f"{metrics(small_project, run, 'digits')['macro_mAP']:.4f}"
    expect(opened.page.locator("#status")).to_contain_text("AP ")  # of queries there is AP


@pytest.mark.parametrize("about", ["classes", "images", "queries"])
def test_what_intervals_are_about(opened: Watched, small_project: Project, about: str) -> None:
    tested = (pd.read_csv(small_project.top / "metrics/table.csv")["population"] == about).all()
    choose(opened, "about", about)
    caption = opened.page.locator("#caption")
    expect(caption).to_contain_text("Intervals and tests are about" if tested else "interval, about other")
    for dataset in DATASETS:
        for run in RUNS:
            run_metrics = metrics(small_project, run, dataset)
            ends = run_metrics["intervals"].get(about)
            interval = f" [{ends['low']:.3f}, {ends['high']:.3f}]" if ends else ""
            doubtful = bool(ends and ends["low"] <= run_metrics["mAP_random"])
            shown = text_of(cell(opened, run, dataset))
            assert shown.startswith(f"{run_metrics['mAP']:.4f}{interval}") and ("[" in shown) == bool(ends)
            assert ("?" in shown) == doubtful and (tested or "~" not in shown)
    assert ("[" in text_of(cell(opened, "raw_pixels", " mean"))) == tested
    choose(opened, "metric", "P@5")
    cells = opened.page.locator("#comparison .interval")
    expect(cells).to_have_count(4 if about == "queries" else 0)


def test_intervals_of_curves(opened: Watched, small_project: Project) -> None:
    said = opened.page.locator("#chart-said")
    population = metrics(small_project, "raw_pixels", "digits")["population"]
    expect(said).to_contain_text("about other classes" if population == "classes" else "about other")
    choose(opened, "about", "queries")
    expect(said).to_contain_text("on digits, mean over queries, with its 95 % interval, about other queries")
    kept = results(small_project, "digits", "raw_pixels")["interpolated"]
    low, _ = of_queries(kept).intervals()
    opened.page.get_by_role("checkbox", name="color_histogram").uncheck()
    expect(opened.page.locator("#chart svg .runs_marks path")).to_have_count(1)
    opened.page.locator("#chart svg .points_marks path").nth(3).hover(force=True)
    expect(opened.page.locator("#vg-tooltip-element")).to_contain_text(f"{low[3]:.4f}")


def test_the_table_keeps_its_order_by_another_metric(opened: Watched, small_project: Project) -> None:
    page = opened.page
    page.locator("#comparison thead button").nth(1).click()
    for metric in ("mAP", "P@1"):
        choose(opened, "metric", metric)
        values = {run: metrics(small_project, run, "digits")[metric] for run in RUNS}
        names = page.locator("#comparison tbody th").all_inner_texts()
        assert names == sorted(RUNS, key=lambda run: -values[run])
        assert page.locator("#comparison thead th").nth(1).get_attribute("aria-sort") == "descending"
    expect(page).to_have_url(re.compile(r"sort=1\+descending"))


def test_chance_in_the_table_and_in_the_chart(opened: Watched, small_project: Project) -> None:
    for dataset in DATASETS:
        random = metrics(small_project, "raw_pixels", dataset)["mAP_random"]
        assert text_of(cell(opened, "", dataset)) == f"{random:.4f}"
    kept = read_metrics(small_project.top / "metrics/per_query/digits/raw_pixels.npz")
    share = (kept["positives"] / kept["candidates"]).mean()
    expect(opened.page.locator("#chart svg .chance_marks path")).to_have_count(1)
    row = opened.page.locator("#numbers tfoot td")
    assert row.all_text_contents() == [f"{share:.4f}"] * 11
    choose(opened, "metric", "P@10")
    expect(cell(opened, "", "digits")).to_have_text(f"{share:.4f}")
    choose(opened, "metric", "MRR")
    expect(cell(opened, "", "digits")).to_have_text("–")


def test_recall_against_k(opened: Watched, small_project: Project) -> None:
    choose(opened, "chart", "recall")
    expect(opened.page.locator("#chart-said")).to_contain_text("Recall@k on digits")
    heads = opened.page.locator("#numbers thead th").all_text_contents()[1:]
    kept = {run: read_metrics(small_project.top / f"metrics/per_query/digits/{run}.npz") for run in RUNS}
    assert heads == [str(k) for k in hit_rates(kept)["k"]]
    for place, run in enumerate(RUNS):
        cells = opened.page.locator("#numbers tbody tr").nth(place).locator("td").all_text_contents()
        for k in (1, 5, 10):
            assert cells[heads.index(str(k))] == f"{metrics(small_project, run, 'digits')[f'recall@{k}']:.4f}"
    assert curves(opened) == 2
    choose(opened, "about", "classes")
    expect(opened.page.locator("#chart-said")).to_contain_text("without interval")
    choose(opened, "dataset", "photo_views")
    expect(opened.page.locator("#chart-said")).to_contain_text("on photo_views")


def test_looks_are_those_of_the_figures(opened: Watched) -> None:
    style = yaml.safe_load((TOP / "conf/style/default.yaml").read_text())
    lines = opened.page.locator("#chart svg .runs_marks path")
    assert [line.get_attribute("stroke").upper() for line in lines.all()] == style["colors"][:2]  # type: ignore[union-attr]
    signs = opened.page.locator("#shown .sign").all_text_contents()
    assert style["markers"][:2] == ["o", "s"] and signs == ["●", "■"]


def test_one_choice_of_the_dataset(opened: Watched, small_project: Project) -> None:
    assert opened.page.locator("[data-choice=dataset]").count() == 1
    choose(opened, "dataset", "photo_views")
    expect(opened.page.locator("#asked-name")).to_contain_text("images/")
    expect(opened.page.locator("#chart-said")).to_contain_text("on photo_views")
    labels = pd.read_csv(small_project.top / "metrics/per_class/photo_views/raw_pixels.csv")["label"]
    expect(opened.page.locator("#classes-said")).to_have_text(
        re.compile(rf"\d+ of {len(labels)} classes of photo_views")
    )


def test_an_order_begins_with_its_first_query(opened: Watched, small_project: Project) -> None:
    found = results(small_project, "digits", "raw_pixels")
    order = np.argsort(found["AP"], kind="stable")
    choose(opened, "order", "worst")
    expect(opened.page.locator("#asked-name")).to_contain_text(f"Query {found['queries'][order[0]]}:")
    choose(opened, "order", "best")
    best = np.argsort(-found["AP"], kind="stable")[0]
    expect(opened.page.locator("#asked-name")).to_contain_text(f"Query {found['queries'][best]}:")
    choose(opened, "metric", "nDCG@10")
    expect(opened.page.locator("option[value=best]")).to_have_text("highest nDCG@10 first")
    shown = np.round(found["nDCG@10"], 4)
    best = np.argsort(-shown, kind="stable")[0]
    expect(opened.page.locator("#asked-name")).to_contain_text(f"Query {found['queries'][best]}:")
    notes = opened.page.locator("#grid li").all_inner_texts()
    values = [float(re.search(r"nDCG@10 (\S+),", note)[1]) for note in notes]  # type: ignore[index]
    assert values == sorted(shown.tolist(), reverse=True)
    expect(opened.page.locator("#rankings h3").first).to_have_text(f"raw_pixels: nDCG@10 {shown[best]:.4f}")


def test_each_class_by_each_run(opened: Watched, small_project: Project) -> None:
    page = opened.page
    tables = {
        run: pd.read_csv(small_project.top / f"metrics/per_class/digits/{run}.csv", dtype={"label": str})
        for run in RUNS
    }
    means = tables["raw_pixels"]["mAP"] + tables["color_histogram"]["mAP"]
    expect(page.locator("#heat tbody tr")).to_have_count(10)
    order = np.argsort(means, kind="stable")
    assert page.locator("#heat tbody th").all_inner_texts() == tables["raw_pixels"]["label"][order].tolist()
    for row, place in zip(page.locator("#heat tbody tr").all(), order, strict=True):
        cells = row.locator("td").all_inner_texts()
        assert cells == ["4", *(f"{tables[run]['mAP'][place]:.4f}" for run in RUNS)]
    page.locator("#heat thead button").nth(3).click()  # the hardest of color_histogram first
    values = page.locator("#heat tbody td:nth-child(4)").all_inner_texts()
    assert values == sorted(values)
    expect(page).to_have_url(re.compile(r"classes=color_histogram\+ascending"))
    page.locator("#heat tbody th button").first.click()
    label = page.locator("#heat tbody th").first.inner_text()
    expect(page.locator("#grid li")).to_have_count(4)
    expect(page.get_by_label("class, or part of a path")).to_have_value(label)
    expect(page.locator("#asked-name")).to_contain_text(f"images/{label}/")


def test_what_is_found_instead_and_the_most_alike(opened: Watched, small_project: Project) -> None:
    page = opened.page
    manifest = read_manifest(small_project.top / "data/prepared/digits")
    found = read_retrievals(small_project.top / "metrics/per_query/digits/raw_pixels.npz", manifest)
    page.locator("#instead summary").click()
    expect(page.locator("#instead-table tbody tr")).to_have_count(10)
    for row in page.locator("#instead-table tbody tr").all():
        label = row.locator("th").inner_text()
        shown, hits, others = instead_of(manifest, found, [label])[0]
        words = ", ".join(f"{name} ({count})" for name, count in others)
        assert row.locator("td").all_inner_texts() == [f"{hits} of {shown}", words]
    page.locator("#alike summary").click()
    pairs = most_alike(found)
    expect(page.locator("#alike-pairs li")).to_have_count(len(pairs))
    for shown_pair, (query, item, score, hit) in zip(page.locator("#alike-pairs li").all(), pairs, strict=True):
        images = [image.get_attribute("src") for image in shown_pair.locator("img").all()]
        assert images == [f"thumbnails/digits/{number}.jpg" for number in (query, item)]
        assert f"{score:.4f}" in shown_pair.inner_text() and ("✓" if hit else "✗") in shown_pair.inner_text()
    choose(opened, "a", "color_histogram")
    expect(page.locator("#instead summary")).to_have_text("What color_histogram finds instead")


def test_queries_and_duplicates_are_counted(opened: Watched, small_project: Project) -> None:
    opened.page.get_by_text("Queries, galleries and duplicates").click()
    table = opened.page.get_by_role("region", name="Queries, galleries and duplicates")
    for row, dataset in zip(table.locator("tbody tr").all(), DATASETS, strict=True):
        run = metrics(small_project, "raw_pixels", dataset)
        names = ("queries", "queries_without_positives", "gallery", "positives", "exact_duplicates")
        assert row.locator("td").all_inner_texts() == [str(run[name]) for name in names]


def test_what_accuracy_costs(opened: Watched, small_project: Project) -> None:
    costs = pd.read_csv(small_project.top / "metrics/cost.csv").set_index("encoder")
    columns = {"bytes": ("feature_bytes", 1), "speed": ("images_per_second", -1), "latency": ("latency_p50_seconds", 1)}
    for cost, (column, sign) in columns.items():
        choose(opened, "cost", cost)
        for metric, worth in product(("mAP", "P@1"), (*DATASETS, "mean")):
            choose(opened, "metric", metric)
            choose(opened, "worth", "mean" if worth == "mean" else "dataset")
            over = DATASETS if worth == "mean" else [worth]
            choose(opened, "dataset", over[0])
            means = {run: np.mean([metrics(small_project, run, dataset)[metric] for dataset in over]) for run in RUNS}
            front = [
                run
                for run in RUNS
                if not any(
                    means[other] >= means[run] and sign * costs[column][other] <= sign * costs[column][run]
                    for other in RUNS
                    if other != run
                )
            ]
            front.sort(key=lambda run: costs[column][run])
            expect(opened.page.locator("#front")).to_contain_text(f"cheaper: {', '.join(front)}.")
            shown = "mean " + metric if worth == "mean" else f"{metric} on {worth}"
            expect(opened.page.locator("#cost-chart")).to_contain_text(shown)
            for run in RUNS:
                dot = opened.page.locator(f'#cost-chart .points_marks path[aria-label*="run: {run}"]')
                expect(dot).to_have_attribute("aria-label", re.compile(f"; {re.escape(shown)}: "))
                value = re.search(r": ([\d.]+); run", str(dot.get_attribute("aria-label")))
                assert value and float(value[1]) == pytest.approx(means[run])
    expect(opened.page.locator("#cost-chart svg .points_marks path")).to_have_count(2)
    opened.page.get_by_role("checkbox", name="color_histogram").uncheck()
    expect(opened.page.locator("#cost-chart svg .points_marks path")).to_have_count(1)
    choose(opened, "cost", "flops")  # none: neither is a network
    expect(opened.page.locator("#front")).to_contain_text("raw_pixels")


def test_costs_of_features_made_elsewhere_are_their_bytes(browser: Browser, small_project: Project) -> None:
    table = pd.read_csv(small_project.top / "metrics/cost.csv")
    table["images_per_second"] = np.nan
    table.to_csv(small_project.top / "elsewhere.csv", index=False)
    html = small_project.top / "plots/report/elsewhere.html"
    small_project.stage("page", f"costs={small_project.top}/elsewhere.csv", f"html={html}")
    with watched(browser) as seen:
        seen.page.goto(html.as_uri())
        ready(seen)
        expect(seen.page.locator("[data-choice=cost]")).to_have_value("bytes")
        expect(seen.page.locator("#front")).to_contain_text("On the front")
        assert seen.problems == []


def test_it_begins_with_the_best_run_of_the_dataset(browser: Browser, small_project: Project) -> None:
    """The second is better on photo_views; what was chosen stays chosen on another dataset."""
    best = {dataset: sorted(RUNS, key=lambda run: -metrics(small_project, run, dataset)["mAP"]) for dataset in DATASETS}
    assert best == {"digits": list(RUNS), "photo_views": list(RUNS)[::-1]}

    def shown(seen: Watched) -> list[str]:
        return [seen.page.locator(f"#choice [data-choice={side}]").input_value() for side in "ab"]

    with watched(browser) as seen:
        seen.page.goto(address(small_project, dataset="photo_views"))
        ready(seen)
        assert shown(seen) == best["photo_views"]
        choose(seen, "dataset", "digits")
        assert shown(seen) == best["digits"]
        choose(seen, "b", "")
        choose(seen, "dataset", "photo_views")
        assert shown(seen) == ["raw_pixels", ""]
        assert seen.problems == []


def test_a_table_that_is_too_wide_says_that_it_scrolls(browser: Browser, small_project: Project) -> None:
    for width, hint in ((1280, False), (390, True)):
        with watched(browser, viewport={"width": width, "height": 900}) as seen:
            seen.page.goto(address(small_project))
            ready(seen)
            box = seen.page.get_by_role("region", name="Rows of the comparative table")
            assert box.evaluate("box => box.scrollWidth > box.clientWidth") == hint
            said = seen.page.locator("section[aria-labelledby=table] > .further")
            expect(said).to_be_visible(visible=hint)
            box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
            expect(box).to_have_class("scroll")
            expect(said).to_be_visible(visible=hint)  # nothing moves while one scrolls


def test_p_values_and_what_they_go_with(opened: Watched, small_project: Project) -> None:
    pairs = pd.read_csv(small_project.top / "metrics/pairwise.csv")
    opened.page.get_by_text("Pairwise comparisons").click()
    region = opened.page.get_by_role("region", name="Pairwise comparisons")
    assert region.locator("thead th").all_inner_texts()[4:6] == ["p", "corrected p"]
    assert "neither is corrected" in " ".join(opened.page.inner_text("section[aria-labelledby=table]").split())
    for row, pair in zip(region.locator("tbody tr").all(), pairs.itertuples(), strict=True):
        shown = row.locator("td").all_inner_texts()[4:6]
        for text, value in zip(shown, (pair.p, pair.p_holm), strict=True):
            assert text == ("< 0.0001" if value < 0.0001 else f"{value:.4f}")  # by t: no floor


def test_by_what_the_page_was_written(opened: Watched, small_project: Project) -> None:
    written = opened.page.locator("#written")
    version = re.search(r'^version = "(.+)"$', (TOP / "pyproject.toml").read_text(), flags=re.MULTILINE)
    assert version
    text = written.inner_text()
    found = re.search(rf"retrieval-bench {version[1]} at commit (\w+ of \d{{4}}-\d\d-\d\d)", text)
    assert found and found[1] in small_project.git("log", "--format=%h of %cs").split("\n")
    origin = yaml.safe_load((small_project.top / "features/raw_pixels/digits/provenance.json").read_text())
    expect(written).to_contain_text(origin["device"])


def test_the_address_keeps_all_choices(browser: Browser, small_project: Project) -> None:
    chosen = {"dataset": "photo_views", "metric": "recall@5", "about": "images", "chart": "recall", "cost": "bytes"}
    with watched(browser) as seen:
        seen.page.goto(address(small_project, **chosen, sort="1 ascending"))
        ready(seen)
        for name, value in chosen.items():
            expect(seen.page.locator(f"[data-choice={name}]")).to_have_value(value)
            assert value.replace("@", "%40") in seen.page.url
        assert seen.page.locator("#comparison thead th").nth(1).get_attribute("aria-sort") == "ascending"
        seen.page.goto(
            address(small_project, dataset="digits", metric="x", about="y", chart="z", cost="", sort="99 up")
        )
        seen.page.reload()
        ready(seen)
        for name, value in (("metric", "mAP"), ("about", ""), ("chart", "precision"), ("cost", "speed")):
            expect(seen.page.locator(f"[data-choice={name}]")).to_have_value(value)
        assert seen.problems == []


def test_on_a_phone_rankings_are_strips_and_tables_fade(browser: Browser, small_project: Project) -> None:
    with watched(browser, viewport=PHONE) as seen:
        page = seen.page
        page.goto(address(small_project, dataset="digits", a="raw_pixels", b="color_histogram"))
        ready(seen)
        strips = page.locator("#rankings ol")
        assert strips.count() == 2
        for strip in strips.all():
            tops = strip.evaluate("strip => [...strip.children].map(one => one.getBoundingClientRect().top)")
            assert len(tops) == 10 and len(set(tops)) == 1
            assert strip.evaluate("strip => strip.scrollWidth > strip.clientWidth + 100")
        strips.first.evaluate("strip => { strip.scrollLeft = 120; }")
        page.wait_for_function("document.querySelectorAll('#rankings ol')[1].scrollLeft === 120")
        box = page.get_by_role("region", name="Rows of the comparative table")
        expect(box).to_have_class("scroll more")
        assert box.evaluate("box => getComputedStyle(box).maskImage").startswith("linear-gradient")
        names = box.locator("tbody th").first
        left = names.bounding_box()["x"]  # type: ignore[index]
        box.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
        expect(box).to_have_class("scroll")
        assert names.bounding_box()["x"] == pytest.approx(left, abs=2)  # type: ignore[index]
        for details in page.locator("details").all()[:6]:
            details.locator("summary").click()
        choose(seen, "chart", "recall")
        expect(page.locator("#alike-pairs li").first).to_be_visible()
        assert not seen.too_wide()
        assert seen.violations() == []
        assert seen.problems == []


def test_on_paper_nothing_is_cut(browser: Browser, small_project: Project) -> None:
    with watched(browser, color_scheme="dark") as seen:
        page = seen.page
        page.goto(address(small_project))
        ready(seen)
        width = 680
        page.emulate_media(media="print", color_scheme="light")
        page.evaluate(f"document.body.style.width = '{width}px'")  # the window stays: nothing is drawn anew
        right = "one => one.getBoundingClientRect().right"
        edge = page.locator("body").evaluate(right)
        for shown in page.locator(".chart svg, #comparison, #heat").all():
            assert shown.evaluate(right) <= edge
        assert page.locator(".controls").first.is_hidden()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.pdf(format="A4").startswith(b"%PDF")


def test_one_dataset_has_no_share_of_the_best(browser: Browser, digits_project: Project) -> None:
    with watched(browser) as seen:
        seen.page.goto(address(digits_project))
        ready(seen)
        heads = seen.page.locator("#comparison thead th").all_inner_texts()
        assert heads == ["encoder", "digits", "images/s", "ms", "GFLOP", "bytes"]
        choose(seen, "metric", "P@1")
        value = metrics(digits_project, "raw_pixels", "digits")["P@1"]
        expect(cell(seen, "raw_pixels", "digits")).to_contain_text(f"{value:.4f} [")
        assert seen.problems == []
