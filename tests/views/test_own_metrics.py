"""The page of datasets that name metrics of their own: one that goes to 4, and one of all queries together."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from pipeline.frame.experiment import Experiment
from pipeline.manifest.items import Item
from pipeline.manifest.manifest import Manifest
from pipeline.results.cost import MEAN, Cost
from pipeline.results.pairs import COLUMNS
from pipeline.results.retrievals import Retrieval
from pipeline.results.titles import Titles
from pipeline.retrieval.errors import RetrievalError
from pipeline.retrieval.measures import of_query
from pipeline.views.explorer import results_of, write_results
from pipeline.views.looks import looks_of
from pipeline.views.measures import hit_rates, measured, values_of
from pipeline.views.page import PageStyle, charting, page_of, read_comparison, table_rows
from pipeline.views.style import Style
from tests.browser import Watched, watched
from tests.views.opening import ready

RUNS = ("hog", "raw")
# Of four queries by hog and by raw.
QUERIES: Mapping[str, tuple[list[float], list[float]]] = {
    "AP": ([1.0, 0.6, 0.4, 0.2], [0.5, 0.3, 0.2, 0.2]),
    "RR": ([1.0, 1.0, 1.0, 0.5], [1.0, 0.5, 0.5, 0.5]),
    "P@1": ([1.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]),
    "N-S": ([4.0, 3.0, 2.0, 1.0], [3.0, 1.0, 1.0, 1.0]),
}
# Their means, and what is of all queries together.
VALUES = {"mAP": (0.55, 0.3), "P@1": (0.75, 0.25), "N-S": (2.5, 1.5), "micro_AP@1": (0.2, 0.6)}
CHANCE = {"mAP": 0.1, "N-S": 1.25}
OWN = "each dataset's own"


def has(dataset: str, metric: str) -> bool:
    """Whether a dataset has a metric: that of all queries only ``ood``, and N-S all others."""
    return metric not in ("N-S", "micro_AP@1") or (metric == "micro_AP@1") == (dataset == "ood")


def write_runs(folder: Path, headlines: Mapping[str, str]) -> pd.DataFrame:
    """Write the metrics of runs, and return the comparative table of them."""
    rows = []
    for place, run in enumerate(RUNS):
        (folder / run).mkdir(parents=True)
        for dataset, metric in headlines.items():
            value, chance = VALUES[metric][place], CHANCE.get(metric)
            ends = {"low": value - 0.1, "high": value + 0.1}
            kept = {name: values[place] for name, values in VALUES.items() if has(dataset, name)}
            headline = {"metric": metric, "value": value, "chance": chance, "intervals": {"queries": ends}}
            (folder / run / f"{dataset}.json").write_text(json.dumps({**kept, "queries": 4, "headline": headline}))
            row = {"encoder": run, "dataset": dataset, "metric": metric, "value": value, "value_chance": chance}
            rows.append({**row, "value_low": ends["low"], "value_high": ends["high"]})
    return pd.DataFrame(rows)


def written(folder: Path, headlines: Mapping[str, str]) -> Path:
    """Write the page of two runs on some datasets, whose metrics are given, and all that it loads."""
    table = write_runs(folder / "runs", headlines)
    table.to_csv(folder / "table.csv", index=False)
    pairs = [[name, "raw", "hog", 0.1, 0.05, 0.15, 0.01, 0.02, True, 0.0] for name in (*headlines, MEAN)]
    pd.DataFrame(pairs, columns=COLUMNS).to_csv(folder / "pairs.csv", index=False)
    share = {"low": 0.1, "high": 0.9, "relative": 0.5, "rank_low": 1, "rank_high": 2}
    summary = {"best": "raw", "encoders": {run: {"mean_mAP": 0.5, **share} for run in RUNS}}
    costs = {run: Cost(64, speed, "cpu") for run, speed in zip(RUNS, (10.0, 20.0), strict=True)}
    rows = table_rows(
        Experiment(RUNS, tuple(headlines), "hog"),
        folder / "runs",
        *read_comparison(folder / "table.csv", folder / "pairs.csv"),
        summary,
        costs,
    )
    looks = looks_of(RUNS, Style(6.0, 4.0, 60, ["#000000", "#555555"], ["o", "s"]))
    given = [dict(zip(COLUMNS, pair, strict=True)) for pair in pairs]
    style = PageStyle("t", 16)
    page = page_of(headlines, rows, given, [], style, looks, Titles(), caption="tested", written="w")
    (folder / "index.html").write_text(page)
    (folder / "vega.js").write_text(charting())
    for dataset in headlines:
        write_loaded(folder, dataset)
    return folder / "index.html"


def write_loaded(folder: Path, dataset: str) -> None:
    """Write what the page loads of a dataset, and a picture of each item."""
    manifest = Manifest(dataset, Path("r"), tuple(Item(f"{n}.jpg", ("x",), 9, 9, "0") for n in range(4)))
    counts = {"positives": np.full(4, 3), "candidates": np.full(4, 8), "AP_random": np.full(4, 0.1)}
    metrics = {
        run: {**counts, **{name: np.array(QUERIES[name][place]) for name in QUERIES if has(dataset, name)}}
        for place, run in enumerate(RUNS)
    }
    line = np.linspace(1, 0, 11).tolist()
    curve = {"precision": line, "low": line, "high": line, "population": "queries", "intervals": {}}
    write = partial(write_results, folder / "results" / dataset, dataset=dataset)
    write("curves", {"runs": dict.fromkeys(RUNS, curve), "chance": 0.1})
    write("metrics", measured(metrics))
    write("hits", hit_rates(metrics))
    write("classes", {"labels": ["x"], "queries": [4], "runs": {"hog": [0.55], "raw": [0.3]}})
    found, scores = np.array([1, 2]), np.array([0.5, 0.25])
    retrievals = {
        run: [Retrieval(query, ap, found, scores, found == 1) for query, ap in enumerate(QUERIES["AP"][place])]
        for place, run in enumerate(RUNS)
    }
    for name, content in results_of(manifest, retrievals, chunk=4):
        write(name, content)
    for run in RUNS:
        write(f"{run}/metrics", values_of(metrics[run]))
    (folder / "thumbnails" / dataset).mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (9, 9)).save(folder / "thumbnails" / dataset / f"{number}.jpg")


def data_of(page: Path) -> Any:
    [found] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), flags=re.DOTALL)
    return json.loads(found)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("own"), {"ns": "N-S", "ood": "micro_AP@1"})


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two datasets whose metric is mAP, and that have N-S beside it."""
    return written(tmp_path_factory.mktemp("plain"), {"ns": "mAP", "too": "mAP"})


@pytest.fixture
def opened(browser: Browser, own: Path) -> Iterator[Watched]:
    with watched(browser) as seen:
        yield from seen_whole(seen, own)


@pytest.fixture
def opened_plain(browser: Browser, plain: Path) -> Iterator[Watched]:
    with watched(browser) as seen:
        yield from seen_whole(seen, plain)


def seen_whole(seen: Watched, page: Path) -> Iterator[Watched]:
    seen.page.goto(page.as_uri())
    ready(seen)
    yield seen
    assert seen.problems == []


def choose(seen: Watched, name: str, value: str) -> None:
    seen.page.locator(f"[data-choice={name}]").select_option(value)


def heads(seen: Watched) -> list[str]:
    return seen.page.locator("#comparison thead th").all_inner_texts()[:4]


def cells(seen: Watched, run: str) -> list[str]:
    """The row of a run: on both datasets, and the mean."""
    found = seen.page.locator(f'#comparison tr[data-run="{run}"] td').all_inner_texts()[:3]
    return [" ".join(text.split()) for text in found]


def limits(seen: Watched) -> Locator:
    return seen.page.locator("#choice input[type=number]")


def test_what_chance_gives_may_be_unknown(tmp_path: Path, own: Path, plain: Path) -> None:
    table, pairs = read_comparison(own.parent / "table.csv", own.parent / "pairs.csv")
    assert table["value_chance"].isna().tolist() == [False, True, False, True]
    assert table["value"].tolist() == [2.5, 0.2, 1.5, 0.6] and pairs["p"].tolist() == [0.01] * 3
    found = data_of(own)["runs"]["raw"]["found"]
    assert (found["ns"]["random"], found["ood"]["random"]) == (1.25, None)
    assert not found["ood"]["chance"]  # of nothing known it cannot be said that it is alike
    table.assign(value="").to_csv(tmp_path / "table.csv", index=False)  # but each has a value
    with pytest.raises(RetrievalError, match=r"tables in .*table\.csv and .*: run dvc repro compare"):
        read_comparison(tmp_path / "table.csv", own.parent / "pairs.csv")


def test_the_largest_value_of_each_metric_of_a_query(own: Path, plain: Path) -> None:
    most = {of_query(name): 4 if name == "N-S" else 1 for name in VALUES}
    assert data_of(own)["most"] == most
    assert data_of(plain)["most"] == {name: value for name, value in most.items() if name != "micro_AP@1"}


@pytest.mark.parametrize(("name", "kind"), [("own", "metric"), ("plain", "mAP")])
def test_pairs_differ_by_what_they_are_compared_by(request: pytest.FixtureRequest, name: str, kind: str) -> None:
    text = request.getfixturevalue(name).read_text()
    assert f"<p>The {kind} of the first minus that of the second" in text
    assert f'<td data-value="mean {kind}">mean {kind}</td>' in text


def test_each_dataset_by_its_own_metric_and_all_by_another(opened: Watched) -> None:
    """In the mean N-S is divided by 4: of hog (2.5 / 4 + 0.2) / 2 = 0.4125, of raw (1.5 / 4 + 0.6) / 2 = 0.4875."""
    select = opened.page.locator("[data-choice=metric]")
    assert select.locator("option").all_inner_texts() == [OWN, "mAP", "P@1", "N-S", "micro_AP@1"]
    for _ in range(2):
        expect(select).to_have_value(OWN)
        expect(opened.page.locator("#mean-column")).to_have_text("mean metric")
        assert heads(opened) == ["encoder", "ns (N-S)", "ood (micro_AP@1)", "mean metric"]
        assert cells(opened, "hog") == ["2.5000 [2.400, 2.600]", "0.2000 [0.100, 0.300]", "0.4125 [0.100, 0.900]"]
        assert cells(opened, "raw")[2].startswith("0.4875 [")
        assert cells(opened, "") == ["1.2500", "–", "–"]
        choose(opened, "metric", "P@1")
        expect(opened.page.locator("#mean-column")).to_have_text("mean P@1")
        expect(opened.page.locator("#caption")).to_contain_text("tested for N-S, micro_AP@1 only")
        assert heads(opened) == ["encoder", "ns", "ood", "mean P@1"]
        assert [text.split(" ")[0] for text in cells(opened, "hog")] == ["0.7500"] * 3
        choose(opened, "metric", OWN)
    choose(opened, "metric", "N-S")  # ood does not have it
    expect(opened.page.locator("#mean-column")).to_have_text("mean N-S")
    assert [text.split(" ")[0] for text in cells(opened, "hog")] == ["2.5000", "–", "–"]


def test_queries_go_as_far_as_their_metric(opened: Watched) -> None:
    page, tiles = opened.page, opened.page.locator("#grid li")
    expect(tiles).to_have_count(4)
    expect(page.locator("#rankings h3").first).to_have_text("hog: N-S 4.0000")
    assert [one.get_attribute("max") for one in limits(opened).all()] == ["4", "4"]
    assert limits(opened).nth(1).input_value() == "" and "high" not in page.url
    page.get_by_label("N-S to").fill("2")
    page.get_by_label("N-S to").press("Tab")
    expect(tiles).to_have_count(2)  # 2 and 1
    expect(page).to_have_url(re.compile("high=2"))
    page.get_by_label("N-S from").fill("1.2")
    page.get_by_label("N-S from").press("Tab")
    expect(tiles).to_have_count(1)
    assert limits(opened).evaluate_all("all => all.every(one => one.checkValidity())")
    for limit, value in (("from", "0"), ("to", "")):
        page.get_by_label(f"N-S {limit}").fill(value)
        page.get_by_label(f"N-S {limit}").press("Tab")
    expect(tiles).to_have_count(4)
    choose(opened, "dataset", "ood")  # there is no value of a query of its metric: AP
    expect(page.locator("#rankings h3").first).to_have_text("raw: AP 0.5000")
    bounds = [(one.get_attribute("max"), one.get_attribute("step")) for one in limits(opened).all()]
    assert bounds == [("1", "0.05")] * 2
    choose(opened, "metric", "N-S")  # which this dataset does not have
    expect(page.locator("#status")).to_contain_text("AP 0.5000 by raw")
    expect(page.get_by_label("AP to")).to_have_count(1)


def test_costs_against_a_metric_beside_that_of_the_dataset(opened_plain: Watched) -> None:
    chart = opened_plain.page.locator("#cost-chart")
    ticks = chart.locator("svg .role-axis-label").nth(1).locator("text")
    expect(ticks.last).to_have_text("1.0")
    choose(opened_plain, "metric", "N-S")
    expect(chart).to_contain_text("N-S on ns")
    expect(ticks.last).to_have_text("4.0")
    dot = chart.locator('.points_marks path[aria-label*="run: hog"]')
    expect(dot).to_have_attribute("aria-label", re.compile("N-S on ns: 2.5"))
    choose(opened_plain, "worth", "mean")
    expect(dot).to_have_attribute("aria-label", re.compile("mean N-S: 0.625;"))  # 2.5 / 4
    assert [text.split(" ")[0] for text in cells(opened_plain, "raw")] == ["1.5000", "1.5000", "0.3750"]
